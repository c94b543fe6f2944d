#include "relay/verdict.h"

#define ANY 0xffff
#define MINUTE (60 * 1000ull)
#define HOUR (60 * MINUTE)

#define P(phase) (1u << PHASE_##phase)
#define TRANSACTION (P(MAIL) | P(RCPT) | P(DATA) | P(FINAL))
#define CONTENT (P(MAIL) | P(DATA) | P(FINAL))
#define EVERY ((1u << PHASES) - 1)

const char *const phase_names[PHASES] = {
    "connect", "greeting", "ehlo", "starttls", "auth", "mail", "rcpt", "data", "final",
};

const char *const verdict_class_names[VERDICT_CLASSES] = {
    "ok",
    "connection_dead",
    "provider_transient",
    "token",
    "account_admin",
    "throttled",
    "quota",
    "blocked",
    "message_permanent",
    "rcpt_permanent",
    "rcpt_transient",
};

enum row_flags {
    CLOSE = 1,
    PAUSE_LOGINS = 2,
    BDAT_ONLY = 4, /* matches only behind BDAT, and demotes it */
    TOO_MANY = 8,
};

struct row {
    const char *rule;
    unsigned phases;
    const char *provider; /* NULL: any */
    unsigned short code_min, code_max;
    struct smtp_enhanced enhanced; /* class_ ANY: any or none; detail ANY: any */
    unsigned short detail_max;     /* with detail: a range, 0: just detail */
    const char *text;              /* NULL: any */
    enum verdict_class class_;
    unsigned short client_code; /* 0: as the provider says */
    struct smtp_enhanced client_enhanced;
    unsigned flags;
    enum account_state state;
    uint64_t for_ms;
};

#define ENH(c, s, d)                                                                               \
    {                                                                                              \
        c, s, d                                                                                    \
    }
#define NO_ENH                                                                                     \
    {                                                                                              \
        ANY, ANY, ANY                                                                              \
    }
#define KEEP                                                                                       \
    {                                                                                              \
        0, 0, 0                                                                                    \
    }

