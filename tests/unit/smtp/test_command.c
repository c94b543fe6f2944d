#include "check.h"

#include "smtp/command.h"

static void test_split(void **state)
{
    static const struct {
        const char *line;
        enum smtp_verb verb;
        const char *rest;
    } rows[] = {
        {"EHLO client.example", SMTP_EHLO, "client.example"},
        {"helo x", SMTP_HELO, "x"},
        {"STARTTLS", SMTP_STARTTLS, ""},
        {"StartTls ", SMTP_STARTTLS, ""},
        {"STARTTLSX", SMTP_UNKNOWN, ""},
        {"STARTTL", SMTP_UNKNOWN, ""},
        {"AUTH PLAIN AGEAYg==", SMTP_AUTH, "PLAIN AGEAYg=="},
        {"MAIL FROM:<a@b> SIZE=1", SMTP_MAIL, "FROM:<a@b> SIZE=1"},
        {"mail  FROM:<a@b>  ", SMTP_MAIL, "FROM:<a@b>"},
        {"MAIL\tFROM:<a@b>", SMTP_MAIL, "FROM:<a@b>"},
        {"rCpT TO:<a@b>", SMTP_RCPT, "TO:<a@b>"},
        {"DATA", SMTP_DATA, ""},
        {"BDAT 10 LAST", SMTP_BDAT, "10 LAST"},
        {"RSET", SMTP_RSET, ""},
        {"NOOP hello  there", SMTP_NOOP, "hello  there"},
        {"VRFY a", SMTP_VRFY, "a"},
        {"EXPN a", SMTP_EXPN, "a"},
        {"HELP", SMTP_HELP, ""},
        {"quit", SMTP_QUIT, ""},
        {"", SMTP_UNKNOWN, ""},
        {" ", SMTP_UNKNOWN, ""},
        {" QUIT", SMTP_UNKNOWN, "QUIT"},
        {"QUI", SMTP_UNKNOWN, ""},
        {"QUITS now", SMTP_UNKNOWN, "now"},
        {"MAILFROM:<a@b>", SMTP_UNKNOWN, ""},
        {"GET / HTTP/1.1", SMTP_UNKNOWN, "/ HTTP/1.1"},
        {"q\x15IT", SMTP_UNKNOWN, ""}, /* 0x15 is U but for case bits */
        {"QUI\xf4", SMTP_UNKNOWN, ""},
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        size_t len = strlen(rows[i].line);
        char *exact = exact_copy((struct slice){rows[i].line, len});
        struct slice rest;

        check_num(rows[i].line, smtp_command_split((struct slice){exact, len}, &rest),
                  rows[i].verb);
        check_text(rows[i].line, rest, rows[i].rest);
        free(exact);
    }
}

/* Each verb is found under its name, and no other word of four is one. */
static void test_verb_names(void **state)
{
    struct slice rest;

    (void)state;
    assert_int_equal(smtp_command_split(SLICE_NONE, &rest), SMTP_UNKNOWN);
    for (int verb = 0; verb < SMTP_UNKNOWN; verb++) {
        char word[16];
        size_t len = strlen(smtp_verb_names[verb]);

        for (size_t i = 0; i < len; i++) {
            for (int c = 1; c < 256; c++) {
                memcpy(word, smtp_verb_names[verb], len);
                word[i] = (char)c;
                if (ascii_lower((char)c) == ascii_lower(smtp_verb_names[verb][i]))
                    assert_int_equal(smtp_command_split((struct slice){word, len}, &rest), verb);
                else
                    assert_int_not_equal(smtp_command_split((struct slice){word, len}, &rest),
                                         verb);
            }
        }
    }
    assert_string_equal(smtp_verb_names[SMTP_UNKNOWN], "UNKNOWN");
}

static void test_helo(void **state)
{
    static const struct {
        const char *text;
        bool ok;
    } rows[] = {
        {"mail.example.com", true},
        {"localhost", true},
        {"my_host", true},
        {"[192.0.2.1]", true},
        {"[IPv6:::1]", true},
        {"-x-", true},
        {"", false},
        {"two words", false},
        {"tab\there", false},
        {"\xc3\xa4.example", false},
        {"a\x7f", false},
        {"a\rb", false},
    };
    struct slice name;
    struct reason why;
    char big[256];

    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        check_num(rows[i].text, smtp_parse_helo(slice_of(rows[i].text), &name, &why), rows[i].ok);
        if (rows[i].ok)
            check_text(rows[i].text, name, rows[i].text);
    }
    memset(big, 'a', sizeof(big));
    assert_true(smtp_parse_helo((struct slice){big, 255}, &name, &why));
    assert_false(smtp_parse_helo((struct slice){big, 256}, &name, &why));
    assert_false(smtp_parse_helo(SLICE("a\0b"), &name, &why));
    assert_false(smtp_parse_helo(SLICE_NONE, &name, NULL));
}

