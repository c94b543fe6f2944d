#include "relay/dialogue.h"

#include <stdio.h>

#define OK "250 2.0.0 OK\r\n"
#define ENVELOPE "MAIL FROM:<a@x>\r\nRCPT TO:<b@x>\r\n"
#define ENVELOPE_OK "250 2.1.0 Sender OK\r\n250 2.1.5 Recipient OK\r\n"
#define GO_AHEAD "354 End data with <CR><LF>.<CR><LF>\r\n"
#define TAKEN "250-2.0.0 taken\r\n250 2.0.0 id 7\r\n"
#define BARE "550 5.6.11 Message has bare CR, bare LF or NUL\r\n"
#define TOO_BIG "552 5.3.4 Message is too big\r\n"
#define MAIL_FIRST "503 5.5.1 Send MAIL first\r\n"
#define DATA STEP(ENVELOPE "DATA\r\n", ENVELOPE_OK GO_AHEAD)

static void small(void)
{
    world.conf.max_message_size = 20;
}

static void short_lines(void)
{
    world.conf.max_line_length = 10;
}

static void normalize(void)
{
    world.conf.bare_newlines = CONF_NEWLINES_NORMALIZE;
}

static void no_disk(void)
{
    world.conf.spill_threshold = 8;
    world.conf.memory_limit = 1;
    memcpy(world.conf.spill_dir, "/nowhere", 9);
}

static void check_nothing_sent(void)
{
    assert_int_equal(world.submits, 0);
}

static const struct dialogue data[] = {
    {"a message",
     AFTER_LOGIN,
     0,
     {DATA, STEP("Subject: x\r\n\r\n..dot\r\n.\r\n", TAKEN), STEP("NOOP\r\n", OK)},
     .content = "Subject: x\r\n\r\n.dot\r\n"},
    {"an empty one", AFTER_LOGIN, 0, {DATA, STEP(".\r\n", TAKEN)}, .content = ""},
    {"two, one behind the other",
     AFTER_LOGIN,
     0,
     {DATA, STEP("1\r\n.\r\n" ENVELOPE "DATA\r\n", TAKEN ENVELOPE_OK GO_AHEAD),
      STEP("2\r\n.\r\nRSET\r\n", TAKEN OK)},
     .content = "2\r\n"},
    {"QUIT behind the final dot",
     AFTER_LOGIN,
     CLOSES,
     {DATA, STEP("1\r\n.\r\nQUIT\r\n", TAKEN "221 2.0.0 Goodbye\r\n")}},
    {"refused by the provider",
     AFTER_LOGIN,
     0,
     {STEP("MAIL FROM:<>\r\nRCPT TO:<bad@x>\r\nDATA\r\n", ENVELOPE_OK GO_AHEAD),
      STEP("1\r\n.\r\n", "550 5.1.1 no such user\r\n"), STEP("DATA\r\n", MAIL_FIRST)}},
    {"dry run",
     AFTER_LOGIN,
     0,
     {STEP("MAIL FROM:<>\r\nRCPT TO:<dry@x>\r\nDATA\r\n", ENVELOPE_OK GO_AHEAD),
      STEP("1\r\n.\r\n", "250 2.0.0 dry run\r\n")}},
    {"too big",
     AFTER_LOGIN,
     0,
     {DATA, STEP("0123456789012345678\r\n.\r\n", TOO_BIG), STEP("NOOP\r\n", OK)},
     .set_up = small,
     .check = check_nothing_sent},
    {"just not too big",
     AFTER_LOGIN,
     0,
     {DATA, STEP("012345678901234567\r\n.\r\n", TAKEN)},
     .set_up = small,
     .content = "012345678901234567\r\n"},
    {"much too big",
     AFTER_LOGIN,
     CLOSES,
     {DATA, STEP("0123456789012345678901234567890123456789012", TOO_BIG)},
     .set_up = small,
     .check = check_nothing_sent},
    {"a line too long",
     AFTER_LOGIN,
     0,
     {DATA, STEP("01234567890\r\n0\r\n.\r\n", "554 5.6.0 Message has a line that is too long\r\n"),
      STEP("NOOP\r\n", OK)},
     .set_up = short_lines,
     .check = check_nothing_sent},
    {"a line just not too long",
     AFTER_LOGIN,
     0,
     {DATA, STEP("0123456789\r\n0123456789\r\n.\r\n", TAKEN)},
     .set_up = short_lines,
     .content = "0123456789\r\n0123456789\r\n"},
    {"no room to store it",
     AFTER_LOGIN,
     0,
     {DATA, STEP("0123456789\r\n.\r\n", "452 4.3.1 Insufficient storage, try again later\r\n"),
      STEP("NOOP\r\n", OK)},
     .set_up = no_disk,
     .check = check_nothing_sent},
};

