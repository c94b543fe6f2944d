/* Logging in for an administrator: by the account's own pool, never beyond its
 * limits, whatever holds its mail back. */
#include "check.h"

#include <stdio.h>

#include "relay/upstream/pool.h"
#include "relay/upstream_world.h"

#define REFUSED "535 5.7.8 Username and Password not accepted"

static struct {
    unsigned count, ok;
    uint64_t request;
    unsigned code;
    char step[40], text[512];
} heard;

static void hear(const struct ipc_message *message)
{
    const struct ipc_probe_done *done = &message->u.probe_done;

    if (message->type != IPC_PROBE_DONE)
        return;
    heard.count++;
    heard.ok += done->ok;
    heard.request = done->request;
    heard.code = done->code;
    slice_copy(done->step, heard.step, sizeof(heard.step));
    slice_copy(done->text, heard.text, sizeof(heard.text));
}

static void open_world(unsigned max_connections)
{
    memset(&heard, 0, sizeof(heard));
    begin(max_connections);
    ear.hear = hear;
}

static void ask(uint64_t request)
{
    struct ipc_probe message = {request, SLICE(A)};

    upstream_probe(first, &message);
}

static bool all_answered(void *count)
{
    return heard.count >= *(unsigned *)count;
}

static void wait_answers(unsigned count)
{
    assert_true(world_until(all_answered, &count));
    check_num("answers", heard.count, count);
}

static void probe(bool ok)
{
    unsigned before = heard.count, ok_before = heard.ok;

    ask(77 + before);
    wait_answers(before + 1);
    check_num("request", (long long)heard.request, 77 + before);
    if (heard.ok != ok_before + ok)
        fail_msg("the probe said: %s: %s", heard.step, heard.text);
}

static void check_said(unsigned code, const char *step, const char *part)
{
    check_num("code", heard.code, code);
    check_text("step", slice_of(heard.step), step);
    if (!strstr(heard.text, part))
        fail_msg("\"%s\" does not say \"%s\"", heard.text, part);
}

static void test_logs_in_and_sends_nothing(void **state)
{
    (void)state;
    open_world(2);
    probe(true);
    check_num("logins", provider.logins, 1);
    check_num("MAIL", provider_count(&provider, "MAIL"), 0);
    check_num("idle", (long long)world_find(A)->pool[POOL_IDLE].count, 1);
    /* The pool has it. */
    check_outcome(deliver(1, 500, 1), OUTCOME_DELIVERED, 250);
    check_num("connections", provider.connections, 1);
    probe(true); /* below the cap: a login of its own */
    check_num("logins", provider.logins, 2);
    world_close();
}

static void test_at_the_cap_an_idle_one_is_asked(void **state)
{
    (void)state;
    open_world(1);
    check_outcome(deliver(1, 500, 1), OUTCOME_DELIVERED, 250);
    probe(true);
    check_num("logins", provider.logins, 1);
    check_num("RSET", provider_count(&provider, "RSET"), 1);
    check_outcome(deliver(2, 500, 1), OUTCOME_DELIVERED, 250);
    check_num("connections", provider.connections, 1);
    world_close();
}

static void test_a_dead_idle_one_is_no_answer(void **state)
{
    static const enum act acts[] = {ACT_CLOSE, ACT_RESET, ACT_STALL, ACT_SAY};

    (void)state;
    for (size_t i = 0; i < COUNT_OF(acts); i++) {
        open_world(1);
        world_conf->upstream_command_ms = 200;
        SCRIPT({.conn = 1, .step = STEP_RSET, .act = acts[i], .text = "421 4.7.0 goodbye"});
        check_outcome(deliver(1, 500, 1), OUTCOME_DELIVERED, 250);
        probe(true);
        check_num("logins", provider.logins, 2);
        check_num("at once", provider.most, 1);
        world_close();
    }
}

