#include "broker/admin/checks.h"

#include <stdlib.h>

#include "broker/broker.h"
#include "broker/oauth/http.h"

static const char *const step_names[CHECK_STEPS] = {
    "account",       "endpoint_dns", "endpoint_tcp", "endpoint_tls", "token",
    "claims",        "limits",       "smtp_dns",     "smtp_tcp",     "smtp_tls",
    "smtp_greeting", "smtp_ehlo",    "smtp_auth",    "smtp_mail"};
static const char *const result_names[CHECKED_RESULTS] = {"ok", "warning", "failed", "skipped"};

static void on_turn(struct timer *timer);

bool check_has_told(const struct check *check, enum check_step step)
{
    return check->told & 1u << step;
}

/* Texts of other sides may be of any octets, and be cut in the middle of a character. */
static json_t *text_json(const char *text)
{
    json_t *json = json_string(text);
    char *copy = json ? NULL : slice_dup(slice_of(text));

    if (!copy)
        return json ? json : json_string("");
    for (char *at = copy; *at; at++) {
        if ((unsigned char)*at > 126)
            *at = '?';
    }
    json = json_string(copy);
    free(copy);
    return json;
}

void check_tell_after(struct check *check, enum check_step step, enum check_result result,
                      uint64_t took_ms, const struct hint *hint, const char *text)
{
    json_t *line = json_pack("{s:s, s:s, s:I}", "step", step_names[step], "result",
                             result_names[result], "ms", (json_int_t)took_ms);

    check->told |= 1u << step;
    check->counts[result]++;
    if (line) {
        json_object_set_new(line, "detail", text_json(text));
        json_object_set_new(line, "cause", hint ? json_string(hint->cause) : json_null());
        json_object_set_new(line, "cure", hint ? json_string(hint->text) : json_null());
    }
    admin_stream_json(check->request, line);
    check->mark_ms = loop_now(&check->broker->loop);
}

void check_tell(struct check *check, enum check_step step, enum check_result result,
                const struct hint *hint, const char *text)
{
    check_tell_after(check, step, result, loop_now(&check->broker->loop) - check->mark_ms, hint,
                     text);
}

void check_skip_rest(struct check *check, enum check_step from, const char *why)
{
    for (int step = (int)from; step < CHECK_STEPS; step++) {
        if (!check_has_told(check, (enum check_step)step))
            check_tell_after(check, (enum check_step)step, CHECKED_SKIPPED, 0, NULL, why);
    }
}

struct account *check_account(const struct check *check)
{
    return registry_by_id(&check->broker->registry, slice_of(check->id));
}

struct check *check_new(struct admin_request *request, const struct account *account)
{
    struct broker *broker = admin_broker(request);
    struct check *check = calloc(1, sizeof(*check));

    if (!check || !(check->id = slice_dup(slice_of(account->record->id)))) {
        free(check);
        return NULL;
    }
    check->broker = broker;
    check->request = request;
    check->began_ms = check->mark_ms = loop_now(&broker->loop);
    timer_init(&check->turn, on_turn);
    list_push_tail(&broker->checks, &check->node);
    return check;
}

static void check_free(struct check *check)
{
    if (check->look)
        http_cancel(check->look);
    token_verify_cancel(&check->waiter);
    if (check->probing)
        relay_view_forget(check->broker->view, check);
    loop_timer_cancel(&check->broker->loop, &check->turn);
    list_remove(&check->broker->checks, &check->node);
    free(check->id);
    free(check);
}

void check_finish(struct check *check)
{
    const struct account *account = check_account(check);
    const struct hold *hold = account ? account_worst(account) : NULL;
    double seconds = (double)(loop_now(&check->broker->loop) - check->began_ms) / 1000;

    admin_stream_json(
        check->request,
        json_pack("{s:{s:b, s:i, s:i, s:i, s:i, s:f, s:s?}}", "summary", "success",
                  !check->counts[CHECKED_FAILED], "ok", (int)check->counts[CHECKED_OK], "warnings",
                  (int)check->counts[CHECKED_WARNING], "failed", (int)check->counts[CHECKED_FAILED],
                  "skipped", (int)check->counts[CHECKED_SKIPPED], "seconds", seconds, "state",
                  hold ? account_state_names[hold->state] : NULL));
    admin_stream_end(check->request);
    check_free(check);
}

static void end_removed(struct check *check)
{
    check_skip_rest(check, CHECK_ACCOUNT, "the account was removed meanwhile");
    check_finish(check);
}

static void on_turn(struct timer *timer)
{
    struct check *check = container_of(timer, struct check, turn);

    if (check_account(check))
        check->next(check);
    else
        end_removed(check);
}

void check_go_on(struct check *check, void (*next)(struct check *check))
{
    check->next = next;
    loop_timer_set(&check->broker->loop, &check->turn, 0);
}

void check_abandon(struct check *check)
{
    admin_stream_end(check->request);
    check_free(check);
}

void checks_abandon(struct broker *broker)
{
    struct list_node *node;

    while ((node = list_first(&broker->checks)))
        check_abandon(container_of(node, struct check, node));
}
