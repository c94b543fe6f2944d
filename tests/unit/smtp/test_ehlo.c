#include "check.h"

#include "smtp/ehlo.h"

static const struct {
    const char *name, *text;
    struct smtp_caps wanted;
} rows[] = {
    {"empty", "", {0}},
    {"name only", "mx.example at your service", {0}},
    {"name looks like a keyword", "PIPELINING", {0}},
    {"gmail",
     "smtp.gmail.com at your service, [192.0.2.1]\nSIZE 35882577\n8BITMIME\nAUTH LOGIN PLAIN "
     "XOAUTH2 PLAIN-CLIENTTOKEN OAUTHBEARER XOAUTH\nENHANCEDSTATUSCODES\nPIPELINING\nCHUNKING\n"
     "SMTPUTF8",
     {SMTP_CAP_SIZE | SMTP_CAP_8BITMIME | SMTP_CAP_ENHANCED | SMTP_CAP_PIPELINING |
          SMTP_CAP_CHUNKING | SMTP_CAP_SMTPUTF8,
      SMTP_MECH_LOGIN | SMTP_MECH_PLAIN | SMTP_MECH_XOAUTH2 | SMTP_MECH_OAUTHBEARER, 35882577}},
    {"microsoft, after TLS",
     "AB1PR01CA0001.outlook.office365.com Hello [192.0.2.1]\nSIZE 157286400\nPIPELINING\nDSN\n"
     "ENHANCEDSTATUSCODES\nAUTH LOGIN XOAUTH2\n8BITMIME\nBINARYMIME\nCHUNKING\nSMTPUTF8",
     {SMTP_CAP_SIZE | SMTP_CAP_PIPELINING | SMTP_CAP_DSN | SMTP_CAP_ENHANCED | SMTP_CAP_8BITMIME |
          SMTP_CAP_BINARYMIME | SMTP_CAP_CHUNKING | SMTP_CAP_SMTPUTF8,
      SMTP_MECH_LOGIN | SMTP_MECH_XOAUTH2, 157286400}},
    {"before TLS", "x\nSTARTTLS", {SMTP_CAP_STARTTLS, 0, 0}},
    {"small letters",
     "x\nsize 10\nAuth plain Login\npipelining",
     {SMTP_CAP_SIZE | SMTP_CAP_PIPELINING, SMTP_MECH_PLAIN | SMTP_MECH_LOGIN, 10}},
    {"old AUTH=",
     "x\nAUTH=LOGIN PLAIN\nAUTH XOAUTH2",
     {0, SMTP_MECH_LOGIN | SMTP_MECH_PLAIN | SMTP_MECH_XOAUTH2, 0}},
    {"AUTH= alone", "x\nAUTH=", {0}},
    {"AUTH without mechanisms", "x\nAUTH", {0}},
    {"SIZE without a limit", "x\nSIZE", {SMTP_CAP_SIZE, 0, 0}},
    {"SIZE 0", "x\nSIZE 0", {SMTP_CAP_SIZE, 0, 0}},
    {"SIZE overflows", "x\nSIZE 99999999999999999999", {SMTP_CAP_SIZE, 0, 0}},
    {"SIZE of words", "x\nSIZE lots", {SMTP_CAP_SIZE, 0, 0}},
    {"blanks",
     "x\nSIZE  5 \nAUTH  PLAIN  \nDSN ",
     {SMTP_CAP_SIZE | SMTP_CAP_DSN, SMTP_MECH_PLAIN, 5}},
    {"unknown", "x\nXCLIENT NAME\nPIPELININGS\nDS\n\n \nLIMITS RCPTMAX=1000", {0}},
};

static void check_row(size_t i, size_t len)
{
    struct smtp_reply reply = {.code = 250, .text_len = len};
    struct smtp_caps got;

    reply.text = len ? exact_copy((struct slice){rows[i].text, len}) : NULL;
    smtp_caps_parse(&reply, &got);
    if (len == strlen(rows[i].text)) {
        check_num(rows[i].name, got.caps, rows[i].wanted.caps);
        check_num(rows[i].name, got.mechs, rows[i].wanted.mechs);
        check_num(rows[i].name, (long long)got.size, (long long)rows[i].wanted.size);
    }
    free(reply.text);
}

static void test_lists(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        for (size_t len = 0; len <= strlen(rows[i].text); len++)
            check_row(i, len);
    }
}

/* As it comes from the wire. */
static void test_from_the_wire(void **state)
{
    struct slice wire = SLICE("250-mx.example\r\n250-SIZE 1000\r\n250 AUTH XOAUTH2\r\n");
    struct smtp_reply_parser parser;
    struct smtp_reply reply;
    struct smtp_caps got;
    size_t used;

    (void)state;
    smtp_reply_parser_init(&parser);
    assert_int_equal(smtp_reply_parse(&parser, wire, &used, &reply, NULL), 1);
    smtp_caps_parse(&reply, &got);
    assert_int_equal(got.caps, SMTP_CAP_SIZE);
    assert_int_equal(got.mechs, SMTP_MECH_XOAUTH2);
    assert_int_equal(got.size, 1000);
    smtp_reply_clear(&reply);
    smtp_reply_parser_clear(&parser);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_lists),
        cmocka_unit_test(test_from_the_wire),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
