#include "check.h"

#include "base/chain.h"

/* Allocations still to be granted; the linker sends malloc here. */
static size_t grants = SIZE_MAX;

void *__wrap_malloc(size_t size);
void *__real_malloc(size_t size);

void *__wrap_malloc(size_t size)
{
    if (!grants)
        return NULL;
    if (grants != SIZE_MAX)
        grants--;
    return __real_malloc(size);
}

static struct chunk_pool pool;
static unsigned char sample[5 * CHUNK_BYTES];

static int set_up(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(sample); i++)
        sample[i] = (unsigned char)(i * 7 + i / 251);
    chunk_pool_init(&pool, 2);
    return 0;
}

/* Asserts that nothing is lent out, too. */
static int tear_down(void **state)
{
    (void)state;
    grants = SIZE_MAX;
    assert_int_equal(pool.in_use, 0);
    chunk_pool_clear(&pool);
    return 0;
}

/* Reads all of the chain in runs of `max` and compares it with the sample. */
static void check_content(const struct chain *chain, size_t from, size_t len, size_t max)
{
    struct chain_reader reader;
    const unsigned char *run;
    size_t n, at = 0;

    assert_int_equal(chain->size, len);
    chain_reader_init(&reader, chain);
    while ((n = chain_read(&reader, &run, max)) > 0) {
        assert_true(n <= max && at + n <= len);
        assert_memory_equal(run, sample + from + at, n);
        at += n;
    }
    assert_int_equal(at, len);
}

static void test_add_and_consume(void **state)
{
    static const size_t lens[] = {
        0, 1, CHUNK_BYTES - 1, CHUNK_BYTES, CHUNK_BYTES + 1, 3 * CHUNK_BYTES, sizeof(sample)};

    (void)state;
    for (size_t i = 0; i < COUNT_OF(lens); i++) {
        for (size_t step = 997; step < 20000; step += 9000) {
            struct chain chain;
            size_t left = lens[i];

            chain_init(&chain, &pool);
            assert_true(chain_add(&chain, sample, lens[i]));
            check_content(&chain, 0, lens[i], step);
            while (left) {
                size_t part = step < left ? step : left, len;

                chain_consume(&chain, part);
                left -= part;
                check_content(&chain, lens[i] - left, left, SIZE_MAX);
                assert_int_equal(chain_peek(&chain, &len) != NULL, left > 0);
                assert_int_equal(len > 0, left > 0);
            }
            assert_int_equal(pool.in_use, 0);
        }
    }
}

static void test_room_and_grow(void **state)
{
    struct chain chain;
    size_t at = 0, room;

    (void)state;
    chain_init(&chain, &pool);
    while (at < sizeof(sample)) {
        unsigned char *to = chain_room(&chain, &room);

        assert_true(to && room > 0);
        if (room > 1000)
            room = 1000;
        if (room > sizeof(sample) - at)
            room = sizeof(sample) - at;
        memcpy(to, sample + at, room);
        chain_grow(&chain, room);
        at += room;
    }
    check_content(&chain, 0, sizeof(sample), 4096);
    chain_clear(&chain);
    assert_int_equal(chain.size, 0);
}

/* Room that nothing was read into must not show: a chain's first chunk is
 * where its octets are. */
static void test_unused_room(void **state)
{
    struct chain chain, from;
    size_t room, len;

    (void)state;
    chain_init(&chain, &pool);
    chain_init(&from, &pool);
    assert_non_null(chain_room(&chain, &room));
    assert_null(chain_peek(&chain, &len));
    assert_true(chain_add(&from, sample, 10));
    chain_splice(&chain, &from);
    assert_memory_equal(chain_peek(&chain, &len), sample, 10);
    assert_int_equal(len, 10);

    assert_true(chain_add(&chain, sample + 10, CHUNK_BYTES - 10));
    assert_non_null(chain_room(&chain, &room));
    assert_true(chain_add(&from, sample + CHUNK_BYTES, 5));
    chain_splice(&chain, &from);
    check_content(&chain, 0, CHUNK_BYTES + 5, SIZE_MAX);
    chain_consume(&chain, CHUNK_BYTES);
    assert_memory_equal(chain_peek(&chain, &len), sample + CHUNK_BYTES, 5);
    assert_int_equal(len, 5);
    chain_consume(&chain, 5);
}

static void test_splice(void **state)
{
    struct chain chain, from;

    (void)state;
    chain_init(&chain, &pool);
    chain_init(&from, &pool);
    chain_splice(&chain, &from);
    assert_int_equal(chain.size, 0);
    assert_true(chain_add(&from, sample, 100));
    chain_splice(&chain, &from);
    assert_int_equal(from.size, 0);
    assert_null(from.head);
    assert_true(chain_add(&from, sample + 100, CHUNK_BYTES));
    chain_splice(&chain, &from);
    assert_true(chain_add(&chain, sample + 100 + CHUNK_BYTES, 50));
    check_content(&chain, 0, CHUNK_BYTES + 150, 64);
    chain_consume(&chain, 120);
    check_content(&chain, 120, CHUNK_BYTES + 30, SIZE_MAX);
    chain_clear(&chain);
}

static void test_pool_spares(void **state)
{
    struct chain chain;

    (void)state;
    chain_init(&chain, &pool);
    assert_true(chain_add(&chain, sample, sizeof(sample)));
    assert_int_equal(pool.in_use, 5);
    chain_clear(&chain);
    assert_int_equal(pool.in_use, 0);
    assert_int_equal(pool.spares, 2);
    grants = 0; /* spares serve without an allocation */
    assert_true(chain_add(&chain, sample, 2 * CHUNK_BYTES));
    assert_int_equal(pool.spares, 0);
    chain_clear(&chain);
}

/* Whatever chunk is the one that cannot be had: the chain stays what it was. */
static void test_no_memory(void **state)
{
    (void)state;
    chunk_pool_init(&pool, 0);
    for (size_t before = 0; before < 2 * CHUNK_BYTES; before += 5000) {
        for (size_t granted = 0; granted < 3; granted++) {
            struct chain chain;
            size_t len;

            chain_init(&chain, &pool);
            assert_true(chain_add(&chain, sample, before));
            grants = granted;
            assert_false(chain_add(&chain, sample, sizeof(sample)));
            grants = SIZE_MAX;
            check_content(&chain, 0, before, SIZE_MAX);
            assert_int_equal(chain_peek(&chain, &len) != NULL, before > 0);
            assert_true(chain_add(&chain, sample + before, 1000));
            check_content(&chain, 0, before + 1000, SIZE_MAX);
            chain_clear(&chain);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_add_and_consume, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_room_and_grow, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_unused_room, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_splice, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_pool_spares, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_no_memory, set_up, tear_down),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
