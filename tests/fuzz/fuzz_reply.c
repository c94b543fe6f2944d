/* Replies must be the same however the reads fall, clean for a log, and the
 * same again when we write and read them. The first octet is the size of the
 * reads. */
#include "fuzz.h"
#include "smtp/reply.h"

static void check_clean(const struct smtp_reply *reply)
{
    require(reply->code >= 200 && reply->code <= 599);
    require(reply->lines >= 1 && reply->lines <= REPLY_LINES_MAX);
    require(reply->text_len <= REPLY_TEXT_MAX && (reply->text != NULL) == (reply->text_len > 0));
    for (size_t i = 0; i < reply->text_len; i++)
        require((reply->text[i] >= 32 && reply->text[i] < 127) || reply->text[i] == '\n');
}

static bool has_long_line(struct slice text)
{
    size_t run = 0;

    for (size_t i = 0; i < text.len; i++) {
        run = text.ptr[i] == '\n' ? 0 : run + 1;
        if (run > 480)
            return true;
    }
    return false;
}

static void check_again(const struct smtp_reply *reply)
{
    static char wire[2 * REPLY_TEXT_MAX];
    struct slice text = {reply->text, reply->text_len};
    struct slice out = {wire,
                        smtp_reply_format(reply->code, reply->enhanced, text, wire, sizeof(wire))};
    struct smtp_reply_parser parser;
    struct smtp_reply again;
    size_t used;

    smtp_reply_parser_init(&parser);
    require(smtp_reply_parse(&parser, out, &used, &again, NULL) == 1 && used == out.len);
    require(again.code == reply->code && smtp_reply_parser_idle(&parser));
    if (!has_long_line(text))
        require(slice_equal((struct slice){again.text, again.text_len}, text));
    smtp_reply_clear(&again);
}

/* Notes each reply in `log`, 0xff at the first fault. */
static void run(struct slice input, size_t step, struct text *log)
{
    struct smtp_reply_parser parser;
    int result = 0;

    text_init(log, malloc(4 * input.len + 16), 4 * input.len + 16);
    smtp_reply_parser_init(&parser);
    while (input.len && result >= 0) {
        struct slice copy = exact_copy(take_piece(&input, step)), rest = copy;
        struct smtp_reply reply;
        size_t used;

        while (rest.len && (result = smtp_reply_parse(&parser, rest, &used, &reply, NULL)) >= 0) {
            require(used > 0 && used <= rest.len && (result || used == rest.len));
            take_piece(&rest, used);
            if (result == 0)
                continue;
            check_clean(&reply);
            check_again(&reply);
            text_addf(log, "%d", reply.code);
            text_add(log, reply.text, reply.text_len);
            smtp_reply_clear(&reply);
        }
        exact_free(copy);
    }
    text_add_char(log, result < 0 ? '\xff' : ' ');
    smtp_reply_parser_clear(&parser);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice input = {(const char *)data, size};
    size_t step = take_octet(&input) + 1;
    struct text whole, pieces;

    run(input, SIZE_MAX, &whole);
    run(input, step, &pieces);
    require(
        slice_equal((struct slice){whole.at, whole.len}, (struct slice){pieces.at, pieces.len}));
    free(whole.at);
    free(pieces.at);
    return 0;
}
