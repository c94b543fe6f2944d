#include "check.h"

#include <stdio.h>

#include "smtp/dot.h"

/* The reference: the rules said plainly, on the whole stream at once. */

/* Where the data ends (behind its last LF), or -1. */
static ptrdiff_t reference_end(struct slice wire)
{
    if (wire.len >= 3 && memcmp(wire.ptr, ".\r\n", 3) == 0)
        return 3;
    for (size_t i = 0; i + 5 <= wire.len; i++) {
        if (memcmp(wire.ptr + i, "\r\n.\r\n", 5) == 0)
            return (ptrdiff_t)i + 5;
    }
    return -1;
}

/* Drops the first dot of each line that a CRLF precedes. */
static size_t reference_undot(struct slice content, char *out)
{
    size_t len = 0;

    for (size_t i = 0; i < content.len; i++) {
        bool start = i == 0 || (i >= 2 && memcmp(content.ptr + i - 2, "\r\n", 2) == 0);

        if (!start || content.ptr[i] != '.')
            out[len++] = content.ptr[i];
    }
    return len;
}

/* Mends what is bare; returns the length and says whether there was any. */
static size_t reference_mend(struct slice content, char *out, bool *bare)
{
    size_t len = 0;

    *bare = false;
    for (size_t i = 0; i < content.len; i++) {
        char c = content.ptr[i];
        bool cr_before = i > 0 && content.ptr[i - 1] == '\r';
        bool lf_behind = i + 1 < content.len && content.ptr[i + 1] == '\n';

        if (c == '\n' && !cr_before)
            out[len++] = '\r';
        out[len++] = c ? c : ' ';
        if (c == '\r' && !lf_behind)
            out[len++] = '\n';
        if (!c || (c == '\n' && !cr_before) || (c == '\r' && !lf_behind))
            *bare = true;
    }
    return len;
}

struct result {
    char bytes[4096];
    size_t len, used;
    bool ended, bare;
};

static void decode_piece(struct dot_decoder *decoder, struct slice in, struct result *got)
{
    char *exact = exact_copy(in), *out = malloc(DOT_DECODE_MAX(in.len));
    size_t used, len = dot_decode(decoder, (struct slice){exact, in.len}, &used, out);

    assert_true(len <= DOT_DECODE_MAX(in.len));
    assert_true(used <= in.len && (used == in.len || decoder->state == DOT_END));
    assert_true(got->len + len <= sizeof(got->bytes));
    memcpy(got->bytes + got->len, out, len);
    got->len += len;
    got->used += used;
    free(out);
    free(exact);
}

/* Decodes in two pieces, or for step 1 octet by octet behind the first. */
static void decode(struct slice wire, size_t split, size_t step, bool normalize, struct result *got)
{
    struct dot_decoder decoder;

    dot_decoder_init(&decoder, normalize);
    got->len = got->used = 0;
    decode_piece(&decoder, (struct slice){wire.ptr, split}, got);
    for (size_t at = split; at < wire.len; at += step) {
        size_t len = wire.len - at < step ? wire.len - at : step;

        decode_piece(&decoder, (struct slice){wire.ptr + at, len}, got);
    }
    got->ended = decoder.state == DOT_END;
    got->bare = decoder.bare;
}

static void check_decoded(const char *row, const struct result *got, size_t end,
                          struct slice content, bool bare)
{
    check_num(row, got->ended, true);
    check_num(row, (long long)got->used, (long long)end);
    check_slice(row, (struct slice){got->bytes, got->len}, content);
    check_num(row, got->bare, bare);
}

/* Against the reference, at every split, strictly and mended. */
static void check_wire(const char *row, struct slice wire)
{
    static char strict[4096], mended[4096];
    static struct result got;
    ptrdiff_t end = reference_end(wire);
    struct slice plain = {strict, 0}, mend = {mended, 0};
    bool bare;

    assert_true(end >= 3 && wire.len < sizeof(strict) / 2);
    plain.len = reference_undot((struct slice){wire.ptr, (size_t)end - 3}, strict);
    mend.len = reference_mend(plain, mended, &bare);
    for (size_t split = 0; split <= wire.len; split++) {
        decode(wire, split, 1000, false, &got);
        check_decoded(row, &got, (size_t)end, plain, bare);
        decode(wire, split, 1000, true, &got);
        check_decoded(row, &got, (size_t)end, mend, bare);
    }
    decode(wire, 0, 1, false, &got);
    check_decoded(row, &got, (size_t)end, plain, bare);
    decode(wire, 0, 1, true, &got);
    check_decoded(row, &got, (size_t)end, mend, bare);
}

