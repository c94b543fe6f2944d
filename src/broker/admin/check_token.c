/* The token endpoint and the token. */
#include <inttypes.h>

#include "base/clock.h"
#include "broker/admin/checks.h"
#include "broker/broker.h"
#include "broker/oauth/claims.h"
#include "broker/oauth/http.h"

#define TEXT_MAX 2600
#define EXPIRES_SOON_MS (14 * 86400000ull)

/* --- the token ------------------------------------------------------------------------ */

static void look_at_claims(struct check *check)
{
    static const enum check_result results[] = {[CLAIMS_GOOD] = CHECKED_OK,
                                                [CLAIMS_DOUBTFUL] = CHECKED_WARNING,
                                                [CLAIMS_BAD] = CHECKED_FAILED};
    const struct account *account = check_account(check);
    const char *provider = account->record->provider;
    enum claims_verdict verdict;
    struct claims claims;
    struct reason why = {""};
    char line[TEXT_MAX];
    struct text text;

    if (!account->token.value) { /* see token.kept */
        check_tell(check, CHECK_CLAIMS, CHECKED_SKIPPED, NULL,
                   "the token is still being read from the store");
        return;
    }
    if (!claims_read(slice_of(account->token.value), &claims)) {
        check_tell(check, CHECK_CLAIMS, CHECKED_OK, NULL,
                   "the token is opaque: what it is for, only the provider can read");
        return;
    }
    text_init(&text, line, sizeof(line));
    verdict = claims_judge(&claims, provider, token_now_wall_ms(account), &why);
    if (verdict != CLAIMS_GOOD) {
        text_addf(&text, "%s: ", why.text);
        check->token_fault = hint_for(HINT_TOKEN, ACCOUNT_MISCONFIGURED, provider, why.text);
    }
    claims_describe(&claims, &text);
    check_tell(check, CHECK_CLAIMS, results[verdict], check->token_fault, line);
    if (verdict == CLAIMS_DOUBTFUL)
        check->token_fault = NULL; /* the server knows better */
}

static void add_life(struct text *text, const struct account *account)
{
    uint64_t ends = token_expires_wall_ms(account), now = clock_wall_ms();

    text_addf(text, "good for %" PRIu64 " s", ends > now ? (ends - now) / 1000 : 0);
}

/* Beyond a minute. */
static const struct hint *clock_hint(const struct account *account, struct text *text)
{
    int64_t skew = (int64_t)token_now_wall_ms(account) - (int64_t)clock_wall_ms();
    int64_t off = skew < 0 ? -skew : skew;

    if (off < CLOCK_SKEW_TOLD_MS)
        return NULL;
    text_addf(text, "; this host's clock is %" PRId64 " s %s the endpoint's", off / 1000,
              skew > 0 ? "behind" : "ahead of");
    return hint_for(HINT_TOKEN, ACCOUNT_THROTTLED, account->record->provider, "clock");
}

static void tell_new_token(struct check *check, const struct account *account)
{
    const struct hint *hint;
    char line[TEXT_MAX];
    struct text text;

    text_init(&text, line, sizeof(line));
    text_add_str(&text, "the endpoint gave a new token, ");
    add_life(&text, account);
    hint = clock_hint(account, &text);
    check_tell(check, CHECK_TOKEN, hint ? CHECKED_WARNING : CHECKED_OK, hint, line);
}

/* An older one serves as long as it is good; whether that is all there is to it, the
 * class says. */
static void tell_no_new_token(struct check *check, const struct account *account)
{
    bool valid = token_valid(account);
    bool passes = check->class_ == OAUTH_TRANSIENT || check->class_ == OAUTH_THROTTLED;
    char line[TEXT_MAX];
    struct text text;

    text_init(&text, line, sizeof(line));
    text_add_str(&text, check->text);
    if (valid) {
        text_add_str(&text, "; the one at hand is used, ");
        add_life(&text, account);
    }
    check_tell(check, CHECK_TOKEN, valid && passes ? CHECKED_WARNING : CHECKED_FAILED,
               hint_of_answer(account, check->class_, check->text), line);
}

static void look_at_token(struct check *check)
{
    const struct account *account = check_account(check);
    bool asked_well = check->class_ == OAUTH_OK && account->token.value;

    if (asked_well)
        tell_new_token(check, account);
    else
        tell_no_new_token(check, account);
    if (!token_valid(account)) {
        check_skip_rest(check, CHECK_CLAIMS, "there is no access token");
        check_finish(check);
        return;
    }
    look_at_claims(check);
    check_mail_server(check);
}

/* From the token's machinery. */
static void on_token(struct token_waiter *waiter, enum oauth_class class_, const char *text)
{
    struct check *check = container_of(waiter, struct check, waiter);

    check->class_ = class_;
    slice_copy(slice_of(text), check->text, sizeof(check->text));
    check_go_on(check, look_at_token);
}

static void ask_for_token(struct check *check)
{
    check->waiter.done = on_token;
    check->waiter.insists = true;
    token_load(check_account(check)); /* should the endpoint not answer, this one is looked at */
    token_verify(check_account(check), &check->waiter);
}

/* --- the way to the token endpoint ------------------------------------------------------ */

static void add_reached(struct text *text, unsigned stage, const struct http_look *look,
                        const char *url)
{
    struct slice origin = url_origin(url);

    if (stage == HTTP_DNS)
        text_addf(text, "%s for %.*s", look->address[0] ? look->address : "an address",
                  (int)origin.len, origin.ptr);
    else if (stage == HTTP_TCP && look->source[0])
        text_addf(text, "connected to %s from %s", look->address, look->source);
    else if (stage == HTTP_TCP)
        text_add_str(text, "connected");
    else
        text_addf(text, "certificate %s", look->cert.text);
}

static const struct hint *ends_soon(const struct http_look *look, unsigned stage)
{
    bool soon = stage == HTTP_TLS && look->cert.until_wall_ms &&
                look->cert.until_wall_ms < clock_wall_ms() + EXPIRES_SOON_MS;

    return soon ? hint_for(HINT_CONNECT, ACCOUNT_ACTIVE, "", "it ends in days") : NULL;
}

static void on_looked(void *owner, const struct http_look *look)
{
    struct check *check = owner;
    const struct account *account = check_account(check);
    const char *url = account ? account->record->token_url : "";

    check->look = NULL;
    for (unsigned stage = 0; stage < HTTP_STAGES; stage++) {
        enum check_step step = (enum check_step)(CHECK_ENDPOINT_DNS + stage);
        const struct hint *hint = NULL;
        enum check_result result = CHECKED_SKIPPED;
        char line[TEXT_MAX];
        struct text text;

        text_init(&text, line, sizeof(line));
        if (stage < look->reached) {
            add_reached(&text, stage, look, url);
            hint = ends_soon(look, stage);
            result = hint ? CHECKED_WARNING : CHECKED_OK;
        } else if (stage == look->reached) {
            text_add_str(&text, look->why);
            hint = hint_for(HINT_CONNECT, ACCOUNT_THROTTLED, "", look->why);
            result = CHECKED_FAILED;
        } else {
            text_add_str(&text, "a step before it has failed");
        }
        check_tell_after(check, step, result, look->took_ms[stage], hint, line);
    }
    check_go_on(check, ask_for_token);
}

void check_token_endpoint(struct check *check)
{
    check->look = http_look(check->broker->verify_http, check_account(check)->record->token_url,
                            on_looked, check);
    if (check->look)
        return;
    check_skip_rest(check, CHECK_ENDPOINT_DNS, "out of memory");
    check_finish(check);
}
