/* The cache of addresses, with a DNS that the tests answer for. */
#include "check.h"

#include <arpa/inet.h>
#include <stdio.h>

#include "base/log.h"
#include "broker/dns.h"
#include "broker/resolver.h"

static uint64_t now_ms;

uint64_t uv_now(const uv_loop_t *loop)
{
    (void)loop;
    return now_ms;
}

/* --- DNS --------------------------------------------------------------------- */

static struct query {
    char host[64];
    dns_done *done;
    void *owner;
} queries[4096];
static size_t query_count, answered_count;
static bool asked_ipv6;

struct dns *dns_new(struct loop *loop, struct reason *why)
{
    (void)loop;
    (void)why;
    return (struct dns *)&query_count;
}

void dns_free(struct dns *dns)
{
    (void)dns;
}

void dns_query(struct dns *dns, const char *host, bool ipv6, dns_done *done, void *owner)
{
    struct query *query = &queries[query_count++];

    (void)dns;
    asked_ipv6 = ipv6;
    slice_copy(slice_of(host), query->host, sizeof(query->host));
    query->done = done;
    query->owner = owner;
}

static void dns_good(const char *v4, const char *v6, uint64_t ttl_ms)
{
    struct query *query = &queries[answered_count++];
    struct dns_result result = {.ttl_ms = ttl_ms};

    assert_true(answered_count <= query_count);
    if (v4) {
        result.addresses[result.count].v4.sin_family = AF_INET;
        inet_pton(AF_INET, v4, &result.addresses[result.count].v4.sin_addr);
        result.addresses[result.count++].len = sizeof(struct sockaddr_in);
    }
    if (v6) {
        result.addresses[result.count].v6.sin6_family = AF_INET6;
        inet_pton(AF_INET6, v6, &result.addresses[result.count].v6.sin6_addr);
        result.addresses[result.count++].len = sizeof(struct sockaddr_in6);
    }
    query->done(query->owner, &result);
}

static void dns_bad(const char *error)
{
    struct query *query = &queries[answered_count++];

    assert_true(answered_count <= query_count);
    query->done(query->owner, &(struct dns_result){.error = error});
}

/* --- who asks ------------------------------------------------------------------ */

static size_t answers;
static uint64_t last_tag, last_ttl;
static char last_addresses[RESOLVE_TEXT_MAX], last_error[128];

static void on_answer(void *owner, uint64_t tag, const struct resolve_answer *answer)
{
    assert_ptr_equal(owner, &answers);
    answers++;
    last_tag = tag;
    last_ttl = answer->ttl_ms;
    slice_copy(slice_of(answer->addresses), last_addresses, sizeof(last_addresses));
    slice_copy(slice_of(answer->error), last_error, sizeof(last_error));
}

static struct loop loop;
static struct resolver *resolver;

static void find(const char *host, uint32_t port, uint64_t tag)
{
    resolver_find(resolver, slice_of(host), port, on_answer, &answers, tag);
}

static int set_up(void **state)
{
    (void)state;
    now_ms = 1000;
    query_count = answered_count = answers = 0;
    last_addresses[0] = last_error[0] = '\0';
    resolver = resolver_new(&loop, NULL);
    resolver_configure(resolver, 60000, false);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    resolver_free(resolver);
    return 0;
}

static void test_numbers(void **state)
{
    (void)state;
    find("192.0.2.7", 25, 1);
    assert_string_equal(last_addresses, "192.0.2.7:25");
    find("2001:db8::7", 465, 2);
    assert_string_equal(last_addresses, "[2001:db8::7]:465");
    check_num("tag", (long long)last_tag, 2);
    check_num("queries", (long long)query_count, 0);
}

static void test_one_query_for_all_who_wait(void **state)
{
    (void)state;
    find("smtp.example.com", 587, 1);
    find("SMTP.example.COM", 465, 2);
    check_num("queries", (long long)query_count, 1);
    assert_string_equal(queries[0].host, "smtp.example.com");
    assert_false(asked_ipv6);
    dns_good("192.0.2.1", "2001:db8::1", 30000);
    check_num("answers", (long long)answers, 2);
    assert_string_equal(last_addresses, "192.0.2.1:465 [2001:db8::1]:465");
    check_num("ttl", (long long)last_ttl, 30000);
}

static void test_lives(void **state)
{
    static const struct {
        uint64_t ttl, life;
    } rows[] = {{1000, 5000}, {30000, 30000}, {3600000, 60000}, {0, 60000}};

    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        char host[16];

        snprintf(host, sizeof(host), "h%zu", i);
        find(host, 25, 1);
        dns_good("192.0.2.1", NULL, rows[i].ttl);
        check_num(host, (long long)last_ttl, (long long)rows[i].life);
        now_ms += rows[i].life - 1;
        find(host, 25, 2);
        check_num("from the cache", (long long)query_count, (long long)i + 1);
        now_ms += 1;
    }
}

