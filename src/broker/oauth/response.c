#include "broker/oauth/response.h"

#include <curl/curl.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>

#include "broker/wipe.h"
#include "ipc/ipc.h"

#define EXPIRES_MAX_S (30u * 86400)
#define RETRY_AFTER_MAX_MS (86400000ull)

const char *const oauth_class_names[OAUTH_CLASSES] = {"ok", "transient", "throttled", "consent",
                                                      "application"};

/* Rows are tried top down; a field that is 0 or NULL matches anything. The
 * numbers are Microsoft's AADSTS codes, which must be known where `error` alone
 * misleads. */
struct rule {
    long status_from, status_to;
    unsigned aadsts;
    const char *error;
    const char *body; /* occurs in the body, any case */
    enum oauth_class class_;
    bool clock; /* see oauth_response */
};

static const struct rule rules[] = {
    /* Throttles that look permanent. */
    {.aadsts = 50196, .class_ = OAUTH_THROTTLED}, /* LoopDetected, sent as invalid_grant */
    {.aadsts = 90055, .class_ = OAUTH_THROTTLED}, /* the tenant's request limit */
    {.status_from = 429, .status_to = 429, .class_ = OAUTH_THROTTLED},
    {.status_from = 403, .status_to = 403, .body = "rate limit", .class_ = OAUTH_THROTTLED},
    {.status_from = 403, .status_to = 403, .body = "rate_limit", .class_ = OAUTH_THROTTLED},
    {.status_from = 403, .status_to = 403, .body = "ratelimit", .class_ = OAUTH_THROTTLED},
    {.status_from = 403, .status_to = 403, .body = "quota", .class_ = OAUTH_THROTTLED},
    {.error = "rate_limit_exceeded", .class_ = OAUTH_THROTTLED},
    {.error = "slow_down", .class_ = OAUTH_THROTTLED},
    /* Passing troubles at the provider. */
    {.aadsts = 90033, .class_ = OAUTH_TRANSIENT},
    {.aadsts = 50033, .class_ = OAUTH_TRANSIENT},
    {.aadsts = 90006, .class_ = OAUTH_TRANSIENT},
    {.aadsts = 90012, .class_ = OAUTH_TRANSIENT},
    {.aadsts = 90024, .class_ = OAUTH_TRANSIENT},
    {.aadsts = 70012, .class_ = OAUTH_TRANSIENT},
    {.aadsts = 50087, .class_ = OAUTH_TRANSIENT},
    {.aadsts = 90090, .class_ = OAUTH_TRANSIENT},
    {.status_from = 500, .status_to = 599, .class_ = OAUTH_TRANSIENT},
    {.status_from = 408, .status_to = 408, .class_ = OAUTH_TRANSIENT},
    {.error = "temporarily_unavailable", .class_ = OAUTH_TRANSIENT},
    {.error = "server_error", .class_ = OAUTH_TRANSIENT},
    {.error = "internal_failure", .class_ = OAUTH_TRANSIENT},
    /* What we signed, as our clock was: the answer's Date has corrected that for the next
     * request. */
    {.aadsts = 700024, .class_ = OAUTH_TRANSIENT, .clock = true},
    {.error = "invalid_grant",
     .body = "short-lived token",
     .class_ = OAUTH_TRANSIENT,
     .clock = true},
    /* The application: all accounts of the client suffer. */
    {.error = "invalid_grant", .body = "Invalid JWT", .class_ = OAUTH_APP}, /* signature... */
    {.error = "invalid_grant",
     .body = "Invalid grant: account not found",
     .class_ = OAUTH_APP},                    /* its own */
    {.aadsts = 7000215, .class_ = OAUTH_APP}, /* wrong secret */
    {.aadsts = 7000222, .class_ = OAUTH_APP}, /* expired secret */
    {.aadsts = 7000218, .class_ = OAUTH_APP}, /* secret missing */
    {.aadsts = 700025, .class_ = OAUTH_APP},  /* secret sent by a public client */
    {.aadsts = 7000216, .class_ = OAUTH_APP}, /* neither secret nor assertion */
    {.aadsts = 700027, .class_ = OAUTH_APP},  /* assertion */
    {.aadsts = 700021, .class_ = OAUTH_APP},  /* its issuer is not the client */
    {.aadsts = 700023, .class_ = OAUTH_APP},  /* its audience */
    {.aadsts = 50027, .class_ = OAUTH_APP},   /* it is no good JWT */
    {.aadsts = 5002738, .class_ = OAUTH_APP}, /* its algorithm */
    {.aadsts = 500011, .class_ = OAUTH_APP},  /* resource unknown in the tenant */
    {.aadsts = 1002012, .class_ = OAUTH_APP}, /* scope of client credentials */
    {.aadsts = 28000, .class_ = OAUTH_APP},   /* scopes of several resources */
    {.aadsts = 700016, .class_ = OAUTH_APP},  /* application unknown */
    {.aadsts = 7000112, .class_ = OAUTH_APP}, /* application disabled */
    {.aadsts = 90002, .class_ = OAUTH_APP},   /* tenant unknown */
    {.aadsts = 70011, .class_ = OAUTH_APP},   /* scope */
    {.aadsts = 900144, .class_ = OAUTH_APP},  /* a parameter is missing */
    {.aadsts = 9001023, .class_ = OAUTH_APP}, /* grant needs a concrete tenant */
    /* This account: somebody must sign in again. */
    {.aadsts = 70000, .class_ = OAUTH_CONSENT},
    {.aadsts = 70008, .class_ = OAUTH_CONSENT},
    {.aadsts = 700082, .class_ = OAUTH_CONSENT}, /* inactive */
    {.aadsts = 50173, .class_ = OAUTH_CONSENT},  /* revoked, password changed */
    {.aadsts = 70043, .class_ = OAUTH_CONSENT},  /* sign-in frequency */
    {.aadsts = 50057, .class_ = OAUTH_CONSENT},  /* user disabled */
    {.aadsts = 50034, .class_ = OAUTH_CONSENT},  /* user unknown */
    {.aadsts = 65001, .class_ = OAUTH_CONSENT},
    {.aadsts = 50074, .class_ = OAUTH_CONSENT}, /* MFA */
    {.aadsts = 50076, .class_ = OAUTH_CONSENT},
    {.aadsts = 50079, .class_ = OAUTH_CONSENT},
    {.aadsts = 53003, .class_ = OAUTH_CONSENT}, /* Conditional Access */
    {.aadsts = 50105, .class_ = OAUTH_CONSENT},
    {.aadsts = 530035, .class_ = OAUTH_CONSENT},
    {.error = "invalid_grant", .class_ = OAUTH_CONSENT},
    {.error = "interaction_required", .class_ = OAUTH_CONSENT},
    {.error = "consent_required", .class_ = OAUTH_CONSENT},
    {.error = "login_required", .class_ = OAUTH_CONSENT},
    {.error = "admin_policy_enforced", .class_ = OAUTH_CONSENT},
    {.error = "invalid_client", .class_ = OAUTH_APP},
    {.error = "unauthorized_client", .class_ = OAUTH_APP},
    {.error = "deleted_client", .class_ = OAUTH_APP},
    {.error = "disabled_client", .class_ = OAUTH_APP},
    {.error = "invalid_scope", .class_ = OAUTH_APP},
    {.error = "invalid_request", .class_ = OAUTH_APP},
    {.error = "invalid_resource", .class_ = OAUTH_APP},
    {.error = "org_internal", .class_ = OAUTH_APP},
    {.error = "unsupported_grant_type", .class_ = OAUTH_APP},
    /* A success that cannot be used, a page of some proxy, an error that
     * nobody has documented: never a reason to give an account up. */
    {.class_ = OAUTH_TRANSIENT},
};

