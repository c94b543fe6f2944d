#include "broker/admin/sweep.h"

#include <stdlib.h>

#include "broker/admin/hints.h"
#include "broker/broker.h"

/* Beside all accounts a few times over. */
#define ROOM_TIMES 4
#define ROOM_MORE 1000

static void on_turn(struct timer *timer);

bool sweep_has_room(const struct broker *broker, size_t count)
{
    size_t most = ROOM_TIMES * registry_count(&broker->registry) + ROOM_MORE;

    list_foreach (&broker->sweeps, node)
        count += container_of(node, struct sweep, broker_node)->count;
    return count <= most;
}

struct sweep *sweep_new(struct broker *broker, size_t count)
{
    struct sweep *sweep = calloc(1, sizeof(*sweep));

    if (!sweep || !(sweep->results = calloc(count ? count : 1, sizeof(*sweep->results)))) {
        free(sweep);
        return NULL;
    }
    sweep->broker = broker;
    list_push_tail(&broker->sweeps, &sweep->broker_node);
    timer_init(&sweep->turn, on_turn);
    return sweep;
}

bool sweep_add(struct sweep *sweep, const struct account *account)
{
    struct sweep_result *result = &sweep->results[sweep->count];

    result->sweep = sweep;
    result->id = slice_dup(slice_of(account->record->id));
    result->email = slice_dup(slice_of(account->record->email));
    sweep->count++;
    return result->id && result->email;
}

static void drop_texts(struct sweep_result *result)
{
    free(result->token_text);
    free(result->smtp_text);
    result->token_text = result->smtp_text = NULL;
}

void sweep_cut(struct sweep *sweep)
{
    sweep->cut = true;
}

void sweep_free(struct sweep *sweep)
{
    for (size_t i = 0; i < sweep->count; i++) {
        token_verify_cancel(&sweep->results[i].waiter);
        if (sweep->results[i].probing)
            relay_view_forget(sweep->broker->view, &sweep->results[i]);
        free(sweep->results[i].id);
        free(sweep->results[i].email);
        drop_texts(&sweep->results[i]);
    }
    list_remove(&sweep->broker->sweeps, &sweep->broker_node);
    loop_timer_cancel(&sweep->broker->loop, &sweep->turn);
    free(sweep->results);
    free(sweep);
}

static void finish(struct sweep_result *result)
{
    struct sweep *sweep = result->sweep;

    sweep->running--;
    sweep->done++;
    if (sweep->result) {
        sweep->result(sweep, result);
        drop_texts(result); /* it was told */
    }
    loop_timer_set(&sweep->broker->loop, &sweep->turn, 0);
}

static void on_probed(void *owner, bool ok, const char *text)
{
    struct sweep_result *result = owner;

    result->probing = false;
    result->smtp_ok = ok;
    result->smtp_text = slice_dup(slice_of(text));
    finish(result);
}

/* From the token's machinery: what follows waits for the next turn. */
static void on_token(struct token_waiter *waiter, enum oauth_class class_, const char *text)
{
    struct sweep_result *result = container_of(waiter, struct sweep_result, waiter);
    struct broker *broker = result->sweep->broker;
    const struct account *account = registry_by_id(&broker->registry, slice_of(result->id));

    result->generation = account ? account->generation : 0;
    result->class_ = class_;
    result->token_ok = class_ == OAUTH_OK;
    result->token_text = result->token_ok ? NULL : slice_dup(slice_of(text));
    if (!result->token_ok || !result->sweep->smtp) {
        finish(result);
        return;
    }
    result->smtp_asked = result->probing = true;
    if (!relay_view_probe(broker->view, slice_of(result->id), on_probed, result))
        on_probed(result, false, "out of memory");
}

static void start(struct sweep *sweep, struct sweep_result *result)
{
    struct account *account = registry_by_id(&sweep->broker->registry, slice_of(result->id));

    sweep->running++;
    result->began_ms = loop_now(&sweep->broker->loop);
    if (account) {
        result->waiter.done = on_token;
        token_verify(account, &result->waiter);
        return;
    }
    result->class_ = OAUTH_TRANSIENT;
    result->token_text = slice_dup(SLICE("the account was removed"));
    finish(result);
}

/* No more at once than are asked at once: the others would only wait elsewhere. */
static void on_turn(struct timer *timer)
{
    struct sweep *sweep = container_of(timer, struct sweep, turn);
    size_t most = sweep->broker->setup->conf->oauth_concurrency;

    while (!sweep->cut && sweep->next < sweep->count && sweep->running < most)
        start(sweep, &sweep->results[sweep->next++]);
    if (sweep->done == sweep->count || (sweep->cut && !sweep->running))
        sweep->finished(sweep);
}

void sweep_begin(struct sweep *sweep)
{
    loop_timer_set(&sweep->broker->loop, &sweep->turn, 0);
}

void sweeps_abandon(struct broker *broker)
{
    struct list_node *node;

    while ((node = list_first(&broker->sweeps))) {
        struct sweep *sweep = container_of(node, struct sweep, broker_node);

        sweep->finished(sweep);
    }
}

bool sweep_result_dead(const struct sweep_result *result)
{
    const struct registry *registry = &result->sweep->broker->registry;
    const struct account *account = registry_by_id(registry, slice_of(result->id));

    return result->class_ == OAUTH_CONSENT && account && account->generation == result->generation;
}

const char *sweep_result_text(const struct sweep_result *result)
{
    if (result->token_ok)
        return "the endpoint gave a token";
    return result->token_text ? result->token_text : "";
}

/* --- as JSON ----------------------------------------------------------------- */

static json_t *step_json(const char *step, bool ok, const char *text)
{
    return json_pack("{s:s, s:b, s:s}", "step", step, "ok", ok, "text", text);
}

static const char *verdict_of(const struct sweep_result *result)
{
    if (!result->token_ok)
        return oauth_class_names[result->class_];
    return sweep_result_ok(result) ? "ok" : "smtp";
}

/* The account may have gone meanwhile. */
static void add_hint(const struct sweep_result *result, json_t *json)
{
    const struct account *account =
        registry_by_id(&result->sweep->broker->registry, slice_of(result->id));
    const struct hint *hint;

    if (!account)
        return;
    if (result->token_ok)
        hint = hint_of_login(account, result->smtp_text ? result->smtp_text : "");
    else
        hint = hint_of_answer(account, result->class_, sweep_result_text(result));
    json_object_set_new(json, "cause", json_string(hint->cause));
    json_object_set_new(json, "cure", json_string(hint->text));
}

json_t *sweep_result_json(const struct sweep_result *result)
{
    bool ok = sweep_result_ok(result);
    uint64_t took = loop_now(&result->sweep->broker->loop) - result->began_ms;
    const char *token_text = sweep_result_text(result);
    const char *smtp_text = result->smtp_text ? result->smtp_text : "";
    json_t *steps = json_array();
    json_t *json =
        json_pack("{s:b, s:s, s:s, s:f, s:o}", "success", ok, "email", result->email, "verdict",
                  verdict_of(result), "seconds", (double)took / 1000, "steps", steps);

    json_array_append_new(steps, step_json("token", result->token_ok, token_text));
    if (result->smtp_asked)
        json_array_append_new(steps, step_json("smtp", result->smtp_ok, smtp_text));
    if (!ok) {
        json_object_set_new(json, "error", json_string(result->token_ok ? smtp_text : token_text));
        add_hint(result, json);
    }
    return json;
}