static const struct dialogue bdat[] = {
    {"one chunk",
     AFTER_LOGIN,
     0,
     {STEP(ENVELOPE "BDAT 7 LAST\r\n.\r\n\r\n.x", ENVELOPE_OK TAKEN), STEP("NOOP\r\n", OK)},
     .content = ".\r\n\r\n.x"},
    {"three, and the next message",
     AFTER_LOGIN,
     0,
     {STEP(ENVELOPE "BDAT 3\r\nab\rBDAT 2\r\n\ncBDAT 0 LAST\r\n" ENVELOPE "BDAT 1 LAST\r\nd",
           ENVELOPE_OK
           "250 2.0.0 3 octets so far\r\n250 2.0.0 5 octets so far\r\n" TAKEN ENVELOPE_OK TAKEN)},
     .content = "d"},
    {"nothing",
     AFTER_LOGIN,
     0,
     {STEP(ENVELOPE "BDAT 0 LAST\r\n", ENVELOPE_OK TAKEN)},
     .content = ""},
    {"between chunks",
     AFTER_LOGIN,
     0,
     {STEP(ENVELOPE "BDAT 2\r\n\r\n", ENVELOPE_OK "250 2.0.0 2 octets so far\r\n"),
      STEP("NOOP\r\n", OK),
      STEP("MAIL FROM:<a@x>\r\n", "503 5.5.1 The message was begun with BDAT\r\n"),
      STEP("RCPT TO:<a@x>\r\n", "503 5.5.1 The message was begun with BDAT\r\n"),
      STEP("BDAT 1 LAST\r\nx", TAKEN)},
     .content = "\r\nx"},
    {"RSET between chunks",
     AFTER_LOGIN,
     0,
     {STEP(ENVELOPE "BDAT 2\r\n\r\nRSET\r\n", ENVELOPE_OK "250 2.0.0 2 octets so far\r\n" OK),
      STEP("BDAT 1 LAST\r\nx", MAIL_FIRST)},
     .check = check_nothing_sent},
    {"then DATA",
     AFTER_LOGIN,
     0,
     {STEP(ENVELOPE "BDAT 2\r\n\r\nDATA\r\n", ENVELOPE_OK
           "250 2.0.0 2 octets so far\r\n503 5.5.1 The message was begun with BDAT\r\n"),
      STEP("RCPT TO:<a@x>\r\n", MAIL_FIRST)},
     .check = check_nothing_sent},
    {"refused chunks are no commands",
     AFTER_LOGIN,
     0,
     {STEP("BDAT 8\r\n\r\nQUIT\r\nBDAT 6 LAST\r\nQUIT\r\nNOOP\r\n", MAIL_FIRST MAIL_FIRST OK),
      STEP("MAIL FROM:<a@x>\r\nBDAT 6 LAST\r\nQUIT\r\nRCPT TO:<b@x>\r\n",
           "250 2.1.0 Sender OK\r\n503 5.5.1 Send RCPT first\r\n" MAIL_FIRST)},
     .check = check_nothing_sent},
    {"no valid recipients",
     AFTER_LOGIN,
     0,
     {STEP("MAIL FROM:<a@x>\r\nRCPT TO:<>\r\nBDAT 6 LAST\r\nQUIT\r\nNOOP\r\n",
           "250 2.1.0 Sender OK\r\n501 5.1.3 the null address <> cannot receive\r\n"
           "554 5.5.1 No valid recipients\r\n" OK)},
     .check = check_nothing_sent},
    {"syntax",
     AFTER_LOGIN,
     0,
     {STEP(ENVELOPE "BDAT LAST\r\n", ENVELOPE_OK "501 5.5.4 BDAT needs a size in octets\r\n"),
      STEP("BDAT 18446744073709551616 LAST\r\n", "501 5.5.4 BDAT needs a size in octets\r\n"),
      STEP("BDAT 1 FIRST\r\n", "501 5.5.4 only LAST may follow the size of BDAT\r\n"),
      STEP("RCPT TO:<b@x>\r\n", MAIL_FIRST)}},
    {"octets behind a syntax error",
     AFTER_LOGIN,
     CLOSES | WHOLE,
     {STEP(ENVELOPE "BDAT x\r\nQUIT\r\n", ENVELOPE_OK
           "501 5.5.4 BDAT needs a size in octets\r\n554 5.5.0 Input ahead of its turn\r\n")}},
    {"the largest size",
     AFTER_LOGIN,
     CLOSES,
     {STEP(ENVELOPE "BDAT 18446744073709551615 LAST\r\n", ENVELOPE_OK TOO_BIG)}},
    {"too big in sum",
     AFTER_LOGIN,
     0,
     {STEP(ENVELOPE "BDAT 11\r\n012345678\r\nBDAT 10 LAST\r\n01234567\r\nNOOP\r\n",
           ENVELOPE_OK "250 2.0.0 11 octets so far\r\n" TOO_BIG OK)},
     .set_up = small,
     .check = check_nothing_sent},
    {"a refused chunk is not read for ever",
     AFTER_EHLO,
     CLOSES,
     {STEP("BDAT 1048577 LAST\r\n", "530 5.7.0 Authentication required\r\n")}},
    {"no room to store it",
     AFTER_LOGIN,
     0,
     {STEP(ENVELOPE "BDAT 12 LAST\r\n0123456789\r\nNOOP\r\n",
           ENVELOPE_OK "452 4.3.1 Insufficient storage, try again later\r\n" OK)},
     .set_up = no_disk,
     .check = check_nothing_sent},
};

