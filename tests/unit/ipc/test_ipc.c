/* Frames between broker and relay: each type there and back, at every split,
 * cut everywhere, over every limit. */
#include "check.h"

#include "ipc/ipc.h"

#define FIRST_TYPE IPC_CONFIG
#define LAST_TYPE IPC_DIAGNOSIS_DONE

/* One message of each type, all fields different from zero. */
static const struct ipc_message samples[] = {
    {IPC_CONFIG,
     {.config = {SLICE("log.level: info\n"), SLICE("CA"), SLICE("CERT"), SLICE("KEY")}}},
    {IPC_LISTENER, {.listener = {7, UINT32_MAX, 2, SLICE("127.0.0.1:2525")}}},
    {IPC_START, {.empty = {0}}},
    {IPC_ACCOUNT_PUT,
     {.account = {.id = SLICE("gmail_a_b"),
                  .login = SLICE("a@b"),
                  .sasl_user = SLICE("c@d"),
                  .provider = SLICE("gmail"),
                  .host = SLICE("smtp.gmail.com"),
                  .port = 587,
                  .tls = 1,
                  .mechanism = 2,
                  .source_address = SLICE("192.0.2.1"),
                  .generation = 0x0102030405060708,
                  .has_password = 1,
                  .bdat = 2,
                  .max_connections = 3,
                  .max_messages_per_connection = UINT32_MAX,
                  .max_concurrent = 10,
                  .max_age_ms = 300000,
                  .idle_ms = UINT64_MAX}}},
    {IPC_ACCOUNT_REMOVE, {.account_remove = {SLICE("id"), SLICE("login")}}},
    {IPC_TOKEN, {.token = {SLICE("id"), SLICE("ya29.secret"), 3, 4, 1700000000000}}},
    {IPC_STATE, {.state = {SLICE("id"), 3, ACCOUNT_DISABLED, 5, SLICE("by the operator")}}},
    {IPC_LOOKUP_DONE, {.lookup_done = {9, 1}}},
    {IPC_PASSWORD_DONE, {.password_done = {9, 2, 11}}},
    {IPC_RESOLVE_DONE, {.resolve_done = {9, SLICE("192.0.2.1:25 [::1]:25"), 60000, SLICE("no")}}},
    {IPC_DRAIN, {.empty = {0}}},
    {IPC_SNAPSHOT, {.snapshot = {9, SLICE("id"), SLICE("before"), 1000}}},
    {IPC_PROBE, {.probe = {9, SLICE("id")}}},
    {IPC_LOG_LEVEL, {.log_level = {4}}},
    {IPC_LEDGER_PUT, {.ledger_put = {1, SLICE("id"), SLICE("m0:3"), 7, UINT64_MAX}}},
    {IPC_DIAGNOSE, {.diagnose = {9, SLICE("id"), SLICE("a@b")}}},
    {IPC_READY, {.empty = {0}}},
    {IPC_LOOKUP, {.lookup = {9, SLICE("a@b")}}},
    {IPC_PASSWORD, {.password = {9, SLICE("id"), SLICE("pa\0ss")}}},
    {IPC_RESOLVE, {.resolve = {9, SLICE("smtp.gmail.com"), 465}}},
    {IPC_TOKEN_WANTED, {.token_wanted = {SLICE("id")}}},
    {IPC_TOKEN_REJECTED, {.token_rejected = {SLICE("id"), 4, SLICE("535 5.7.8 no")}}},
    {IPC_OBSERVED, {.observed = {SLICE("id"), 3, ACCOUNT_PARKED, 60000, SLICE("550 5.4.5")}}},
    {IPC_DRAINED, {.empty = {0}}},
    {IPC_POOL,
     {.pool = {.request = 9,
               .id = SLICE("id"),
               .endpoint = SLICE("smtp.gmail.com:465"),
               .dialing = 1,
               .idle = 2,
               .busy = 3,
               .draining = 4,
               .waiting = 5,
               .running = 6,
               .max_connections = 7,
               .max_concurrent = 8,
               .dial_failures = 9,
               .logins = 10,
               .max_logins = UINT32_MAX,
               .login_wait_ms = 12,
               .connections_now = 1,
               .minute = 2,
               .max_minute = 3,
               .hour = 4,
               .max_hour = 5,
               .day = 6,
               .max_day = 7,
               .recipients = 8,
               .max_recipients = 9,
               .message_wait_ms = 10,
               .breaker_wait_ms = 11,
               .delivered = 13,
               .rejected = 14,
               .deferred = 15,
               .unknown = UINT64_MAX,
               .last_delivery_wall_ms = 1700000000000}}},
    {IPC_SNAPSHOT_DONE, {.snapshot_done = {9, 1}}},
    {IPC_PROBE_DONE, {.probe_done = {9, 1, 535, SLICE("auth"), SLICE("5.7.8 no")}}},
    {IPC_LEDGER, {.ledger = {1, SLICE("id"), SLICE("m0:3")}}},
    {IPC_DIAGNOSIS_STEP,
     {.diagnosis_step = {9, IPC_STEP_MAIL, IPC_STEP_FAILED, ACCOUNT_PARKED, 550, 12,
                         SLICE("5.4.5 quota")}}},
    {IPC_DIAGNOSIS_DONE, {.diagnosis_done = {9, 1, SLICE("why")}}},
};

