/* Lines must be the same however the reads fall. The first octet is the size of
 * the reads, the second the limit. */
#include "fuzz.h"
#include "smtp/line.h"

static void take_lines(struct line_reader *reader, struct slice piece, size_t limit,
                       struct text *events)
{
    struct slice copy = exact_copy(piece), rest = copy, line;
    enum line_status status;
    size_t used;

    do {
        status = line_reader_next(reader, rest, limit, &used, &line);
        require(used <= rest.len);
        require(status == LINE_OK ? line.len + 2 <= limit : line.len == 0);
        require(!line.len || !memchr(line.ptr, '\r', line.len));
        require(!line.len || !memchr(line.ptr, '\n', line.len));
        require(!line.len || !memchr(line.ptr, '\0', line.len));
        if (status == LINE_MORE) {
            require(used == rest.len);
        } else {
            text_add_char(events, (char)('0' + status));
            text_add_slice(events, line);
        }
        take_piece(&rest, used);
    } while (status != LINE_MORE || rest.len);
    require(reader->held_cap <= (limit > 256 ? limit : 256));
    exact_free(copy);
}

static struct slice run(struct slice input, size_t step, size_t limit, struct text *events)
{
    struct line_reader reader;

    text_init(events, malloc(2 * input.len + 1), 2 * input.len + 1);
    line_reader_init(&reader);
    while (input.len)
        take_lines(&reader, take_piece(&input, step), limit, events);
    line_reader_clear(&reader);
    return (struct slice){events->at, events->len};
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice input = {(const char *)data, size};
    size_t step = take_octet(&input) + 1, limit = take_octet(&input) * 2 + 2;
    struct text whole, pieces;

    require(slice_equal(run(input, SIZE_MAX, limit, &whole), run(input, step, limit, &pieces)));
    free(whole.at);
    free(pieces.at);
    return 0;
}
