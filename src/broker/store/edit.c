#include "broker/store/edit.h"

#include <stdio.h>
#include <stdlib.h>

#include "broker/wipe.h"
#include "ipc/ipc.h"

#define ID_TRIES 10000

/* One edit while it is worked out. */
struct work {
    struct edit_ground *ground;
    struct store_edit *edit;
    struct edit_found old;         /* what it changes; key -1: nothing */
    char old_id[IPC_ID_MAX + 1];   /* "" none */
    json_t *object;                /* what the record becomes */
    struct account_record *record; /* the same, checked */
};

static bool refuse(struct work *work, enum store_status status, const char *text)
{
    work->edit->status = status;
    return reason_set(&work->edit->why, "%s", text);
}

/* --- looking up -------------------------------------------------------------- */

static void drop(struct edit_found *found)
{
    json_decref(found->object);
    *found = EDIT_NOTHING;
}

static bool failed(struct work *work)
{
    return work->ground->why.text[0];
}

/* True: there is a record; failed() tells a failure from "no". */
static bool find(struct work *work, bool by_login, const char *name, struct edit_found *found)
{
    const struct edit_ops *ops = work->ground->ops;

    *found = EDIT_NOTHING;
    if (!(by_login ? ops->by_login : ops->by_id)(work->ground, name, found)) {
        drop(found);
        return false;
    }
    return found->key >= 0;
}

/* Whether a name belongs to another record than the one that is changed. */
static bool is_taken(struct work *work, bool by_login, const char *name)
{
    struct edit_found other;
    bool taken = find(work, by_login, name, &other) && other.key != work->old.key;

    drop(&other);
    return taken;
}

/* --- what the record becomes -------------------------------------------------- */

void edit_merge(json_t *target, const json_t *patch)
{
    const char *key;
    json_t *value, *inner;

    json_object_foreach((json_t *)(uintptr_t)patch, key, value)
    {
        if (json_is_null(value)) {
            json_object_del(target, key);
            continue;
        }
        if (!json_is_object(value)) {
            json_object_set(target, key, value);
            continue;
        }
        inner = json_deep_copy(json_object_get(target, key));
        if (!json_is_object(inner)) {
            json_decref(inner);
            inner = json_object();
        }
        edit_merge(inner, value);
        json_object_set_new(target, key, inner);
    }
}

/* The id that names a mailbox by default is made from its e-mail, in which '@'
 * and '.' become '_': two mailboxes may get the same one. */
static bool choose_id(struct work *work)
{
    char id[IPC_ID_MAX + 1], tried[IPC_ID_MAX + 16];

    if (!record_id(work->object, id, sizeof(id)))
        return refuse(work, STORE_INVALID,
                      "\"account_id\" is missing, and the e-mail is too long to make one");
    snprintf(tried, sizeof(tried), "%s", id);
    for (unsigned n = 2; is_taken(work, false, tried); n++) {
        if (n > ID_TRIES)
            return refuse(work, STORE_EXISTS,
                          "\"account_id\" is missing, and all that are made "
                          "from this e-mail are taken; give one");
        snprintf(tried, sizeof(tried), "%s_%u", id, n);
    }
    if (failed(work))
        return false;
    if (strlen(tried) > IPC_ID_MAX)
        return refuse(work, STORE_INVALID, "\"account_id\" is missing; give one");
    json_object_set_new(work->object, "account_id", json_string(tried));
    return true;
}

static bool has_id(const json_t *object)
{
    const char *id = json_string_value(json_object_get(object, "account_id"));

    return id && id[0];
}

/* An account is known by its id, by its pool and in the log too: it keeps it
 * unless it is given another one. */
static void keep_id(struct work *work)
{
    char id[IPC_ID_MAX + 1];

    if (has_id(work->object) || !work->old_id[0])
        return;
    if (record_id(work->object, id, sizeof(id)) && strcmp(id, work->old_id) == 0)
        return;
    json_object_set_new(work->object, "account_id", json_string(work->old_id));
}

