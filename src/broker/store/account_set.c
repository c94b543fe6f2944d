#include "broker/store/account_set.h"

#include <stdio.h>
#include <stdlib.h>
#include <uthash.h>

/* Names that are taken: which record has an id or a login. */
struct taken {
    UT_hash_handle by_id, by_login;
    size_t record; /* as people count, from 1 */
};

struct taken_names {
    struct taken *ids, *logins, *nodes;
};

struct account_set *account_set_new(void)
{
    return calloc(1, sizeof(struct account_set));
}

void account_set_free(struct account_set *set)
{
    if (!set)
        return;
    for (size_t i = 0; i < set->count; i++)
        record_free(set->records[i]);
    free(set->records);
    problems_clear(&set->problems);
    free(set);
}

bool account_set_add(struct account_set *set, struct account_record *record)
{
    size_t cap = set->cap ? set->cap * 2 : 64;
    struct account_record **records;

    if (set->count == set->cap) {
        records = reallocarray(set->records, cap, sizeof(struct account_record *));
        if (!records)
            return false;
        set->records = records;
        set->cap = cap;
    }
    set->records[set->count++] = record;
    return true;
}

static bool is_taken(const struct taken_names *names, const struct account_record *record,
                     const char *where, struct problems *problems)
{
    struct taken *other;

    HASH_FIND(by_login, names->logins, record->login, strlen(record->login), other);
    if (other) {
        problems_add(problems, true,
                     "%s: skipped: its \"email\" is that of record %zu; remove one of them", where,
                     other->record);
        return true;
    }
    HASH_FIND(by_id, names->ids, record->id, strlen(record->id), other);
    if (other)
        problems_add(problems, true,
                     "%s: skipped: its \"account_id\" (%s) is that of record %zu; give it another",
                     where, record->id, other->record);
    return other != NULL;
}

static bool take(struct account_set *set, struct taken_names *names, struct account_record *record,
                 size_t number)
{
    struct taken *node = &names->nodes[set->count];

    if (!account_set_add(set, record)) {
        record_free(record);
        return false;
    }
    node->record = number;
    HASH_ADD_KEYPTR(by_id, names->ids, record->id, strlen(record->id), node);
    HASH_ADD_KEYPTR(by_login, names->logins, record->login, strlen(record->login), node);
    return true;
}

/* False: memory is out. */
static bool read_one(struct account_set *set, struct taken_names *names, const json_t *object,
                     size_t number, const char *name, const struct conf *conf)
{
    struct account_record *record;
    struct reason why;
    char where[384];

    if (record_is_comment(object))
        return true;
    snprintf(where, sizeof(where), "%s: record %zu (%s)", name, number, record_email(object));
    record = record_parse(object, conf, where, &set->problems, &why);
    if (!record)
        problems_add(&set->problems, true, "%s: skipped: %s", where, why.text);
    else if (is_taken(names, record, where, &set->problems))
        record_free(record);
    else
        return take(set, names, record, number);
    return true;
}

bool account_set_read(struct account_set *set, const struct document *document, const char *name,
                      const struct conf *conf)
{
    struct taken_names names = {NULL, NULL, calloc(document->count + 1, sizeof(struct taken))};
    bool ok = names.nodes != NULL;

    for (size_t i = 0; ok && i < document->count; i++)
        ok = read_one(set, &names, json_array_get(document->records, i), i + 1, name, conf);
    HASH_CLEAR(by_id, names.ids);
    HASH_CLEAR(by_login, names.logins);
    free(names.nodes);
    return ok;
}
