/* A connection under an administrator's eyes: each step told once, within the
 * account's limits, and nothing sent. */
#include "check.h"

#include <stdio.h>

#include "relay/upstream/capacity.h"
#include "relay/upstream/pool.h"
#include "relay/upstream_world.h"

#define REFUSED "535 5.7.3 Authentication unsuccessful"

static struct {
    unsigned dones, ok, steps;
    uint64_t ended;  /* the request that is done */
    char order[100]; /* "dns tcp tls!", ! a failure, ? a warning */
    char text[IPC_STEPS][IPC_TEXT_MAX + 1];
    struct ipc_diagnosis_step step[IPC_STEPS];
    char why[512];
} heard;

static const char *const names[IPC_STEPS] = {"dns",  "tcp",  "tls", "greeting",
                                             "ehlo", "auth", "mail"};

static void hear(const struct ipc_message *message)
{
    const struct ipc_diagnosis_step *step = &message->u.diagnosis_step;
    size_t len = strlen(heard.order);

    if (message->type == IPC_DIAGNOSIS_DONE) {
        heard.dones++;
        heard.ended = message->u.diagnosis_done.request;
        heard.ok += message->u.diagnosis_done.ok;
        slice_copy(message->u.diagnosis_done.text, heard.why, sizeof(heard.why));
    } else if (message->type == IPC_DIAGNOSIS_STEP) {
        assert_false(heard.dones && heard.ended == step->request);
        heard.steps++;
        heard.step[step->step] = *step;
        slice_copy(step->text, heard.text[step->step], sizeof(heard.text[0]));
        snprintf(heard.order + len, sizeof(heard.order) - len, "%s%s%s", len ? " " : "",
                 names[step->step],
                 step->result == IPC_STEP_FAILED    ? "!"
                 : step->result == IPC_STEP_WARNING ? "?"
                                                    : "");
    }
}

static void open_world(unsigned max_connections)
{
    memset(&heard, 0, sizeof(heard));
    begin(max_connections);
    ear.hear = hear;
}

static bool is_done(void *unused)
{
    (void)unused;
    return heard.dones > 0;
}

static bool is_examined(void *unused)
{
    (void)unused;
    return provider_count(&provider, "MAIL") > 0;
}

static void ask(uint64_t request)
{
    struct ipc_diagnose message = {request, SLICE(A), SLICE(A)};

    upstream_diagnose(first, &message);
}

static void diagnose(bool ok, const char *order)
{
    memset(&heard, 0, sizeof(heard));
    ask(7);
    assert_true(world_until(is_done, NULL));
    check_text("steps", slice_of(heard.order), order);
    check_num("ok", heard.ok, ok);
    check_num("answers", heard.dones, 1);
}

static void check_step(enum ipc_step step, const char *part)
{
    if (!strstr(heard.text[step], part))
        fail_msg("%s: \"%s\" does not say \"%s\"", names[step], heard.text[step], part);
}

/* The test's certificate is good for an hour only: that is the warning. */
#define UNTIL_AUTH "dns tcp tls? greeting ehlo auth"

static void test_all_is_well(void **state)
{
    (void)state;
    open_world(2);
    diagnose(true, UNTIL_AUTH " mail");
    check_step(IPC_STEP_DNS, "127.0.0.1");
    check_step(IPC_STEP_TCP, "connected to 127.0.0.1:");
    check_step(IPC_STEP_TCP, "from 127.0.0.1");
    check_step(IPC_STEP_TLS, "TLSv1.3");
    check_step(IPC_STEP_TLS, "provider.test");
    check_step(IPC_STEP_GREETING, "220");
    check_step(IPC_STEP_EHLO, "AUTH");
    check_step(IPC_STEP_AUTH, "235");
    check_step(IPC_STEP_MAIL, "250");
    check_num("code", heard.step[IPC_STEP_MAIL].code, 250);
    check_num("request", (long long)heard.step[IPC_STEP_MAIL].request, 7);
    check_num("MAIL", provider_count(&provider, "MAIL"), 1);
    check_num("RCPT", provider_count(&provider, "RCPT"), 0);
    check_num("messages", provider.messages, 0);
    /* The pool has it, and can use it. */
    check_outcome(deliver(1, 500, 1), OUTCOME_DELIVERED, 250);
    check_num("connections", provider.connections, 1);
    world_close();
}