static const struct {
    const char *rest;
    bool dsn;
    enum smtp_syntax syntax;
    const char *sender;
    struct smtp_mail wanted; /* but for the address */
} mails[] = {
    {"FROM:<a@b>", false, SMTP_SYNTAX_OK, "a@b", {.has_size = false}},
    {"from:<a@b>", false, SMTP_SYNTAX_OK, "a@b", {.has_size = false}},
    {"FROM: <a@b>", false, SMTP_SYNTAX_OK, "a@b", {.has_size = false}},
    {"FROM:\t<a@b>", false, SMTP_SYNTAX_OK, "a@b", {.has_size = false}},
    {"FROM:<>", false, SMTP_SYNTAX_OK, "", {.has_size = false}},
    {"FROM:a@b SIZE=5", false, SMTP_SYNTAX_OK, "a@b", {.has_size = true, .size = 5}},
    {"FROM:<a@b> SIZE=0", false, SMTP_SYNTAX_OK, "a@b", {.has_size = true, .size = 0}},
    {"FROM:<a@b> size=18446744073709551615",
     false,
     SMTP_SYNTAX_OK,
     "a@b",
     {.has_size = true, .size = UINT64_MAX}},
    {"FROM:<a@b>  SIZE=1  BODY=8BITMIME\tSMTPUTF8 ",
     false,
     SMTP_SYNTAX_OK,
     "a@b",
     {.has_size = true, .size = 1, .body = SMTP_BODY_8BITMIME, .utf8 = true}},
    {"FROM:<a@b> BODY=7bit", false, SMTP_SYNTAX_OK, "a@b", {.body = SMTP_BODY_7BIT}},
    {"FROM:<a@b> body=BinaryMIME", false, SMTP_SYNTAX_OK, "a@b", {.body = SMTP_BODY_BINARYMIME}},
    {"FROM:<a@b> AUTH=<>", false, SMTP_SYNTAX_OK, "a@b", {.auth = BYTES("<>")}},
    {"FROM:<a@b> AUTH=e+3Dmc2@example.com",
     false,
     SMTP_SYNTAX_OK,
     "a@b",
     {.auth = BYTES("e+3Dmc2@example.com")}},
    {"FROM:<a@b> RET=HDRS ENVID=QQ314159",
     true,
     SMTP_SYNTAX_OK,
     "a@b",
     {.ret = SMTP_RET_HDRS, .envid = BYTES("QQ314159")}},
    {"FROM:<a@b> ret=full ENVID=a+2Bb+20c",
     true,
     SMTP_SYNTAX_OK,
     "a@b",
     {.ret = SMTP_RET_FULL, .envid = BYTES("a+2Bb+20c")}},

    {"", false, SMTP_SYNTAX_ERROR},
    {"FROM", false, SMTP_SYNTAX_ERROR},
    {"TO:<a@b>", false, SMTP_SYNTAX_ERROR},
    {"<a@b>", false, SMTP_SYNTAX_ERROR},
    {"FROM :<a@b>", false, SMTP_SYNTAX_ERROR},
    {"FROM:<a@b>SIZE=1", false, SMTP_SYNTAX_ERROR},
    {"FROM:<a@b>>", false, SMTP_SYNTAX_ERROR},
    {"FROM:", false, SMTP_SYNTAX_ADDRESS},
    {"FROM: SIZE=1", false, SMTP_SYNTAX_ADDRESS},
    {"FROM:<a>", false, SMTP_SYNTAX_ADDRESS},
    {"FROM:<a@b", false, SMTP_SYNTAX_ADDRESS},
    {"FROM:<a@b> SIZE", false, SMTP_SYNTAX_PARAM_VALUE},
    {"FROM:<a@b> SIZE=", false, SMTP_SYNTAX_PARAM_VALUE},
    {"FROM:<a@b> SIZE=-1", false, SMTP_SYNTAX_PARAM_VALUE},
    {"FROM:<a@b> SIZE=1k", false, SMTP_SYNTAX_PARAM_VALUE},
    {"FROM:<a@b> SIZE=18446744073709551616", false, SMTP_SYNTAX_PARAM_VALUE},
    {"FROM:<a@b> SIZE=1 SIZE=1", false, SMTP_SYNTAX_PARAM_VALUE},
    {"FROM:<a@b> BODY=9BIT", false, SMTP_SYNTAX_PARAM_VALUE},
    {"FROM:<a@b> SMTPUTF8=yes", false, SMTP_SYNTAX_PARAM_VALUE},
    {"FROM:<a@b> SMTPUTF8=", false, SMTP_SYNTAX_PARAM_VALUE},
    {"FROM:<a@b> SMTPUTF8 smtputf8", false, SMTP_SYNTAX_PARAM_VALUE},
    {"FROM:<a@b> AUTH=\001", false, SMTP_SYNTAX_PARAM_VALUE},
    {"FROM:<a@b> RET=SOME", true, SMTP_SYNTAX_PARAM_VALUE},
    {"FROM:<a@b> ENVID=a=b", true, SMTP_SYNTAX_PARAM_VALUE},
    {"FROM:<a@b> ENVID=a+2", true, SMTP_SYNTAX_PARAM_VALUE},
    {"FROM:<a@b> ENVID=a+zz", true, SMTP_SYNTAX_PARAM_VALUE},
    {"FROM:<a@b> ENVID=\xc3\xa4", true, SMTP_SYNTAX_PARAM_VALUE},
    {"FROM:<a@b> ENVID=0123456789012345678901234567890123456789012345678901234567890123456789"
     "0123456789012345678901234567890",
     true, SMTP_SYNTAX_PARAM_VALUE},
    {"FROM:<a@b> RET=HDRS", false, SMTP_SYNTAX_PARAM_UNKNOWN},
    {"FROM:<a@b> ENVID=1", false, SMTP_SYNTAX_PARAM_UNKNOWN},
    {"FROM:<a@b> NOTIFY=NEVER", true, SMTP_SYNTAX_PARAM_UNKNOWN},
    {"FROM:<a@b> HELLO", false, SMTP_SYNTAX_PARAM_UNKNOWN},
    {"FROM:<a@b> HELLO=x", false, SMTP_SYNTAX_PARAM_UNKNOWN},
    {"FROM:<a@b> =x", false, SMTP_SYNTAX_PARAM_UNKNOWN},
    {"FROM:<a@b> SIZE =1", false, SMTP_SYNTAX_PARAM_VALUE},
};

