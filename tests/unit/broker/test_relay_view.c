/* Questions to the relay: answered once, whatever it says or does not say. */
#include "check.h"

#include <stdio.h>

#include "broker/relay_link.h"
#include "broker/relay_view.h"
#include "broker/tell.h"

static struct loop loop;
static struct registry registry;
static struct conf conf;
static struct relay_view *view;
static struct account accounts[20];
static struct account_record records[20];
static char ids[20][8];

/* What the relay was sent last. */
static struct ipc_message sent;
static unsigned sends, introductions;

/* What was answered. */
static struct {
    unsigned rows_calls, probe_calls, steps;
    struct relay_step step;
    size_t count;
    struct relay_pool rows[20];
    bool more, ok;
    char why[200], text[400];
    bool ask_again; /* from inside the answer */
} got;

static struct relay_link *const relay = (struct relay_link *)&loop; /* never looked at */

void relay_link_send(struct relay_link *link, const struct ipc_message *message)
{
    assert_ptr_equal(link, relay);
    sent = *message;
    sends++;
}

void tell_introduce(struct account *account)
{
    account->in_relay = true;
    introductions++;
}

struct account *registry_by_id(const struct registry *from, struct slice id)
{
    assert_ptr_equal(from, &registry);
    for (size_t i = 0; i < COUNT_OF(accounts); i++) {
        if (slice_equal(slice_of(ids[i]), id))
            return &accounts[i];
    }
    return NULL;
}

/* --- asking and answering --- */

static void on_rows(void *owner, const struct relay_pool *rows, size_t count, bool more,
                    const char *why)
{
    assert_ptr_equal(owner, &got);
    got.rows_calls++;
    got.count = count;
    got.more = more;
    snprintf(got.why, sizeof(got.why), "%s", why ? why : "");
    for (size_t i = 0; i < count; i++)
        got.rows[i] = rows[i];
    if (got.ask_again)
        assert_true(relay_view_ask(view, SLICE(""), SLICE(""), 1, on_rows, &got));
    got.ask_again = false;
}

static void on_probed(void *owner, bool ok, const char *text)
{
    assert_ptr_equal(owner, &got);
    got.probe_calls++;
    got.ok = ok;
    snprintf(got.text, sizeof(got.text), "%s", text);
}

static uint64_t ask(const char *id, const char *after, uint32_t limit)
{
    assert_true(relay_view_ask(view, slice_of(id), slice_of(after), limit, on_rows, &got));
    return sent.u.snapshot.request;
}

static void on_step(void *owner, const struct relay_step *step)
{
    assert_ptr_equal(owner, &got);
    got.steps++;
    got.step = *step;
    got.step.text = NULL;
    snprintf(got.why, sizeof(got.why), "%s", step->text);
}

static uint64_t diagnose(const char *id)
{
    assert_true(relay_view_diagnose(view, slice_of(id), SLICE("a@b"), on_step, on_probed, &got));
    return sent.u.diagnose.request;
}

static bool say_step(uint64_t request, enum ipc_step step, const char *text)
{
    struct ipc_message message = {.type = IPC_DIAGNOSIS_STEP};

    message.u.diagnosis_step = (struct ipc_diagnosis_step){
        request, (uint8_t)step, IPC_STEP_FAILED, ACCOUNT_PARKED, 550, 9, slice_of(text)};
    return relay_view_take(view, &message);
}

static bool say_diagnosed(uint64_t request, bool ok, const char *text)
{
    struct ipc_message message = {.type = IPC_DIAGNOSIS_DONE,
                                  .u.diagnosis_done = {request, ok, slice_of(text)}};

    return relay_view_take(view, &message);
}

static uint64_t probe(const char *id)
{
    assert_true(relay_view_probe(view, slice_of(id), on_probed, &got));
    return sent.u.probe.request;
}

static bool say_pool(uint64_t request, const char *id)
{
    struct ipc_message message = {.type = IPC_POOL};

    message.u.pool = (struct ipc_pool){.request = request,
                                       .id = slice_of(id),
                                       .endpoint = SLICE("smtp.x:587\n\xff"),
                                       .idle = 3,
                                       .delivered = 7};
    return relay_view_take(view, &message);
}

static bool say_done(uint64_t request, bool more)
{
    struct ipc_message message = {.type = IPC_SNAPSHOT_DONE, .u.snapshot_done = {request, more}};

    return relay_view_take(view, &message);
}

static bool say_probed(uint64_t request, bool ok, const char *text)
{
    struct ipc_message message = {
        .type = IPC_PROBE_DONE, .u.probe_done = {request, ok, 535, SLICE("auth"), slice_of(text)}};

    return relay_view_take(view, &message);
}