static void test_data(void **state)
{
    (void)state;
    dialogues_check(data, COUNT_OF(data));
}

static void test_bdat(void **state)
{
    (void)state;
    dialogues_check(bdat, COUNT_OF(bdat));
}

/* What other servers have taken for the end of data. */
static const struct slice endings[] = {
    {"\r", 1},          {"\n", 1},        {"\0", 1},          {"\r\r", 2},
    {"\n.\n", 3},       {"\n.\r\n", 4},   {"\r\n.\n", 4},     {"\r.\r", 3},
    {"\r\n.\r", 4},     {"\r.\r\n", 4},   {"\r\n.\0\r\n", 6}, {"\r\r\n.\r\r\n", 7},
    {"\r\n\0.\r\n", 6}, {"\n\r.\r\n", 5}, {"\r\n.\r\r\n", 6}, {"\n.\r", 3},
};

/* One message in is one refused, and nothing of it is a command. */
static void test_smuggling(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(endings); i++) {
        char memory[100];
        struct text wire;
        struct dialogue dialogue = {"smuggling",
                                    AFTER_LOGIN,
                                    0,
                                    {DATA, STEP("", BARE), STEP("NOOP\r\n", OK)},
                                    .check = check_nothing_sent};

        text_init(&wire, memory, sizeof(memory));
        text_add_str(&wire, "x");
        text_add_slice(&wire, endings[i]);
        text_add_str(&wire, "NOOP\r\n.\r\n");
        dialogue.steps[1].send = (struct slice){wire.at, wire.len};
        dialogue_check(&dialogue);
    }
}

static void test_smuggling_by_bdat(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(endings); i++) {
        char memory[100];
        struct text wire;
        struct dialogue dialogue = {"smuggling by BDAT",
                                    AFTER_LOGIN,
                                    0,
                                    {STEP("", ENVELOPE_OK BARE), STEP("NOOP\r\n", OK)},
                                    .check = check_nothing_sent};

        text_init(&wire, memory, sizeof(memory));
        text_addf(&wire, ENVELOPE "BDAT %zu LAST\r\n", 1 + endings[i].len);
        text_add_str(&wire, "x");
        text_add_slice(&wire, endings[i]);
        dialogue.steps[0].send = (struct slice){wire.at, wire.len};
        dialogue_check(&dialogue);
    }
}