static void check_mail(size_t i, const struct smtp_mail *got)
{
    const struct smtp_mail *wanted = &mails[i].wanted;
    const char *row = mails[i].rest;

    check_text(row, got->sender.mailbox, mails[i].sender);
    check_num(row, got->has_size, wanted->has_size);
    check_num(row, (long long)got->size, (long long)wanted->size);
    check_num(row, got->body, wanted->body);
    check_num(row, got->utf8, wanted->utf8);
    check_slice(row, got->auth, wanted->auth);
    check_num(row, got->ret, wanted->ret);
    check_slice(row, got->envid, wanted->envid);
}

static void test_mail(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(mails); i++) {
        size_t len = strlen(mails[i].rest);
        char *exact = exact_copy((struct slice){mails[i].rest, len});
        struct smtp_mail got;
        struct reason why = {""};

        check_num(mails[i].rest,
                  smtp_parse_mail((struct slice){exact, len}, mails[i].dsn, &got, &why),
                  mails[i].syntax);
        if (mails[i].syntax == SMTP_SYNTAX_OK)
            check_mail(i, &got);
        else
            assert_true(why.text[0]);
        free(exact);
    }
}

static void test_rcpt(void **state)
{
    static const struct {
        const char *rest;
        bool dsn;
        enum smtp_syntax syntax;
        const char *recipient, *notify, *orcpt;
    } rows[] = {
        {"TO:<a@b>", false, SMTP_SYNTAX_OK, "a@b", "", ""},
        {"to: a@b", false, SMTP_SYNTAX_OK, "a@b", "", ""},
        {"TO:<Postmaster>", false, SMTP_SYNTAX_OK, "Postmaster", "", ""},
        {"TO:<@relay:a@b>", false, SMTP_SYNTAX_OK, "a@b", "", ""},
        {"TO:<a@b> NOTIFY=NEVER", true, SMTP_SYNTAX_OK, "a@b", "NEVER", ""},
        {"TO:<a@b> notify=success,FAILURE,Delay ORCPT=rfc822;a+2Bb@c", true, SMTP_SYNTAX_OK, "a@b",
         "success,FAILURE,Delay", "rfc822;a+2Bb@c"},
        {"TO:<a@b> ORCPT=utf-8;\xc3\xa4@b", true, SMTP_SYNTAX_OK, "a@b", "", "utf-8;\xc3\xa4@b"},
        {"TO:<a@b> ORCPT=utf-8;\\x{E4}@b", true, SMTP_SYNTAX_OK, "a@b", "", "utf-8;\\x{E4}@b"},
        {"FROM:<a@b>", false, SMTP_SYNTAX_ERROR},
        {"TO", false, SMTP_SYNTAX_ERROR},
        {"TO:<a@b>,<c@d>", false, SMTP_SYNTAX_ERROR},
        {"TO:", false, SMTP_SYNTAX_ADDRESS},
        {"TO:<>", false, SMTP_SYNTAX_ADDRESS},
        {"TO:<a>", false, SMTP_SYNTAX_ADDRESS},
        {"TO:<a@b> NOTIFY=", true, SMTP_SYNTAX_PARAM_VALUE},
        {"TO:<a@b> NOTIFY=NEVER,SUCCESS", true, SMTP_SYNTAX_PARAM_VALUE},
        {"TO:<a@b> NOTIFY=SUCCESS,", true, SMTP_SYNTAX_PARAM_VALUE},
        {"TO:<a@b> NOTIFY=,SUCCESS", true, SMTP_SYNTAX_PARAM_VALUE},
        {"TO:<a@b> NOTIFY=ALWAYS", true, SMTP_SYNTAX_PARAM_VALUE},
        {"TO:<a@b> NOTIFY=NEVER NOTIFY=NEVER", true, SMTP_SYNTAX_PARAM_VALUE},
        {"TO:<a@b> ORCPT=a@b", true, SMTP_SYNTAX_PARAM_VALUE},
        {"TO:<a@b> ORCPT=;a@b", true, SMTP_SYNTAX_PARAM_VALUE},
        {"TO:<a@b> ORCPT=rfc822;", true, SMTP_SYNTAX_PARAM_VALUE},
        {"TO:<a@b> ORCPT=rfc822;a=b", true, SMTP_SYNTAX_PARAM_VALUE},
        {"TO:<a@b> ORCPT=rfc822;\xc3\xa4", true, SMTP_SYNTAX_PARAM_VALUE},
        {"TO:<a@b> ORCPT=utf-8;\xc3", true, SMTP_SYNTAX_PARAM_VALUE},
        {"TO:<a@b> NOTIFY=NEVER", false, SMTP_SYNTAX_PARAM_UNKNOWN},
        {"TO:<a@b> ORCPT=rfc822;a@b", false, SMTP_SYNTAX_PARAM_UNKNOWN},
        {"TO:<a@b> SIZE=1", true, SMTP_SYNTAX_PARAM_UNKNOWN},
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct smtp_rcpt got;
        struct reason why = {""};

        check_num(rows[i].rest, smtp_parse_rcpt(slice_of(rows[i].rest), rows[i].dsn, &got, &why),
                  rows[i].syntax);
        if (rows[i].syntax != SMTP_SYNTAX_OK) {
            assert_true(why.text[0]);
            continue;
        }
        check_text(rows[i].rest, got.recipient.mailbox, rows[i].recipient);
        check_text(rows[i].rest, got.notify, rows[i].notify);
        check_text(rows[i].rest, got.orcpt, rows[i].orcpt);
    }
}

