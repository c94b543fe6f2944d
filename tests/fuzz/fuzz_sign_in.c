/* Signing in: the address that is pasted or comes from a browser, the request that brings it,
 * and answers of a device endpoint or a token endpoint with an identity. The first octet
 * chooses. */
#include <stdlib.h>

#include "broker/oauth/device.h"
#include "broker/oauth/identity.h"
#include "broker/oauth/redirect.h"
#include "ctl/callback.h"
#include "fuzz.h"

static void check_printable(const char *text)
{
    for (; *text; text++)
        require(*text >= ' ' && *text <= '~');
}

static void try_redirect(struct slice text)
{
    struct redirect redirect;
    struct reason why = {""};
    char *uri;

    if (redirect_read(&redirect, text, &why)) {
        require(!*redirect.code != !*redirect.error);
        require(!strchr(redirect.code, ' ') && !strchr(redirect.state, ' '));
    } else {
        require(why.text[0]);
    }
    check_printable(redirect.error);
    check_printable(redirect.description);
    uri = slice_dup(text);
    require(uri != NULL);
    if (redirect_uri_allowed(uri))
        require(!strchr(uri, '#') && strlen(uri) <= 500);
    free(uri);
}

static void try_callback(struct slice head)
{
    struct slice target = SLICE_NONE;

    if (callback_read(head, "/", "state", &target) == CALLBACK_OURS)
        require(is_within(target, head) && target.len > 2 && target.ptr[1] == '?');
}

static void try_device(struct slice body)
{
    struct oauth_answer answer = {.status = 200, .body = body};
    struct device_grant grant;
    struct oauth_response failure;

    if (device_grant_read(&grant, &answer, &failure)) {
        require(grant.device_code && grant.user_code[0] && grant.interval_ms >= 1000);
        require(grant.expires_ms >= 1000 && grant.expires_ms <= DEVICE_LIFE_MAX_S * 1000);
        check_printable(grant.verification_uri);
        check_printable(grant.complete);
        check_printable(grant.user_code);
    } else {
        require(!grant.device_code && failure.text[0]);
        oauth_response_clear(&failure);
    }
    device_grant_clear(&grant);
}

static void try_identity(struct slice body)
{
    struct identity identity;
    char lacking[32];

    identity_read(&identity, body, "client", 1);
    for (size_t i = 0; i < IDENTITY_NAMES; i++)
        require(!identity.names[i][0] || strchr(identity.names[i], '@'));
    if (identity_lacks(&identity, "openid https://mail.example/ https://h/x", lacking,
                       sizeof(lacking)))
        require(lacking[0] == 'h');
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static void (*const tries[])(struct slice) = {try_redirect, try_callback, try_device,
                                                  try_identity};
    struct slice input = {(const char *)data, size}, copy;
    unsigned choice = take_octet(&input);

    copy = exact_copy(input);
    tries[choice % 4](copy);
    exact_free(copy);
    return 0;
}
