/* What runs beside the loop: c-ares with the system's hosts, passwords. */
#include "check.h"

#include <sodium.h>

#include "base/log.h"
#include "broker/dns.h"
#include "broker/passwords.h"

static struct loop loop;
static char got[256], failure[128];
static bool running;

static void on_result(void *owner, const struct dns_result *result)
{
    struct text text;

    (void)owner;
    text_init(&text, got, sizeof(got));
    failure[0] = '\0';
    for (size_t i = 0; i < result->count; i++) {
        char address[NET_ADDRESS_TEXT];

        net_address_host(&result->addresses[i], address, sizeof(address));
        text_addf(&text, "%s%s", i ? " " : "", address);
    }
    if (result->error)
        slice_copy(slice_of(result->error), failure, sizeof(failure));
    if (running)
        loop_stop(&loop);
}

static void test_localhost(void **state)
{
    struct reason why;
    struct dns *dns;

    (void)state;
    assert_true(loop_init(&loop, &why));
    dns = dns_new(&loop, &why);
    assert_non_null(dns);
    dns_query(dns, "localhost", false, on_result, NULL);
    running = true;
    if (!got[0] && !failure[0])
        loop_run(&loop);
    running = false;
    check_text("localhost", slice_of(got), "127.0.0.1");
    /* Freed with a query in flight: nobody is called. */
    got[0] = failure[0] = '\0';
    dns_query(dns, "never.invalid", false, on_result, NULL);
    dns_free(dns);
    loop_close(&loop);
    assert_true(!got[0] && !failure[0]);
}

/* --- passwords ---------------------------------------------------------------- */

static unsigned verdicts[3], answers, wanted;

static void on_verdict(void *owner, uint64_t tag, enum password_verdict verdict,
                       uint64_t generation)
{
    (void)owner;
    (void)tag;
    assert_true(generation == 9);
    verdicts[verdict]++;
    if (++answers == wanted)
        loop_stop(&loop);
}

static void test_passwords(void **state)
{
    char hash[crypto_pwhash_STRBYTES];
    struct passwords *passwords;
    struct reason why;

    (void)state;
    assert_int_equal(
        crypto_pwhash_str(hash, "right", 5, crypto_pwhash_OPSLIMIT_MIN, crypto_pwhash_MEMLIMIT_MIN),
        0);
    assert_true(loop_init(&loop, &why));
    passwords = passwords_new(&loop);
    wanted = 4;
    passwords_check(passwords, hash, SLICE("right"), 9, on_verdict, NULL, 1);
    passwords_check(passwords, hash, SLICE("wrong"), 9, on_verdict, NULL, 2);
    passwords_check(passwords, hash, SLICE(""), 9, on_verdict, NULL, 3);
    passwords_check(passwords, "", SLICE("right"), 9, on_verdict, NULL, 4);
    loop_run(&loop);
    check_num("right", verdicts[PASSWORD_RIGHT], 1);
    check_num("wrong", verdicts[PASSWORD_WRONG], 3);
    /* More than may wait: the rest hears so at once. */
    answers = 0;
    wanted = 258;
    for (int i = 0; i < 300; i++)
        passwords_check(passwords, hash, SLICE("right"), 9, on_verdict, NULL, 5);
    check_num("busy", verdicts[PASSWORD_BUSY], 42);
    answers = 0;
    loop_run(&loop);
    check_num("right", verdicts[PASSWORD_RIGHT], 259);
    /* Freed with checks under way. */
    for (int i = 0; i < 10; i++)
        passwords_check(passwords, hash, SLICE("right"), 9, on_verdict, NULL, 6);
    answers = 0;
    passwords_free(passwords);
    loop_close(&loop);
    check_num("nobody is called", answers, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_localhost),
        cmocka_unit_test(test_passwords),
    };

    log_set_level(LOG_ERROR);
    if (sodium_init() < 0)
        return 1;
    return cmocka_run_group_tests_name("broker/dns and passwords", tests, NULL, NULL);
}
