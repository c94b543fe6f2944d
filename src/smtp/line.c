#include "smtp/line.h"

#include <stdlib.h>

#define HELD_MIN 256

void line_reader_init(struct line_reader *reader)
{
    *reader = (struct line_reader){0};
}

/* A held line may be an AUTH line, so memory is never given back unwiped. */
static void drop_held(struct line_reader *reader)
{
    if (reader->held) {
        explicit_bzero(reader->held, reader->held_cap);
        free(reader->held);
    }
    reader->held = NULL;
    reader->held_len = reader->held_cap = 0;
}

void line_reader_clear(struct line_reader *reader)
{
    drop_held(reader);
    line_reader_init(reader);
}

bool line_reader_empty(const struct line_reader *reader)
{
    return reader->given || (!reader->held_len && !reader->dropped);
}

/* Not realloc, which would leave the old copy unwiped. */
static bool held_reserve(struct line_reader *reader, size_t need, size_t limit)
{
    size_t cap = reader->held_cap * 2;
    char *grown;

    if (need <= reader->held_cap)
        return true;
    if (cap > limit)
        cap = limit;
    if (cap < HELD_MIN)
        cap = HELD_MIN;
    if (cap < need)
        cap = need;
    grown = malloc(cap);
    if (!grown)
        return false;
    if (reader->held) {
        memcpy(grown, reader->held, reader->held_len);
        explicit_bzero(reader->held, reader->held_cap);
        free(reader->held);
    }
    reader->held = grown;
    reader->held_cap = cap;
    return true;
}

static void hold(struct line_reader *reader, struct slice piece, size_t limit)
{
    size_t total = reader->held_len + piece.len;

    if (!reader->bad && !reader->dropped && total <= limit && held_reserve(reader, total, limit)) {
        memcpy(reader->held + reader->held_len, piece.ptr, piece.len);
        reader->held_len = total;
        return;
    }
    reader->dropped += total;
    drop_held(reader);
}

/* `piece` is not empty and has an LF at its end or none. */
static void check_piece(struct line_reader *reader, struct slice piece)
{
    const char *last = piece.ptr + piece.len - 1;
    const char *cr = memchr(piece.ptr, '\r', piece.len);

    if (reader->after_cr && *piece.ptr != '\n')
        reader->bad = true;
    if (cr && cr < last && cr[1] != '\n')
        reader->bad = true;
    if (*last == '\n' && !(piece.len > 1 ? last[-1] == '\r' : reader->after_cr))
        reader->bad = true;
    if (memchr(piece.ptr, '\0', piece.len))
        reader->bad = true;
    reader->after_cr = *last == '\r';
}

/* Ends a line that was not kept, or must not be. */
static enum line_status refuse(struct line_reader *reader)
{
    enum line_status status = reader->bad ? LINE_BAD : LINE_TOO_LONG;

    line_reader_clear(reader);
    return status;
}

static enum line_status finish(struct line_reader *reader, struct slice piece, size_t limit,
                               struct slice *line)
{
    if (reader->bad || reader->dropped || piece.len > limit)
        return refuse(reader);
    if (!reader->held_len) {
        *line = (struct slice){piece.ptr, piece.len - 2};
        return LINE_OK;
    }
    hold(reader, piece, limit);
    if (reader->dropped)
        return refuse(reader);
    reader->given = true;
    *line = (struct slice){reader->held, reader->held_len - 2};
    return LINE_OK;
}

enum line_status line_reader_next(struct line_reader *reader, struct slice bytes, size_t limit,
                                  size_t *used, struct slice *line)
{
    const char *lf = bytes.len ? memchr(bytes.ptr, '\n', bytes.len) : NULL;
    struct slice piece = {bytes.ptr, lf ? (size_t)(lf - bytes.ptr) + 1 : bytes.len};

    *line = SLICE_NONE;
    *used = piece.len;
    if (reader->given)
        line_reader_clear(reader);
    if (!piece.len)
        return LINE_MORE;
    check_piece(reader, piece);
    if (lf)
        return finish(reader, piece, limit, line);
    hold(reader, piece, limit);
    return LINE_MORE;
}
