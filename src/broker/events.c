#include "broker/events.h"

#include <jansson.h>
#include <sodium.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/codec.h"
#include "base/date.h"
#include "base/log.h"
#include "broker/admin/hints.h"

static void on_second(struct timer *timer);

void events_init(struct events *events, struct loop *loop, struct webhook *webhook)
{
    *events = (struct events){.loop = loop, .webhook = webhook};
    timer_init(&events->timer, on_second);
}

/* --- the log ---------------------------------------------------------------------- */

static enum log_level level_of(enum account_state state)
{
    return state >= ACCOUNT_NEEDS_CONSENT && state != ACCOUNT_DISABLED ? LOG_WARN : LOG_INFO;
}

static void log_one(const struct account *account, enum account_state from)
{
    const struct hold *hold = account_worst(account);

    log_event(level_of(hold->state), "account_state", log_s("account", account->record->id),
              log_s("email", account->record->email), log_s("from", account_state_names[from]),
              log_s("to", account_state_names[hold->state]), log_u("until", hold->until_wall_ms),
              log_s("text", hold->text));
}

static void log_group(const struct event_group *group, size_t more)
{
    log_event(level_of(group->to), "account_states", log_u("accounts", more),
              log_s("provider", group->provider), log_s("from", account_state_names[group->from]),
              log_s("to", account_state_names[group->to]),
              log_s("text", group->text[0] ? group->text : NULL));
}

/* --- the webhook ------------------------------------------------------------------ */

static json_t *text_or_null(const char *text)
{
    json_t *json = text && *text ? json_string(text) : json_null();

    return json ? json : json_string("(not UTF-8)");
}

static json_t *time_or_null(uint64_t wall_ms)
{
    char text[DATE_TEXT];

    if (!wall_ms)
        return json_null();
    date_format(wall_ms, text);
    return json_string(text);
}

static json_t *new_event(const char *type, enum account_state from, enum account_state to,
                         const char *provider, char id[WEBHOOK_ID_CHARS + 1])
{
    unsigned char octets[WEBHOOK_ID_CHARS / 2];

    randombytes_buf(octets, sizeof(octets));
    hex_encode(octets, sizeof(octets), id);
    return json_pack("{s:s, s:s, s:o, s:s, s:s, s:s}", "id", id, "type", type, "at",
                     time_or_null(clock_wall_ms()), "provider", provider, "from",
                     account_state_names[from], "to", account_state_names[to]);
}

/* Not jansson's own memory, which only jansson frees. */
static char *dump(const json_t *body)
{
    size_t len = body ? json_dumpb(body, NULL, 0, JSON_COMPACT) : 0;
    char *text = len ? malloc(len + 1) : NULL;

    if (text) {
        json_dumpb(body, text, len, JSON_COMPACT);
        text[len] = '\0';
    }
    return text;
}

static void queue(struct events *events, const char *id, json_t *body, const struct hint *hint,
                  const char *text, uint64_t until_wall_ms)
{
    json_object_set_new(body, "cause", text_or_null(hint ? hint->cause : NULL));
    json_object_set_new(body, "provider_text", text_or_null(text));
    json_object_set_new(body, "hint", text_or_null(hint ? hint->text : NULL));
    json_object_set_new(body, "until", time_or_null(until_wall_ms));
    webhook_add(events->webhook, id, dump(body));
    json_decref(body);
}

static const struct hint *cause_of(const struct account *account)
{
    return account_state(account) == ACCOUNT_ACTIVE ? NULL : hint_find(account);
}

static void queue_one(struct events *events, const struct account *account, enum account_state from)
{
    const struct account_record *record = account->record;
    const struct hold *hold = account_worst(account);
    char id[WEBHOOK_ID_CHARS + 1];
    json_t *body = new_event("account.state", from, hold->state, record->provider, id);

    json_object_set_new(body, "account", json_string(record->id));
    json_object_set_new(body, "email", text_or_null(record->email));
    queue(events, id, body, cause_of(account), hold->text, hold->until_wall_ms);
}

static void queue_group(struct events *events, const struct event_group *group, size_t more)
{
    char id[WEBHOOK_ID_CHARS + 1];
    json_t *body = new_event("accounts.state", group->from, group->to, group->provider, id);

    json_object_set_new(body, "accounts", json_integer((json_int_t)more));
    queue(events, id, body, group->hint, group->text, 0);
}

/* --- groups ------------------------------------------------------------------------ */

static bool is_of(const struct event_group *group, const struct account *account,
                  enum account_state from)
{
    return group->from == from && group->to == account_state(account) &&
           group->by == account->worst && strcmp(group->provider, account->record->provider) == 0;
}

/* When there are more kinds than groups, the last one takes all of the others: its provider
 * is "", and its states are those of its first. NULL: memory is out. */
static struct event_group *group_of(struct events *events, const struct account *account,
                                    enum account_state from)
{
    struct event_group *group;

    if (!events->groups)
        events->groups = calloc(EVENTS_GROUPS, sizeof(*events->groups));
    if (!events->groups)
        return NULL;
    for (size_t i = 0; i < events->group_count; i++) {
        if (is_of(&events->groups[i], account, from))
            return &events->groups[i];
    }
    if (events->group_count == EVENTS_GROUPS)
        return &events->groups[EVENTS_GROUPS - 1];
    group = &events->groups[events->group_count++];
    *group = (struct event_group){.from = from, .to = account_state(account), .by = account->worst};
    if (events->group_count < EVENTS_GROUPS)
        slice_copy(slice_of(account->record->provider), group->provider, sizeof(group->provider));
    return group;
}

static void count_one(struct event_group *group, const struct account *account)
{
    const struct hold *hold = account_worst(account);
    struct text text;

    group->count++;
    if (group->count != EVENTS_SINGLE + 1)
        return;
    group->hint = cause_of(account);
    text_init(&text, group->text, sizeof(group->text));
    text_add_str(&text, hold->text ? hold->text : "");
}

static void end_group(struct events *events, const struct event_group *group)
{
    if (group->count > EVENTS_LINES)
        log_group(group, group->count - EVENTS_LINES);
    if (group->count > EVENTS_SINGLE && webhook_is_on(events->webhook))
        queue_group(events, group, group->count - EVENTS_SINGLE);
}

static void on_second(struct timer *timer)
{
    struct events *events = container_of(timer, struct events, timer);

    for (size_t i = 0; i < events->group_count; i++)
        end_group(events, &events->groups[i]);
    events->group_count = 0;
}

void events_clear(struct events *events)
{
    loop_timer_cancel(events->loop, &events->timer);
    on_second(&events->timer);
    free(events->groups);
    events->groups = NULL;
}

void events_take(void *owner, const struct account *account, enum account_state from)
{
    struct events *events = owner;
    struct event_group *group = group_of(events, account, from);

    events->changes++;
    if (!timer_active(&events->timer))
        loop_timer_set(events->loop, &events->timer, EVENTS_SECOND_MS);
    if (group)
        count_one(group, account);
    if (!group || group->count <= EVENTS_LINES)
        log_one(account, from);
    if ((!group || group->count <= EVENTS_SINGLE) && webhook_is_on(events->webhook))
        queue_one(events, account, from);
}