static unsigned char *encode(const struct ipc_message *message, size_t *len)
{
    unsigned char *frame = ipc_encode(message, len);

    if (!frame) {
        fail_msg("%s does not encode", ipc_name(message->type));
        abort();
    }
    return frame;
}

/* Equal messages have equal frames, and a frame holds every field. */
static void check_same(const struct ipc_message *got, const unsigned char *frame, size_t len)
{
    size_t again_len;
    unsigned char *again = encode(got, &again_len);

    check_num(ipc_name(got->type), (long long)again_len, (long long)len);
    assert_memory_equal(again, frame, len);
    free(again);
}

static void test_every_type_has_a_sample(void **state)
{
    size_t at = 0;

    (void)state;
    for (unsigned type = 0; type < 256; type++) {
        if (strcmp(ipc_name((enum ipc_type)type), "unknown") == 0)
            continue;
        assert_true(at < COUNT_OF(samples));
        check_num("type", samples[at++].type, type);
    }
    check_num("samples", (long long)at, COUNT_OF(samples));
}

static void test_fields_arrive(void **state)
{
    const struct ipc_account *account = &samples[3].u.account;
    struct ipc_message got;
    unsigned char *frame;
    size_t len;

    (void)state;
    frame = encode(&samples[3], &len);
    assert_true(ipc_decode((struct slice){(char *)frame + 4, len - 4}, &got, NULL));
    check_num("type", got.type, IPC_ACCOUNT_PUT);
    check_slice("id", got.u.account.id, account->id);
    check_slice("login", got.u.account.login, account->login);
    check_slice("sasl_user", got.u.account.sasl_user, account->sasl_user);
    check_slice("host", got.u.account.host, account->host);
    check_slice("source", got.u.account.source_address, account->source_address);
    check_num("port", got.u.account.port, 587);
    check_num("generation", (long long)got.u.account.generation, 0x0102030405060708);
    check_num("bdat", got.u.account.bdat, 2);
    assert_true(got.u.account.idle_ms == UINT64_MAX);
    free(frame);
}

/* All messages as one stream, cut in two at each octet; then octet by octet. */
static struct slice all_frames(void)
{
    char *stream = malloc(1 << 16);
    size_t total = 0;

    if (!stream)
        abort();
    for (size_t i = 0; i < COUNT_OF(samples); i++) {
        size_t len;
        unsigned char *frame = encode(&samples[i], &len);

        memcpy(stream + total, frame, len);
        total += len;
        free(frame);
    }
    return (struct slice){stream, total};
}

static void feed(struct ipc_reader *reader, struct slice bytes, size_t *seen)
{
    char *exact = exact_copy(bytes);
    struct slice rest = {exact, bytes.len};

    for (;;) {
        struct ipc_message got;
        struct reason why;
        size_t used, len;
        unsigned char *frame;
        int rc = ipc_reader_next(reader, rest, &used, &got, &why);

        if (rc < 0)
            fail_msg("reader: %s", why.text);
        rest.ptr += used;
        rest.len -= used;
        if (rc == 0)
            break;
        frame = encode(&samples[*seen], &len);
        check_same(&got, frame, len);
        free(frame);
        ++*seen;
    }
    check_num("all was consumed", (long long)rest.len, 0);
    free(exact);
}