static void run(void)
{
    for (int i = 0; i < 20; i++) {
        uv_run(&loop.uv, UV_RUN_NOWAIT);
        nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
    }
}

/* Time that nobody has to wait for. */
static void pass(uint64_t ms)
{
    timers_run(&loop.timers, loop_now(&loop) + ms);
}

/* --- tests --- */

static void test_a_page(void **state)
{
    uint64_t request;

    (void)state;
    request = ask("", "a00", 2);
    check_num("type", sent.type, IPC_SNAPSHOT);
    check_text("after", sent.u.snapshot.after, "a00");
    check_num("limit", sent.u.snapshot.limit, 2);
    assert_true(say_pool(request, "a01"));
    assert_true(say_pool(request, "a05"));
    check_num("not yet", got.rows_calls, 0);
    assert_true(say_done(request, true));
    check_num("answers", got.rows_calls, 1);
    check_num("rows", (long long)got.count, 2);
    assert_true(got.more);
    check_text("id", slice_of(got.rows[1].id), "a05");
    check_text("endpoint", slice_of(got.rows[1].endpoint), "smtp.x:587??");
    check_num("idle", got.rows[1].numbers.idle, 3);
    check_num("delivered", (long long)got.rows[1].numbers.delivered, 7);
    assert_true(say_done(request, true)); /* late: nothing */
    assert_true(say_pool(request, "a06"));
    check_num("answers", got.rows_calls, 1);
}

static void test_one_account(void **state)
{
    uint64_t request;

    (void)state;
    request = ask("a03", "", 5);
    check_text("id", sent.u.snapshot.id, "a03");
    assert_true(say_pool(request, "a03"));
    assert_false(say_pool(request, "a03"));
    assert_true(say_done(request, false));
    check_num("rows", (long long)got.count, 1);
    request = ask("a03", "", 5);
    assert_true(say_done(request, true)); /* more of nothing */
    check_num("rows", (long long)got.count, 0);
    assert_false(got.more);
    request = ask("a03", "", 5);
    assert_false(say_pool(request, "a04"));
}

/* An account that was removed meanwhile is left out; one that never was, too. */
static void test_unknown_accounts_are_left_out(void **state)
{
    uint64_t request;

    (void)state;
    request = ask("", "", 3);
    assert_true(say_pool(request, "a01"));
    assert_true(say_pool(request, "a01x"));
    assert_true(say_pool(request, "a02"));
    assert_false(say_pool(request, "a03")); /* they count towards the limit */
    assert_true(say_done(request, false));
    check_num("rows", (long long)got.count, 2);
}

static void test_rows_out_of_turn(void **state)
{
    uint64_t request;

    (void)state;
    request = ask("", "a05", 10);
    assert_false(say_pool(request, "a05"));
    assert_false(say_pool(request, "a01"));
    assert_true(say_pool(request, "a06"));
    assert_false(say_pool(request, "a06"));
    request = ask("", "", 0);
    assert_false(say_pool(request, "a06"));
    ask("", "", UINT32_MAX);
    check_num("limit", sent.u.snapshot.limit, IPC_SNAPSHOT_ROWS);
}

static void test_probe(void **state)
{
    uint64_t request;

    (void)state;
    request = probe("a04");
    check_num("type", sent.type, IPC_PROBE);
    check_text("id", sent.u.probe.id, "a04");
    check_num("introduced", introductions, 1);
    assert_true(say_done(request, false)); /* the answer to another question */
    check_num("answers", got.probe_calls, 0);
    assert_true(say_probed(request, false, "535 5.7.8 no\r\nMAIL"));
    check_num("answers", got.probe_calls, 1);
    assert_false(got.ok);
    check_text("text", slice_of(got.text), "auth: 535 5.7.8 no??MAIL");
    request = probe("a04");
    check_num("introduced once", introductions, 1);
    assert_true(say_probed(request, true, ""));
    assert_true(got.ok);
    assert_true(say_probed(request, true, ""));
    check_num("answers", got.probe_calls, 2);
}

static void test_nobody_to_ask(void **state)
{
    (void)state;
    registry.link = NULL;
    ask("", "", 5);
    probe("a01");
    check_num("not from inside", got.rows_calls + got.probe_calls, 0);
    run();
    check_num("answers", got.rows_calls + got.probe_calls, 2);
    assert_non_null(strstr(got.why, "no relay"));
    assert_non_null(strstr(got.text, "no relay"));
    check_num("sent", sends, 0);
    registry.link = relay;
    probe("nobody");
    run();
    assert_non_null(strstr(got.text, "no such account"));
}

