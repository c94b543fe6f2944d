#include "broker/admin/intake.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <uthash.h>

#include "broker/admin/candidate.h"
#include "broker/broker.h"
#include "broker/wipe.h"

/* Accounts that come to be in one turn of the loop. More than an array has. */
#define WRITE_MAX 500

/* An id or a login of this intake; the kind is the first octet, so that no id is
 * taken for a login. */
struct intake_name {
    UT_hash_handle hh;
    size_t number;
    char key[];
};

static void on_turn(struct timer *timer);

static struct loop *loop_of(const struct intake *intake)
{
    return &intake->broker->loop;
}

struct intake *intake_new(struct broker *broker, size_t count, uint64_t verify_ms)
{
    struct intake *intake = calloc(1, sizeof(*intake));

    if (!intake)
        return NULL;
    intake->broker = broker;
    intake->count = count;
    intake->give_up_ms = loop_now(&broker->loop) + verify_ms;
    intake->setup = setup_ref(broker_next_setup(broker));
    list_push_tail(&broker->intakes, &intake->broker_node);
    list_init(&intake->checked);
    timer_init(&intake->turn, on_turn);
    intake->items = calloc(count ? count : 1, sizeof(*intake->items));
    intake->writing = calloc(count ? count : 1, sizeof(struct intake_item *));
    if (!intake->items || !intake->writing) {
        intake_free(intake);
        return NULL;
    }
    for (size_t i = 0; i < count; i++) {
        intake->items[i].intake = intake;
        intake->items[i].number = i + 1;
    }
    return intake;
}

/* What holds secrets goes as soon as it is not needed. */
static void drop_contents(struct intake_item *item)
{
    json_decref(item->object);
    item->object = NULL;
    secret_free(&item->superseded);
    record_free(item->record);
    item->record = NULL;
    token_grant_clear(&item->grant);
}

static void free_names(struct intake *intake)
{
    struct intake_name *name, *next;

    HASH_ITER (hh, intake->names, name, next) {
        HASH_DEL(intake->names, name);
        free(name);
    }
}

void intake_free(struct intake *intake)
{
    for (size_t i = 0; intake->items && i < intake->count; i++) {
        verify_cancel(&intake->items[i].check);
        token_grant_clear(&intake->items[i].check.grant);
        secret_free(&intake->items[i].check.refresh_token);
        drop_contents(&intake->items[i]);
        free(intake->items[i].email);
    }
    loop_timer_cancel(loop_of(intake), &intake->turn);
    list_remove(&intake->broker->intakes, &intake->broker_node);
    setup_unref(intake->setup);
    free_names(intake);
    free(intake->items);
    free(intake->writing);
    free(intake);
}

/* --- verdicts --------------------------------------------------------------- */

static void finish_item(struct intake_item *item, enum intake_verdict verdict)
{
    struct intake *intake = item->intake;

    assert(item->verdict == INTAKE_PENDING && verdict != INTAKE_PENDING);
    item->verdict = verdict;
    drop_contents(item);
    intake->done++;
    if (intake->item_done)
        intake->item_done(intake, item);
}

static void refuse(struct intake_item *item, enum intake_verdict verdict, const char *error)
{
    slice_copy(slice_of(error), item->error, sizeof(item->error));
    finish_item(item, verdict);
}

/* --- checking --------------------------------------------------------------- */

/* The number of the record that has the name already, this one's own if none has;
 * 0: memory is out. */
static size_t take_name(struct intake *intake, char kind, const char *text, size_t number)
{
    size_t len = strlen(text) + 1;
    struct intake_name *name = calloc(1, sizeof(*name) + len), *other;

    if (!name)
        return 0;
    name->number = number;
    name->key[0] = kind;
    memcpy(name->key + 1, text, len - 1);
    HASH_FIND(hh, intake->names, name->key, len, other);
    if (other) {
        free(name);
        return other->number;
    }
    HASH_ADD(hh, intake->names, key[0], len, name);
    return number;
}

static bool is_first(struct intake_item *item)
{
    const struct account_record *record = item->record;
    size_t same = take_name(item->intake, 'l', record->login, item->number);
    const char *key = "email", *value = record->email;
    char memory[300];
    struct text error;

    if (same == item->number) {
        same = take_name(item->intake, 'i', record->id, item->number);
        key = "account_id";
        value = record->id;
    }
    if (same == item->number)
        return true;
    slice_copy(slice_of(key), item->field, sizeof(item->field));
    text_init(&error, memory, sizeof(memory));
    text_addf(&error, "\"%s\": record %zu has %.200s too", key, same, value);
    refuse(item, same ? INTAKE_EXISTS : INTAKE_FAILED, same ? memory : "out of memory");
    return false;
}

void intake_refuse(struct intake_item *item, const char *why)
{
    item->email = slice_dup(SLICE("?"));
    refuse(item, INTAKE_BAD, why);
}

void intake_check(struct intake_item *item, const json_t *object)
{
    struct intake *intake = item->intake;
    struct candidate candidate;
    struct reason why;

    item->email = slice_dup(slice_of(record_email(object)));
    if (!candidate_make(&candidate, intake->broker, intake->setup->conf, object, &why)) {
        candidate_field(why.text, item->field, sizeof(item->field));
        refuse(item, candidate.exists ? INTAKE_EXISTS : INTAKE_BAD, why.text);
        return;
    }
    item->object = candidate.object;
    item->record = candidate.record;
    item->verify = candidate.verify;
    item->overwrite = candidate.overwrite;
    is_first(item);
}

/* --- writing ---------------------------------------------------------------- */

