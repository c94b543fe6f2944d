/* Notices that somebody else changed a file: in place, by another file of its
 * name, or by another target of a link on the way to it.
 */
#pragma once

#include <sys/stat.h>

#include "base/str.h"

/* Which content a file has, as far as that can be told without reading it. */
struct file_id {
    bool exists;
    dev_t device;
    ino_t inode;
    off_t size;
    struct timespec changed;
};

struct file_id file_id_of(const struct stat *status);
struct file_id file_id_at(const char *path); /* through links */
bool file_id_same(const struct file_id *a, const struct file_id *b);

/* An inotify descriptor that can be read when something happens in the file's
 * folders, or -1 where there is none: one then looks from time to time. */
int watch_open(const char *path);
/* Whether something has happened since the last time; follows links that lead
 * elsewhere now. */
bool watch_take(int fd, const char *path);
