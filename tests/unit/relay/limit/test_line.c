/* Turns: round robin between clients, in order within one. */
#include "check.h"

#include <stdio.h>

#include "relay/limit/line.h"

struct job {
    struct line_item item;
    unsigned client, number;
};

static struct job jobs[1000];
static struct line line;

static void push(struct job *job, unsigned client, unsigned number)
{
    char name[16];

    snprintf(name, sizeof(name), "%u", client);
    *job = (struct job){.client = client, .number = number};
    assert_true(line_push(&line, &job->item, name));
}

static struct job *job_of(struct line_item *item)
{
    return item ? container_of(item, struct job, item) : NULL;
}

static struct job *serve(void)
{
    struct job *job = job_of(line_head(&line));

    if (job)
        line_serve(&line, &job->item);
    return job;
}

static void check_served(unsigned client, unsigned number)
{
    struct job *job = serve();

    assert_non_null(job);
    check_num("client", job->client, client);
    check_num("number", job->number, number);
}

static void test_turns(void **state)
{
    (void)state;
    line_init(&line);
    for (unsigned i = 0; i < 4; i++)
        push(&jobs[i], 1, i);
    push(&jobs[4], 2, 0);
    push(&jobs[5], 3, 0);
    push(&jobs[6], 3, 1);
    check_num("count", (long long)line.count, 7);
    check_num("ahead", (long long)line_ahead(&line, &jobs[0].item), 0);
    check_num("ahead", (long long)line_ahead(&line, &jobs[6].item), 1 + 1 + 2);
    check_num("ahead", (long long)line_ahead(&line, &jobs[3].item), 3 + 1 + 2);
    check_num("ahead", (long long)line_ahead(&line, &jobs[5].item), 2);
    check_served(1, 0);
    check_served(2, 0);
    check_served(3, 0);
    check_served(1, 1);
    check_served(3, 1);
    check_served(1, 2);
    check_served(1, 3);
    assert_null(serve());
    assert_null(line_head(&line));
    line_clear(&line);
}

static void test_tried_ones_go_first(void **state)
{
    (void)state;
    line_init(&line);
    push(&jobs[0], 1, 0);
    push(&jobs[1], 2, 0);
    jobs[2] = (struct job){.client = 2, .number = 7};
    jobs[3] = (struct job){.client = 2, .number = 8};
    line_push_first(&line, &jobs[2].item);
    line_push_first(&line, &jobs[3].item);
    check_num("ahead", (long long)line_ahead(&line, &jobs[1].item), 3);
    check_num("ahead", (long long)line_ahead(&line, &jobs[2].item), 1);
    check_served(2, 8);
    check_served(2, 7);
    check_served(1, 0);
    check_served(2, 0);
    line_clear(&line);
}

static void test_leaving_and_walking(void **state)
{
    struct line_item *item;
    unsigned seen = 0;

    (void)state;
    line_init(&line);
    for (unsigned i = 0; i < 30; i++)
        push(&jobs[i], i % 3, i);
    jobs[30] = (struct job){.client = 9, .number = 30};
    line_push_first(&line, &jobs[30].item);
    for (item = line_head(&line); item; item = line_next(&line, item))
        seen |= 1u << job_of(item)->number;
    check_num("seen", seen, (1u << 31) - 1);
    for (unsigned i = 0; i < 30; i += 3) /* all of one client */
        line_remove(&line, &jobs[i].item);
    assert_false(line_has(&jobs[0].item));
    check_num("left", (long long)line.count, 21);
    check_served(9, 30);
    check_served(1, 1);
    check_served(2, 2);
    while (serve())
        ;
    check_num("left", (long long)line.count, 0);
    line_clear(&line);
}

/* Whoever waits sees each other client served at most once before him, for each
 * place of his own in his queue. */
static void test_nobody_starves(void **state)
{
    unsigned numbers[8] = {0}, next[8] = {0};
    static size_t hoped[1000];
    size_t used = 0;
    uint64_t random = 99;

    (void)state;
    line_init(&line);
    for (unsigned step = 0; step < 20000; step++) {
        size_t free_at = 0;
        struct job *job;

        if (line.count < 500 && next_random(&random) % 2) {
            unsigned client = (unsigned)(next_random(&random) % 8);

            client = client > 2 ? 0 : client; /* one sends more than all others */
            while (line_has(&jobs[free_at].item))
                free_at++;
            push(&jobs[free_at], client, numbers[client]++);
            hoped[free_at] = used + 8 * (line_ahead(&line, &jobs[free_at].item) + 1);
        } else if ((job = serve())) {
            check_num("in order", job->number, next[job->client]++);
            assert_true(used <= hoped[job - jobs]);
            used++;
        }
    }
    while (serve())
        ;
    line_clear(&line);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_turns),
        cmocka_unit_test(test_tried_ones_go_first),
        cmocka_unit_test(test_leaving_and_walking),
        cmocka_unit_test(test_nobody_starves),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
