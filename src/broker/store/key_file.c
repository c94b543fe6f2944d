#include "broker/store/key_file.h"

#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "broker/store/file_io.h"
#include "broker/wipe.h"

#define LOCK_WAIT_MS 30000
#define CREDENTIAL "bearerd.key"

static const char comment[] =
    "# Opens the secrets of the accounts beside it. Without this file they are lost;\n"
    "# a copy of both in one place protects nothing.\n";

bool key_file_init(struct key_file *file, const char *named, const char *database,
                   struct reason *why)
{
    const char *credentials = getenv("CREDENTIALS_DIRECTORY");
    int rc;

    *file = (struct key_file){.own = false};
    if (named[0]) {
        rc = asprintf(&file->path, "%s", named);
    } else {
        rc = credentials ? asprintf(&file->path, "%s/" CREDENTIAL, credentials) : -1;
        if (rc < 0 || access(file->path, F_OK) != 0) {
            if (rc >= 0)
                free(file->path);
            file->own = true;
            rc = asprintf(&file->path, "%s.key", database);
        }
    }
    if (rc >= 0)
        return true;
    file->path = NULL;
    return reason_set(why, "out of memory");
}

void key_file_clear(struct key_file *file)
{
    keyring_clear(&file->ring);
    free(file->path);
    file->path = NULL;
}

static bool read_ring(const struct key_file *file, struct keyring *ring, struct file_id *id,
                      struct reason *why)
{
    size_t len;
    char *text = file_read_id(file->path, &len, id, why);
    bool ok = text && keyring_parse(ring, (struct slice){text, len}, file->path, why);

    secret_free_len(text, text ? len : 0);
    return ok;
}

static bool take_ring(struct key_file *file, struct reason *why)
{
    struct keyring ring = {NULL, 0};
    struct file_id id;

    if (!read_ring(file, &ring, &id, why))
        return false;
    keyring_clear(&file->ring);
    file->ring = ring;
    file->id = id;
    return true;
}

/* --- writing -------------------------------------------------------------------- */

static void add_key(struct text *text, const struct seal_key *key)
{
    char digits[2 * SEAL_KEY_BYTES + 1];

    sodium_bin2hex(digits, sizeof(digits), key->bytes, SEAL_KEY_BYTES);
    text_addf(text, "%s\n", digits);
    explicit_bzero(digits, sizeof(digits));
}

/* `digits` (or NULL) and the first `kept` keys that the ring has. */
static bool write_keys(struct key_file *file, const char *digits, size_t kept, struct reason *why)
{
    char memory[sizeof(comment) + (KEYRING_MAX + 1) * (2 * SEAL_KEY_BYTES + 1)];
    struct text text;
    bool ok;

    text_init(&text, memory, sizeof(memory));
    text_add_str(&text, comment);
    if (digits)
        text_addf(&text, "%s\n", digits);
    for (size_t i = 0; i < kept; i++)
        add_key(&text, &file->ring.keys[i]);
    ok = file_replace(file->path, (struct slice){memory, text.len}, NULL, why);
    explicit_bzero(memory, sizeof(memory));
    return ok && take_ring(file, why);
}

/* Two programs that start at once must not make two keys. */
static bool make(struct key_file *file, struct reason *why)
{
    char digits[2 * SEAL_KEY_BYTES + 1];
    int lock = file_lock(file->path, LOCK_WAIT_MS, why);
    bool ok = lock >= 0;

    if (ok && access(file->path, F_OK) == 0) {
        ok = take_ring(file, why);
    } else if (ok) {
        keyring_make_key(digits);
        ok = write_keys(file, digits, 0, why);
        explicit_bzero(digits, sizeof(digits));
    }
    if (lock >= 0)
        close(lock);
    return ok;
}

bool key_file_add(struct key_file *file, struct reason *why)
{
    char digits[2 * SEAL_KEY_BYTES + 1];
    size_t kept = file->ring.count < KEYRING_MAX ? file->ring.count : KEYRING_MAX - 1;
    bool ok;

    keyring_make_key(digits);
    ok = write_keys(file, digits, kept, why);
    explicit_bzero(digits, sizeof(digits));
    return ok;
}

bool key_file_keep_first(struct key_file *file, struct reason *why)
{
    return write_keys(file, NULL, 1, why);
}

/* --- reading -------------------------------------------------------------------- */

bool key_file_read(struct key_file *file, bool make_it, struct reason *why)
{
    if (file->own && access(file->path, F_OK) != 0) {
        if (make_it)
            return make(file, why);
        return reason_set(why,
                          "%s is missing: without it the accounts' secrets cannot be opened; bring "
                          "it back, or name the file that has the key with --key-file",
                          file->path);
    }
    return take_ring(file, why);
}

void key_file_refresh(struct key_file *file)
{
    struct file_id id = file_id_at(file->path);

    if (id.exists && !file_id_same(&id, &file->id))
        (void)take_ring(file, NULL);
}

void key_file_check(const struct key_file *file, const char *database, struct problems *problems)
{
    struct stat status;

    if (stat(file->path, &status) == 0 && status.st_mode & 077)
        problems_add(problems, false,
                     "%s opens the secrets in %s and is open to others (mode %04o): chmod 600 it",
                     file->path, database, (unsigned)(status.st_mode & 07777));
}