/* Numbers in comments are the rows of PROVIDERS.md section 6. */
static const struct row table[] = {
    /* A provider that offers CHUNKING but does not understand it. The content
     * was sent once and refused; the client sends the message again. */
    {"bdat_refused", P(FINAL), NULL, 500, 504, NO_ENH, 0, NULL, VERDICT_PROVIDER_TRANSIENT, 451,
     ENH(4, 5, 0), CLOSE | BDAT_ONLY, 0, 0},
    /* 9: before the general 421 */
    {"submission_rate", TRANSACTION, NULL, 421, 421, ENH(4, 4, 2), 0, "submission rate",
     VERDICT_ACCOUNT_THROTTLED, 451, KEEP, CLOSE, ACCOUNT_THROTTLED, MINUTE},
    /* 2: goodbyes; Gmail and Microsoft end idle connections with 451 */
    {"idle_timeout", P(MAIL) | P(RCPT) | P(DATA), NULL, 451, 451, NO_ENH, 0, "timeout",
     VERDICT_CONNECTION_DEAD, 451, KEEP, CLOSE, 0, 0},
    {"expired", P(MAIL) | P(RCPT) | P(DATA), NULL, 421, 451, NO_ENH, 0, "connection expired",
     VERDICT_CONNECTION_DEAD, 451, KEEP, CLOSE, 0, 0},
    {"session_duration", P(MAIL) | P(RCPT) | P(DATA), NULL, 421, 451, NO_ENH, 0,
     "total session duration", VERDICT_CONNECTION_DEAD, 451, KEEP, CLOSE, 0, 0},
    /* 7: 421 at AUTH is the account's login rate, not the connection's end */
    {"login_rate", P(AUTH), NULL, 421, 454, NO_ENH, 0, "too many login", VERDICT_ACCOUNT_THROTTLED,
     454, ENH(4, 7, 0), CLOSE | PAUSE_LOGINS, 0, 5 * MINUTE},
    {"login_later", P(AUTH), NULL, 400, 499, NO_ENH, 0, NULL, VERDICT_PROVIDER_TRANSIENT, 454,
     ENH(4, 7, 0), CLOSE | PAUSE_LOGINS, 0, MINUTE},
    /* 3 */
    {"ehlo_refused", P(EHLO), NULL, 400, 599, NO_ENH, 0, NULL, VERDICT_PROVIDER_TRANSIENT, 451,
     ENH(4, 4, 0), CLOSE, 0, 0},
    {"setup_refused", P(CONNECT) | P(GREETING) | P(STARTTLS), NULL, 400, 599, NO_ENH, 0, NULL,
     VERDICT_PROVIDER_TRANSIENT, 451, ENH(4, 4, 0), CLOSE, 0, 0},
    {"mail_goodbye", P(MAIL), NULL, 421, 421, NO_ENH, 0, NULL, VERDICT_CONNECTION_DEAD, 451, KEEP,
     CLOSE, 0, 0},
    /* 5: only an administrator can mend these; before row 4's general 535 */
    {"smtp_auth_disabled", P(AUTH), NULL, 535, 535, ENH(5, 7, 139), 0, NULL, VERDICT_ACCOUNT_ADMIN,
     454, ENH(4, 7, 0), CLOSE, ACCOUNT_MISCONFIGURED, HOUR},
    {"basic_auth_retired", P(AUTH), NULL, 550, 550, ENH(5, 7, 30), 0, NULL, VERDICT_ACCOUNT_ADMIN,
     454, ENH(4, 7, 0), CLOSE, ACCOUNT_MISCONFIGURED, HOUR},
    {"web_login_needed", P(AUTH), "gmail", 534, 535, ENH(5, 7, 9), 14, NULL, VERDICT_ACCOUNT_ADMIN,
     454, ENH(4, 7, 0), CLOSE, ACCOUNT_MISCONFIGURED, HOUR},
    {"api_permission", P(AUTH), NULL, 535, 535, ENH(5, 7, 144), 0, NULL, VERDICT_ACCOUNT_ADMIN, 454,
     ENH(4, 7, 0), CLOSE, ACCOUNT_MISCONFIGURED, HOUR},
    {"app_not_allowed", P(AUTH), NULL, 550, 550, ENH(5, 7, 240), 0, NULL, VERDICT_ACCOUNT_ADMIN,
     454, ENH(4, 7, 0), CLOSE, ACCOUNT_MISCONFIGURED, HOUR},
    {"mechanism_refused", P(AUTH), NULL, 504, 504, NO_ENH, 0, NULL, VERDICT_ACCOUNT_ADMIN, 454,
     ENH(4, 7, 0), CLOSE, ACCOUNT_MISCONFIGURED, HOUR},
    /* 4 */
    {"token_refused", P(AUTH), NULL, 535, 535, NO_ENH, 0, NULL, VERDICT_TOKEN, 454, ENH(4, 7, 0),
     CLOSE, 0, 15 * MINUTE},
    {"token_expiring", P(AUTH), NULL, 501, 501, ENH(5, 5, 127), 0, NULL, VERDICT_TOKEN, 454,
     ENH(4, 7, 0), CLOSE, 0, 15 * MINUTE},
    /* 6, and whatever else a login may be answered */
    {"auth_syntax", P(AUTH), NULL, 500, 599, NO_ENH, 0, NULL, VERDICT_ACCOUNT_ADMIN, 454,
     ENH(4, 7, 0), CLOSE, ACCOUNT_MISCONFIGURED, HOUR},
    /* 8: the session's login is gone */
    {"login_lost", P(MAIL), NULL, 530, 530, NO_ENH, 0, NULL, VERDICT_CONNECTION_DEAD, 451,
     ENH(4, 7, 0), CLOSE, 0, 0},
    /* 10 */
    {"concurrency", CONTENT, NULL, 432, 432, NO_ENH, 0, NULL, VERDICT_ACCOUNT_THROTTLED, 0, KEEP,
     CLOSE | TOO_MANY, 0, 10 * 1000},
    /* 11: quotas come as 5xx; a 4xx keeps the mail in the client's queue */
    {"daily_quota", TRANSACTION, "gmail", 550, 550, ENH(5, 4, 5), 0, NULL, VERDICT_ACCOUNT_QUOTA,
     452, ENH(4, 4, 5), 0, ACCOUNT_PARKED, HOUR},
    {"daily_recipients", TRANSACTION, "outlook", 550, 550, ENH(5, 1, 90), 0, NULL,
     VERDICT_ACCOUNT_QUOTA, 452, ENH(4, 5, 3), 0, ACCOUNT_PARKED, HOUR},
    {"submission_quota", TRANSACTION, NULL, 550, 554, NO_ENH, 0, "submissionquotaexceeded",
     VERDICT_ACCOUNT_QUOTA, 452, ENH(4, 5, 3), 0, ACCOUNT_PARKED, HOUR},
    {"refuse_quota", TRANSACTION, NULL, 550, 554, NO_ENH, 0, "refusequota", VERDICT_ACCOUNT_QUOTA,
     452, ENH(4, 5, 3), 0, ACCOUNT_PARKED, HOUR},
    {"customer_limit", TRANSACTION, "gmail", 550, 550, ENH(5, 7, 1), 0, "limit exceeded",
     VERDICT_ACCOUNT_QUOTA, 452, ENH(4, 7, 1), 0, ACCOUNT_PARKED, HOUR},
    /* 12 */
    {"error_throttling", TRANSACTION, NULL, 550, 550, ENH(5, 2, 251), 255, NULL,
     VERDICT_ACCOUNT_BLOCKED, 450, ENH(4, 2, 1), 0, ACCOUNT_BLOCKED, HOUR},
    /* 13 */
    {"bad_sender", TRANSACTION, NULL, 550, 554, ENH(5, 1, 8), 0, NULL, VERDICT_ACCOUNT_BLOCKED, 450,
     ENH(4, 2, 1), 0, ACCOUNT_BLOCKED, 24 * HOUR},
    {"banned", TRANSACTION, "outlook", 550, 554, ENH(5, 7, 501), 511, NULL, VERDICT_ACCOUNT_BLOCKED,
     450, ENH(4, 2, 1), 0, ACCOUNT_BLOCKED, 24 * HOUR},
    {"tenant_threshold", TRANSACTION, "outlook", 550, 554, ENH(5, 7, 705), 708, NULL,
     VERDICT_ACCOUNT_BLOCKED, 450, ENH(4, 2, 1), 0, ACCOUNT_BLOCKED, 24 * HOUR},
    {"outbound_spam", TRANSACTION, NULL, 550, 554, NO_ENH, 0, "outboundspamexception",
     VERDICT_ACCOUNT_BLOCKED, 450, ENH(4, 2, 1), 0, ACCOUNT_BLOCKED, 24 * HOUR},
    {"sending_denied", TRANSACTION, "gmail", 550, 550, ENH(5, 7, 0), 0, "mail sending denied",
     VERDICT_ACCOUNT_BLOCKED, 450, ENH(4, 2, 1), 0, ACCOUNT_BLOCKED, 24 * HOUR},
    /* 14 */
    {"grant_missing", P(FINAL), NULL, 430, 430, NO_ENH, 0, NULL, VERDICT_ACCOUNT_ADMIN, 451,
     ENH(4, 2, 0), 0, ACCOUNT_MISCONFIGURED, 15 * MINUTE},
    /* 15 */
    {"send_as_denied", TRANSACTION, NULL, 550, 554, ENH(5, 2, 252), 0, NULL,
     VERDICT_MESSAGE_PERMANENT, 0, KEEP, 0, 0, 0},
    {"not_this_sender", TRANSACTION, NULL, 550, 554, ENH(5, 7, 60), 0, NULL,
     VERDICT_MESSAGE_PERMANENT, 0, KEEP, 0, 0, 0},
    {"from_invalid", TRANSACTION, NULL, 550, 554, ENH(5, 7, 512), 0, NULL,
     VERDICT_MESSAGE_PERMANENT, 0, KEEP, 0, 0, 0},
    /* 16: our own mailbox is full: Sent Items takes a copy */
    {"mailbox_full", P(FINAL), NULL, 554, 554, ENH(5, 2, 2), 0, NULL, VERDICT_ACCOUNT_QUOTA, 452,
     ENH(4, 2, 2), 0, ACCOUNT_PARKED, HOUR},
    /* 18 */
    {"too_many_rcpts", P(RCPT), NULL, 452, 452, ENH(4, 5, 3), 0, NULL, VERDICT_RCPT_TRANSIENT, 0,
     KEEP, 0, 0, 0},
    {"too_many_rcpts", P(RCPT), NULL, 550, 550, ENH(5, 5, 3), 0, NULL, VERDICT_RCPT_TRANSIENT, 452,
     ENH(4, 5, 3), 0, 0, 0},
    /* 21: any 421 ends the connection, and is never passed on as 421, which
     * would end the client's */
    {"closing", TRANSACTION, NULL, 421, 421, NO_ENH, 0, NULL, VERDICT_PROVIDER_TRANSIENT, 451, KEEP,
     CLOSE, 0, 0},
    /* 17, 19 */
    {"rcpt_refused", P(RCPT), NULL, 500, 599, NO_ENH, 0, NULL, VERDICT_RCPT_PERMANENT, 0, KEEP, 0,
     0, 0},
    {"rcpt_later", P(RCPT), NULL, 400, 499, NO_ENH, 0, NULL, VERDICT_RCPT_TRANSIENT, 0, KEEP, 0, 0,
     0},
    /* 20, 22 */
    {"refused", TRANSACTION, NULL, 500, 599, NO_ENH, 0, NULL, VERDICT_MESSAGE_PERMANENT, 0, KEEP, 0,
     0, 0},
    {"later", EVERY, NULL, 400, 499, NO_ENH, 0, NULL, VERDICT_PROVIDER_TRANSIENT, 0, KEEP, 0, 0, 0},
    {"ok", EVERY, NULL, 200, 399, NO_ENH, 0, NULL, VERDICT_OK, 0, KEEP, 0, 0, 0},
};

