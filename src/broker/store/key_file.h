/* Where the key is that opens a database's secrets: a file that was named, else
 * the credential bearerd.key of the service manager, else DATABASE.key, which
 * the store makes and replaces itself.
 */
#pragma once

#include "broker/store/problems.h"
#include "broker/store/seal.h"
#include "broker/store/watch.h"

struct key_file {
    char *path;
    bool own; /* the store may write it */
    struct keyring ring;
    struct file_id id; /* of what the ring was read from */
};

/* Finds the place; `named` "" if none was. */
bool key_file_init(struct key_file *file, const char *named, const char *database,
                   struct reason *why);
void key_file_clear(struct key_file *file); /* wipes */

/* Reads the keys. `make`: the store's own file is made when it is missing. */
bool key_file_read(struct key_file *file, bool make, struct reason *why);
/* Reads them again when the file has changed; the old ones stay when it cannot
 * be read. */
void key_file_refresh(struct key_file *file);
/* What works, and should not be so. */
void key_file_check(const struct key_file *file, const char *database, struct problems *problems);

/* A new key before all others, and, when nothing needs those any more, without
 * them. Each is on the disk when it returns. */
bool key_file_add(struct key_file *file, struct reason *why);
bool key_file_keep_first(struct key_file *file, struct reason *why);
