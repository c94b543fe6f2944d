#include "broker/store/access.h"

#include <stdlib.h>

#include "broker/wipe.h"
#include "ipc/ipc.h"

#define COLUMN "access_token"

static bool forget(struct rows *rows, const char *id, struct reason *failure)
{
    sqlite3_stmt *row = rows_statement(rows, ROW_KEEP_NONE);

    sqlite3_bind_text(row, 1, id, -1, SQLITE_STATIC);
    return rows_step(rows, row, failure) == 0;
}

/* What is sealed: the binding, and the token behind it. */
static unsigned char *seal(struct rows *rows, const struct store_access *access, size_t *len,
                           struct reason *failure)
{
    size_t token_len = strlen(access->value);
    char *text = malloc(RECORD_BINDING + token_len);
    unsigned char *sealed = NULL;

    if (!text) {
        reason_set(failure, "out of memory");
        return NULL;
    }
    memcpy(text, access->binding, RECORD_BINDING);
    memcpy(text + RECORD_BINDING, access->value, token_len);
    sealed = rows_seal(rows, access->id, COLUMN, (struct slice){text, RECORD_BINDING + token_len},
                       len, failure);
    secret_free_len(text, RECORD_BINDING + token_len);
    return sealed;
}

bool access_keep(struct rows *rows, const struct store_access *access, struct reason *failure)
{
    sqlite3_stmt *row;
    unsigned char *sealed;
    size_t len;
    bool ok;

    if (!access->value)
        return forget(rows, access->id, failure);
    sealed = seal(rows, access, &len, failure);
    if (!sealed)
        return false;
    row = rows_statement(rows, ROW_KEEP);
    sqlite3_bind_int64(row, 1, (int64_t)access->expires_wall_ms);
    sqlite3_bind_int64(row, 2, (int64_t)access->life_ms);
    sqlite3_bind_blob(row, 3, sealed, (int)len, SQLITE_STATIC);
    sqlite3_bind_text(row, 4, access->id, -1, SQLITE_STATIC);
    ok = rows_step(rows, row, failure) == 0;
    sqlite3_clear_bindings(row);
    free(sealed);
    return ok;
}

/* --- refresh tokens ----------------------------------------------------------------- */

/* The token that the database has. False: there is none, or it cannot be had; `why`
 * of `save` tells. */
static bool read_token(struct rows *rows, struct store_save *save, int64_t *key, char **token,
                       size_t *len, struct stale_blob *superseded, struct reason *failure)
{
    sqlite3_stmt *row = rows_statement(rows, ROW_TOKEN);
    bool ok = false;
    int rc;

    sqlite3_bind_text(row, 1, save->id, -1, SQLITE_STATIC);
    rc = rows_step(rows, row, failure);
    if (rc == 0) {
        save->status = STORE_GONE;
        reason_set(&save->why, "the database has no account with this id any more");
    } else if (rc == 1) {
        *key = rows_key(row);
        stale_take(superseded, rows_column(row, 2));
        save->status = STORE_CHANGED;
        ok =
            rows_open(rows, save->id, "refresh_token", rows_column(row, 1), token, len, &save->why);
    }
    sqlite3_reset(row);
    sqlite3_clear_bindings(row);
    return ok;
}

static bool write_token(struct rows *rows, const struct store_save *save, int64_t key,
                        struct stale_blob *superseded, struct reason *failure)
{
    sqlite3_stmt *row = rows_statement(rows, ROW_SET_TOKEN);
    size_t len;
    unsigned char *sealed =
        rows_seal(rows, save->id, "refresh_token", slice_of(save->token), &len, failure);
    bool ok;

    if (!sealed)
        return false;
    stale_add(superseded, stale_digest(save->expected));
    sqlite3_bind_blob(row, 1, sealed, (int)len, SQLITE_STATIC);
    sqlite3_bind_blob(row, 2, superseded->octets, (int)superseded->len, SQLITE_STATIC);
    sqlite3_bind_int64(row, 3, key);
    ok = rows_step(rows, row, failure) == 0;
    sqlite3_clear_bindings(row);
    free(sealed);
    return ok;
}