#define CODES_MAX 8

struct facts {
    long status;
    const char *error;
    struct slice body;
    unsigned codes[CODES_MAX];
    size_t code_count;
};

static bool has_code(const struct facts *facts, unsigned code)
{
    for (size_t i = 0; i < facts->code_count; i++) {
        if (facts->codes[i] == code)
            return true;
    }
    return false;
}

static bool matches(const struct rule *rule, const struct facts *facts)
{
    if (rule->status_from && (facts->status < rule->status_from || facts->status > rule->status_to))
        return false;
    if (rule->aadsts && !has_code(facts, rule->aadsts))
        return false;
    if (rule->error && strcmp(rule->error, facts->error) != 0)
        return false;
    return !rule->body || slice_find_nocase(facts->body, slice_of(rule->body)) >= 0;
}

static const struct rule *rule_of(const struct facts *facts)
{
    const struct rule *rule = rules;

    while (!matches(rule, facts))
        rule++;
    return rule;
}

static void add_code(struct facts *facts, uint64_t code)
{
    if (code && code <= 99999999 && facts->code_count < CODES_MAX &&
        !has_code(facts, (unsigned)code))
        facts->codes[facts->code_count++] = (unsigned)code;
}

/* "AADSTS" and its digits, wherever they stand in the description. */
static void find_codes(struct facts *facts, struct slice text)
{
    static const struct slice mark = {"AADSTS", 6};
    ptrdiff_t at;

    while ((at = slice_find_nocase(text, mark)) >= 0) {
        struct slice digits = {text.ptr + at + mark.len, 0};
        uint64_t code;

        text.len -= (size_t)at + mark.len;
        text.ptr = digits.ptr;
        while (digits.len < text.len && digits.ptr[digits.len] >= '0' &&
               digits.ptr[digits.len] <= '9')
            digits.len++;
        if (slice_to_u64(digits, &code))
            add_code(facts, code);
    }
}

