/* Accounts as rows of the database: statements, and records taken apart into
 * what everybody may see and what is sealed.
 */
#pragma once

#include <jansson.h>
#include <sqlite3.h>

#include "broker/store/key_file.h"
#include "broker/store/record.h"

enum row_statement {
    ROW_ALL,            /* every account, as the others that read */
    ROW_BY_ID,          /* id */
    ROW_BY_LOGIN,       /* login */
    ROW_PAGE,           /* after, limit */
    ROW_INSERT,         /* id, login, record, secrets, refresh_token */
    ROW_UPDATE,         /* the same, key */
    ROW_NEXT,           /* key: the row behind it */
    ROW_RESEAL,         /* secrets, refresh_token, key */
    ROW_DELETE,         /* key */
    ROW_TOKEN,          /* id: key, refresh token and superseded ones */
    ROW_SET_TOKEN,      /* refresh_token, superseded, key */
    ROW_SUPERSEDED,     /* login: key, superseded ones */
    ROW_SET_SUPERSEDED, /* superseded, key */
    ROW_KEEP,           /* expires, life, value, id */
    ROW_KEEP_NONE,      /* id */
    ROW_KEPT,           /* id: value */
    ROW_NEXT_KEPT,      /* account: the one behind it, its id and value */
    ROW_RESEAL_KEPT,    /* value, account */
    ROW_KEY_CHECK,
    ROW_SET_KEY_CHECK, /* value */
    ROW_DATA_VERSION,
    ROW_STATEMENTS
};

struct rows {
    sqlite3 *db;
    struct key_file *keys;
    sqlite3_stmt *statements[ROW_STATEMENTS];
};

bool rows_init(struct rows *rows, sqlite3 *db, struct key_file *keys, struct reason *why);
void rows_clear(struct rows *rows);

/* One value of the database as a slice that is good until the next step. */
struct slice rows_column(sqlite3_stmt *statement, int column);

/* The statement, ready for its parameters. */
sqlite3_stmt *rows_statement(struct rows *rows, enum row_statement which);
/* 1: a row, 0: none (any more), -1: failed. The statement is reset unless there is
 * a row. */
int rows_step(struct rows *rows, sqlite3_stmt *statement, struct reason *why);

/* The record of a row of those that read, whole. NULL and why it cannot be had. */
json_t *rows_read(struct rows *rows, sqlite3_stmt *statement, struct reason *why);
/* What of it is not sealed; NULL: not even that. */
json_t *rows_read_public(sqlite3_stmt *statement);
/* What a row of those that read says beside the record: fields of a record that was read. */
void rows_read_kept(sqlite3_stmt *statement, struct account_record *record);
int64_t rows_key(sqlite3_stmt *statement);
const char *rows_id(sqlite3_stmt *statement);

/* Binds a record to ROW_INSERT or ROW_UPDATE; what was bound lives until
 * rows_release. */
struct row_values {
    char *record;
    unsigned char *secrets, *token;
    size_t record_len, secrets_len, token_len;
};

bool rows_bind(struct rows *rows, sqlite3_stmt *statement, const json_t *object,
               const struct account_record *record, struct row_values *values, struct reason *why);
void rows_release(struct row_values *values);

/* Seals the secrets of a row of ROW_NEXT under the first key; 0: they cannot be
 * opened, -1: failed. */
int rows_reseal(struct rows *rows, sqlite3_stmt *row, struct reason *why);

/* Sealed values by themselves. `column` is "secrets", "refresh_token", "access_token" or
 * "key_check". */
unsigned char *rows_seal(struct rows *rows, const char *id, const char *column, struct slice text,
                         size_t *len, struct reason *why);
bool rows_open(struct rows *rows, const char *id, const char *column, struct slice sealed,
               char **out, size_t *len, struct reason *why);

/* Whether the database was sealed with keys that we have; a new one gets its
 * mark when `make`. */
bool rows_check_key(struct rows *rows, bool make, struct reason *why);
/* Reads the key file again if somebody has sealed everything anew. */
bool rows_follow_key(struct rows *rows, struct reason *why);
/* Everything from now on is sealed with the first key. */
bool rows_mark_key(struct rows *rows, struct reason *why);
