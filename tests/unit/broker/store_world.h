/* One store with its loop, and requests that wait for their answer. */
#pragma once

#include "check.h"

#include "broker/store/store.h"
#include "net/loop.h"

struct world {
    struct loop loop;
    struct mailbox mailbox;
    struct store *store;
    struct conf *conf;
    size_t answers, wanted;
    size_t changes; /* of others, that were told */
    bool until_changed;
};

/* A folder that is empty at the beginning; world_folder_end fails when more is
 * left in it than store files. */
void world_folder_begin(void);
const char *world_path(const char *name);
int world_folder_end(void);

/* `key_file` "" the store's own; `watched`: changes are counted. */
void world_open(struct world *world, const char *location, const char *key_file, bool watched);
/* NULL and why it does not open. */
bool world_try_open(struct world *world, const char *location, const char *key_file, bool watched,
                    struct reason *why);
void world_close(struct world *world);

/* For the done of requests: owner is the world. */
void world_answered(struct world *world);
void world_wait(struct world *world, size_t answers);
void world_wait_changed(struct world *world);
/* Runs the loop for a while; true when a change was told. */
bool world_rest(struct world *world, uint64_t ms);

enum store_status world_save(struct world *world, const char *id, const char *expected,
                             const char *token, struct reason *why);
struct account_set *world_load(struct world *world, struct reason *why);

struct store_edit world_edit(enum store_edit_kind kind, const char *id, const char *object);
/* Carries out edits; their results stay in `edits` until world_clear. */
void world_write(struct world *world, struct store_edit *edits, size_t count);
void world_clear(struct store_edit *edits, size_t count);
/* One edit; `why` may be NULL. */
enum store_status world_change(struct world *world, enum store_edit_kind kind, const char *id,
                               const char *object, struct reason *why);

/* All records in pages of `limit`; the caller's. */
json_t *world_export(struct world *world, size_t limit);
enum store_status world_rekey(struct world *world, size_t *records, struct reason *why);

void write_text(const char *path, const char *text, mode_t mode);
/* malloc'd */
char *read_text(const char *path);
void check_text_file(const char *path, const char *wants);