bool access_save(struct rows *rows, struct store_save *save, struct reason *failure)
{
    struct stale_blob superseded = {.len = 0};
    char *current;
    size_t len;
    int64_t key;
    bool ok = true;

    if (!read_token(rows, save, &key, &current, &len, &superseded, failure))
        return !failure->text[0];
    if (strcmp(current, save->token) == 0) {
        save->status = STORE_OK;
    } else if (strcmp(current, save->expected) == 0) {
        save->status = STORE_OK; /* unless the transaction fails */
        ok = write_token(rows, save, key, &superseded, failure);
    } else {
        reason_set(&save->why, "the database has another refresh token than the one that was used");
    }
    secret_free_len(current, len);
    if (ok && save->status == STORE_OK && save->access)
        ok = access_keep(rows, save->access, failure);
    return ok;
}

/* --- sealing anew ------------------------------------------------------------------- */

/* 1: done, 0: it cannot be opened, -1: failed. */
static int reseal(struct rows *rows, sqlite3_stmt *row, struct reason *failure)
{
    sqlite3_stmt *update = rows_statement(rows, ROW_RESEAL_KEPT);
    unsigned char *sealed;
    char *text;
    size_t text_len, len;
    int rc;

    if (!rows_open(rows, rows_id(row), COLUMN, rows_column(row, 2), &text, &text_len, NULL))
        return 0;
    sealed = rows_seal(rows, rows_id(row), COLUMN, (struct slice){text, text_len}, &len, failure);
    secret_free_len(text, text_len);
    if (!sealed)
        return -1;
    sqlite3_bind_blob(update, 1, sealed, (int)len, SQLITE_STATIC);
    sqlite3_bind_int64(update, 2, rows_key(row));
    rc = rows_step(rows, update, failure) == 0 ? 1 : -1;
    sqlite3_clear_bindings(update);
    free(sealed);
    return rc;
}

bool access_reseal(struct rows *rows, struct reason *failure)
{
    int64_t key = INT64_MIN;
    int rc, sealed = 0;

    do {
        sqlite3_stmt *row = rows_statement(rows, ROW_NEXT_KEPT);
        char id[IPC_ID_MAX + 1] = "";

        sqlite3_bind_int64(row, 1, key);
        rc = rows_step(rows, row, failure);
        if (rc == 1) {
            key = rows_key(row);
            slice_copy(slice_of(rows_id(row)), id, sizeof(id));
            sealed = reseal(rows, row, failure);
        }
        sqlite3_reset(row);
        if (rc == 1 && sealed == 0 && !forget(rows, id, failure))
            sealed = -1;
    } while (rc == 1 && sealed >= 0);
    return rc == 0 && sealed >= 0;
}

/* --- superseded ones ---------------------------------------------------------------- */

bool access_supersede(struct rows *rows, const char *login, const char *token,
                      struct reason *failure)
{
    sqlite3_stmt *row = rows_statement(rows, ROW_SUPERSEDED);
    struct stale_blob blob = {.len = 0};
    int64_t key = 0;
    int rc;

    sqlite3_bind_text(row, 1, login, -1, SQLITE_STATIC);
    rc = rows_step(rows, row, failure);
    if (rc == 1) {
        key = rows_key(row);
        stale_take(&blob, rows_column(row, 1));
    }
    sqlite3_reset(row);
    sqlite3_clear_bindings(row);
    if (rc != 1)
        return rc == 0;
    stale_add(&blob, stale_digest(token));
    row = rows_statement(rows, ROW_SET_SUPERSEDED);
    sqlite3_bind_blob(row, 1, blob.octets, (int)blob.len, SQLITE_STATIC);
    sqlite3_bind_int64(row, 2, key);
    rc = rows_step(rows, row, failure);
    sqlite3_clear_bindings(row);
    return rc == 0;
}

/* --- after a start ------------------------------------------------------------------ */

static void open_kept(struct rows *rows, struct store_fetch *fetch, struct slice sealed)
{
    char *text;
    size_t len;

    if (!rows_open(rows, fetch->id, COLUMN, sealed, &text, &len, &fetch->why))
        return;
    if (len > RECORD_BINDING) {
        memcpy(fetch->binding, text, RECORD_BINDING);
        fetch->value = slice_dup((struct slice){text + RECORD_BINDING, len - RECORD_BINDING});
    }
    secret_free_len(text, len);
}

void access_fetch(struct rows *rows, struct store_fetch *fetch)
{
    sqlite3_stmt *row = rows_statement(rows, ROW_KEPT);

    sqlite3_bind_text(row, 1, fetch->id, -1, SQLITE_STATIC);
    if (rows_step(rows, row, &fetch->why) == 1)
        open_kept(rows, fetch, rows_column(row, 0));
    sqlite3_reset(row);
    sqlite3_clear_bindings(row);
}
