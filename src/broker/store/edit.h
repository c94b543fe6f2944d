/* What an edit makes of a record, whatever keeps the records: names looked up,
 * the new content worked out and checked, then handed to the back end.
 */
#pragma once

#include "broker/store/store.h"

/* A record that is there already. */
struct edit_found {
    int64_t key;    /* the back end's; -1: none */
    json_t *object; /* whole, secrets included; a reference of the caller's */
    bool broken;    /* its secrets cannot be had: the object lacks them */
};

#define EDIT_NOTHING ((struct edit_found){-1, NULL, false})

struct edit_ground;

/* The back end's part. All run within its transaction, so each sees what the
 * last one did. False: the transaction has failed, and `why` is set. */
struct edit_ops {
    bool (*by_id)(struct edit_ground *ground, const char *id, struct edit_found *found);
    bool (*by_login)(struct edit_ground *ground, const char *login, struct edit_found *found);
    bool (*insert)(struct edit_ground *ground, json_t *object, const struct account_record *record);
    bool (*replace)(struct edit_ground *ground, const struct edit_found *old, json_t *object,
                    const struct account_record *record);
    bool (*remove)(struct edit_ground *ground, const struct edit_found *old);
};

struct edit_ground {
    const struct edit_ops *ops;
    const struct conf *conf;
    const struct store_edit *edit; /* the one at work */
    struct reason why;             /* of the transaction's failure */
};

/* Fills in the edit's results. False: the transaction has failed. */
bool edit_run(struct edit_ground *ground, struct store_edit *edit);

/* The same for all edits of a write. */
bool edit_run_all(struct edit_ground *ground, struct store_write *write);
/* The transaction failed: nothing of the write was done. */
void edit_fail_all(struct store_write *write, const struct reason *why);

/* RFC 7396: `patch` over `target`, which is changed. */
void edit_merge(json_t *target, const json_t *patch);