static void test_at_the_cap_an_idle_one_is_examined(void **state)
{
    (void)state;
    open_world(1);
    check_outcome(deliver(1, 500, 1), OUTCOME_DELIVERED, 250);
    diagnose(true, "tcp tls? auth mail");
    check_step(IPC_STEP_AUTH, "all the connections");
    check_num("logins", provider.logins, 1);
    check_outcome(deliver(2, 500, 1), OUTCOME_DELIVERED, 250);
    check_num("connections", provider.connections, 1);
    world_close();
}

static void test_all_at_work_for_too_long(void **state)
{
    (void)state;
    open_world(1);
    SCRIPT({.nth = 2, .step = STEP_FINAL, .act = ACT_LATE, .text = "600"});
    check_outcome(deliver(2, 500, 1), OUTCOME_DELIVERED, 250);
    world_submit(A, 1, 500, 1);
    world_conf->queue_wait_ms = 100;
    diagnose(false, "");
    if (!strstr(heard.why, "limit 1"))
        fail_msg("it said: %s", heard.why);
    world_wait(&sents[1], 1);
    check_outcome(&sents[1], OUTCOME_DELIVERED, 250);
    check_num("at once", provider.most, 1);
    world_close();
}

/* Who asked first has gone, or he would not be asked again. */
static void test_the_newest_counts(void **state)
{
    (void)state;
    open_world(2);
    SCRIPT({.step = STEP_MAIL, .act = ACT_STALL});
    memset(&heard, 0, sizeof(heard));
    ask(1);
    assert_true(world_until(is_examined, NULL));
    provider_script(&provider, NULL, 0);
    ask(2);
    check_num("the first one", heard.dones, 1);
    if (!strstr(heard.why, "taken its place"))
        fail_msg("it said: %s", heard.why);
    heard.dones = 0;
    assert_true(world_until(is_done, NULL));
    check_num("the second one", heard.ok, 1);
    check_num("request", (long long)heard.ended, 2);
    check_step(IPC_STEP_MAIL, "250");
    world_close();
}

/* Each way to fail, at each step: it ends there, and bearerd goes on. */
static void test_where_it_ends(void **state)
{
    static const struct {
        struct fault fault;
        const char *order;
        enum ipc_step step;
        const char *says;
    } rows[] = {
        {{.step = STEP_CONNECT, .act = ACT_CLOSE}, "dns tcp tls!", IPC_STEP_TLS, "handshake"},
        {{.step = STEP_GREETING, .act = ACT_SAY_CLOSE, .text = "421 4.3.2 Service not active"},
         "dns tcp tls? greeting!",
         IPC_STEP_GREETING,
         "421 4.3.2"},
        {{.step = STEP_GREETING, .act = ACT_STALL},
         "dns tcp tls? greeting!",
         IPC_STEP_GREETING,
         "no answer in time"},
        {{.step = STEP_EHLO, .act = ACT_SAY_CLOSE, .text = "421 4.7.0 Try again later (EHLO)"},
         "dns tcp tls? greeting ehlo!",
         IPC_STEP_EHLO,
         "421 4.7.0"},
        {{.step = STEP_AUTH, .act = ACT_SAY, .text = "454 4.7.0 Too many login attempts"},
         "dns tcp tls? greeting ehlo auth!",
         IPC_STEP_AUTH,
         "454 4.7.0"},
        {{.step = STEP_AUTH, .act = ACT_RESET},
         "dns tcp tls? greeting ehlo auth!",
         IPC_STEP_AUTH,
         "(auth)"},
        {{.step = STEP_MAIL, .act = ACT_SAY, .text = "550 5.7.60 not this sender"},
         UNTIL_AUTH " mail!",
         IPC_STEP_MAIL,
         "550 5.7.60"},
        {{.step = STEP_MAIL, .act = ACT_STALL}, UNTIL_AUTH " mail!", IPC_STEP_MAIL, "no answer"},
        {{.step = STEP_MAIL, .act = ACT_CLOSE}, UNTIL_AUTH " mail!", IPC_STEP_MAIL, "closed"},
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        open_world(2);
        if (rows[i].fault.act == ACT_STALL)
            world_conf->upstream_command_ms = 1000;
        provider_script(&provider, &rows[i].fault, 1);
        diagnose(false, rows[i].order);
        check_step(rows[i].step, rows[i].says);
        check_num("messages", provider.messages, 0);
        world_close();
    }
}

