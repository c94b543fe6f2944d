#include "broker/store/watch.h"

#include <libgen.h>
#include <stdlib.h>
#include <sys/inotify.h>
#include <unistd.h>

/* The end of a change: a file that is being written is not looked at. */
#define ENDS (IN_CLOSE_WRITE | IN_MOVED_TO | IN_MOVED_FROM | IN_CREATE | IN_DELETE)

struct file_id file_id_of(const struct stat *status)
{
    return (struct file_id){true, status->st_dev, status->st_ino, status->st_size, status->st_mtim};
}

struct file_id file_id_at(const char *path)
{
    struct stat status;

    return stat(path, &status) == 0 ? file_id_of(&status) : (struct file_id){false};
}

bool file_id_same(const struct file_id *a, const struct file_id *b)
{
    if (!a->exists || !b->exists)
        return a->exists == b->exists;
    return a->device == b->device && a->inode == b->inode && a->size == b->size &&
           a->changed.tv_sec == b->changed.tv_sec && a->changed.tv_nsec == b->changed.tv_nsec;
}

/* Watching a folder twice changes nothing. */
static void watch_folder(int fd, const char *path)
{
    char *copy = slice_dup(slice_of(path));

    if (copy)
        (void)inotify_add_watch(fd, dirname(copy), ENDS | IN_ONLYDIR);
    free(copy);
}

static void watch_folders(int fd, const char *path)
{
    char *real = realpath(path, NULL);

    watch_folder(fd, path);
    if (real)
        watch_folder(fd, real);
    free(real);
}

int watch_open(const char *path)
{
    int fd = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);

    if (fd >= 0)
        watch_folders(fd, path);
    return fd;
}

bool watch_take(int fd, const char *path)
{
    char events[4096] __attribute__((aligned(8)));
    bool any = false;

    if (fd < 0)
        return false;
    while (read(fd, events, sizeof(events)) > 0)
        any = true;
    watch_folders(fd, path);
    return any;
}
