/* An access token as anybody may have made it. Input that does not hold dots is taken as the
 * payload of a token, so that the fuzzer need not find base64 by itself. */
#include <stdlib.h>

#include "base/codec.h"
#include "broker/oauth/claims.h"
#include "fuzz.h"

static void check_printable(const char *text)
{
    for (; *text; text++)
        require(*text >= ' ' && *text < 127);
}

static void look(struct slice token)
{
    static const char *const providers[] = {"outlook", "gmail"};
    struct claims claims;
    char line[4096];
    struct text text;

    if (!claims_read(token, &claims))
        return;
    text_init(&text, line, sizeof(line));
    claims_describe(&claims, &text);
    require(!text.cut && text.len);
    check_printable(line);
    require(claims.expires_s >= 0 && claims.issued_s >= 0 && claims.not_before_s >= 0);
    for (int i = 0; i < 2; i++) {
        struct reason why = {""};

        require((claims_judge(&claims, providers[i], 1800000000000, &why) == CLAIMS_GOOD) ==
                !why.text[0]);
        check_printable(why.text);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *token;
    size_t len;

    look((struct slice){(const char *)data, size});
    if (size > 12000 || (size && memchr(data, '.', size)))
        return 0;
    token = malloc(BASE64_LEN(size) + 16);
    require(token != NULL);
    memcpy(token, "e30.", 4);
    len = 4 + base64url_encode(data, size, token + 4);
    memcpy(token + len, ".x", 2);
    look((struct slice){token, len + 2});
    free(token);
    return 0;
}