static void test_no_answer(void **state)
{
    (void)state;
    ask("", "", 5);
    probe("a01");
    pass(11000);
    check_num("rows", got.rows_calls, 1);
    assert_non_null(strstr(got.why, "does not answer"));
    check_num("a login takes longer", got.probe_calls, 0);
    pass(conf.queue_wait_ms + conf.connect_timeout_ms + 6 * conf.upstream_command_ms + 11000);
    check_num("probes", got.probe_calls, 1);
    assert_false(got.ok);
}

static void test_the_relay_dies(void **state)
{
    uint64_t request;

    (void)state;
    request = ask("", "", 5);
    assert_true(say_pool(request, "a01"));
    probe("a01");
    probe("a02");
    got.ask_again = true;
    registry.link = NULL;
    relay_view_gone(view);
    check_num("rows", got.rows_calls, 1);
    check_num("count", (long long)got.count, 0);
    check_num("probes", got.probe_calls, 2);
    assert_non_null(strstr(got.why, "ended"));
    run(); /* what was asked from inside */
    check_num("rows", got.rows_calls, 2);
}

static void test_who_asked_is_gone(void **state)
{
    uint64_t request;

    (void)state;
    request = ask("", "", 5);
    probe("a01");
    relay_view_forget(view, &got);
    assert_true(say_pool(request, "a01"));
    assert_true(say_done(request, false));
    relay_view_gone(view);
    check_num("answers", got.rows_calls + got.probe_calls, 0);
}

static void test_too_many(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 70; i++)
        ask("", "", 5);
    check_num("sent", sends, 64);
    run();
    check_num("answers", got.rows_calls, 6);
    assert_non_null(strstr(got.why, "too many"));
}

static int set_up(void **state)
{
    struct reason why;

    (void)state;
    memset(&got, 0, sizeof(got));
    memset(accounts, 0, sizeof(accounts));
    sends = introductions = 0;
    for (size_t i = 0; i < COUNT_OF(accounts); i++) {
        snprintf(ids[i], sizeof(ids[i]), "a%02zu", i);
        records[i].id = ids[i];
        accounts[i].record = &records[i];
    }
    conf = (struct conf){
        .queue_wait_ms = 30000, .connect_timeout_ms = 30000, .upstream_command_ms = 120000};
    assert_true(loop_init(&loop, &why));
    registry = (struct registry){.loop = &loop, .conf = &conf, .link = relay};
    view = relay_view_new(&registry);
    return view ? 0 : -1;
}

static int tear_down(void **state)
{
    (void)state;
    relay_view_free(view);
    loop_close(&loop);
    return 0;
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

static void test_a_diagnosis(void **state)
{
    uint64_t request;

    (void)state;
    request = diagnose("a03");
    check_num("type", sent.type, IPC_DIAGNOSE);
    check_text("id", sent.u.diagnose.id, "a03");
    check_text("sender", sent.u.diagnose.sender, "a@b");
    assert_true(say_step(request, IPC_STEP_AUTH, "535 \x1b[2J no"));
    check_num("steps", got.steps, 1);
    check_num("step", got.step.step, IPC_STEP_AUTH);
    check_num("result", got.step.result, IPC_STEP_FAILED);
    check_num("state", got.step.state, ACCOUNT_PARKED);
    check_num("code", got.step.code, 550);
    check_num("took", (long long)got.step.took_ms, 9);
    check_text("made printable", slice_of(got.why), "535 ?[2J no");
    /* Each step once: else a relay that was taken over could fill the memory. */
    assert_false(say_step(request, IPC_STEP_AUTH, "again"));
    check_num("steps", got.steps, 1);
    assert_true(say_probed(request, true, "")); /* the answer to another question: nothing */
    check_num("answers", got.probe_calls, 0);
    assert_true(say_diagnosed(request, false, "why"));
    check_num("answers", got.probe_calls, 1);
    check_text("why", slice_of(got.text), "why");
    assert_true(say_step(request, IPC_STEP_MAIL, "late"));
    assert_true(say_diagnosed(request, true, "late"));
    check_num("answers", got.probe_calls, 1);
    check_num("steps", got.steps, 1);
    /* An account that is not there, and a relay that says nothing. */
    diagnose("nobody");
    run();
    check_num("answers", got.probe_calls, 2);
    diagnose("a03");
    pass(3600000);
    check_num("answers", got.probe_calls, 3);
    assert_false(got.ok);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_a_page),
        TEST(test_one_account),
        TEST(test_unknown_accounts_are_left_out),
        TEST(test_rows_out_of_turn),
        TEST(test_probe),
        TEST(test_a_diagnosis),
        TEST(test_nobody_to_ask),
        TEST(test_no_answer),
        TEST(test_the_relay_dies),
        TEST(test_who_asked_is_gone),
        TEST(test_too_many),
    };

    return cmocka_run_group_tests_name("broker/relay_view", tests, NULL, NULL);
}
