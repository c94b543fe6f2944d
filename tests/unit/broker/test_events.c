/* What is told of changes: signatures, groups, the queue's order and bounds. */
#include "broker/token_world.h"

#include <stdlib.h>

#include "base/log.h"
#include "broker/events.h"

#define SIGNATURE "466d60ac4838fe4f9f3b9f0a5ba67785b8f8ddcf869618ab93f1a7794f5a0750"

#define TURN_MS (3 * TIMER_TICK_MS)

static struct webhook webhook;
static struct events events;
static struct http_request sent;
static char sent_body[2048], sent_id[64], sent_signature[WEBHOOK_SIGNATURE_MAX + 32];
static size_t sends;

struct http_request *http_send(struct http *http, const struct http_call *call, http_done *done,
                               void *owner)
{
    (void)http;
    assert_false(sent.open);
    sent = (struct http_request){.open = true, .fresh = call->fresh, .done = done, .owner = owner};
    assert_true(slice_copy(call->body, sent_body, sizeof(sent_body)));
    slice_copy(slice_of(call->headers[1]), sent_id, sizeof(sent_id));
    slice_copy(slice_of(call->headers[2]), sent_signature, sizeof(sent_signature));
    open_requests++;
    sends++;
    return &sent;
}

static void answer(long status, const char *retry_after)
{
    respond_with(&sent, status, "", retry_after);
    pass(TURN_MS);
}

static int set_up(void **state)
{
    int rc = world_set_up(state);

    slice_copy(SLICE("https://example.test/hook"), conf->webhook_url, sizeof(conf->webhook_url));
    webhook_init(&webhook, &world_loop, NULL);
    webhook_configure(&webhook, conf, "0123456789abcdef");
    events_init(&events, &world_loop, &webhook);
    registry.changed = events_take;
    registry.owner = &events;
    sent = (struct http_request){.open = false};
    sends = 0;
    return rc;
}

static int tear_down(void **state)
{
    registry_clear(&registry);
    events_clear(&events);
    webhook_clear(&webhook);
    return world_tear_down(state);
}

static void add(size_t count)
{
    apply_accounts(count, ",\"disabled\":true");
    check_num("a start is no news", (long long)events.changes, 0);
}

static void set_disabled(size_t i, bool disabled)
{
    char id[32];

    snprintf(id, sizeof(id), "u%zu", i);
    account_hold(account_named(id), HOLD_OPERATOR, disabled ? ACCOUNT_DISABLED : ACCOUNT_ACTIVE, 0,
                 disabled ? "why" : NULL);
}

static void expect_body(const char *part)
{
    if (!strstr(sent_body, part))
        fail_msg("%s is not in %s", part, sent_body);
}

static void test_signature(void **state)
{
    char out[WEBHOOK_SIGNATURE_MAX];

    (void)state;
    /* printf '1795667536.{"x":1}' | openssl dgst -sha256 -hmac 0123456789abcdef */
    webhook_sign("0123456789abcdef", 1795667536, SLICE("{\"x\":1}"), out);
    check_text("signature", slice_of(out), "t=1795667536,v1=" SIGNATURE);
}

static void test_one_change_one_event(void **state)
{
    (void)state;
    add(1);
    set_disabled(0, false);
    set_disabled(0, false);
    pass(TURN_MS);
    check_num("sent", (long long)sends, 1);
    expect_body("\"from\":\"disabled\",\"to\":\"active\"");
    expect_body("\"cause\":null");
    expect_body(sent_id + strlen("Bearerd-Event: "));
    set_disabled(0, true);
    pass(TURN_MS);
    check_num("one at a time", (long long)sends, 1);
    answer(200, "");
    check_num("then the next", (long long)sends, 2);
    expect_body("\"cause\":\"disabled\",\"provider_text\":\"why\"");
    answer(204, "");
    check_num("sent", (long long)webhook.stats.sent, 2);
    check_num("queued", (long long)webhook.queue.count, 0);
}