static enum intake_verdict verdict_of(enum store_status status)
{
    switch (status) {
    case STORE_EXISTS:
        return INTAKE_EXISTS;
    case STORE_INVALID:
        return INTAKE_BAD;
    default:
        return INTAKE_FAILED;
    }
}

static void take_written(struct intake_item *item, struct store_edit *edit)
{
    struct registry *registry = &item->intake->broker->registry;
    struct account_record *record = edit->record;
    struct account *account;
    bool existed;

    if (edit->status != STORE_OK) {
        candidate_field(edit->why.text, item->field, sizeof(item->field));
        refuse(item, verdict_of(edit->status), edit->why.text);
        return;
    }
    edit->record = NULL;
    existed = registry_by_login(registry, slice_of(record->login)) != NULL;
    account = registry_put(registry, record, &item->grant);
    if (account && edit->superseded)
        token_supersede(account, edit->superseded);
    if (account)
        finish_item(item, existed ? INTAKE_UPDATED : INTAKE_ADDED);
    else
        refuse(item, INTAKE_FAILED, "the account is stored, but memory is out; reload later");
}

static void go_on(struct intake *intake);

static void on_written(struct store_write *write)
{
    struct intake *intake = container_of(write, struct intake, write);
    size_t count = write->count;

    for (size_t i = 0; i < count; i++)
        take_written(intake->writing[i], &write->edits[i]);
    store_write_clear(write);
    write->count = 0;
    tokens_spread(&intake->broker->tokens, count);
    broker_announce(intake->broker);
    go_on(intake);
}

static bool may_write(const struct intake *intake)
{
    return !list_empty(&intake->checked) && !intake->write.count &&
           !(intake->together && intake->verifying);
}

/* Those that are ready go in one transaction. */
static void write_checked(struct intake *intake)
{
    size_t count = intake->checked.count, i = 0;
    struct list_node *node;

    if (count > WRITE_MAX && !intake->broker->store->ops->whole)
        count = WRITE_MAX;
    intake->write.edits = calloc(count, sizeof(struct store_edit));
    while (count-- && (node = list_pop_head(&intake->checked))) {
        struct intake_item *item = container_of(node, struct intake_item, node);

        if (!intake->write.edits || intake->broker->ended) {
            refuse(item, INTAKE_FAILED,
                   intake->broker->ended ? "bearerd is ending" : "out of memory");
            continue;
        }
        /* The store works with it on a thread of its own: it is handed over whole. */
        intake->write.edits[i] =
            (struct store_edit){.kind = item->overwrite ? STORE_REPLACE : STORE_ADD,
                                .object = item->object,
                                .place = item->place,
                                .superseded = item->superseded};
        item->object = NULL;
        item->superseded = NULL;
        intake->writing[i++] = item;
    }
    if (!i) {
        free(intake->write.edits);
        intake->write.edits = NULL;
        return;
    }
    intake->write.count = i;
    intake->write.conf = intake->setup->conf;
    intake->write.done = on_written;
    intake->broker->store->ops->write(intake->broker->store, &intake->write);
}

static void go_on(struct intake *intake)
{
    while (may_write(intake))
        write_checked(intake);
    if (intake->done == intake->count && !intake->verifying && !intake->write.count)
        intake->finished(intake);
}

static void on_turn(struct timer *timer)
{
    go_on(container_of(timer, struct intake, turn));
}

/* --- verifying -------------------------------------------------------------- */

static void on_verified(struct verify *verify)
{
    struct intake_item *item = container_of(verify, struct intake_item, check);
    struct intake *intake = item->intake;
    char memory[sizeof(item->error)];
    struct text error;

    intake->verifying--;
    if (verify->class_ != OAUTH_OK) {
        text_init(&error, memory, sizeof(memory));
        text_addf(&error, "verification failed: %s", verify->text);
        refuse(item, INTAKE_UNVERIFIED, memory);
    } else {
        item->verified = true;
        item->grant = verify->grant;
        verify->grant.value = NULL;
        if (verify->refresh_token) {
            json_object_set_new(item->object, "refresh_token", json_string(verify->refresh_token));
            item->superseded = slice_dup(slice_of(item->record->refresh_token));
        }
        secret_free(&verify->refresh_token);
        list_push_tail(&intake->checked, &item->node);
    }
    /* Behind all that were answered in this turn. */
    loop_timer_set(loop_of(intake), &intake->turn, 0);
}

static void begin(struct intake_item *item)
{
    struct intake *intake = item->intake;

    if (!item->verify) {
        list_push_tail(&intake->checked, &item->node);
        return;
    }
    item->check.record = item->record;
    item->check.give_up_ms = intake->give_up_ms;
    item->check.done = on_verified;
    if (verify_begin(intake->broker->verifier, &item->check))
        intake->verifying++;
    else
        refuse(item, INTAKE_FAILED, "out of memory");
}

void intake_start(struct intake_item *item)
{
    struct intake *intake = item->intake;

    if (item->verdict == INTAKE_PENDING)
        begin(item);
    loop_timer_set(loop_of(intake), &intake->turn, 0);
}

void intakes_abandon(struct broker *broker)
{
    struct list_node *node;

    while ((node = list_first(&broker->intakes))) {
        struct intake *intake = container_of(node, struct intake, broker_node);

        for (size_t i = 0; i < intake->count; i++) {
            verify_cancel(&intake->items[i].check);
            if (intake->items[i].verdict == INTAKE_PENDING)
                refuse(&intake->items[i], INTAKE_FAILED, "bearerd is ending");
        }
        intake->finished(intake);
    }
}