static void test_waits_while_all_are_at_work(void **state)
{
    (void)state;
    open_world(1);
    SCRIPT({.step = STEP_FINAL, .act = ACT_HOLD});
    for (unsigned i = 1; i <= 4; i++)
        world_submit(A, i, 500, 1);
    ask(1);
    world_wait_held(1);
    provider_let_go(&provider);
    world_wait(&sents[1], 1);
    wait_answers(1);
    check_num("ok", heard.ok, 1);
    /* Mail that goes on and on does not keep it waiting. */
    check_num("messages before it", sents[4].dones, 0);
    for (unsigned i = 2; i <= 4; i++) {
        world_wait_held(1);
        provider_let_go(&provider);
        world_wait(&sents[i], 1);
    }
    check_num("at once", provider.most, 1);
    world_close();
}

static void test_all_at_work_for_too_long(void **state)
{
    (void)state;
    open_world(1);
    SCRIPT({.nth = 2, .step = STEP_FINAL, .act = ACT_HOLD});
    check_outcome(deliver(2, 500, 1), OUTCOME_DELIVERED, 250);
    world_submit(A, 1, 500, 1);
    world_wait_held(1);
    world_conf->queue_wait_ms = 100;
    probe(false);
    check_said(0, "wait", "limit 1");
    provider_let_go(&provider);
    world_wait(&sents[1], 1);
    check_outcome(&sents[1], OUTCOME_DELIVERED, 250);
    world_close();
}

static void test_refused(void **state)
{
    (void)state;
    open_world(2);
    SCRIPT({.step = STEP_AUTH, .act = ACT_SAY, .text = REFUSED});
    probe(false);
    check_said(535, "auth", REFUSED);
    check_num("tries", provider.connections, 2); /* with the token, and with a fresh one */
    check_num("rejected", ear.rejected, 2);
    world_close();
}

static void test_refused_token_is_replaced(void **state)
{
    (void)state;
    open_world(2);
    provider.refused_token = "first-token";
    probe(true);
    check_num("rejected", ear.rejected, 1);
    world_close();
}

static void test_provider_is_down(void **state)
{
    (void)state;
    open_world(2);
    SCRIPT({.step = STEP_CONNECT, .act = ACT_CLOSE});
    probe(false);
    check_said(0, "connect", "(handshake)");
    world_close();
}

/* The broker never answers. */
static void test_no_address(void **state)
{
    struct ipc_account account;

    (void)state;
    memset(&heard, 0, sizeof(heard));
    world_open(1);
    ear.hear = hear;
    world_conf->connect_timeout_ms = 100;
    account = world_account(A, 1);
    account.host = SLICE("provider.test");
    world_put(&account);
    world_token(A, 3600000);
    probe(false);
    check_said(0, "connect", "cannot find the address of provider.test: no answer in time");
    probe(false); /* it asks again */
    check_num("asked", ear.resolves, 2);
    world_close();
}

static void test_greeting_says_no(void **state)
{
    (void)state;
    open_world(2);
    SCRIPT({.step = STEP_GREETING, .act = ACT_SAY_CLOSE, .text = "554 5.7.1 go away"});
    probe(false);
    check_said(554, "greeting", "go away");
    world_close();
}

static void test_in_spite_of_a_hold(void **state)
{
    (void)state;
    for (int hold = ACCOUNT_THROTTLED; hold < ACCOUNT_STATES; hold++) {
        open_world(2);
        world_state(A, (enum account_state)hold);
        probe(true);
        deliver(1, 500, 1);
        check_num("not delivered", provider.messages, 0);
        world_close();
    }
}

static void test_within_the_login_rate(void **state)
{
    (void)state;
    open_world(3);
    world_conf->logins_per_minute = 1;
    probe(true);
    world_conf->queue_wait_ms = 100;
    probe(false);
    check_said(0, "wait", "limited to 1 a minute");
    check_num("logins", provider.logins, 1);
    world_close();
}

