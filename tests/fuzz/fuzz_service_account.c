/* The key of a service account as anybody may have written it, and PEM: what is taken
 * signs, and nothing else crashes. In the input @K stands for a good key, @C for its
 * certificate; a NUL divides the PEM of a key from that of a certificate. */
#include <jansson.h>
#include <sodium.h>
#include <stdlib.h>

#include "broker/key_maker.h"
#include "broker/oauth/jwt.h"
#include "broker/store/service_account.h"
#include "fuzz.h"

#define INPUT_MAX 8192

static struct made_key made;

static void append(struct text *out, const char *text, bool json)
{
    char *copy = json ? key_for_json(text) : NULL;

    text_add_str(out, copy ? copy : text);
    free(copy);
}

/* NUL-terminated; NULL: too long. */
static char *expand(const uint8_t *data, size_t size, bool json)
{
    size_t cap = INPUT_MAX * 64;
    char *memory = malloc(cap);
    struct text out;

    text_init(&out, memory, cap);
    for (size_t i = 0; i < size; i++) {
        bool mark = data[i] == '@' && i + 1 < size && (data[i + 1] == 'K' || data[i + 1] == 'C');

        if (mark)
            append(&out, data[++i] == 'K' ? made.pem : made.certificate, json);
        else
            text_add_char(&out, (char)data[i]);
    }
    if (!out.cut)
        return memory;
    free(memory);
    return NULL;
}

static void try_key(const char *pem, const char *certificate, const char *id)
{
    struct jwt_claims claims = {.issuer = "i", .subject = "s", .issued_s = 1, .expires_s = 2};
    struct reason why = {""};
    const struct signing_key *key = signing_key_get(pem, certificate, id, &why);
    char *jwt;

    if (!key) {
        require(why.text[0]);
        return;
    }
    for (int i = 0; i < 2; i++) {
        jwt = jwt_sign(key, i ? JWT_RS256 : JWT_PS256, &claims);
        require(jwt != NULL || id[0]); /* an id that is no UTF-8 makes no header */
        free(jwt);
    }
    signing_key_unref(key);
}

static void try_json(const char *text)
{
    json_t *object = json_loads(text, JSON_DECODE_ANY, NULL);
    struct service_account account;

    if (!object)
        return;
    if (!service_account_read(object, &account)) {
        require(account.email[0] && account.private_key[0]);
        try_key(account.private_key, "", account.key_id);
    }
    json_decref(object);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *text;

    if (!made.key) {
        require(sodium_init() >= 0);
        key_make(&made, 2048, 1893456000);
    }
    if (size < 1 || size > INPUT_MAX)
        return 0;
    text = expand(data, size, data[0] == '{');
    if (text && data[0] == '{') {
        try_json(text);
    } else if (text) {
        size_t len = strlen(text);
        const uint8_t *end = memchr(data, 0, size);

        try_key(text, end ? text + len + 1 : "", "");
    }
    free(text);
    return 0;
}
