/* What a server offers: the same whether its lines are read at once or one by
 * one, and nothing out of thin air. */
#include "fuzz.h"
#include "smtp/ehlo.h"

#define CAPS_ALL ((SMTP_CAP_BINARYMIME << 1) - 1)
#define MECHS_ALL ((SMTP_MECH_LOGIN << 1) - 1)

static struct smtp_caps parse(struct slice text)
{
    struct slice copy = exact_copy(text);
    struct smtp_reply reply = {.code = 250, .text = (char *)copy.ptr, .text_len = copy.len};
    struct smtp_caps caps;

    smtp_caps_parse(&reply, &caps);
    require(!(caps.caps & ~(unsigned)CAPS_ALL) && !(caps.mechs & ~(unsigned)MECHS_ALL));
    require(!caps.size || caps.caps & SMTP_CAP_SIZE);
    exact_free(copy);
    return caps;
}

/* The last line behind a name of its own. */
static struct smtp_caps parse_last(struct slice text)
{
    const char *lf = text.len ? memrchr(text.ptr, '\n', text.len) : NULL;

    return lf ? parse((struct slice){lf, (size_t)(text.ptr + text.len - lf)}) : parse(SLICE(""));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice text = {(const char *)data, size};
    const char *lf = size ? memrchr(data, '\n', size) : NULL;
    struct smtp_caps whole = parse(text), last = parse_last(text);
    struct smtp_caps before = parse((struct slice){text.ptr, lf ? (size_t)(lf - text.ptr) : 0});

    require(whole.caps == (before.caps | last.caps));
    require(whole.mechs == (before.mechs | last.mechs));
    require(whole.size == (last.size ? last.size : before.size) || last.caps & SMTP_CAP_SIZE);
    return 0;
}
