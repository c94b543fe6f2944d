#include "load/message.h"

#include <stdlib.h>

#include "smtp/dot.h"

static const char header[] = "From: Load <load@load.example>\r\n"
                             "To: Sink <sink@sink.example>\r\n"
                             "Subject: a message of the load generator\r\n"
                             "Date: Thu, 01 Jan 2026 00:00:00 +0000\r\n"
                             "Message-ID: <load@load.example>\r\n"
                             "MIME-Version: 1.0\r\n"
                             "Content-Type: text/plain; charset=us-ascii\r\n"
                             "\r\n";
/* One line in sixteen starts with a dot, so that dot-stuffing has work. */
static const char line[] =
    "The quick brown fox jumps over the lazy dog, and does it again and again.\r\n";
static const char dot_line[] = ".signature\r\n";

static void fill(char *content, size_t size)
{
    struct text text;
    unsigned lines = 0;

    text_init(&text, content, size + 1);
    if (size > sizeof(header) + 64)
        text_add_str(&text, header);
    while (!text.cut && text.len < size)
        text_add_str(&text, lines++ % 16 == 5 ? dot_line : line);
    if (size >= 2)
        memcpy(content + size - 2, "\r\n", 2);
    /* The cut must not have left half a line end. */
    if (size >= 3 && content[size - 3] == '\r')
        content[size - 3] = '.';
}

bool message_make(struct message *message, size_t size, struct reason *why)
{
    size_t dotted_cap = DOT_ENCODE_MAX(size) + 8;
    struct dot_encoder encoder;
    struct slice end;
    char *dotted;

    message->memory = calloc(1, size + 1 + dotted_cap);
    if (!message->memory)
        return reason_set(why, "out of memory for a message of %zu octets", size);
    fill(message->memory, size);
    message->content = (struct slice){message->memory, size};
    dotted = message->memory + size + 1;
    dot_encoder_init(&encoder);
    message->dotted = (struct slice){dotted, dot_encode(&encoder, message->content, dotted)};
    end = dot_encode_end(&encoder);
    memcpy(dotted + message->dotted.len, end.ptr, end.len);
    message->dotted.len += end.len;
    return true;
}

void message_clear(struct message *message)
{
    free(message->memory);
    *message = (struct message){0};
}