static void test_ever_slower_then_given_up(void **state)
{
    size_t tries = 0;
    char id[64];

    (void)state;
    add(1);
    set_disabled(0, false);
    pass(TURN_MS);
    slice_copy(slice_of(sent_id), id, sizeof(id));
    for (uint64_t waited = 0; sent.open; tries++) {
        size_t seen = sends;

        check_text("the same event", slice_of(sent_id), id);
        assert_true(sent.fresh == (tries > 0));
        answer(tries % 2 ? 503 : 0, "");
        for (waited = 0; webhook.queue.count && sends == seen; waited += 500)
            pass(500);
        assert_true(waited <= 300000 + 1000);
        assert_true(tries < 3 || !webhook.queue.count || waited > 2000);
    }
    assert_true(tries > 10 && tries < 40);
    check_num("failed", (long long)webhook.stats.failed, 1);
    check_num("queued", (long long)webhook.queue.count, 0);
}

static void test_retry_after(void **state)
{
    (void)state;
    add(1);
    set_disabled(0, false);
    pass(TURN_MS);
    answer(429, "60");
    pass(59000);
    check_num("not before", (long long)sends, 1);
    pass(2000);
    check_num("then", (long long)sends, 2);
    answer(429, "99999999999999999999");
    pass(2000);
    check_num("nonsense is ignored", (long long)sends, 3);
    answer(200, "");
}

static void test_the_oldest_make_way(void **state)
{
    (void)state;
    conf->webhook_queue = 3;
    add(10);
    for (size_t i = 0; i < 10; i++) {
        set_disabled(i, false);
        pass(TURN_MS);
    }
    check_num("queued", (long long)webhook.queue.count, 3);
    check_num("dropped", (long long)webhook.stats.dropped, 7);
    expect_body("\"account\":\"u0\""); /* it was on its way */
    answer(200, "");
    expect_body("\"account\":\"u8\"");
    answer(200, "");
    expect_body("\"account\":\"u9\"");
    answer(200, "");
    check_num("sent", (long long)webhook.stats.sent, 3);
}

static void test_a_queue_of_one(void **state)
{
    (void)state;
    conf->webhook_queue = 1;
    add(2);
    set_disabled(0, false);
    pass(TURN_MS);
    set_disabled(1, false);
    answer(500, "");
    set_disabled(1, true); /* nothing is on its way: the first one goes */
    check_num("queued", (long long)webhook.queue.count, 1 + 0);
    pass(5000);
    expect_body("\"to\":\"disabled\"");
    answer(200, "");
}

static void test_a_crowd(void **state)
{
    size_t singles = 0;

    (void)state;
    add(3000);
    for (size_t i = 0; i < 3000; i++)
        set_disabled(i, false);
    pass(TURN_MS);
    check_num("singles", (long long)webhook.queue.count, EVENTS_SINGLE);
    pass(EVENTS_SECOND_MS + 100);
    check_num("and a sum", (long long)webhook.queue.count, EVENTS_SINGLE + 1);
    check_num("counted", (long long)events.changes, 3000);
    while (strstr(sent_body, "\"account.state\"") && singles++ < 5000)
        answer(200, "");
    check_num("singles sent", (long long)singles, EVENTS_SINGLE);
    expect_body("\"type\":\"accounts.state\"");
    expect_body("\"accounts\":2900");
    expect_body("\"provider\":\"outlook\"");
    answer(200, "");
    set_disabled(0, true);
    pass(EVENTS_SECOND_MS + 100);
    expect_body("\"account\":\"u0\""); /* the next second counts anew */
    answer(200, "");
    check_num("sent", (long long)webhook.stats.sent, EVENTS_SINGLE + 2);
}

static void test_without_a_webhook(void **state)
{
    (void)state;
    conf->webhook_url[0] = '\0';
    add(200);
    for (size_t i = 0; i < 200; i++)
        set_disabled(i, false);
    pass(2000);
    check_num("sends", (long long)sends, 0);
    check_num("dropped", (long long)webhook.stats.dropped, 0);
    check_num("changes", (long long)events.changes, 200);
}

int main(void)
{
#define EVENTS_TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        EVENTS_TEST(test_signature),
        EVENTS_TEST(test_one_change_one_event),
        EVENTS_TEST(test_ever_slower_then_given_up),
        EVENTS_TEST(test_retry_after),
        EVENTS_TEST(test_the_oldest_make_way),
        EVENTS_TEST(test_a_queue_of_one),
        EVENTS_TEST(test_a_crowd),
        EVENTS_TEST(test_without_a_webhook),
    };

    return world_start() ? cmocka_run_group_tests(tests, NULL, NULL) : 1;
}
