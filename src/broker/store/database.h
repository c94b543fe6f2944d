/* The SQLite file: opening it, its settings and its schema. */
#pragma once

#include <sqlite3.h>

#include "base/str.h"

/* One step makes schema N+1 of schema N; the first one makes 1 of nothing. */
struct schema_step {
    const char *sql;
};

extern const struct schema_step schema_steps[];
extern const size_t schema_version; /* how many there are */

/* `look_only`: it must exist and have the schema of this program. */
sqlite3 *database_open(const char *path, bool look_only, struct reason *why);

/* What database_open does with a file that is open: all steps that it lacks, each
 * in a transaction. A file of another program or of a newer one is refused. */
bool database_migrate(sqlite3 *db, const char *path, const struct schema_step *steps, size_t count,
                      bool look_only, struct reason *why);

/* Statements without a result. */
bool database_run(sqlite3 *db, const char *sql, struct reason *why);
/* The text of the last failure. */
bool database_failed(sqlite3 *db, struct reason *why);
/* One number; -1: failed. */
int64_t database_number(sqlite3 *db, const char *sql);