static void test_reader_at_every_split(void **state)
{
    struct slice stream = all_frames();

    (void)state;
    for (size_t cut = 0; cut <= stream.len; cut++) {
        struct ipc_reader reader;
        size_t seen = 0;

        ipc_reader_init(&reader);
        feed(&reader, (struct slice){stream.ptr, cut}, &seen);
        feed(&reader, (struct slice){stream.ptr + cut, stream.len - cut}, &seen);
        check_num("messages", (long long)seen, COUNT_OF(samples));
        ipc_reader_clear(&reader);
    }
    free((void *)(uintptr_t)stream.ptr);
}

static void test_reader_octet_by_octet(void **state)
{
    struct slice stream = all_frames();
    struct ipc_reader reader;
    size_t seen = 0;

    (void)state;
    ipc_reader_init(&reader);
    for (size_t i = 0; i < stream.len; i++)
        feed(&reader, (struct slice){stream.ptr + i, 1}, &seen);
    check_num("messages", (long long)seen, COUNT_OF(samples));
    ipc_reader_clear(&reader);
    free((void *)(uintptr_t)stream.ptr);
}

static void test_cut_and_long_payloads(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(samples); i++) {
        size_t len;
        unsigned char *frame = encode(&samples[i], &len);

        for (size_t keep = 0; keep < len - 4; keep++) {
            char *payload = exact_copy((struct slice){(char *)&frame[4], keep});
            struct ipc_message got;
            struct reason why;

            if (ipc_decode((struct slice){payload, keep}, &got, &why))
                fail_msg("%s cut to %zu decodes", ipc_name(samples[i].type), keep);
            assert_true(why.text[0] != '\0');
            free(payload);
        }
        frame = realloc(frame, len + 1);
        assert_non_null(frame);
        frame[len] = 0;
        assert_false(
            ipc_decode((struct slice){(char *)frame + 4, len - 3}, &(struct ipc_message){0}, NULL));
        free(frame);
    }
}

static char big[(2u << 20) + 1];

/* Puts a text of `len` octets into the field at `offset`; whether it passes
 * encoding and decoding. */
static bool passes(enum ipc_type type, size_t offset, size_t len)
{
    struct ipc_message message = {.type = type}, got;
    size_t frame_len;
    unsigned char *frame;
    bool ok;

    *(struct slice *)(void *)((char *)&message.u + offset) = (struct slice){big, len};
    frame = ipc_encode(&message, &frame_len);
    ok = frame && ipc_decode((struct slice){(char *)frame + 4, frame_len - 4}, &got, NULL);
    free(frame);
    return ok;
}

static void test_text_limits(void **state)
{
    static const struct {
        const char *row;
        enum ipc_type type;
        size_t offset, max;
    } rows[] = {
        {"token", IPC_TOKEN, offsetof(struct ipc_token, token), IPC_TOKEN_MAX},
        {"token id", IPC_TOKEN, offsetof(struct ipc_token, id), IPC_ID_MAX},
        {"state text", IPC_STATE, offsetof(struct ipc_state, text), IPC_TEXT_MAX},
        {"login", IPC_LOOKUP, offsetof(struct ipc_lookup, login), IPC_ID_MAX},
        {"options", IPC_CONFIG, offsetof(struct ipc_config, options), 1u << 20},
        {"ca", IPC_CONFIG, offsetof(struct ipc_config, ca_pem), 2u << 20},
        {"rejected", IPC_TOKEN_REJECTED, offsetof(struct ipc_token_rejected, text), IPC_TEXT_MAX},
        {"observed", IPC_OBSERVED, offsetof(struct ipc_observed, text), IPC_TEXT_MAX},
        {"after", IPC_SNAPSHOT, offsetof(struct ipc_snapshot, after), IPC_ID_MAX},
        {"pool", IPC_POOL, offsetof(struct ipc_pool, endpoint), IPC_ENDPOINT_MAX},
        {"probed", IPC_PROBE_DONE, offsetof(struct ipc_probe_done, text), IPC_TEXT_MAX},
        {"step", IPC_PROBE_DONE, offsetof(struct ipc_probe_done, step), 32},
        {"sender", IPC_DIAGNOSE, offsetof(struct ipc_diagnose, sender), IPC_ID_MAX},
        {"diagnosed", IPC_DIAGNOSIS_STEP, offsetof(struct ipc_diagnosis_step, text), IPC_TEXT_MAX},
        {"addresses", IPC_RESOLVE_DONE, offsetof(struct ipc_resolve_done, addresses), 1024},
    };

    (void)state;
    memset(big, 'x', sizeof(big));
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        if (!passes(rows[i].type, rows[i].offset, rows[i].max))
            fail_msg("%s: %zu octets must pass", rows[i].row, rows[i].max);
        if (passes(rows[i].type, rows[i].offset, rows[i].max + 1))
            fail_msg("%s: %zu octets must not pass", rows[i].row, rows[i].max + 1);
    }
}