/* The verdict's consequences are drawn as for mail. */
static void test_what_mail_says_of_the_account(void **state)
{
    (void)state;
    open_world(2);
    SCRIPT({.step = STEP_MAIL, .act = ACT_SAY, .text = "554 5.2.0 RefuseQuota"});
    diagnose(false, UNTIL_AUTH " mail!");
    check_num("state", heard.step[IPC_STEP_MAIL].state, ACCOUNT_PARKED);
    check_num("observed", ear.observed, 1);
    check_num("state", world_find(A)->state, ACCOUNT_PARKED);
    world_close();
}

static void test_refused_twice(void **state)
{
    (void)state;
    open_world(2);
    SCRIPT({.step = STEP_AUTH, .act = ACT_SAY, .text = REFUSED});
    diagnose(false, "dns tcp tls? greeting ehlo auth!");
    check_step(IPC_STEP_AUTH, REFUSED);
    check_num("code", heard.step[IPC_STEP_AUTH].code, 535);
    check_num("state", heard.step[IPC_STEP_AUTH].state, ACCOUNT_MISCONFIGURED);
    check_num("tries", provider.connections, 2); /* with the token, and with a fresh one */
    check_num("rejected", ear.rejected, 2);
    check_num("state", world_find(A)->state, ACCOUNT_MISCONFIGURED);
    /* What holds the mail back does not hold it back. */
    provider_script(&provider, NULL, 0);
    diagnose(true, UNTIL_AUTH " mail");
    world_close();
}

static void test_refused_token_is_replaced(void **state)
{
    (void)state;
    open_world(2);
    provider.refused_token = "first-token";
    diagnose(true, UNTIL_AUTH " mail");
    check_num("rejected", ear.rejected, 1);
    world_close();
}

/* Its own connection comes to AUTH when there is none to try. */
static void test_a_token_refused_to_another(void **state)
{
    (void)state;
    open_world(2);
    provider.refused_token = "first-token";
    SCRIPT({.nth = 2, .step = STEP_EHLO, .act = ACT_LATE, .text = "150"});
    world_submit(A, 1, 500, 1);
    diagnose(true, UNTIL_AUTH " mail");
    world_wait(&sents[1], 1);
    check_outcome(&sents[1], OUTCOME_DELIVERED, 250);
    check_num("rejected", ear.rejected, 1);
    world_close();
}

/* What others say of the account meanwhile does not cut it short. */
static void test_a_state_comes_meanwhile(void **state)
{
    struct ipc_state told = {.id = SLICE(A), .state = ACCOUNT_MISCONFIGURED, .text = SLICE("x")};

    (void)state;
    open_world(2);
    told.generation = world_find(A)->generation;
    memset(&heard, 0, sizeof(heard));
    ask(7);
    upstream_state(first, &told);
    assert_true(world_until(is_done, NULL));
    check_text("steps", slice_of(heard.order), UNTIL_AUTH " mail");
    check_num("ok", heard.ok, 1);
    world_close();
}

static void test_no_other_token_comes(void **state)
{
    (void)state;
    open_world(2);
    ear.gives_tokens = false;
    world_conf->queue_wait_ms = 50;
    SCRIPT({.step = STEP_AUTH, .act = ACT_SAY, .text = REFUSED});
    diagnose(false, "dns tcp tls? greeting ehlo auth!");
    check_step(IPC_STEP_AUTH, REFUSED);
    check_step(IPC_STEP_AUTH, "no other token");
    check_num("tries", provider.connections, 1);
    world_close();
}