static bool enhanced_matches(const struct row *row, const struct smtp_enhanced *got)
{
    const struct smtp_enhanced *want = &row->enhanced;

    if (want->class_ == ANY)
        return true;
    if (got->class_ != want->class_ || got->subject != want->subject)
        return false;
    if (row->detail_max)
        return got->detail >= want->detail && got->detail <= row->detail_max;
    return got->detail == want->detail;
}

static bool row_matches(const struct row *row, struct slice provider, enum phase phase, bool bdat,
                        const struct smtp_reply *reply)
{
    struct slice text = {reply->text ? reply->text : "", reply->text_len};

    if (!(row->phases & 1u << phase) || reply->code < row->code_min || reply->code > row->code_max)
        return false;
    if (row->provider && !slice_equal(provider, slice_of(row->provider)))
        return false;
    if ((row->flags & BDAT_ONLY) && !bdat)
        return false;
    if (!enhanced_matches(row, &reply->enhanced))
        return false;
    return !row->text || slice_find_nocase(text, slice_of(row->text)) >= 0;
}

struct verdict verdict_of(struct slice provider, enum phase phase, bool bdat,
                          const struct smtp_reply *reply)
{
    for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
        const struct row *row = &table[i];

        if (!row_matches(row, provider, phase, bdat, reply))
            continue;
        return (struct verdict){
            .class_ = row->class_,
            .rule = row->rule,
            .code = row->client_code,
            .enhanced = row->client_enhanced,
            .close = row->flags & CLOSE || reply->code == 421,
            .pause_logins = row->flags & PAUSE_LOGINS,
            .bdat_broken = row->flags & BDAT_ONLY,
            .too_many = row->flags & TOO_MANY,
            .state = row->state,
            .for_ms = row->for_ms,
        };
    }
    /* 5xx at set-up: the provider will not talk to us now. */
    return (struct verdict){.class_ = VERDICT_PROVIDER_TRANSIENT,
                            .rule = "unexpected",
                            .code = 451,
                            .enhanced = {4, 4, 0},
                            .close = true};
}

