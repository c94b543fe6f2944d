#include "broker/store/rows.h"

#include <stdlib.h>

#include "broker/store/database.h"
#include "broker/store/stale.h"
#include "broker/wipe.h"
#include "ipc/ipc.h"

#define COLUMNS "SELECT key, id, record, secrets, refresh_token FROM account "
/* The index alone: the table's pages are full of tokens. */
#define ALL                                                                                        \
    "SELECT key, id, record, secrets, refresh_token, superseded, expires, life FROM account "      \
    "LEFT JOIN access_token INDEXED BY access_token_times ON access_token.account = key "          \
    "ORDER BY key"

static const char *const texts[ROW_STATEMENTS] = {
    [ROW_ALL] = ALL,
    [ROW_BY_ID] = COLUMNS "WHERE id = ?",
    [ROW_BY_LOGIN] = COLUMNS "WHERE login = ?",
    [ROW_PAGE] = COLUMNS "WHERE id > ? ORDER BY id LIMIT ?",
    [ROW_INSERT] = "INSERT INTO account (id, login, record, secrets, refresh_token) "
                   "VALUES (?, ?, ?, ?, ?)",
    [ROW_UPDATE] = "UPDATE account SET id = ?, login = ?, record = ?, secrets = ?, "
                   "refresh_token = ? WHERE key = ?",
    [ROW_NEXT] = COLUMNS "WHERE key > ? ORDER BY key LIMIT 1",
    [ROW_RESEAL] = "UPDATE account SET secrets = ?, refresh_token = ? WHERE key = ?",
    [ROW_DELETE] = "DELETE FROM account WHERE key = ?",
    [ROW_TOKEN] = "SELECT key, refresh_token, superseded FROM account WHERE id = ?",
    [ROW_SET_TOKEN] = "UPDATE account SET refresh_token = ?, superseded = ? WHERE key = ?",
    [ROW_SUPERSEDED] = "SELECT key, superseded FROM account WHERE login = ?",
    [ROW_SET_SUPERSEDED] = "UPDATE account SET superseded = ? WHERE key = ?",
    [ROW_KEEP] = "INSERT OR REPLACE INTO access_token (account, expires, life, value) "
                 "SELECT key, ?, ?, ? FROM account WHERE id = ?",
    [ROW_KEEP_NONE] =
        "DELETE FROM access_token WHERE account = (SELECT key FROM account WHERE id = ?)",
    [ROW_KEPT] = "SELECT value FROM access_token "
                 "WHERE account = (SELECT key FROM account WHERE id = ?)",
    [ROW_NEXT_KEPT] = "SELECT key, id, value FROM access_token JOIN account ON key = account "
                      "WHERE account > ? ORDER BY account LIMIT 1",
    [ROW_RESEAL_KEPT] = "UPDATE access_token SET value = ? WHERE account = ?",
    [ROW_KEY_CHECK] = "SELECT value FROM setting WHERE name = 'key_check'",
    [ROW_SET_KEY_CHECK] = "INSERT OR REPLACE INTO setting (name, value) VALUES ('key_check', ?)",
    [ROW_DATA_VERSION] = "PRAGMA data_version",
};

/* --- statements ------------------------------------------------------------------ */

bool rows_init(struct rows *rows, sqlite3 *db, struct key_file *keys, struct reason *why)
{
    *rows = (struct rows){.db = db, .keys = keys};
    for (int i = 0; i < ROW_STATEMENTS; i++) {
        if (sqlite3_prepare_v3(db, texts[i], -1, SQLITE_PREPARE_PERSISTENT, &rows->statements[i],
                               NULL) != SQLITE_OK)
            return database_failed(db, why);
    }
    return true;
}

void rows_clear(struct rows *rows)
{
    for (int i = 0; i < ROW_STATEMENTS; i++)
        sqlite3_finalize(rows->statements[i]);
}

sqlite3_stmt *rows_statement(struct rows *rows, enum row_statement which)
{
    sqlite3_reset(rows->statements[which]);
    return rows->statements[which];
}