static void read_codes(struct facts *facts, const json_t *root, struct slice description)
{
    json_t *code;
    size_t i;

    json_array_foreach(json_object_get(root, "error_codes"), i, code)
    {
        if (json_is_integer(code) && json_integer_value(code) > 0)
            add_code(facts, (uint64_t)json_integer_value(code));
    }
    find_codes(facts, description);
}

static struct slice text_of(const json_t *root, const char *key)
{
    const json_t *value = json_object_get(root, key);

    return (struct slice){json_string_value(value), json_string_length(value)};
}

/* Printable, on one line, blanks squeezed; tags of HTML are left out. */
static void add_printable(struct text *out, struct slice raw, bool html)
{
    bool blank = out->len > 0 && out->at[out->len - 1] == ' ', tag = false;

    for (size_t i = 0; i < raw.len && !out->cut; i++) {
        unsigned char c = (unsigned char)raw.ptr[i];

        if (html && (c == '<' || tag)) {
            tag = c != '>';
            c = ' ';
        }
        if (c <= 32 || c == 127) {
            if (!blank && out->len)
                text_add_char(out, ' ');
            blank = true;
        } else {
            text_add_char(out, c < 127 ? (char)c : '?');
            blank = false;
        }
    }
}

/* An object's "error" may be a text, or (Google's API style) an object. */
static struct slice read_error(const json_t *root, struct slice *description)
{
    const json_t *error = json_object_get(root, "error");

    *description = text_of(root, "error_description");
    if (!json_is_object(error))
        return text_of(root, "error");
    *description = text_of(error, "message");
    return text_of(error, "status");
}

static bool is_token_char(char c)
{
    return (c >= '0' && c <= '9') || (ascii_lower(c) >= 'a' && ascii_lower(c) <= 'z') || c == '-' ||
           c == '_' || c == '.';
}

/* What looks like a JSON Web Token may be one that we signed. */
static void mask_jwts(char *text)
{
    char *at = text;

    while ((at = strstr(at, "eyJ"))) {
        size_t len = 0;

        while (is_token_char(at[len]))
            len++;
        if (len > 40)
            memset(at + 3, '*', len - 3);
        at += len;
    }
}

static void describe(struct oauth_response *response, const struct oauth_answer *answer,
                     struct slice description)
{
    bool html = slice_find_nocase(answer->content_type, SLICE("html")) >= 0 ||
                slice_starts_nocase(slice_trim(answer->body), SLICE("<"));
    struct text text;

    text_init(&text, response->text, sizeof(response->text));
    if (response->error[0])
        text_add_str(&text, response->error);
    else
        text_addf(&text, "HTTP %ld", answer->status);
    text_add_str(&text, ": ");
    if (description.len)
        add_printable(&text, description, false);
    else if (!response->error[0] && answer->body.len)
        /* Enough to recognise a proxy's page by. */
        add_printable(
            &text,
            (struct slice){answer->body.ptr, answer->body.len < 1024 ? answer->body.len : 1024},
            html);
    else
        text_add_str(&text, "no explanation");
    if (text.len > 200 && !description.len)
        response->text[200] = '\0';
    mask_jwts(response->text);
}

static void take_error(struct oauth_response *response, const struct oauth_answer *answer,
                       const json_t *root)
{
    struct facts facts = {.status = answer->status, .body = answer->body};
    struct slice description, error = read_error(root, &description);
    const struct rule *rule;
    struct text name;

    text_init(&name, response->error, sizeof(response->error));
    add_printable(&name, error, false);
    facts.error = response->error;
    read_codes(&facts, root, description);
    rule = rule_of(&facts);
    response->class_ = rule->class_;
    response->clock = rule->clock;
    response->aadsts = facts.code_count ? facts.codes[0] : 0;
    describe(response, answer, description);
}

