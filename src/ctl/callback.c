#include "ctl/callback.h"

static bool is_complete(struct slice head)
{
    return head.ptr &&
           (memmem(head.ptr, head.len, "\r\n\r\n", 4) || memmem(head.ptr, head.len, "\n\n", 2));
}

/* "GET TARGET HTTP/1.x" */
static bool read_line(struct slice head, struct slice *target)
{
    const char *end = memchr(head.ptr, '\n', head.len), *space;
    struct slice line = {head.ptr, (size_t)(end - head.ptr)};

    if (line.len < 5 || memcmp(line.ptr, "GET /", 5) != 0)
        return false;
    line.ptr += 4;
    line.len -= 4;
    space = memchr(line.ptr, ' ', line.len);
    if (!space)
        return false;
    *target = (struct slice){line.ptr, (size_t)(space - line.ptr)};
    line.len -= target->len;
    return line.len > 8 && memcmp(space, " HTTP/1.", 8) == 0;
}

static bool is_visible(struct slice text)
{
    for (size_t i = 0; i < text.len; i++) {
        if ((unsigned char)text.ptr[i] <= ' ' || (unsigned char)text.ptr[i] > '~')
            return false;
    }
    return true;
}

static struct slice cut(struct slice *rest, char stop)
{
    const char *at = rest->len ? memchr(rest->ptr, stop, rest->len) : NULL;
    struct slice head = {rest->ptr, at ? (size_t)(at - rest->ptr) : rest->len};

    rest->ptr += head.len + (at != NULL);
    rest->len -= head.len + (at != NULL);
    return head;
}

/* Our states have only characters that nobody encodes. */
static bool has_state(struct slice query, const char *state)
{
    while (query.len) {
        struct slice value = cut(&query, '&');

        if (slice_equal(cut(&value, '='), SLICE("state")))
            return slice_equal(value, slice_of(state));
    }
    return false;
}

enum callback callback_read(struct slice head, const char *path, const char *state,
                            struct slice *target)
{
    struct slice query;

    if (!head.len || !is_complete(head))
        return head.len < CALLBACK_HEAD_MAX ? CALLBACK_MORE : CALLBACK_INVALID;
    if (!read_line(head, target) || !is_visible(*target))
        return CALLBACK_INVALID;
    query = *target;
    if (!slice_equal(cut(&query, '?'), slice_of(path)) || !query.len)
        return CALLBACK_OTHER;
    return has_state(query, state) ? CALLBACK_OURS : CALLBACK_STATE;
}
