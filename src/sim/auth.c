/* AUTH XOAUTH2 and OAUTHBEARER: one step or two, and the dance that a failure
 * takes (RFC 7628 section 3.2.3; Google does the same for XOAUTH2). PLAIN is
 * taken only on demand, with a token for its password. */
#include <stdio.h>

#include "base/clock.h"
#include "base/codec.h"
#include "sim/session.h"
#include "smtp/sasl.h"

#define CONTROL_A "\x01"

struct credentials {
    char user[320];
    struct slice token; /* in the simulator's scratch */
};

/* The value of "key=..." up to ^A; false when it is not there. */
static bool take_value(struct slice message, struct slice key, struct slice *value)
{
    const char *end = message.ptr + message.len;

    for (const char *at = message.ptr; at < end;) {
        const char *stop = memchr(at, 1, (size_t)(end - at));
        struct slice part = {at, (size_t)((stop ? stop : end) - at)};

        if (slice_starts_nocase(part, key)) {
            *value = (struct slice){part.ptr + key.len, part.len - key.len};
            return true;
        }
        at += part.len + 1;
    }
    return false;
}

static bool ends_in_two(struct slice message)
{
    return message.len > 2 && memcmp(message.ptr + message.len - 2, CONTROL_A CONTROL_A, 2) == 0;
}

static bool take_token(struct slice message, struct slice *token)
{
    struct slice value;

    if (!take_value(message, SLICE("auth="), &value) ||
        !slice_starts_nocase(value, SLICE("Bearer ")))
        return false;
    *token = (struct slice){value.ptr + 7, value.len - 7};
    return ends_in_two(message);
}

/* "=2C" and "=3D" of RFC 5801 section 4. */
static bool unescape(struct slice name, char *out, size_t cap)
{
    size_t len = 0;

    for (size_t i = 0; i < name.len; i++) {
        struct slice rest = {name.ptr + i, name.len - i};
        char c = *rest.ptr;

        if (slice_starts_nocase(rest, SLICE("=2C")))
            c = ',';
        else if (c == '=' && !slice_starts_nocase(rest, SLICE("=3D")))
            return false;
        if (*rest.ptr == '=')
            i += 2;
        if (len + 1 >= cap)
            return false;
        out[len++] = c;
    }
    out[len] = '\0';
    return len > 0;
}

/* "n,a=user,^A..." */
static bool take_gs2_user(struct slice message, char *out, size_t cap)
{
    const char *comma;

    if (message.len < 4 || memcmp(message.ptr, "n,a=", 4) != 0)
        return false;
    comma = memchr(message.ptr + 4, ',', message.len - 4);
    if (!comma || (size_t)(comma + 1 - message.ptr) >= message.len || comma[1] != 1)
        return false;
    return unescape((struct slice){message.ptr + 4, (size_t)(comma - message.ptr - 4)}, out, cap);
}

static bool decode_plain(struct session *session, struct slice base64, struct credentials *out)
{
    struct slice user;

    return sasl_plain_decode(base64, session->sim->scratch, SIM_SCRATCH, &user, &out->token,
                             NULL) &&
           slice_copy(user, out->user, sizeof(out->user));
}

static bool decode_oauth(struct session *session, struct slice base64, struct credentials *out)
{
    ptrdiff_t len = base64_decode(base64, session->sim->scratch, SIM_SCRATCH);
    struct slice message = {session->sim->scratch, len < 0 ? 0 : (size_t)len}, user;

    if (len <= 0 || !take_token(message, &out->token))
        return false;
    if (session->mech == AUTH_OAUTHBEARER)
        return take_gs2_user(message, out->user, sizeof(out->user));
    return take_value(message, SLICE("user="), &user) && user.ptr == message.ptr + 5 &&
           slice_copy(user, out->user, sizeof(out->user));
}

static bool decode(struct session *session, struct slice base64, struct credentials *out)
{
    return session->mech == AUTH_PLAIN ? decode_plain(session, base64, out)
                                       : decode_oauth(session, base64, out);
}

static bool challenges(struct session *session, struct knob_scope scope)
{
    const char *style = session->profile->challenge ? "challenge" : "direct";

    if (session->mech == AUTH_PLAIN)
        return false;
    return session->mech == AUTH_OAUTHBEARER ||
           strcmp(knob_text(scope, KNOB_AUTH_FAILURE, style), "challenge") == 0;
}

static void send_challenge(struct session *session, struct knob_scope scope)
{
    char json[256], base64[BASE64_LEN(sizeof(json)) + 1], reply[sizeof(base64) + 4];
    bool bearer = session->mech == AUTH_OAUTHBEARER;
    const char *status = knob_text(scope, KNOB_AUTH_334_STATUS, bearer ? "invalid_token" : "400");

    snprintf(json, sizeof(json),
             bearer ? "{\"status\":\"%s\",\"scope\":\"%s\"}"
                    : "{\"status\":\"%s\",\"schemes\":\"Bearer\",\"scope\":\"%s\"}",
             status, session->profile->scope);
    base64_encode(json, strlen(json), base64);
    snprintf(reply, sizeof(reply), "334 %s", base64);
    session_reply_text(session, reply);
    session->state = SESSION_AUTH_FAILED;
}

/* The knobs of the user that tried to log in count here, too. */
static void refuse(struct session *session, const struct credentials *credentials)
{
    struct account *account = accounts_find(&session->sim->accounts, slice_of(credentials->user));
    struct knob_scope scope = sim_scope(session->sim, account);

    session->sim->totals.login_failures++;
    if (account)
        account->stats.login_failures++;
    if (challenges(session, scope))
        send_challenge(session, scope);
    else
        session_reply(session, REPLY_AUTH_BAD);
}