int rows_step(struct rows *rows, sqlite3_stmt *statement, struct reason *why)
{
    int rc = sqlite3_step(statement);

    if (rc == SQLITE_ROW)
        return 1;
    if (rc != SQLITE_DONE)
        database_failed(rows->db, why);
    sqlite3_reset(statement);
    return rc == SQLITE_DONE ? 0 : -1;
}

struct slice rows_column(sqlite3_stmt *statement, int column)
{
    const char *octets = sqlite3_column_blob(statement, column);

    return (struct slice){octets, octets ? (size_t)sqlite3_column_bytes(statement, column) : 0};
}

int64_t rows_key(sqlite3_stmt *statement)
{
    return sqlite3_column_int64(statement, 0);
}

const char *rows_id(sqlite3_stmt *statement)
{
    const char *id = (const char *)sqlite3_column_text(statement, 1);

    return id ? id : "";
}

/* --- sealed values --------------------------------------------------------------- */

unsigned char *rows_seal(struct rows *rows, const char *id, const char *column, struct slice text,
                         size_t *len, struct reason *why)
{
    unsigned char *sealed =
        seal_close(&rows->keys->ring, &(struct seal_place){id, column}, text, len);

    if (!sealed)
        reason_set(why, "out of memory");
    return sealed;
}

/* Another bearerd may have made a new key since we read the file. */
bool rows_open(struct rows *rows, const char *id, const char *column, struct slice sealed,
               char **out, size_t *len, struct reason *why)
{
    struct seal_place place = {id, column};
    enum seal_result result = SEAL_BROKEN;
    char name[SEAL_NAME_CHARS];

    *out = NULL;
    *len = 0;
    if (strlen(id) <= IPC_ID_MAX) /* else it is none of ours */
        result = seal_open(&rows->keys->ring, &place, sealed, out, len);
    if (result == SEAL_OTHER_KEY) {
        key_file_refresh(rows->keys);
        result = seal_open(&rows->keys->ring, &place, sealed, out, len);
    }
    seal_key_name(sealed, name);
    switch (result) {
    case SEAL_OPENED:
        return true;
    case SEAL_OTHER_KEY:
        return reason_set(why, "%s: sealed with the key %s, which is not in %s", column, name,
                          rows->keys->path);
    case SEAL_NO_MEMORY:
        return reason_set(why, "out of memory");
    case SEAL_BROKEN:
        break;
    }
    return reason_set(why, "%s: the sealed value was changed, or is another account's", column);
}

bool rows_mark_key(struct rows *rows, struct reason *why)
{
    sqlite3_stmt *statement = rows_statement(rows, ROW_SET_KEY_CHECK);
    size_t len;
    unsigned char *sealed = rows_seal(rows, "", "key_check", SLICE("bearerd"), &len, why);
    bool ok;

    if (!sealed)
        return false;
    sqlite3_bind_blob(statement, 1, sealed, (int)len, SQLITE_STATIC);
    ok = rows_step(rows, statement, why) == 0;
    sqlite3_clear_bindings(statement);
    free(sealed);
    return ok;
}

bool rows_follow_key(struct rows *rows, struct reason *why)
{
    sqlite3_stmt *statement = rows_statement(rows, ROW_KEY_CHECK);
    int rc = rows_step(rows, statement, why);

    if (rc == 1 && !seal_is_by_first(&rows->keys->ring, rows_column(statement, 0)))
        key_file_refresh(rows->keys);
    sqlite3_reset(statement);
    return rc >= 0;
}

static bool check_key(struct rows *rows, struct slice sealed, struct reason *why)
{
    char ours[SEAL_NAME_CHARS], theirs[SEAL_NAME_CHARS], *text;
    struct reason detail;
    size_t len;

    if (rows_open(rows, "", "key_check", sealed, &text, &len, &detail)) {
        free(text);
        return true;
    }
    seal_key_name(sealed, theirs);
    keyring_name(&rows->keys->ring.keys[0], ours);
    return reason_set(why,
                      "the accounts' secrets were sealed with the key %s, and %s has %s: bring the "
                      "right key back",
                      theirs, rows->keys->path, ours);
}

