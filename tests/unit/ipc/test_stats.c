/* The table of what is counted, its sums and buckets. */
#include "check.h"

#include "ipc/stats.h"

static struct stats_area area;

/* Field behind field: no word of a block is left out or told twice. */
static void test_the_table_covers_a_block(void **state)
{
    size_t at = 0;

    (void)state;
    for (const struct stats_info *info = stats_table; info->name; info++) {
        check_num(info->name, (long long)info->offset, (long long)at);
        check_num(info->name, (long long)info->size,
                  info->kind == STATS_KIND_HISTOGRAM ? sizeof(struct stats_histogram)
                                                     : sizeof(uint64_t));
        assert_true(info->help[0] != '\0');
        at += info->size;
    }
    check_num("end", (long long)at, (long long)offsetof(struct stats, apart));
}

/* What a reader of metrics goes by. */
static void test_names_tell_the_kind(void **state)
{
    (void)state;
    for (const struct stats_info *info = stats_table; info->name; info++) {
        size_t len = strlen(info->name);
        bool total = len > 6 && strcmp(info->name + len - 6, "_total") == 0;
        bool seconds = len > 8 && strcmp(info->name + len - 8, "_seconds") == 0;

        check_num(info->name, total, info->kind == STATS_KIND_COUNTER);
        check_num(info->name, seconds, info->kind == STATS_KIND_HISTOGRAM);
    }
}

static void test_sum(void **state)
{
    struct stats sum;

    (void)state;
    memset(&area, 0, sizeof(area));
    stats_add(&area.blocks[0].messages_delivered_total, 3);
    stats_add(&area.blocks[1].messages_delivered_total, 4);
    stats_add(&area.blocks[STATS_WORKERS_MAX - 1].messages_delivered_total, 5);
    stats_add(&area.blocks[1].client_sessions, 2);
    stats_sub(&area.blocks[1].client_sessions, 1);
    stats_observe(&area.blocks[0].message_wait_seconds, 9);
    stats_observe(&area.blocks[1].message_wait_seconds, 10);
    memset(&sum, 0, sizeof(sum));
    stats_sum(&area, &sum);
    check_num("delivered", (long long)sum.messages_delivered_total, 12);
    check_num("sessions", (long long)sum.client_sessions, 1);
    check_num("bucket", (long long)sum.message_wait_seconds.buckets[4], 2);
    check_num("ms", (long long)sum.message_wait_seconds.sum_ms, 19);
    for (const struct stats_info *info = stats_table; info->name; info++) {
        if (strcmp(info->name, "messages_delivered_total") == 0)
            check_num("by its row", (long long)stats_number(&sum, info), 12);
        else if (strcmp(info->name, "message_wait_seconds") == 0)
            check_num("by its row", (long long)stats_histogram(&sum, info)->sum_ms, 19);
        else if (info->kind != STATS_KIND_HISTOGRAM && strcmp(info->name, "client_sessions") != 0)
            check_num(info->name, (long long)stats_number(&sum, info), 0);
    }
}

static unsigned bucket_of(uint64_t ms)
{
    struct stats_histogram histogram = {0};
    unsigned bucket = 0;

    stats_observe(&histogram, ms);
    while (!histogram.buckets[bucket])
        bucket++;
    return bucket;
}

static void test_buckets(void **state)
{
    (void)state;
    check_num("0 ms", bucket_of(0), 0);
    check_num("1 ms", bucket_of(1), 0);
    check_num("2 ms", bucket_of(2), 1);
    check_num("3 ms", bucket_of(3), 2);
    for (unsigned b = 1; b < STATS_BUCKETS - 1; b++) {
        check_num("its bound", bucket_of(1ull << b), b);
        check_num("just above", bucket_of((1ull << b) + 1), b + 1);
    }
    check_num("for ever", bucket_of(UINT64_MAX), STATS_BUCKETS - 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_table_covers_a_block),
        cmocka_unit_test(test_names_tell_the_kind),
        cmocka_unit_test(test_sum),
        cmocka_unit_test(test_buckets),
    };

    return cmocka_run_group_tests_name("ipc/stats", tests, NULL, NULL);
}
