/* A message's content: memory, file, budget, reading it back. */
#include "check.h"

#include <unistd.h>

#include "relay/body.h"

static struct relay relay;
static struct stats_area area;
static struct settings settings;
static struct worker worker;

static char octet_at(size_t at)
{
    return (char)(at * 31 + at / 251);
}

static void add(struct body *body, size_t from, size_t len)
{
    char piece[5000];

    while (len) {
        size_t part = len < sizeof(piece) ? len : sizeof(piece);

        for (size_t i = 0; i < part; i++)
            piece[i] = octet_at(from + i);
        assert_true(body_add(body, piece, part));
        from += part;
        len -= part;
    }
}

static void check_content(const struct body *body, size_t size, size_t max)
{
    unsigned char *scratch = malloc(max);
    struct body_reader reader;
    const unsigned char *run;
    size_t at = 0;
    ptrdiff_t n;

    body_reader_init(&reader, body);
    while ((n = body_read(&reader, &run, scratch, max)) > 0) {
        assert_true((size_t)n <= max);
        for (ptrdiff_t i = 0; i < n; i++, at++) {
            if ((char)run[i] != octet_at(at))
                fail_msg("octet %zu is wrong", at);
        }
    }
    assert_int_equal(n, 0);
    check_num("read", (long long)at, (long long)size);
    assert_int_equal(body_read(&reader, &run, scratch, max), 0);
    free(scratch);
}

static uint64_t used(void)
{
    return atomic_load(&relay.memory_used);
}

/* Half of the budget is used by others. */
static void use_half(bool half)
{
    settings.conf->memory_limit = half ? 200 << 20 : UINT64_MAX;
    atomic_store(&relay.memory_used, half ? 100 << 20 : 0);
}

static void check_sizes(uint64_t used_by_others)
{
    static const size_t sizes[] = {0,     1,      CHUNK_BYTES - 1, CHUNK_BYTES, CHUNK_BYTES + 1,
                                   99999, 100000, 100001,          1000000};
    struct body body;

    for (size_t i = 0; i < COUNT_OF(sizes); i++) {
        body_init(&body, &worker);
        add(&body, 0, sizes[i]);
        check_num("size", (long long)body.size, (long long)sizes[i]);
        assert_int_equal(body.fd >= 0, used_by_others && sizes[i] > settings.conf->spill_threshold);
        check_content(&body, sizes[i], 16384);
        check_content(&body, sizes[i], 1000);
        check_content(&body, sizes[i], 16384); /* and again: a second attempt */
        body_clear(&body);
        check_num("used", (long long)used(), (long long)used_by_others);
        check_num("empty", (long long)body.size, 0);
        assert_int_equal(body.fd, -1);
    }
}

static void test_sizes(void **state)
{
    (void)state;
    check_sizes(0);
    use_half(true);
    check_sizes(used());
    use_half(false);
}

/* It grew large while there was plenty of memory: that part stays there. */
static void test_half_in_memory(void **state)
{
    struct body body;
    uint64_t in_memory, chunks;

    (void)state;
    body_init(&body, &worker);
    settings.conf->memory_limit = 1 << 20;
    add(&body, 0, 900000);
    in_memory = body.memory.size;
    assert_true(body.fd >= 0 && in_memory > 500000 && in_memory < 600000);
    chunks = (in_memory + CHUNK_BYTES - 1) / CHUNK_BYTES;
    check_num("charged", (long long)(used() / sizeof(struct chunk)), (long long)chunks);
    check_content(&body, 900000, 16384);
    check_content(&body, 900000, 999);
    body_clear(&body);
    check_num("used", (long long)used(), 0);
    settings.conf->memory_limit = UINT64_MAX;
}