/* A breaker leaves a dead server alone; the check is its trial, but not again and again. */
static void test_a_breaker_does_not_hide_the_cause(void **state)
{
    struct account *account;
    uint64_t opened = 0;

    (void)state;
    open_world(2);
    account = world_find(A);
    breaker_set(&account->breaker, 1, 3600000, 1);
    breaker_set(&account->endpoint->breaker, 1, 3600000, 1);
    SCRIPT({.step = STEP_CONNECT, .act = ACT_CLOSE});
    for (int i = 0; i < 3; i++) {
        diagnose(false, "dns tcp tls!");
        assert_true(!i || account->endpoint->breaker.since >= opened + 1000);
        opened = account->endpoint->breaker.since;
    }
    assert_true(attempts_are_vain(account));
    provider_script(&provider, NULL, 0);
    diagnose(true, UNTIL_AUTH " mail");
    assert_false(attempts_are_vain(account));
    world_close();
}

static void test_logins_are_limited(void **state)
{
    (void)state;
    open_world(4);
    world_conf->logins_per_minute = 1;
    diagnose(true, UNTIL_AUTH " mail");
    world_conf->queue_wait_ms = 50;
    diagnose(false, "");
    /* Nor is it waited for what will not come in time. */
    world_conf->queue_wait_ms = 59000;
    world_find(A)->login_not_before = loop_now(&first->loop) + 300000;
    diagnose(false, "");
    if (!strstr(heard.why, "logins_per_minute"))
        fail_msg("it said: %s", heard.why);
    check_num("logins", provider.logins, 1);
    world_close();
}

static void test_the_account_goes(void **state)
{
    (void)state;
    open_world(2);
    SCRIPT({.step = STEP_MAIL, .act = ACT_LATE, .text = "200"});
    memset(&heard, 0, sizeof(heard));
    ask(1);
    upstream_remove(first, SLICE(A));
    assert_true(world_until(is_done, NULL));
    check_num("ok", heard.ok, 0);
    assert_null(world_find(A));
    diagnose(false, "");
    if (!strstr(heard.why, "does not know"))
        fail_msg("it said: %s", heard.why);
    world_close();
}

/* The relay ends in the middle of it. */
static void test_nothing_is_left(void **state)
{
    (void)state;
    open_world(2);
    ask(1);
    world_close();
    check_num("answers", heard.dones, 1);
}

static void test_senders(void **state)
{
    static const char *const bad[] = {"a b@example.com", "a>@example.com", "\xc3\xa4@example.com"};

    (void)state;
    for (size_t i = 0; i < COUNT_OF(bad); i++) {
        struct ipc_diagnose message = {1, SLICE(A), slice_of(bad[i])};

        open_world(2);
        provider.caps = "PIPELINING\nAUTH XOAUTH2";
        upstream_diagnose(first, &message);
        assert_true(world_until(is_done, NULL));
        check_text("steps", slice_of(heard.order), UNTIL_AUTH " mail!");
        check_num("MAIL", provider_count(&provider, "MAIL"), 0);
        check_outcome(deliver(1, 500, 1), OUTCOME_DELIVERED, 250);
        world_close();
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_all_is_well),
        cmocka_unit_test(test_at_the_cap_an_idle_one_is_examined),
        cmocka_unit_test(test_all_at_work_for_too_long),
        cmocka_unit_test(test_the_newest_counts),
        cmocka_unit_test(test_where_it_ends),
        cmocka_unit_test(test_what_mail_says_of_the_account),
        cmocka_unit_test(test_refused_twice),
        cmocka_unit_test(test_refused_token_is_replaced),
        cmocka_unit_test(test_a_token_refused_to_another),
        cmocka_unit_test(test_a_state_comes_meanwhile),
        cmocka_unit_test(test_no_other_token_comes),
        cmocka_unit_test(test_a_breaker_does_not_hide_the_cause),
        cmocka_unit_test(test_logins_are_limited),
        cmocka_unit_test(test_the_account_goes),
        cmocka_unit_test(test_nothing_is_left),
        cmocka_unit_test(test_senders),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