/* The first thing that is odd about it, though it serves. */
static void tell_note(struct store_edit *edit, const struct problems *problems)
{
    if (problems->count)
        reason_set(&edit->why, "%s", problems->items[0].text);
}

bool store_place_is(const struct store_place *place, const struct account_record *record)
{
    return strcmp(record->client_id, place->client_id) == 0 &&
           strcmp(record->client_secret, place->client_secret) == 0 &&
           strcmp(record->token_url, place->token_url) == 0 &&
           strcmp(record->endpoint, place->endpoint) == 0;
}

static bool check(struct work *work)
{
    struct problems problems = {NULL, 0, 0, 0, 0};

    work->record = record_parse(work->object, work->ground->conf, record_email(work->object),
                                &problems, &work->edit->why);
    if (work->record)
        tell_note(work->edit, &problems);
    else
        work->edit->status = STORE_INVALID;
    problems_clear(&problems);
    /* Somebody else may have changed it since the caller has looked. */
    if (work->record && work->edit->place && !store_place_is(work->edit->place, work->record))
        return refuse(work, STORE_CHANGED, "the account was changed meanwhile");
    return work->record != NULL;
}

static bool check_names(struct work *work)
{
    if (is_taken(work, true, work->record->login))
        return refuse(work, STORE_EXISTS, "\"email\": an account with this address exists");
    if (!failed(work) && is_taken(work, false, work->record->id))
        return refuse(work, STORE_EXISTS, "\"account_id\": another account has this one");
    return !failed(work);
}

static void set_old(struct work *work, struct edit_found *old)
{
    work->old = *old;
    *old = EDIT_NOTHING;
    if (!record_id(work->old.object, work->old_id, sizeof(work->old_id)))
        work->old_id[0] = '\0';
}

/* --- the kinds ---------------------------------------------------------------- */

/* A null says that there is no value, and of the old record's none. */
static void drop_nulls(json_t *object)
{
    const char *key;
    json_t *value;
    void *next;

    json_object_foreach_safe(object, next, key, value)
    {
        if (json_is_null(value) && key[0] != '_')
            json_object_del(object, key);
    }
}

static bool add(struct work *work)
{
    const struct edit_ops *ops = work->ground->ops;

    work->object = json_copy(work->edit->object);
    drop_nulls(work->object);
    if (!check(work) || is_taken(work, true, work->record->login)) {
        if (work->record && !failed(work))
            refuse(work, STORE_EXISTS, "\"email\": an account with this address exists");
        return false;
    }
    if (failed(work))
        return false;
    if (!has_id(work->object)) {
        if (!choose_id(work))
            return false;
        record_free(work->record);
        if (!check(work)) /* with its id */
            return false;
    }
    return check_names(work) && ops->insert(work->ground, work->object, work->record);
}

static bool change(struct work *work)
{
    keep_id(work);
    return check(work) && check_names(work) &&
           work->ground->ops->replace(work->ground, &work->old, work->object, work->record);
}

static bool patch(struct work *work)
{
    struct edit_found found;

    if (!find(work, false, work->edit->id, &found))
        return failed(work) ? false : refuse(work, STORE_GONE, "there is no account with this id");
    set_old(work, &found);
    if (work->old.broken)
        return refuse(work, STORE_INVALID,
                      "its secrets cannot be opened: give the whole record anew, or remove it");
    work->object = json_copy(work->old.object);
    edit_merge(work->object, work->edit->object);
    return change(work);
}

/* The record whose place is taken: that of the login, or of the id that is
 * given. False: refused, or a failure. */
