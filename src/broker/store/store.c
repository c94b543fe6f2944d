#include "broker/store/store.h"

#include <fcntl.h>
#include <unistd.h>

static const struct store_ops *const back_ends[] = {&file_store_ops, &sqlite_store_ops, NULL};

/* Not for a file that this process has open as a database: closing it would take
 * away that one's locks. */
static bool is_sqlite_file(const char *path)
{
    static const char magic[16] = "SQLite format 3";
    char head[sizeof(magic)];
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    bool is = fd >= 0 && read(fd, head, sizeof(head)) == sizeof(head) &&
              memcmp(head, magic, sizeof(head)) == 0;

    if (fd >= 0)
        close(fd);
    return is;
}

const struct store_ops *store_find(const char *location, const char **path)
{
    size_t len;

    *path = location;
    for (size_t i = 0; back_ends[i]; i++) {
        len = strlen(back_ends[i]->scheme);
        if (strncmp(location, back_ends[i]->scheme, len) == 0 && location[len] == ':') {
            *path = location + len + 1;
            return back_ends[i];
        }
    }
    len = strlen(location);
    if ((len > 3 && strcmp(location + len - 3, ".db") == 0) || is_sqlite_file(location))
        return &sqlite_store_ops;
    return &file_store_ops;
}

struct store *store_open(const char *location, const struct store_options *options,
                         struct reason *why)
{
    const char *path;
    const struct store_ops *ops = store_find(location, &path);

    if (path[0])
        return ops->open(path, options, why);
    reason_set(why, "\"%s\" names no file", location);
    return NULL;
}
