/* Who asks next. Each endpoint has queues of its own, and a share of the
 * requests that may run at once which no other endpoint can take: when one of
 * them swallows requests without an answer, the others go on.
 */
#include "broker/oauth/token_private.h"

#include <assert.h>

static struct gate *endpoint_of(const struct token *token)
{
    return token->gates[GATE_ENDPOINT];
}

static struct list *list_of(struct token *token, enum token_phase phase)
{
    if (phase == TOKEN_QUEUED)
        return &endpoint_of(token)->queued;
    if (phase == TOKEN_URGENT)
        return &endpoint_of(token)->urgent;
    return &token->tokens->phases[phase];
}

static void update_turn(struct tokens *tokens, struct gate *endpoint)
{
    bool waits = endpoint->queued.count || endpoint->urgent.count;

    if (waits && !list_node_linked(&endpoint->turn_node))
        list_push_tail(&tokens->turns, &endpoint->turn_node);
    else if (!waits && list_node_linked(&endpoint->turn_node))
        list_remove(&tokens->turns, &endpoint->turn_node);
}

void token_move(struct token *token, enum token_phase phase)
{
    struct tokens *tokens = token->tokens;
    struct gate *endpoint = endpoint_of(token);

    loop_timer_cancel(tokens->loop, &token->due);
    calendar_remove(&tokens->calendar, &token->due_slot);
    list_remove(list_of(token, token->phase), &token->node);
    if (endpoint && token->phase == TOKEN_RUNNING)
        endpoint->running--;
    token->phase = phase;
    list_push_tail(list_of(token, phase), &token->node);
    if (endpoint && phase == TOKEN_RUNNING)
        endpoint->running++;
    if (endpoint)
        update_turn(tokens, endpoint);
}

/* A quarter of all is shared out for keeps, at least one each. */
static bool has_room(const struct tokens *tokens, const struct gate *endpoint)
{
    size_t max = tokens->conf->oauth_concurrency, running = tokens->phases[TOKEN_RUNNING].count;
    size_t endpoints = HASH_COUNT(tokens->gates[GATE_ENDPOINT]);
    size_t share;

    assert(endpoints > 0); /* the one that asks is among them */
    share = max / (4 * endpoints) ? max / (4 * endpoints) : 1;
    return running < max && (endpoint->running < share || running + share * (endpoints - 1) < max);
}

/* Mail that waits does so for no distance. */
static bool is_its_time(struct tokens *tokens, const struct gate *endpoint, bool urgent)
{
    uint64_t now = loop_now(tokens->loop), wait = urgent ? 0 : gate_pace(endpoint, now);

    if (wait && (!timer_active(&tokens->pace_timer) || tokens->pace_timer.deadline > now + wait))
        loop_timer_set(tokens->loop, &tokens->pace_timer, wait);
    return !wait;
}

static struct token *first_of(struct tokens *tokens, bool urgent)
{
    list_foreach (&tokens->turns, node) {
        struct gate *endpoint = container_of(node, struct gate, turn_node);
        struct list *list = urgent ? &endpoint->urgent : &endpoint->queued;

        if (list_empty(list) || !has_room(tokens, endpoint) ||
            !is_its_time(tokens, endpoint, urgent))
            continue;
        if (!urgent)
            gate_paced(endpoint, loop_now(tokens->loop));
        list_remove(&tokens->turns, node);
        list_push_tail(&tokens->turns, node);
        return container_of(list_first(list), struct token, node);
    }
    return NULL;
}

struct token *turns_next(struct tokens *tokens)
{
    struct token *token = NULL;

    if (tokens->stage != TOKENS_STOP)
        token = first_of(tokens, true);
    if (!token && tokens->stage == TOKENS_RUN)
        token = first_of(tokens, false);
    return token;
}
