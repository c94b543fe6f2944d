/* The end of data is where a search for CRLF.CRLF in the whole finds it, at any
 * size of the reads; and what is decoded survives being sent on. The first octet
 * is the size of the reads, its low bit asks for mending. */
#include "fuzz.h"
#include "smtp/dot.h"

struct result {
    struct slice content; /* malloc'd */
    size_t used;
    bool ended, bare;
};

static struct result decode(struct slice input, size_t step, bool normalize)
{
    struct dot_decoder decoder;
    char *content = malloc(DOT_DECODE_MAX(input.len));
    struct result got = {.content = {content, 0}};

    dot_decoder_init(&decoder, normalize);
    while (input.len && decoder.state != DOT_END) {
        struct slice piece = exact_copy(take_piece(&input, step));
        char *out = malloc(DOT_DECODE_MAX(piece.len));
        size_t used, len = dot_decode(&decoder, piece, &used, out);

        require(len <= DOT_DECODE_MAX(piece.len));
        require(decoder.state == DOT_END ? used <= piece.len : used == piece.len);
        memcpy(content + got.content.len, out, len);
        got.content.len += len;
        got.used += used;
        free(out);
        exact_free(piece);
    }
    got.ended = decoder.state == DOT_END;
    got.bare = decoder.bare;
    return got;
}

static void check_end(struct slice input, const struct result *got)
{
    const char *end = NULL;

    if (input.len >= 3 && memcmp(input.ptr, ".\r\n", 3) == 0)
        end = input.ptr + 3;
    else if (input.len && (end = memmem(input.ptr, input.len, "\r\n.\r\n", 5)))
        end += 5;
    require(got->ended == (end != NULL));
    require(!end || got->used == (size_t)(end - input.ptr));
}

/* Sent on, read back: the same, with nothing bare in it. */
static void check_again(struct slice content, size_t step)
{
    struct dot_encoder encoder;
    char *wire = malloc(DOT_ENCODE_MAX(content.len) + 5);
    struct slice rest = content, encoded = {wire, 0};
    struct result again;

    dot_encoder_init(&encoder);
    while (rest.len) {
        struct slice piece = exact_copy(take_piece(&rest, step));
        char *out = malloc(DOT_ENCODE_MAX(piece.len) + 1);
        size_t len = dot_encode(&encoder, piece, out);

        require(len <= DOT_ENCODE_MAX(piece.len));
        memcpy(wire + encoded.len, out, len);
        encoded.len += len;
        free(out);
        exact_free(piece);
    }
    memcpy(wire + encoded.len, dot_encode_end(&encoder).ptr, dot_encode_end(&encoder).len);
    encoded.len += dot_encode_end(&encoder).len;
    again = decode(encoded, SIZE_MAX, false);
    require(again.ended && again.used == encoded.len && !again.bare);
    require(slice_equal(again.content, content));
    exact_free(again.content);
    free(wire);
}

/* The check of BDAT's content: split or not, and twice is once. */
static struct slice check_crlf(struct slice input, size_t step, bool normalize, bool *bare)
{
    struct crlf_check check;
    char *all = malloc(DOT_DECODE_MAX(input.len) + 2);
    size_t len = 0;

    crlf_check_init(&check, normalize);
    while (input.len) {
        struct slice piece = exact_copy(take_piece(&input, step));
        char *out = malloc(DOT_DECODE_MAX(piece.len));
        size_t n = crlf_check_feed(&check, piece, out);

        memcpy(all + len, out, n);
        len += n;
        free(out);
        exact_free(piece);
    }
    len += crlf_check_end(&check, all + len);
    *bare = check.bare;
    return (struct slice){all, len};
}

static void fuzz_crlf(struct slice input, size_t step, bool normalize)
{
    bool bare, bare_too, never;
    struct slice whole = check_crlf(input, SIZE_MAX, normalize, &bare);
    struct slice pieces = check_crlf(input, step, normalize, &bare_too);
    struct slice again = check_crlf(whole, step, false, &never);

    require(bare == bare_too && slice_equal(whole, pieces));
    require(normalize ? !never : never == bare && slice_equal(whole, input));
    exact_free(whole);
    exact_free(pieces);
    exact_free(again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice input = {(const char *)data, size};
    unsigned octet = take_octet(&input);
    size_t step = octet / 2 + 1;
    struct result whole = decode(input, SIZE_MAX, octet & 1);
    struct result pieces = decode(input, step, octet & 1);

    require(whole.ended == pieces.ended && whole.bare == pieces.bare);
    require(whole.used == pieces.used && slice_equal(whole.content, pieces.content));
    check_end(input, &whole);
    if (whole.ended && (octet & 1 || !whole.bare))
        check_again(whole.content, step);
    fuzz_crlf(input, step, octet & 1);
    exact_free(whole.content);
    exact_free(pieces.content);
    return 0;
}
