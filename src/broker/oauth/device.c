#include "broker/oauth/device.h"

#include <jansson.h>
#include <stdlib.h>

#include "broker/wipe.h"
#include "ipc/ipc.h"

static struct slice text_of(const json_t *root, const char *key)
{
    const json_t *value = json_object_get(root, key);

    return (struct slice){json_string_value(value), json_string_length(value)};
}

static bool is_visible(struct slice text)
{
    for (size_t i = 0; i < text.len; i++) {
        if ((unsigned char)text.ptr[i] < 0x21 || (unsigned char)text.ptr[i] > 0x7e)
            return false;
    }
    return text.len > 0;
}

static bool take_url(struct slice text, char *out, size_t cap)
{
    return is_visible(text) &&
           (slice_starts_nocase(text, SLICE("https://")) ||
            slice_starts_nocase(text, SLICE("http://"))) &&
           slice_copy(text, out, cap);
}

/* Whole seconds within 1..max, as ms; 0: not told. Some servers quote numbers. */
static uint64_t seconds_of(const json_t *root, const char *key, uint64_t max)
{
    const json_t *value = json_object_get(root, key);
    double seconds = json_number_value(value);
    uint64_t number = 0;

    if (json_is_string(value) && slice_to_u64(text_of(root, key), &number))
        seconds = (double)number;
    if (!(seconds > 0))
        return 0;
    return seconds < 1 ? 1000 : (uint64_t)(seconds < (double)max ? seconds : (double)max) * 1000;
}

/* NULL, or what is wrong with it. */
static const char *take(struct device_grant *grant, const json_t *root)
{
    struct slice code = text_of(root, "device_code"), user = text_of(root, "user_code");
    struct slice uri = text_of(root, "verification_uri");

    if (!uri.len)
        uri = text_of(root, "verification_url"); /* Google's older word */
    if (!is_visible(code) || code.len > IPC_TOKEN_MAX)
        return "the answer has no device code";
    if (!is_visible(user) || !slice_copy(user, grant->user_code, sizeof(grant->user_code)))
        return "the answer has no code for the user";
    if (!take_url(uri, grant->verification_uri, sizeof(grant->verification_uri)))
        return "the answer has no address for the user";
    if (!take_url(text_of(root, "verification_uri_complete"), grant->complete,
                  sizeof(grant->complete)))
        grant->complete[0] = '\0';
    grant->expires_ms = seconds_of(root, "expires_in", DEVICE_LIFE_MAX_S);
    grant->interval_ms = seconds_of(root, "interval", DEVICE_LIFE_MAX_S);
    if (!grant->expires_ms)
        return "the answer does not tell how long its code is good";
    if (!grant->interval_ms)
        grant->interval_ms = DEVICE_INTERVAL_S * 1000u;
    grant->device_code = slice_dup(code);
    return grant->device_code ? NULL : "out of memory";
}

bool device_grant_read(struct device_grant *grant, const struct oauth_answer *answer,
                       struct oauth_response *failure)
{
    json_t *root = NULL;
    const char *fault;

    *grant = (struct device_grant){NULL};
    if (answer->status != 200) {
        oauth_response_read(failure, answer);
        return false;
    }
    root = json_loadb(answer->body.ptr ? answer->body.ptr : "", answer->body.len, 0, NULL);
    fault = take(grant, root);
    json_decref(root);
    if (fault)
        oauth_response_failed(failure, fault);
    return !fault;
}

void device_grant_clear(struct device_grant *grant)
{
    secret_free(&grant->device_code);
    *grant = (struct device_grant){NULL};
}

enum device_poll device_poll_of(const struct oauth_response *response)
{
    static const struct {
        const char *error;
        enum device_poll poll;
    } words[] = {{"authorization_pending", DEVICE_PENDING},
                 {"slow_down", DEVICE_SLOWER},
                 {"authorization_declined", DEVICE_DECLINED}, /* Microsoft's */
                 {"access_denied", DEVICE_DECLINED},
                 {"server_error", DEVICE_AGAIN},
                 {"temporarily_unavailable", DEVICE_AGAIN},
                 {"internal_failure", DEVICE_AGAIN}, /* Google's */
                 {"expired_token", DEVICE_EXPIRED},
                 {"code_expired", DEVICE_EXPIRED}};

    if (response->class_ == OAUTH_OK)
        return DEVICE_GRANTED;
    for (size_t i = 0; i < sizeof(words) / sizeof(*words); i++) {
        bool ours = words[i].poll != DEVICE_AGAIN || response->class_ == OAUTH_TRANSIENT;

        if (ours && strcmp(response->error, words[i].error) == 0)
            return words[i].poll;
    }
    if (response->class_ == OAUTH_THROTTLED)
        return DEVICE_SLOWER;
    /* An error with a word of its own that nobody knows will not go away. */
    return response->class_ == OAUTH_TRANSIENT && !response->error[0] ? DEVICE_AGAIN
                                                                      : DEVICE_REFUSED;
}