static bool over_login_rate(struct session *session, struct knob_scope scope, struct account *user)
{
    uint64_t limit = (uint64_t)knob_number(scope, KNOB_LOGINS_PER_MINUTE, 0);

    return limit && window_count(&user->stats.logged_in, loop_now(&session->sim->loop)) >= limit;
}

/* A token that is known, has not expired and belongs to this user. */
static void judge(struct session *session, const struct credentials *credentials)
{
    struct access *access =
        accounts_access(&session->sim->accounts, credentials->token, clock_wall_ms());
    struct account *claimed = accounts_find(&session->sim->accounts, slice_of(credentials->user));
    struct knob_scope scope = sim_scope(session->sim, claimed);

    session->extra_us += (uint64_t)knob_number(scope, KNOB_AUTH_DELAY_MS, 0) * 1000;
    if (claimed && over_login_rate(session, scope, claimed)) {
        session_reply(session, REPLY_AUTH_RATE);
    } else if (knob_fires(scope, KNOB_REJECT_AUTH) || !claimed || !access ||
               !access_opens(access, claimed)) {
        refuse(session, credentials);
    } else {
        session->no_mailbox = !access->account && !client_may_open(access->client, claimed->email);
        session_logged_in(session, claimed, access->expires_ms);
        session_reply(session, REPLY_AUTH_OK);
    }
}

/* Knobs of the user that logs in count already, though it is not proven yet. */
static bool fault_of_user(struct session *session, struct account *claimed)
{
    bool struck;

    session->user = claimed;
    struck = fault_strikes(session, PHASE_AUTH);
    session->user = NULL;
    return struck;
}

static void first_message(struct session *session, struct slice base64)
{
    struct credentials credentials;

    session->state = SESSION_COMMAND;
    if (!decode(session, base64, &credentials)) {
        session_error(session, "a SASL message that cannot be decoded");
        session_reply(session, REPLY_AUTH_DECODE);
        return;
    }
    if (!fault_of_user(session, accounts_find(&session->sim->accounts, slice_of(credentials.user))))
        judge(session, &credentials);
    explicit_bzero(session->sim->scratch, credentials.token.len + 512);
}

/* Google's page: the client sends an empty line; RFC 7628: base64 of ^A. */
static void after_failure(struct session *session, struct slice line)
{
    struct slice wanted = session->mech == AUTH_OAUTHBEARER ? SLICE("AQ==") : SLICE("");

    session->state = SESSION_COMMAND;
    if (!slice_equal(line, wanted) && !slice_equal(line, SLICE("*")))
        session_error(session, session->mech == AUTH_OAUTHBEARER
                                   ? "AQ== must follow a failed OAUTHBEARER"
                                   : "an empty line must follow a failed XOAUTH2");
    session_reply(session, REPLY_AUTH_BAD);
}

void auth_line(struct session *session, struct slice line)
{
    if (session->more)
        session_error(session, "input behind a SASL message");
    if (session->state == SESSION_AUTH_FAILED) {
        after_failure(session, line);
    } else if (slice_equal(line, SLICE("*"))) {
        session->state = SESSION_COMMAND;
        session_reply(session, REPLY_AUTH_CANCEL);
    } else {
        first_message(session, line);
    }
}

/* Whole words only: XOAUTH is not XOAUTH2. */
static bool offers(struct session *session, struct slice mech)
{
    const char *at = knob_text(session_scope(session), KNOB_AUTH_MECHS, session->profile->mechs);

    while (*at) {
        struct slice word = {at, strcspn(at, " ")};

        if (slice_equal_nocase(word, mech))
            return true;
        at += word.len + (at[word.len] == ' ');
    }
    return false;
}

static bool choose(struct session *session, struct slice mech)
{
    if (!offers(session, mech))
        return false;
    if (slice_equal_nocase(mech, SLICE("XOAUTH2")))
        session->mech = AUTH_XOAUTH2;
    else if (slice_equal_nocase(mech, SLICE("OAUTHBEARER")))
        session->mech = AUTH_OAUTHBEARER;
    else if (slice_equal_nocase(mech, SLICE("PLAIN")) &&
             knob_on(session_scope(session), KNOB_TOKEN_AS_PASSWORD))
        session->mech = AUTH_PLAIN;
    else
        return false;
    return true;
}

static void start(struct session *session, struct slice rest, size_t line_octets)
{
    const char *space = memchr(rest.ptr, ' ', rest.len);
    struct slice mech = {rest.ptr, space ? (size_t)(space - rest.ptr) : rest.len};
    size_t most = (size_t)knob_number(session_scope(session), KNOB_AUTH_INLINE_MAX,
                                      session->profile->inline_max);

    if (most && line_octets > most) {
        session_reply(session, REPLY_AUTH_TOO_LONG);
    } else if (!choose(session, mech)) {
        /* PLAIN and LOGIN are announced, but real passwords are never taken. */
        session_reply(session, offers(session, mech) ? REPLY_AUTH_BAD : REPLY_AUTH_MECH);
    } else if (space) {
        first_message(session, slice_trim((struct slice){space, rest.len - mech.len}));
    } else {
        session->state = SESSION_AUTH;
        session_reply_text(session, "334 ");
    }
}

void auth_begin(struct session *session, struct slice line, struct slice rest)
{
    if (!session->helo)
        session_reply(session, REPLY_HELO_FIRST);
    else if (!session->tls)
        session_reply(session, REPLY_TLS_FIRST);
    else if (session->user)
        session_reply(session, REPLY_AUTH_AGAIN);
    else if (!rest.len)
        session_reply(session, REPLY_AUTH_MECH);
    else
        start(session, rest, line.len + 2);
}
