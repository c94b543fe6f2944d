/* Reading and replacing a file that other programs use too. */
#pragma once

#include <sys/types.h>

#include "base/str.h"
#include "broker/store/watch.h"

#define FILE_IO_MAX (256u << 20)

/* The whole file, NUL-terminated; malloc'd, *len octets. It holds secrets: free
 * it with secret_free_len. */
char *file_read(const char *path, size_t *len, struct reason *why);
/* The same; `id` tells which content was read, or that there is no file. */
char *file_read_id(const char *path, size_t *len, struct file_id *id, struct reason *why);

/* The advisory lock PATH.lock, waited for up to wait_ms. The descriptor, to be
 * closed for release, or -1 and a reason. The lock's file stays: removing it
 * would let two holders in. */
int file_lock(const char *path, uint64_t wait_ms, struct reason *why);

/* Puts new content in the file's place: a temporary file beside it, mode 0600,
 * the old one's owner, fsync, rename, fsync of the folder. On failure the old
 * file is as it was. The caller holds the lock. `id` (or NULL) is then the new one's. */
bool file_replace(const char *path, struct slice content, struct file_id *id, struct reason *why);

/* The folders on the way to a file, those that are missing with mode 0700. */
bool file_make_folders(const char *path, struct reason *why);