static bool is_visible(struct slice text)
{
    for (size_t i = 0; i < text.len; i++) {
        if ((unsigned char)text.ptr[i] < 0x21 || (unsigned char)text.ptr[i] > 0x7e)
            return false;
    }
    return true;
}

static uint64_t read_life(const json_t *root)
{
    const json_t *value = json_object_get(root, "expires_in");
    double seconds = json_number_value(value);
    uint64_t number;

    /* Some servers quote it. */
    if (json_is_string(value) && slice_to_u64(text_of(root, "expires_in"), &number))
        seconds = (double)number;
    if (!(seconds > 0))
        return 0;
    return (uint64_t)((seconds < EXPIRES_MAX_S ? seconds : EXPIRES_MAX_S) * 1000);
}

static const char *take_tokens(struct oauth_response *response, const json_t *root)
{
    struct slice access = text_of(root, "access_token"), refresh = text_of(root, "refresh_token");
    struct slice type = text_of(root, "token_type");

    if (!access.len)
        return "the answer has no access token";
    if (access.len > IPC_TOKEN_MAX)
        return "the access token is longer than 16384 octets";
    if (!is_visible(access))
        return "the access token has characters that no token may have";
    if (type.len && !slice_equal_nocase(type, SLICE("Bearer")))
        return "the access token is not of type Bearer";
    /* A refresh token that we could not send again is worse than none. */
    if (refresh.len > IPC_TOKEN_MAX || !is_visible(refresh))
        return "the new refresh token is too long, or has characters that no token may have";
    response->access_token = slice_dup(access);
    if (refresh.len)
        response->refresh_token = slice_dup(refresh);
    if (!response->access_token || (refresh.len && !response->refresh_token))
        return "out of memory";
    response->expires_ms = read_life(root);
    return NULL;
}

static bool take_success(struct oauth_response *response, const json_t *root)
{
    const char *fault = take_tokens(response, root);

    if (!fault) {
        response->class_ = OAUTH_OK;
        return true;
    }
    secret_free(&response->access_token);
    secret_free(&response->refresh_token);
    response->class_ = OAUTH_TRANSIENT;
    slice_copy(slice_of(fault), response->text, sizeof(response->text));
    return false;
}

static uint64_t read_retry_after(struct slice value, uint64_t wall_ms)
{
    char date[64];
    uint64_t seconds, ms = 0;
    time_t at;

    value = slice_trim(value);
    if (slice_to_u64(value, &seconds)) {
        ms = seconds < RETRY_AFTER_MAX_MS / 1000 ? seconds * 1000 : RETRY_AFTER_MAX_MS;
    } else if (value.len && slice_copy(value, date, sizeof(date))) {
        at = curl_getdate(date, NULL);
        if (at > 0 && (uint64_t)at * 1000 > wall_ms)
            ms = (uint64_t)at * 1000 - wall_ms;
    }
    return ms < RETRY_AFTER_MAX_MS ? ms : RETRY_AFTER_MAX_MS;
}

void oauth_response_read(struct oauth_response *response, const struct oauth_answer *answer)
{
    json_t *root = json_loadb(answer->body.ptr ? answer->body.ptr : "", answer->body.len, 0, NULL);

    memset(response, 0, sizeof(*response));
    response->retry_after_ms = read_retry_after(answer->retry_after, answer->wall_ms);
    if (answer->status == 200 && json_object_get(root, "access_token"))
        take_success(response, root);
    else
        take_error(response, answer, root);
    json_decref(root);
}

void oauth_response_failed(struct oauth_response *response, const char *why)
{
    struct text text;

    memset(response, 0, sizeof(*response));
    response->class_ = OAUTH_TRANSIENT;
    text_init(&text, response->text, sizeof(response->text));
    add_printable(&text, slice_of(why), false);
}

void oauth_response_clear(struct oauth_response *response)
{
    secret_free(&response->access_token);
    secret_free(&response->refresh_token);
}

void oauth_response_mask(struct oauth_response *response, const char *secret)
{
    size_t len = strlen(secret);
    char *at = response->text;

    if (len < 6) /* too short to be a secret, long enough to be a word */
        return;
    while ((at = strstr(at, secret)))
        memset(at, '*', len);
}