/* Only CRLF.CRLF ends the data, whatever else stands around a dot. */
static void test_ends(void **state)
{
    static const struct slice around[] = {
        BYTES(""),       BYTES("\r"),       BYTES("\n"),     BYTES("\r\n"),   BYTES("\n\r"),
        BYTES("\r\r"),   BYTES("\n\n"),     BYTES("\0"),     BYTES("\r\n\0"), BYTES("\r\0\n"),
        BYTES("\r\r\n"), BYTES("\r\n\r"),   BYTES("\r\n\n"), BYTES("\n\r\n"), BYTES("."),
        BYTES("\r\n."),  BYTES("\r\n\r\n"),
    };
    static char pad[100];
    char wire[256];

    (void)state;
    memset(pad, 'x', sizeof(pad));
    for (size_t a = 0; a < COUNT_OF(around); a++) {
        for (size_t b = 0; b < COUNT_OF(around); b++) {
            /* Long enough for the fast path on either side, or for none. */
            for (size_t fill = 0; fill < 100; fill += 33) {
                struct text text;
                char row[40];

                snprintf(row, sizeof(row), "around %zu and %zu, %zu more", a, b, fill);
                text_init(&text, wire, sizeof(wire));
                text_add(&text, pad, fill);
                text_add_slice(&text, around[a]);
                text_add_char(&text, '.');
                text_add_slice(&text, around[b]);
                text_add(&text, pad, fill);
                text_add_str(&text, "\r\n.\r\nQUIT\r\n");
                check_wire(row, (struct slice){wire, text.len});
            }
        }
    }
}

/* The smuggler's ends by name: data, all of them. */
static void test_no_smuggling(void **state)
{
    static const char *const ends[] = {
        "\n.\n", "\n.\r\n", "\r\n.\n", "\r.\r", "\r\n.\r", "\r.\r\n", "\n.\r", "\r.\n",
    };
    char wire[128];

    (void)state;
    for (size_t i = 0; i < COUNT_OF(ends); i++) {
        static struct result got;
        size_t first =
            (size_t)snprintf(wire, sizeof(wire), "one%sMAIL FROM:<x@y>\r\nDATA\r\n", ends[i]);
        struct slice all = {wire, 0};

        decode((struct slice){wire, first}, first, 1000, false, &got);
        check_num(ends[i], got.ended, false);
        check_num(ends[i], got.bare, true);
        all.len = first + (size_t)snprintf(wire + first, sizeof(wire) - first, "two\r\n.\r\n");
        check_wire(ends[i], all);
    }
}

static void test_plain_cases(void **state)
{
    static const char *const wires[] = {
        ".\r\n",         ".\r\nNOOP\r\n",
        "\r\n.\r\n",     "a\r\n.\r\n",
        "..\r\n.\r\n",   "...\r\n..a\r\n.b\r\n.\r\n",
        ".\r.\r\n.\r\n", ".\rx\r\n.\r\n",
        ".\r\r\n.\r\n",  "a\r\n\r\n.\r\n.\r\n",
        "\r\r\n.\r\n",   "\n\r\n.\r\n",
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(wires); i++)
        check_wire(wires[i], slice_of(wires[i]));
}

/* Any mix of the octets that matter, long and short. */
static void test_random_wire(void **state)
{
    uint64_t random = 3;

    (void)state;
    for (int round = 0; round < 500; round++) {
        char wire[400];
        size_t len = 0, wanted = next_random(&random) % 300;

        while (len < wanted) {
            uint64_t pick = next_random(&random);

            if (pick % 5 == 0) { /* clean stretches, or the fast path never runs */
                size_t run = pick / 8 % 90;

                if (run > wanted - len)
                    run = wanted - len;
                memset(wire + len, 'x', run);
                len += run;
            } else {
                wire[len++] = pick % 97 == 1 ? '\0' : "\r\n.\r\na.\n\r"[pick / 8 % 9];
            }
        }
        len += slice_copy(SLICE("\r\n.\r\nx"), wire + len, 7) ? 6 : 0;
        check_wire("random", (struct slice){wire, len});
    }
}

/* A body of whole lines, with many dots at their starts. */
static size_t random_body(uint64_t *random, char *out, size_t max)
{
    static const char *const words[] = {".", "..", "\r\n", "\r\n", "\r\n.", "a", "word ", "a.b"};
    size_t len = 0, wanted = next_random(random) % max;

    while (len < wanted) {
        uint64_t pick = next_random(random);

        if (pick % 8 == 0) {
            memset(out + len, 'x', 70);
            len += 70;
        }
        memcpy(out + len, words[pick / 8 % 8], strlen(words[pick / 8 % 8]));
        len += strlen(words[pick / 8 % 8]);
    }
    out[len++] = '\r';
    out[len++] = '\n';
    return wanted ? len : 0;
}