bool verdict_reply(const struct verdict *verdict, const struct smtp_reply *provider,
                   struct smtp_reply *out)
{
    struct smtp_enhanced enhanced = provider->enhanced;
    int code = verdict->code ? (int)verdict->code : provider->code;

    if (verdict->code && verdict->enhanced.class_)
        enhanced = verdict->enhanced;
    /* The class digit must be the code's: "451 5.7.0" would contradict itself. */
    if (enhanced.class_)
        enhanced.class_ = (unsigned short)(code / 100);
    return smtp_reply_set(out, code, enhanced, provider->text ? provider->text : "");
}

static const struct {
    int code;
    struct smtp_enhanced enhanced;
    const char *text;
} state_replies[ACCOUNT_STATES] = {
    /* All temporary: whatever is wrong can be mended, and the mail kept. */
    [ACCOUNT_ACTIVE] = {451, {4, 3, 0}, "try again"},
    [ACCOUNT_THROTTLED] = {451, {4, 7, 1}, "account is throttled"},
    [ACCOUNT_PARKED] = {452, {4, 7, 1}, "account is over its provider's quota"},
    [ACCOUNT_NEEDS_CONSENT] = {454, {4, 7, 0}, "account must be authorised again"},
    [ACCOUNT_MISCONFIGURED] = {454, {4, 7, 0}, "account is misconfigured"},
    [ACCOUNT_BLOCKED] = {450, {4, 7, 1}, "account is blocked by its provider"},
    [ACCOUNT_DISABLED] = {450, {4, 2, 1}, "account is disabled"},
};

bool verdict_state_reply(enum account_state state, const char *text, struct smtp_reply *out)
{
    char line[1024];
    struct text builder;

    text_init(&builder, line, sizeof(line));
    text_add_str(&builder, state_replies[state].text);
    if (text && text[0]) {
        text_add_str(&builder, ": ");
        text_add_str(&builder, text);
    }
    return smtp_reply_set(out, state_replies[state].code, state_replies[state].enhanced, line);
}