/* The other side may not follow the rules of ours: limits hold in decoding
 * too. */
static void test_decode_limits(void **state)
{
    struct ipc_message message = {.type = IPC_STATE, .u.state = {.state = ACCOUNT_STATES}}, got;
    unsigned char frame[64 + IPC_ID_MAX] = {IPC_TOKEN_WANTED};

    (void)state;
    assert_null(ipc_encode(&message, &(size_t){0}));
    frame[1] = (IPC_ID_MAX + 1) & 255;
    frame[2] = (IPC_ID_MAX + 1) >> 8;
    assert_false(ipc_decode((struct slice){(char *)frame, 5 + IPC_ID_MAX + 1}, &got, NULL));
    memset(frame + 1, 0xff, 4);
    assert_false(ipc_decode((struct slice){(char *)frame, sizeof(frame)}, &got, NULL));
    /* A state that does not exist, an answer that is neither yes nor no. */
    memset(frame, 0, sizeof(frame));
    frame[0] = IPC_OBSERVED;
    assert_true(ipc_decode((struct slice){(char *)frame, 1 + 4 + 8 + 4 + 8 + 4}, &got, NULL));
    frame[1 + 4 + 8] = ACCOUNT_STATES;
    assert_false(ipc_decode((struct slice){(char *)frame, 1 + 4 + 8 + 4 + 8 + 4}, &got, NULL));
    memset(frame, 0, sizeof(frame));
    frame[0] = IPC_LOOKUP_DONE;
    frame[9] = 2;
    assert_false(ipc_decode((struct slice){(char *)frame, 10}, &got, NULL));
}

static int read_prefix(const char *octets, size_t len)
{
    struct ipc_reader reader;
    struct ipc_message got;
    struct reason why;
    size_t used;
    int rc;

    ipc_reader_init(&reader);
    rc = ipc_reader_next(&reader, (struct slice){octets, len}, &used, &got, &why);
    ipc_reader_clear(&reader);
    return rc;
}

static void test_reader_refuses(void **state)
{
    (void)state;
    check_num("empty frame", read_prefix("\0\0\0\0", 4), -1);
    check_num("over the limit", read_prefix("\1\0\100\0", 4), -1);
    check_num("far over the limit", read_prefix("\377\377\377\377", 4), -1);
    check_num("at the limit", read_prefix("\0\0\100\0", 4), 0);
    check_num("unknown type", read_prefix("\1\0\0\0\377", 5), -1);
    check_num("type 0", read_prefix("\1\0\0\0\0", 5), -1);
    check_num("no octet", read_prefix("", 0), 0);
}

static void test_garbage(void **state)
{
    uint64_t seed = 0x9e3779b97f4a7c15;

    (void)state;
    for (int round = 0; round < 20000; round++) {
        size_t len = 1 + next_random(&seed) % 80;
        char *octets = malloc(len);
        struct ipc_message got;

        assert_non_null(octets);
        for (size_t i = 0; i < len; i++)
            octets[i] = (char)next_random(&seed);
        octets[0] = (char)(octets[0] & 0x5f); /* often a type that exists */
        if (ipc_decode((struct slice){octets, len}, &got, NULL)) {
            size_t again;
            unsigned char *frame = encode(&got, &again);

            check_num("garbage round trip", (long long)again, (long long)len + 4);
            free(frame);
        }
        free(octets);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_type_has_a_sample),
        cmocka_unit_test(test_fields_arrive),
        cmocka_unit_test(test_reader_at_every_split),
        cmocka_unit_test(test_reader_octet_by_octet),
        cmocka_unit_test(test_cut_and_long_payloads),
        cmocka_unit_test(test_text_limits),
        cmocka_unit_test(test_decode_limits),
        cmocka_unit_test(test_reader_refuses),
        cmocka_unit_test(test_garbage),
    };

    return cmocka_run_group_tests_name("ipc", tests, NULL, NULL);
}