bool rows_check_key(struct rows *rows, bool make, struct reason *why)
{
    sqlite3_stmt *statement = rows_statement(rows, ROW_KEY_CHECK);
    int rc = rows_step(rows, statement, why);
    bool ok;

    if (rc <= 0)
        return rc == 0 && (!make || rows_mark_key(rows, why));
    ok = check_key(rows, rows_column(statement, 0), why);
    sqlite3_reset(statement);
    return ok;
}

/* --- records --------------------------------------------------------------------- */

static json_t *read_json(struct slice text)
{
    return json_loadb(text.ptr ? text.ptr : "", text.len, 0, NULL);
}

static bool add_secrets(struct rows *rows, sqlite3_stmt *statement, json_t *object,
                        struct reason *why)
{
    struct slice sealed = rows_column(statement, 3);
    json_t *secrets;
    char *text;
    size_t len;
    bool ok;

    if (!sealed.len)
        return true;
    if (!rows_open(rows, rows_id(statement), "secrets", sealed, &text, &len, why))
        return false;
    secrets = read_json((struct slice){text, len});
    secret_free_len(text, len);
    ok = secrets && json_object_update(object, secrets) == 0;
    json_decref(secrets);
    return ok || reason_set(why, "secrets: what was sealed is no object");
}

static bool add_token(struct rows *rows, sqlite3_stmt *statement, json_t *object,
                      struct reason *why)
{
    struct slice sealed = rows_column(statement, 4);
    char *text;
    size_t len;
    bool ok;

    if (!sealed.len)
        return true;
    if (!rows_open(rows, rows_id(statement), "refresh_token", sealed, &text, &len, why))
        return false;
    ok = json_object_set_new(object, "refresh_token", json_stringn_nocheck(text, len)) == 0;
    secret_free_len(text, len);
    return ok || reason_set(why, "refresh_token: what was sealed is no text");
}

json_t *rows_read_public(sqlite3_stmt *statement)
{
    json_t *object = read_json(rows_column(statement, 2));

    if (json_is_object(object))
        return object;
    json_decref(object);
    return NULL;
}

json_t *rows_read(struct rows *rows, sqlite3_stmt *statement, struct reason *why)
{
    json_t *object = rows_read_public(statement);

    if (!object)
        reason_set(why, "record: the row's JSON is no object");
    else if (add_secrets(rows, statement, object, why) && add_token(rows, statement, object, why))
        return object;
    json_decref(object);
    return NULL;
}

void rows_read_kept(sqlite3_stmt *statement, struct account_record *record)
{
    record->superseded = stale_read(rows_column(statement, 5), &record->superseded_count);
    if (sqlite3_column_int64(statement, 6) <= 0 || sqlite3_column_int64(statement, 7) <= 0 ||
        sqlite3_column_int64(statement, 7) > UINT32_MAX)
        return;
    record->kept_expires_ms = (uint64_t)sqlite3_column_int64(statement, 6);
    record->kept_life_ms = (uint32_t)sqlite3_column_int64(statement, 7);
}

/* --- writing --------------------------------------------------------------------- */

struct parts {
    json_t *open, *secret;
    const char *token; /* NULL: it has none that is a text */
    size_t token_len;
};

static bool take_apart(const json_t *object, struct parts *parts)
{
    const char *key;
    json_t *value;
    bool ok;

    *parts = (struct parts){json_object(), json_object(), NULL, 0};
    ok = parts->open && parts->secret;
    json_object_foreach((json_t *)(uintptr_t)object, key, value)
    {
        if (strcmp(key, "refresh_token") == 0 && json_is_string(value)) {
            parts->token = json_string_value(value);
            parts->token_len = json_string_length(value);
        } else if (ok) {
            ok = json_object_set(record_key_is_public(key) ? parts->open : parts->secret, key,
                                 value) == 0;
        }
    }
    return ok;
}

