/* PLAIN from clients and challenges from servers, as they are and as what a
 * base64 text holds; and no input adds a field to what we say. */
#include "fuzz.h"
#include "smtp/sasl.h"

static void check_plain(struct slice base64)
{
    char *scratch = malloc(base64.len + 1);
    struct slice user = SLICE_NONE, password = SLICE_NONE, whole = {scratch, base64.len};
    struct reason why = {""};

    if (sasl_plain_decode(base64, scratch, base64.len, &user, &password, &why)) {
        require(user.len && is_within(user, whole) && !memchr(user.ptr, '\0', user.len));
        require(is_within(password, whole)); /* may be empty */
        require(!memchr(password.ptr, '\0', password.len));
    } else {
        require(why.text[0]);
    }
    free(scratch);
}

static void check_failure(struct slice base64)
{
    char status[16];

    if (!sasl_oauth_failure(base64, status, sizeof(status)))
        require(!status[0]);
    for (size_t i = 0; i < strlen(status); i++)
        require(status[i] >= 32 && status[i] < 127);
}

/* As many separators as the mechanism has, whatever the parts hold. */
static void check_message(struct slice base64, size_t wanted)
{
    char *plain = malloc(base64.len + 1);
    ptrdiff_t len = base64_decode(base64, plain, base64.len);
    size_t separators = 0;

    require(len > 0);
    for (ptrdiff_t i = 0; i < len; i++)
        separators += plain[i] == '\001';
    require(separators == wanted);
    free(plain);
}

static void check_oauth(struct slice input)
{
    static char out[SASL_OAUTH_MAX];
    struct slice user = take_piece(&input, input.len / 2);
    size_t len = sasl_xoauth2_encode(user, input, out, sizeof(out));

    if (len)
        check_message((struct slice){out, len}, 3);
    len = sasl_oauthbearer_encode(user, SLICE("mx.example"), 465, input, out, sizeof(out));
    if (len)
        check_message((struct slice){out, len}, 5);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice input = {(const char *)data, size};
    char *text = malloc(BASE64_LEN(size) + 1);
    struct slice base64 = {text, base64_encode(data, size, text)};

    check_plain(input);
    check_plain(base64);
    check_failure(input);
    check_failure(base64);
    check_oauth(input);
    free(text);
    return 0;
}