/* What is counted is what the chunks take, and a file costs nothing. */
static void test_budget(void **state)
{
    struct body one, two;

    (void)state;
    body_init(&one, &worker);
    body_init(&two, &worker);
    add(&one, 0, CHUNK_BYTES + 1);
    check_num("two chunks", (long long)used(), 2 * (long long)sizeof(struct chunk));
    assert_false(body_memory_tight(&worker));
    settings.conf->memory_limit = used();
    assert_true(body_memory_tight(&worker));
    add(&two, 0, 10); /* begun under pressure: straight to the file */
    assert_true(two.fd >= 0);
    check_num("still two", (long long)used(), 2 * (long long)sizeof(struct chunk));
    add(&one, CHUNK_BYTES + 1, 10); /* and one under way moves there */
    assert_true(one.fd >= 0);
    check_num("none", (long long)used(), 0);
    assert_false(body_memory_tight(&worker));
    check_content(&one, CHUNK_BYTES + 11, 4096);
    check_content(&two, 10, 4096);
    body_clear(&one);
    body_clear(&two);
    settings.conf->memory_limit = UINT64_MAX;
}

static void test_no_room_for_the_file(void **state)
{
    struct body body;
    char dir[sizeof(settings.conf->spill_dir)];

    (void)state;
    memcpy(dir, settings.conf->spill_dir, sizeof(dir));
    slice_copy(SLICE("/nowhere/at/all"), settings.conf->spill_dir, sizeof(dir));
    use_half(true);
    body_init(&body, &worker);
    add(&body, 0, 50000);
    while (!body.failed)
        body_add(&body, dir, sizeof(dir));
    assert_false(body_add(&body, "x", 1));
    assert_true(body.size <= settings.conf->spill_threshold);
    body_clear(&body);
    use_half(false);
    assert_false(body.failed);
    memcpy(settings.conf->spill_dir, dir, sizeof(dir));
}

/* A file that somebody cut is an error, not a short message. */
static void test_short_file(void **state)
{
    unsigned char scratch[4096];
    struct body_reader reader;
    const unsigned char *run;
    struct body body;
    ptrdiff_t n;

    (void)state;
    use_half(true);
    body_init(&body, &worker);
    add(&body, 0, 200000);
    assert_int_equal(ftruncate(body.fd, 150000), 0);
    body_reader_init(&reader, &body);
    while ((n = body_read(&reader, &run, scratch, sizeof(scratch))) > 0)
        ;
    assert_int_equal(n, -1);
    body_clear(&body);
    use_half(false);
}

static void test_what_it_notices(void **state)
{
    static const struct {
        const char *pieces[3];
        bool has_8bit, ends_crlf;
    } rows[] = {
        {{""}, false, true},
        {{"a"}, false, false},
        {{"a\r\n"}, false, true},
        {{"a\r", "\n"}, false, true},
        {{"a", "\r", "\n"}, false, true},
        {{"a\r", "b\n"}, false, false},
        {{"\n"}, false, false},
        {{"a\r\n", "\n"}, false, false},
        {{"a\xc3\xa9\r\n"}, true, true},
        {{"\x80"}, true, false},
        {{"a", "\x80", "b"}, true, false},
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct body body;

        body_init(&body, &worker);
        for (size_t k = 0; k < 3 && rows[i].pieces[k]; k++)
            assert_true(body_add(&body, rows[i].pieces[k], strlen(rows[i].pieces[k])));
        if (body.has_8bit != rows[i].has_8bit || body.ends_crlf != rows[i].ends_crlf)
            fail_msg("row %zu: 8bit %d, ends in CRLF %d", i, body.has_8bit, body.ends_crlf);
        body_clear(&body);
    }
}

static int set_up(void **state)
{
    (void)state;
    settings.conf = conf_default();
    settings.conf->spill_threshold = 100000;
    settings.conf->memory_limit = UINT64_MAX;
    slice_copy(SLICE("/tmp"), settings.conf->spill_dir, sizeof(settings.conf->spill_dir));
    chunk_pool_init(&worker.loop.chunks, 4);
    worker.relay = &relay;
    worker.settings = &settings;
    worker.stats = &area.blocks[0];
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    chunk_pool_clear(&worker.loop.chunks);
    conf_free(settings.conf);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sizes),      cmocka_unit_test(test_half_in_memory),
        cmocka_unit_test(test_budget),     cmocka_unit_test(test_no_room_for_the_file),
        cmocka_unit_test(test_short_file), cmocka_unit_test(test_what_it_notices),
    };

    return cmocka_run_group_tests(tests, set_up, tear_down);
}