static void test_normalize(void **state)
{
    static const struct dialogue rows[] = {
        {"DATA",
         AFTER_LOGIN,
         0,
         {DATA, STEP("a\nb\rc\n.\nd\r\n.\r\n", TAKEN)},
         .set_up = normalize,
         .content = "a\r\nb\r\nc\r\n.\r\nd\r\n"},
        {"BDAT",
         AFTER_LOGIN,
         0,
         {STEP(ENVELOPE "BDAT 5\r\na\nb\rcBDAT 2 LAST\r\n.\r",
               ENVELOPE_OK "250 2.0.0 5 octets so far\r\n" TAKEN)},
         .set_up = normalize,
         .content = "a\r\nb\r\nc.\r\n"},
    };

    (void)state;
    dialogues_check(rows, COUNT_OF(rows));
}

/* A big message, over the spill threshold, is exact. */
static void test_big(void **state)
{
    const size_t len = 3000000;
    struct client client;
    char command[100];
    char *message = malloc(len);
    uint64_t random = 1;

    (void)state;
    for (size_t i = 0; i < len; i++)
        message[i] = (char)(' ' + next_random(&random) % 90);
    for (size_t i = 0; i + 80 <= len; i += 80)
        memcpy(message + i + 78, "\r\n", 2);
    memcpy(message + len - 2, "\r\n", 2);
    world_open();
    world.conf.max_message_size = 10 << 20;
    world.conf.memory_limit = 4 << 20; /* half of it is in memory, the rest is not */
    client_open(&client, CONF_TLS_NONE, "192.0.2.7:1", SLICE("")); /* SIZE differs */
    client_expect(&client, "greeting", SLICE(""), GREETING);
    EXPECT(&client, "HELO c\r\n", "250 relay.test\r\n");
    EXPECT(&client, AUTH_OPEN, LOGGED_IN);
    snprintf(command, sizeof(command), ENVELOPE "BDAT %zu LAST\r\n", len);
    client_send(&client, slice_of(command));
    client_expect(&client, "big", (struct slice){message, len}, ENVELOPE_OK TAKEN);
    assert_int_equal(world.content_len, len);
    assert_memory_equal(world.content, message, len);
    assert_int_equal(world.worker.stats->spilled_total, 1);
    client_close(&client);
    world_close();
    free(message);
}

static void test_tiny_chunks(void **state)
{
    struct client client;

    (void)state;
    world_open();
    client_begin(&client, AFTER_LOGIN);
    EXPECT(&client, ENVELOPE, ENVELOPE_OK);
    for (int i = 1; i <= 16; i++) {
        char expect[64];

        snprintf(expect, sizeof(expect), "250 2.0.0 %d octets so far\r\n", i);
        EXPECT(&client, "BDAT 1\r\nx", expect);
    }
    EXPECT(&client, "BDAT 1\r\nx", "554 5.5.1 Too many small chunks\r\n");
    EXPECT(&client, "BDAT 1 LAST\r\nx", MAIL_FIRST);
    assert_int_equal(world.submits, 0);
    client_close(&client);
    world_close();
}

/* The end may come in an empty chunk, however small the others were. */
static void test_small_chunks_that_end(void **state)
{
    struct client client;

    (void)state;
    world_open();
    client_begin(&client, AFTER_LOGIN);
    EXPECT(&client, ENVELOPE, ENVELOPE_OK);
    for (int i = 1; i <= 16; i++) {
        client_send(&client, SLICE("BDAT 1\r\nx"));
        world_settle();
    }
    client_read(&client);
    client_forget(&client);
    EXPECT(&client, "BDAT 0 LAST\r\n", TAKEN);
    client_close(&client);
    world_close();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_data),        cmocka_unit_test(test_bdat),
        cmocka_unit_test(test_smuggling),   cmocka_unit_test(test_smuggling_by_bdat),
        cmocka_unit_test(test_normalize),   cmocka_unit_test(test_big),
        cmocka_unit_test(test_tiny_chunks), cmocka_unit_test(test_small_chunks_that_end),
    };

    log_set_level((enum log_level) - 1); /* the disk errors are meant */
    return cmocka_run_group_tests(tests, NULL, NULL);
}