static void test_an_expired_answer(void **state)
{
    (void)state;
    find("h", 25, 1);
    dns_good("192.0.2.1", NULL, 10000);
    /* A little too old: given at once, and renewed behind the scenes. */
    now_ms += 20000;
    find("h", 25, 2);
    check_num("answers", (long long)answers, 2);
    check_num("queries", (long long)query_count, 2);
    find("h", 25, 3);
    check_num("queries", (long long)query_count, 2);
    dns_good("192.0.2.2", NULL, 10000);
    find("h", 25, 4);
    assert_string_equal(last_addresses, "192.0.2.2:25");
    /* Much too old: waited for. */
    now_ms += 600000;
    find("h", 25, 5);
    check_num("answers", (long long)answers, 4);
    dns_good("192.0.2.3", NULL, 10000);
    assert_string_equal(last_addresses, "192.0.2.3:25");
}

static void test_dns_is_down(void **state)
{
    (void)state;
    find("h", 25, 1);
    dns_good("192.0.2.1", NULL, 10000);
    now_ms += 600000;
    find("h", 25, 2);
    dns_bad("Timeout");
    assert_string_equal(last_addresses, "192.0.2.1:25");
    assert_string_equal(last_error, "");
    /* From now on nobody waits for the timeout, and not each asks. */
    find("h", 25, 3);
    check_num("answers", (long long)answers, 3);
    check_num("queries", (long long)query_count, 2);
    now_ms += 6000;
    find("h", 25, 4);
    check_num("answers", (long long)answers, 4);
    check_num("queries", (long long)query_count, 3);
    dns_bad("Timeout");
    /* A day later even a provider may have moved. */
    now_ms += 2 * 86400000;
    find("h", 25, 5);
    dns_bad("Timeout");
    assert_string_equal(last_addresses, "");
    assert_string_equal(last_error, "Timeout");
}

static void test_errors(void **state)
{
    (void)state;
    find("nowhere", 25, 1);
    dns_bad("Domain name not found");
    assert_string_equal(last_error, "Domain name not found");
    find("nowhere", 25, 2);
    check_num("remembered", (long long)query_count, 1);
    now_ms += 5000;
    find("nowhere", 25, 3);
    check_num("asked again", (long long)query_count, 2);
    dns_good("192.0.2.1", NULL, 10000);
    assert_string_equal(last_addresses, "192.0.2.1:25");
}

static void test_odd_names(void **state)
{
    char name[400];

    (void)state;
    memset(name, 'x', sizeof(name));
    resolver_find(resolver, (struct slice){name, sizeof(name)}, 25, on_answer, &answers, 1);
    resolver_find(resolver, (struct slice){name, 0}, 25, on_answer, &answers, 2);
    resolver_find(resolver, (struct slice){"a\0b", 3}, 25, on_answer, &answers, 3);
    check_num("answers", (long long)answers, 3);
    check_num("queries", (long long)query_count, 0);
    assert_true(last_error[0] != '\0');
}

/* A relay gone mad asks for everything: the cache has a size. */
static void test_bounds(void **state)
{
    (void)state;
    for (int i = 0; i < 3000; i++) {
        char host[16];

        snprintf(host, sizeof(host), "h%d", i);
        find(host, 25, 1);
    }
    check_num("queries", (long long)query_count, 1024);
    check_num("refused", (long long)answers, 3000 - 1024);
    while (answered_count < query_count)
        dns_good("192.0.2.1", NULL, 10000);
    check_num("answered", (long long)answers, 3000);
    find("another", 25, 1);
    check_num("queries", (long long)query_count, 1025);
    for (int i = 0; i < 5000; i++)
        find("another", 25, 1);
    check_num("waiting is bounded", (long long)answers, 3000 + 5001 - 4096);
    dns_good("192.0.2.1", NULL, 10000);
}

static void test_forgetting(void **state)
{
    (void)state;
    find("h", 25, 1);
    resolver_forget_all(resolver);
    dns_good("192.0.2.1", NULL, 10000);
    check_num("answers", (long long)answers, 0);
    find("h", 25, 2);
    check_num("but the cache has it", (long long)answers, 1);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_numbers),     TEST(test_one_query_for_all_who_wait),
        TEST(test_lives),       TEST(test_an_expired_answer),
        TEST(test_dns_is_down), TEST(test_errors),
        TEST(test_odd_names),   TEST(test_bounds),
        TEST(test_forgetting),
    };

    log_set_level(LOG_ERROR);
    return cmocka_run_group_tests_name("broker/resolver", tests, NULL, NULL);
}