static size_t encode(struct slice body, size_t split, char *out)
{
    struct dot_encoder encoder;
    struct slice parts[2] = {{body.ptr, split}, {body.ptr + split, body.len - split}};
    size_t len = 0;

    dot_encoder_init(&encoder);
    for (int i = 0; i < 2; i++) {
        char *exact = exact_copy(parts[i]), *to = malloc(DOT_ENCODE_MAX(parts[i].len) + 1);
        size_t n = dot_encode(&encoder, (struct slice){exact, parts[i].len}, to);

        assert_true(n <= DOT_ENCODE_MAX(parts[i].len));
        memcpy(out + len, to, n);
        len += n;
        free(to);
        free(exact);
    }
    memcpy(out + len, dot_encode_end(&encoder).ptr, dot_encode_end(&encoder).len);
    return len + dot_encode_end(&encoder).len;
}

static void test_round_trip(void **state)
{
    uint64_t random = 5;

    (void)state;
    for (int round = 0; round < 120; round++) {
        char body[600], wire[1300], again[1300];
        static struct result got;
        struct slice plain = {body, random_body(&random, body, 400)};
        struct slice encoded = {wire, encode(plain, plain.len, wire)};

        for (size_t split = 0; split < plain.len; split++)
            check_slice("encoded", (struct slice){again, encode(plain, split, again)}, encoded);
        for (size_t split = 0; split <= encoded.len; split++) {
            decode(encoded, split, 1000, round % 2, &got);
            check_decoded("decoded", &got, encoded.len, plain, false);
        }
    }
}

static void test_encode(void **state)
{
    static const char *const cases[][2] = {
        {"", ".\r\n"},
        {"a", "a\r\n.\r\n"},
        {"a\r\n", "a\r\n.\r\n"},
        {".", "..\r\n.\r\n"},
        {".\r\n", "..\r\n.\r\n"},
        {"..a\r\n.\r\nb.\r\n", "...a\r\n..\r\nb.\r\n.\r\n"},
        {"a\n.b\r\n", "a\n.b\r\n.\r\n"}, /* a bare LF starts no line */
        {"a\r\n\r\n", "a\r\n\r\n.\r\n"},
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct slice body = slice_of(cases[i][0]);
        char out[64];

        for (size_t split = 0; split <= body.len; split++)
            check_text(cases[i][0], (struct slice){out, encode(body, split, out)}, cases[i][1]);
    }
}

static void check_piece(struct crlf_check *check, struct slice in, struct result *got)
{
    char *exact = exact_copy(in), *out = malloc(DOT_DECODE_MAX(in.len));
    size_t len = crlf_check_feed(check, (struct slice){exact, in.len}, out);

    assert_true(len <= DOT_DECODE_MAX(in.len));
    memcpy(got->bytes + got->len, out, len);
    got->len += len;
    free(out);
    free(exact);
}

/* Chunks in two pieces against the reference. */
static void check_chunks(struct slice content, bool normalize)
{
    static char mended[4096];
    static struct result got;
    struct slice wanted = {mended, 0};
    bool bare;

    wanted.len = reference_mend(content, mended, &bare);
    for (size_t split = 0; split <= content.len; split++) {
        struct crlf_check check;

        crlf_check_init(&check, normalize);
        got.len = 0;
        check_piece(&check, (struct slice){content.ptr, split}, &got);
        check_piece(&check, (struct slice){content.ptr + split, content.len - split}, &got);
        got.len += crlf_check_end(&check, got.bytes + got.len);
        check_slice("chunks", (struct slice){got.bytes, got.len}, normalize ? wanted : content);
        check_num("chunks", check.bare, bare);
    }
}

static void test_crlf_check(void **state)
{
    uint64_t random = 11;

    (void)state;
    for (int round = 0; round < 500; round++) {
        char content[300];
        size_t len = next_random(&random) % sizeof(content);

        memset(content, 'x', sizeof(content));
        for (size_t dirt = next_random(&random) % 40; dirt && len; dirt--)
            content[next_random(&random) % len] = "\r\n\r\n.\0"[next_random(&random) % 6];
        if (round % 3 == 0) { /* clean but for chance */
            for (size_t i = 0; i + 1 < len; i++) {
                if (content[i] == '\r')
                    content[i + 1] = '\n';
            }
        }
        check_chunks((struct slice){content, len}, round % 2);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_plain_cases),  cmocka_unit_test(test_ends),
        cmocka_unit_test(test_no_smuggling), cmocka_unit_test(test_random_wire),
        cmocka_unit_test(test_encode),       cmocka_unit_test(test_round_trip),
        cmocka_unit_test(test_crlf_check),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