static bool find_place(struct work *work)
{
    char login[2048];
    const char *id = json_string_value(json_object_get(work->edit->object, "account_id"));
    struct edit_found by_login = EDIT_NOTHING, by_id = EDIT_NOTHING;
    bool ok = true;

    if (record_login(work->edit->object, login, sizeof(login)))
        find(work, true, login, &by_login);
    if (!failed(work) && id && id[0])
        find(work, false, id, &by_id);
    if (failed(work))
        ok = false;
    else if (by_login.key >= 0 && by_id.key >= 0 && by_login.key != by_id.key)
        ok = refuse(work, STORE_EXISTS,
                    "\"email\" is that of one account and \"account_id\" that of another");
    else if (by_login.key >= 0)
        set_old(work, &by_login);
    else if (by_id.key >= 0)
        set_old(work, &by_id);
    drop(&by_login);
    drop(&by_id);
    return ok;
}

static bool replace(struct work *work)
{
    if (!find_place(work))
        return false;
    if (work->old.key < 0)
        return add(work);
    work->object = json_copy(work->old.object);
    json_object_update(work->object, work->edit->object);
    drop_nulls(work->object);
    if (!change(work))
        return false;
    work->edit->replaced = slice_dup(slice_of(work->old_id));
    return true;
}

static bool is_expected(const struct work *work)
{
    const char *token = json_string_value(json_object_get(work->old.object, "refresh_token"));

    return !work->edit->expected || (token && strcmp(token, work->edit->expected) == 0);
}

/* Those that stand in the file with the same login are the same mailbox: they
 * must not come to life when the first one goes. */
static bool remove_record(struct work *work)
{
    const struct edit_ops *ops = work->ground->ops;
    char login[2048];
    struct edit_found found;
    bool named;

    if (!find(work, false, work->edit->id, &found))
        return failed(work) ? false : refuse(work, STORE_GONE, "there is no account with this id");
    set_old(work, &found);
    if (!is_expected(work))
        return refuse(work, STORE_CHANGED, "the account has another refresh token meanwhile");
    named = record_login(work->old.object, login, sizeof(login));
    if (!ops->remove(work->ground, &work->old))
        return false;
    while (named && find(work, true, login, &found)) {
        bool ok = ops->remove(work->ground, &found);

        drop(&found);
        if (!ok)
            return false;
    }
    return !failed(work);
}

bool edit_run(struct edit_ground *ground, struct store_edit *edit)
{
    struct work work = {.ground = ground, .edit = edit, .old = EDIT_NOTHING};
    bool done;

    ground->edit = edit;
    edit->status = STORE_OK;
    edit->why.text[0] = '\0';
    if (edit->kind != STORE_REMOVE && !json_is_object(edit->object))
        done = refuse(&work, STORE_INVALID, "it is not an object");
    else if (edit->kind == STORE_ADD)
        done = add(&work);
    else if (edit->kind == STORE_REPLACE)
        done = replace(&work);
    else
        done = edit->kind == STORE_PATCH ? patch(&work) : remove_record(&work);
    if (done)
        edit->record = work.record;
    else
        record_free(work.record);
    json_decref(work.object);
    drop(&work.old);
    return !failed(&work);
}

bool edit_run_all(struct edit_ground *ground, struct store_write *write)
{
    ground->conf = write->conf;
    for (size_t i = 0; i < write->count; i++) {
        if (!edit_run(ground, &write->edits[i]))
            return false;
    }
    return true;
}

void edit_fail_all(struct store_write *write, const struct reason *why)
{
    for (size_t i = 0; i < write->count; i++) {
        struct store_edit *edit = &write->edits[i];

        edit->status = STORE_FAILED;
        edit->why = *why;
        record_free(edit->record);
        edit->record = NULL;
        free(edit->replaced);
        edit->replaced = NULL;
    }
}

void store_write_clear(struct store_write *write)
{
    for (size_t i = 0; i < write->count; i++) {
        struct store_edit *edit = &write->edits[i];

        json_decref(edit->object);
        free(edit->id);
        secret_free(&edit->expected);
        secret_free(&edit->superseded);
        record_free(edit->record);
        free(edit->replaced);
    }
    free(write->edits);
    write->edits = NULL;
    write->count = 0;
}
