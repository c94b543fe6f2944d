#include "broker/store/file_io.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "broker/wipe.h"

/* Short, or one that waits would never meet a moment between two others. */
#define LOCK_STEP_MS 2

static bool failed(struct reason *why, const char *what, const char *path)
{
    return reason_set(why, "cannot %s %s: %s", what, path, strerror(errno));
}

static bool read_all(int fd, char *out, size_t cap, size_t *len)
{
    *len = 0;
    while (*len < cap) {
        ssize_t n = read(fd, out + *len, cap - *len);

        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return n == 0;
        *len += (size_t)n;
    }
    return true;
}

/* Without O_NONBLOCK a pipe of that name would hold us up until somebody writes. */
char *file_read_id(const char *path, size_t *len, struct file_id *id, struct reason *why)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    struct stat status;
    char *text = NULL;

    *len = 0;
    *id = (struct file_id){.exists = fd >= 0 || errno != ENOENT};
    if (fd < 0 || fstat(fd, &status) != 0) {
        failed(why, "read", path);
        goto out;
    }
    *id = file_id_of(&status);
    if (!S_ISREG(status.st_mode) || status.st_size > (off_t)FILE_IO_MAX) {
        reason_set(why, "cannot read %s: it is not a file, or larger than 256 MiB", path);
        goto out;
    }
    text = malloc((size_t)status.st_size + 1);
    if (!text || !read_all(fd, text, (size_t)status.st_size, len)) {
        failed(why, "read", path);
        secret_free_len(text, *len);
        text = NULL;
        goto out;
    }
    text[*len] = '\0';
out:
    if (fd >= 0)
        close(fd);
    return text;
}

char *file_read(const char *path, size_t *len, struct reason *why)
{
    struct file_id id;

    return file_read_id(path, len, &id, why);
}

int file_lock(const char *path, uint64_t wait_ms, struct reason *why)
{
    uint64_t until = clock_ms() + wait_ms;
    char *lock = NULL;
    int fd = -1;

    if (asprintf(&lock, "%s.lock", path) < 0) {
        reason_set(why, "out of memory");
        return -1;
    }
    fd = open(lock, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0)
        failed(why, "open", lock);
    while (fd >= 0 && flock(fd, LOCK_EX | LOCK_NB) != 0) {
        if (errno != EINTR && (errno != EWOULDBLOCK || clock_ms() >= until)) {
            failed(why, "lock", lock);
            close(fd);
            fd = -1;
        } else {
            nanosleep(&(struct timespec){.tv_nsec = LOCK_STEP_MS * 1000000L}, NULL);
        }
    }
    free(lock);
    return fd;
}

static bool write_all(int fd, struct slice content)
{
    while (content.len) {
        ssize_t n = write(fd, content.ptr, content.len);

        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return false;
        content.ptr += n;
        content.len -= (size_t)n;
    }
    return true;
}

/* Without it a power failure could bring the old name back. */
static bool sync_folder(const char *path, struct reason *why)
{
    const char *slash = strrchr(path, '/');
    char *folder = slash ? slice_dup((struct slice){path, (size_t)(slash - path) + 1}) : NULL;
    int fd = open(folder ? folder : ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    bool ok = fd >= 0 && fsync(fd) == 0;

    if (!ok)
        failed(why, "sync the folder of", path);
    if (fd >= 0)
        close(fd);
    free(folder);
    return ok;
}

/* The owner and group of the file that is replaced. Where we may not give a
 * file away, the content matters more than its owner. */
static void keep_owner(const char *path, int fd)
{
    struct stat old, new;

    if (stat(path, &old) != 0 || fstat(fd, &new) != 0)
        return;
    if (old.st_uid != new.st_uid && fchown(fd, old.st_uid, (gid_t)-1) != 0)
        errno = 0;
    if (old.st_gid != new.st_gid && fchown(fd, (uid_t)-1, old.st_gid) != 0)
        errno = 0;
}

static bool write_beside(const char *path, const char *beside, struct slice content,
                         struct file_id *id, struct reason *why)
{
    struct stat status;
    int fd;
    bool ok;

    unlink(beside); /* left by a crash; we hold the lock */
    fd = open(beside, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0)
        return failed(why, "create", beside);
    ok = fchmod(fd, 0600) == 0 && write_all(fd, content) && fsync(fd) == 0;
    if (ok)
        keep_owner(path, fd);
    else
        failed(why, "write", beside);
    if (id && ok && fstat(fd, &status) == 0)
        *id = file_id_of(&status);
    if (close(fd) != 0 && ok)
        ok = failed(why, "write", beside);
    if (ok && rename(beside, path) != 0)
        ok = failed(why, "replace", path);
    if (!ok)
        unlink(beside);
    return ok;
}

bool file_replace(const char *path, struct slice content, struct file_id *id, struct reason *why)
{
    char *beside = NULL;
    bool ok;

    if (content.len > FILE_IO_MAX)
        return reason_set(why, "%s would be larger than 256 MiB", path);
    if (asprintf(&beside, "%s.new", path) < 0)
        return reason_set(why, "out of memory");
    ok = write_beside(path, beside, content, id, why) && sync_folder(path, why);
    free(beside);
    return ok;
}

bool file_make_folders(const char *path, struct reason *why)
{
    char *folder = slice_dup(slice_of(path));
    bool ok = true;

    if (!folder)
        return reason_set(why, "out of memory");
    for (char *slash = folder; ok && (slash = strchr(slash + 1, '/'));) {
        *slash = '\0';
        if (mkdir(folder, 0700) != 0 && errno != EEXIST)
            ok = failed(why, "create", folder);
        *slash = '/';
    }
    free(folder);
    return ok;
}
