/* Mailboxes: order, no loss with several senders, closing while they post. */
#include "check.h"

#include <stdatomic.h>

#include "net/mailbox.h"

#define SENDERS 3
#define LETTERS 20000

struct letter {
    struct mail mail;
    unsigned sender, number;
};

static struct loop loop;
static struct mailbox mailbox;
static unsigned next_number[SENDERS], delivered;
static atomic_uint refused;

static void deliver(struct mail *mail)
{
    struct letter *letter = container_of(mail, struct letter, mail);

    check_num("order", letter->number, next_number[letter->sender]);
    next_number[letter->sender]++;
    delivered++;
    free(letter);
}

static bool post(unsigned sender, unsigned number)
{
    struct letter *letter = malloc(sizeof(*letter));

    *letter = (struct letter){.sender = sender, .number = number};
    if (mailbox_post(&mailbox, &letter->mail, deliver))
        return true;
    free(letter); /* it stayed ours */
    return false;
}

static void *send_many(void *arg)
{
    unsigned sender = (unsigned)(uintptr_t)arg;

    for (unsigned i = 0; i < LETTERS; i++) {
        if (!post(sender, i)) {
            atomic_fetch_add(&refused, LETTERS - i);
            break;
        }
    }
    return NULL;
}

static void open_all(void)
{
    struct reason why;

    assert_true(loop_init(&loop, &why));
    assert_true(mailbox_init(&mailbox, &loop, &why));
    memset(next_number, 0, sizeof(next_number));
    delivered = 0;
    atomic_store(&refused, 0);
}

static void start_senders(pthread_t *threads)
{
    for (uintptr_t i = 0; i < SENDERS; i++)
        pthread_create(&threads[i], NULL, send_many, (void *)i);
}

static void join_senders(pthread_t *threads)
{
    for (unsigned i = 0; i < SENDERS; i++)
        pthread_join(threads[i], NULL);
}

static void test_many_senders(void **state)
{
    pthread_t threads[SENDERS];

    (void)state;
    open_all();
    start_senders(threads);
    while (delivered < SENDERS * LETTERS)
        uv_run(&loop.uv, UV_RUN_ONCE);
    join_senders(threads);
    mailbox_close(&mailbox);
    loop_close(&loop);
    check_num("refused", atomic_load(&refused), 0);
}

/* What was accepted is delivered, by close itself if need be; what was not is
 * still the sender's. */
static void test_close_under_fire(void **state)
{
    pthread_t threads[SENDERS];

    (void)state;
    for (int round = 0; round < 20; round++) {
        open_all();
        start_senders(threads);
        for (int i = 0; i < round; i++)
            uv_run(&loop.uv, UV_RUN_NOWAIT);
        mailbox_close(&mailbox);
        join_senders(threads);
        assert_false(post(0, 0));
        loop_close(&loop);
        check_num("all of them", delivered + atomic_load(&refused), SENDERS * LETTERS);
    }
}

static struct letter boomerang;
static unsigned flights;

static void fly_again(struct mail *mail)
{
    if (++flights < 5)
        assert_true(mailbox_post(&mailbox, mail, fly_again));
}

/* Delivered mail is its receiver's: it may be posted again from inside. */
static void test_posted_again_while_delivered(void **state)
{
    (void)state;
    open_all();
    flights = 0;
    assert_true(mailbox_post(&mailbox, &boomerang.mail, fly_again));
    for (int i = 0; i < 100 && flights < 5; i++)
        uv_run(&loop.uv, UV_RUN_NOWAIT);
    check_num("flights", flights, 5);
    mailbox_close(&mailbox);
    loop_close(&loop);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_many_senders),
        cmocka_unit_test(test_close_under_fire),
        cmocka_unit_test(test_posted_again_while_delivered),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