/* malloc'd: it may hold secrets, which jansson's own function cannot know. */
static char *dump(const json_t *object, size_t *len)
{
    char *text;

    *len = json_dumpb(object, NULL, 0, JSON_COMPACT);
    text = malloc(*len + 1);
    if (text)
        json_dumpb(object, text, *len, JSON_COMPACT);
    return text;
}

static bool seal_secrets(struct rows *rows, const json_t *secrets, const char *id,
                         struct row_values *values, struct reason *why)
{
    size_t len;
    char *text;

    if (!json_object_size(secrets))
        return true;
    text = dump(secrets, &len);
    if (!text)
        return reason_set(why, "out of memory");
    values->secrets =
        rows_seal(rows, id, "secrets", (struct slice){text, len}, &values->secrets_len, why);
    secret_free_len(text, len);
    return values->secrets != NULL;
}

static bool make_values(struct rows *rows, const struct parts *parts, const char *id,
                        struct row_values *values, struct reason *why)
{
    values->record = dump(parts->open, &values->record_len);
    if (!values->record)
        return reason_set(why, "out of memory");
    if (!seal_secrets(rows, parts->secret, id, values, why))
        return false;
    if (!parts->token)
        return true;
    values->token =
        rows_seal(rows, id, "refresh_token", (struct slice){parts->token, parts->token_len},
                  &values->token_len, why);
    return values->token != NULL;
}

bool rows_bind(struct rows *rows, sqlite3_stmt *statement, const json_t *object,
               const struct account_record *record, struct row_values *values, struct reason *why)
{
    struct parts parts;
    bool ok;

    *values = (struct row_values){NULL};
    ok = take_apart(object, &parts) || reason_set(why, "out of memory");
    ok = ok && make_values(rows, &parts, record->id, values, why);
    json_decref(parts.open);
    json_decref(parts.secret);
    if (!ok) {
        rows_release(values);
        return false;
    }
    sqlite3_bind_text(statement, 1, record->id, -1, SQLITE_STATIC);
    sqlite3_bind_text(statement, 2, record->login, -1, SQLITE_STATIC);
    sqlite3_bind_text(statement, 3, values->record, (int)values->record_len, SQLITE_STATIC);
    sqlite3_bind_blob(statement, 4, values->secrets, (int)values->secrets_len, SQLITE_STATIC);
    sqlite3_bind_blob(statement, 5, values->token, (int)values->token_len, SQLITE_STATIC);
    return true;
}

void rows_release(struct row_values *values)
{
    free(values->record);
    free(values->secrets);
    free(values->token);
    *values = (struct row_values){NULL};
}

/* --- sealing anew ----------------------------------------------------------------- */

/* One column; NULL where there is nothing. */
static bool reseal_column(struct rows *rows, sqlite3_stmt *row, int column, const char *name,
                          unsigned char **out, size_t *out_len, struct reason *why)
{
    struct slice sealed = rows_column(row, column);
    char *text;
    size_t len;

    *out = NULL;
    *out_len = 0;
    if (!sealed.len)
        return true;
    if (!rows_open(rows, rows_id(row), name, sealed, &text, &len, why))
        return false;
    *out = rows_seal(rows, rows_id(row), name, (struct slice){text, len}, out_len, why);
    secret_free_len(text, len);
    return *out != NULL;
}

int rows_reseal(struct rows *rows, sqlite3_stmt *row, struct reason *why)
{
    sqlite3_stmt *update = rows_statement(rows, ROW_RESEAL);
    struct row_values values = {NULL};
    int rc = 0;

    if (reseal_column(rows, row, 3, "secrets", &values.secrets, &values.secrets_len, why) &&
        reseal_column(rows, row, 4, "refresh_token", &values.token, &values.token_len, why)) {
        sqlite3_bind_blob(update, 1, values.secrets, (int)values.secrets_len, SQLITE_STATIC);
        sqlite3_bind_blob(update, 2, values.token, (int)values.token_len, SQLITE_STATIC);
        sqlite3_bind_int64(update, 3, rows_key(row));
        rc = rows_step(rows, update, why) == 0 ? 1 : -1;
    }
    sqlite3_clear_bindings(update);
    rows_release(&values);
    return rc;
}
