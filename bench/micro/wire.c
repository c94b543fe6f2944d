#include <stdlib.h>

#include "micro/micro.h"
#include "smtp/command.h"
#include "smtp/dot.h"
#include "smtp/ehlo.h"
#include "smtp/line.h"
#include "smtp/reply.h"
#include "smtp/sasl.h"

#define BLOCK 16384

static char mail[BLOCK], dotted[BLOCK], out[DOT_DECODE_MAX(BLOCK)];

static const char envelope[] = "MAIL FROM:<user@example.test> SIZE=2048 BODY=8BITMIME\r\n"
                               "RCPT TO:<somebody@example.org>\r\n"
                               "DATA\r\n";
static const char flight[] = "250 2.1.0 OK 98e67ed59e1d1-2d5f1f9c1b2sm123456a91.7 - gsmtp\r\n"
                             "250 2.1.5 OK 98e67ed59e1d1-2d5f1f9c1b2sm123456a91.7 - gsmtp\r\n"
                             "250 2.0.0 OK  1718000000 98e67ed59e1d1-2d5f1f9c1b2sm123456a91.7 "
                             "- gsmtp\r\n";
static const char ehlo[] = "250-smtp.gmail.com at your service, [192.0.2.1]\r\n"
                           "250-SIZE 35882577\r\n250-8BITMIME\r\n"
                           "250-AUTH LOGIN PLAIN XOAUTH2 PLAIN-CLIENTTOKEN OAUTHBEARER XOAUTH\r\n"
                           "250-ENHANCEDSTATUSCODES\r\n250-PIPELINING\r\n250-CHUNKING\r\n"
                           "250 SMTPUTF8\r\n";
static struct smtp_reply ehlo_reply;
static char token[1500];

static void decode(const char *in, uint64_t rounds)
{
    while (rounds--) {
        struct dot_decoder decoder;
        size_t used;

        dot_decoder_init(&decoder, false);
        keep_number(dot_decode(&decoder, (struct slice){in, BLOCK}, &used, out));
        keep(out);
    }
}

static void run_decode(uint64_t rounds)
{
    decode(mail, rounds);
}

static void run_decode_dotted(uint64_t rounds)
{
    decode(dotted, rounds);
}

static void encode(const char *in, uint64_t rounds)
{
    while (rounds--) {
        struct dot_encoder encoder;

        dot_encoder_init(&encoder);
        keep_number(dot_encode(&encoder, (struct slice){in, BLOCK}, out));
        keep(out);
    }
}

static void run_encode(uint64_t rounds)
{
    encode(mail, rounds);
}

static void run_encode_dotted(uint64_t rounds)
{
    encode(dotted, rounds);
}

static void run_crlf_check(uint64_t rounds)
{
    while (rounds--) {
        struct crlf_check check;

        crlf_check_init(&check, false);
        keep_number(crlf_check_feed(&check, (struct slice){mail, BLOCK}, out));
        keep(out);
    }
}

/* A read's worth of commands, as a session meets them. */
static void parse_line(struct slice line)
{
    struct smtp_mail from;
    struct smtp_rcpt to;
    struct slice rest;

    switch (smtp_command_split(line, &rest)) {
    case SMTP_MAIL:
        keep_number((uint64_t)smtp_parse_mail(rest, false, &from, NULL));
        break;
    case SMTP_RCPT:
        keep_number((uint64_t)smtp_parse_rcpt(rest, false, &to, NULL));
        break;
    default:
        keep(rest.ptr);
    }
}

static void run_commands(uint64_t rounds)
{
    struct line_reader reader;

    line_reader_init(&reader);
    while (rounds--) {
        struct slice bytes = {envelope, sizeof(envelope) - 1};

        while (bytes.len) {
            struct slice line;
            size_t used;

            if (line_reader_next(&reader, bytes, 2048, &used, &line) == LINE_OK)
                parse_line(line);
            bytes = (struct slice){bytes.ptr + used, bytes.len - used};
        }
    }
    line_reader_clear(&reader);
}

static void parse_replies(struct slice all, uint64_t rounds)
{
    struct smtp_reply_parser parser;

    smtp_reply_parser_init(&parser);
    while (rounds--) {
        struct slice bytes = all;

        while (bytes.len) {
            struct smtp_reply reply;
            size_t used;

            if (smtp_reply_parse(&parser, bytes, &used, &reply, NULL) == 1)
                smtp_reply_clear(&reply);
            bytes = (struct slice){bytes.ptr + used, bytes.len - used};
        }
    }
    smtp_reply_parser_clear(&parser);
}

static void run_replies(uint64_t rounds)
{
    parse_replies((struct slice){flight, sizeof(flight) - 1}, rounds);
}

static void run_ehlo_reply(uint64_t rounds)
{
    parse_replies((struct slice){ehlo, sizeof(ehlo) - 1}, rounds);
}

static void run_caps(uint64_t rounds)
{
    while (rounds--) {
        struct smtp_caps caps;

        smtp_caps_parse(&ehlo_reply, &caps);
        keep(&caps);
    }
}

static void run_format(uint64_t rounds)
{
    static const struct smtp_enhanced ok = {2, 0, 0};

    while (rounds--) {
        keep_number(smtp_reply_format(
            250, ok, SLICE("OK  1718000000 98e67ed59e1d1-2d5f1f9c1b2sm123456a91.7 - gsmtp"), out,
            sizeof(out)));
        keep(out);
    }
}

static void run_xoauth2(uint64_t rounds)
{
    while (rounds--) {
        keep_number(sasl_xoauth2_encode(SLICE("user@example.test"),
                                        (struct slice){token, sizeof(token)}, out, sizeof(out)));
        keep(out);
    }
}

void micro_wire_prepare(void)
{
    struct smtp_reply_parser parser;
    size_t used;

    micro_fill_mail(mail, BLOCK, 0);
    micro_fill_mail(dotted, BLOCK, 1);
    memset(token, 'x', sizeof(token));
    smtp_reply_parser_init(&parser);
    if (smtp_reply_parse(&parser, (struct slice){ehlo, sizeof(ehlo) - 1}, &used, &ehlo_reply,
                         NULL) != 1)
        abort();
    smtp_reply_parser_clear(&parser);
}

#define COPY "memcpy, 16 KiB"

const struct micro micro_wire[] = {
    {"dot_decode, text", run_decode, BLOCK, COPY, 0},
    {"dot_decode, a dot on every line", run_decode_dotted, BLOCK, COPY, 0},
    {"dot_encode, text", run_encode, BLOCK, COPY, 0},
    {"dot_encode, a dot on every line", run_encode_dotted, BLOCK, COPY, 0},
    {"crlf_check_feed, text", run_crlf_check, BLOCK, COPY, 0},
    {"lines + MAIL, RCPT, DATA parsed", run_commands, sizeof(envelope) - 1, NULL, 0},
    {"three replies of a flight parsed", run_replies, sizeof(flight) - 1, NULL, 0},
    {"reply to EHLO parsed", run_ehlo_reply, sizeof(ehlo) - 1, NULL, 0},
    {"capabilities of that reply", run_caps, 0, NULL, 0},
    {"smtp_reply_format, one line", run_format, 0, NULL, 0},
    {"sasl_xoauth2_encode, 1500-octet token", run_xoauth2, 1500, NULL, 0},
    {0},
};