static void test_without_a_token(void **state)
{
    (void)state;
    open_world(2);
    world_conf->queue_wait_ms = 100;
    ear.gives_tokens = false;
    world_token(A, 1);
    world_run(10);
    probe(false);
    check_said(0, "wait", "no access token");
    assert_true(ear.wanted > 0);
    ear.gives_tokens = true;
    world_token(A, 3600000);
    probe(true);
    world_close();
}

static void test_many_at_once(void **state)
{
    unsigned refused;

    (void)state;
    open_world(2);
    SCRIPT({.step = STEP_GREETING, .act = ACT_HOLD});
    for (unsigned i = 0; i < 100; i++)
        ask(i);
    world_wait_held(1);
    provider_let_go(&provider);
    refused = heard.count; /* over the bound: told at once */
    assert_true(refused > 0 && refused < 100);
    check_said(0, "wait", "too many");
    wait_answers(100);
    check_num("ok", heard.ok, 100 - refused);
    check_num("logins", provider.logins, 1);
    world_close();
}

static void test_mail_and_probe_share_a_login(void **state)
{
    (void)state;
    open_world(3);
    SCRIPT({.step = STEP_GREETING, .act = ACT_HOLD});
    world_submit(A, 1, 500, 1);
    ask(1);
    world_wait_held(1);
    provider_let_go(&provider);
    wait_answers(1);
    world_wait(&sents[1], 1);
    check_outcome(&sents[1], OUTCOME_DELIVERED, 250);
    check_num("connections", provider.connections, 1);
    world_close();
}

static void test_the_account_goes(void **state)
{
    struct ipc_account other;

    (void)state;
    open_world(2);
    SCRIPT({.step = STEP_GREETING, .act = ACT_HOLD});
    ask(1);
    world_wait_held(1);
    upstream_remove(first, SLICE(A));
    wait_answers(1);
    check_said(0, "wait", "removed");
    assert_null(world_find(A));
    provider_let_go(&provider);
    probe(false);
    check_said(0, "wait", "does not know");
    open_with(2);
    ask(5);
    world_wait_held(1);
    other = world_account(A, 2); /* changes while it logs in: the new one counts */
    other.generation = 2;
    world_put(&other);
    upstream_token(first,
                   &(struct ipc_token){SLICE(A), SLICE("newest"), 2, ++ear.serial, UINT64_MAX});
    provider.fault_count = 0;
    provider_let_go(&provider);
    wait_answers(3);
    check_num("ok", heard.ok, 1);
    assert_non_null(strstr(provider.last_token, "IG5ld2VzdAEB")); /* "... newest" */
    world_close();
}

static void test_the_relay_ends(void **state)
{
    (void)state;
    open_world(2);
    SCRIPT({.step = STEP_GREETING, .act = ACT_HOLD});
    ask(1);
    world_wait_held(1);
    first->draining = true;
    upstream_drain(first);
    wait_answers(1);
    check_said(0, "wait", "shutting down");
    ask(2);
    wait_answers(2);
    check_said(0, "wait", "shutting down");
    world_close();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_logs_in_and_sends_nothing),
        cmocka_unit_test(test_at_the_cap_an_idle_one_is_asked),
        cmocka_unit_test(test_a_dead_idle_one_is_no_answer),
        cmocka_unit_test(test_waits_while_all_are_at_work),
        cmocka_unit_test(test_all_at_work_for_too_long),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_refused_token_is_replaced),
        cmocka_unit_test(test_provider_is_down),
        cmocka_unit_test(test_no_address),
        cmocka_unit_test(test_greeting_says_no),
        cmocka_unit_test(test_in_spite_of_a_hold),
        cmocka_unit_test(test_within_the_login_rate),
        cmocka_unit_test(test_without_a_token),
        cmocka_unit_test(test_many_at_once),
        cmocka_unit_test(test_mail_and_probe_share_a_login),
        cmocka_unit_test(test_the_account_goes),
        cmocka_unit_test(test_the_relay_ends),
    };

    return cmocka_run_group_tests_name("relay/probe", tests, NULL, NULL);
}