static void test_prefixes(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(mails); i++) {
        for (size_t len = 0; len < strlen(mails[i].rest); len++) {
            char *exact = exact_copy((struct slice){mails[i].rest, len});
            struct smtp_mail mail;
            struct smtp_rcpt rcpt;

            smtp_parse_mail((struct slice){exact, len}, true, &mail, NULL);
            smtp_parse_rcpt((struct slice){exact, len}, true, &rcpt, NULL);
            free(exact);
        }
    }
}

static void test_bdat(void **state)
{
    static const struct {
        const char *rest;
        bool ok, last;
        uint64_t size;
    } rows[] = {
        {"0", true, false, 0},
        {"10", true, false, 10},
        {"0 LAST", true, true, 0},
        {"10 last", true, true, 10},
        {"10   LAST", true, true, 10},
        {" 10 LAST ", true, true, 10},
        {"18446744073709551615 LAST", true, true, UINT64_MAX},
        {"18446744073709551616", false},
        {"", false},
        {"LAST", false},
        {"LAST 10", false},
        {"-1", false},
        {"+1", false},
        {"0x10", false},
        {"10LAST", false},
        {"10 LASTS", false},
        {"10 LAST LAST", false},
        {"10 20", false},
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        uint64_t size;
        bool last;

        check_num(rows[i].rest, smtp_parse_bdat(slice_of(rows[i].rest), &size, &last, NULL),
                  rows[i].ok);
        if (!rows[i].ok)
            continue;
        check_num(rows[i].rest, last, rows[i].last);
        check_num(rows[i].rest, (long long)size, (long long)rows[i].size);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_split), cmocka_unit_test(test_verb_names),
        cmocka_unit_test(test_helo),  cmocka_unit_test(test_mail),
        cmocka_unit_test(test_rcpt),  cmocka_unit_test(test_prefixes),
        cmocka_unit_test(test_bdat),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
