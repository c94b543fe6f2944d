#include "broker/ledgers.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/log.h"

#define NAME "limits.state"
#define HEAD "bearerd limits 1\n"
#define CLEAN "clean"
/* The longest window is a day, and no text tells of more. */
#define KEEP_MS (25 * 3600 * 1000ull)
/* The line of a group has a name that no account has: it ends with a tab. */
#define KEY_MAX (IPC_ID_MAX + 1)
#define GROUPS_MAX 100000 /* that a hostile relay may make up */
#define SLACK (64u << 10) /* stale octets that are not worth a new file */
#define LINE_MAX_OCTETS (IPC_LEDGER_MAX + KEY_MAX + 32)
#define FILE_MAX_OCTETS (1u << 30)

struct ledger {
    UT_hash_handle hh;
    uint64_t wall_ms;
    char *state;
    char id[];
};

/* --- in memory ------------------------------------------------------------------- */

static size_t line_size(const struct ledger *ledger)
{
    char number[24];

    return (size_t)snprintf(number, sizeof(number), "%llu", (unsigned long long)ledger->wall_ms) +
           strlen(ledger->state) + strlen(ledger->id) + 3;
}

static struct ledger *find(const struct ledgers *ledgers, struct slice id)
{
    struct ledger *ledger;

    HASH_FIND(hh, ledgers->ledgers, id.ptr, id.len, ledger);
    return ledger;
}

static void drop(struct ledgers *ledgers, struct ledger *ledger)
{
    HASH_DELETE(hh, ledgers->ledgers, ledger);
    ledgers->live_size -= line_size(ledger);
    free(ledger->state);
    free(ledger);
}

static struct ledger *find_or_add(struct ledgers *ledgers, struct slice id)
{
    struct ledger *ledger = find(ledgers, id);

    if (ledger) {
        ledgers->live_size -= line_size(ledger);
        return ledger;
    }
    ledger = calloc(1, sizeof(*ledger) + id.len + 1);
    if (!ledger)
        return NULL;
    memcpy(ledger->id, id.ptr, id.len);
    HASH_ADD_KEYPTR(hh, ledgers->ledgers, ledger->id, id.len, ledger);
    return ledger;
}

/* NULL: memory is out, and what was known of the account is forgotten. */
static struct ledger *put(struct ledgers *ledgers, struct slice id, uint64_t wall_ms,
                          struct slice state)
{
    struct ledger *ledger = find_or_add(ledgers, id);
    char *copy = slice_dup(state);

    if (ledger && copy) {
        free(ledger->state);
        ledger->state = copy;
        ledger->wall_ms = wall_ms;
        ledgers->live_size += line_size(ledger);
        return ledger;
    }
    free(copy);
    if (ledger) {
        HASH_DELETE(hh, ledgers->ledgers, ledger);
        free(ledger->state);
        free(ledger);
    }
    return NULL;
}

static void drop_old(struct ledgers *ledgers, uint64_t now)
{
    struct ledger *ledger, *next;

    HASH_ITER (hh, ledgers->ledgers, ledger, next) {
        if (ledger->wall_ms + KEEP_MS < now)
            drop(ledgers, ledger);
    }
}

/* --- reading --------------------------------------------------------------------- */

static bool is_plain(struct slice text, char lowest)
{
    for (size_t i = 0; i < text.len; i++) {
        if ((unsigned char)text.ptr[i] < (unsigned char)lowest || text.ptr[i] == 127)
            return false;
    }
    return true;
}

static bool cut(struct slice *line, struct slice *word)
{
    const char *space = memchr(line->ptr, ' ', line->len);

    if (!space)
        return false;
    *word = (struct slice){line->ptr, (size_t)(space - line->ptr)};
    line->ptr = space + 1;
    line->len -= word->len + 1;
    return true;
}

/* "WALL_MS STATE ID" */
static bool read_line(struct ledgers *ledgers, struct slice line)
{
    struct slice number, state, name;
    uint64_t wall_ms;

    if (!cut(&line, &number) || !slice_to_u64(number, &wall_ms) || !cut(&line, &state) ||
        state.len > IPC_LEDGER_MAX || !line.len)
        return false;
    name = line;
    name.len -= name.ptr[name.len - 1] == '\t';
    if (!name.len || name.len > IPC_ID_MAX || !is_plain(name, ' '))
        return false;
    return put(ledgers, line, wall_ms, state) != NULL;
}

/* A last line without its end was being written when we were killed. */
static bool read_lines(struct ledgers *ledgers, struct slice text, bool *clean)
{
    const char *end;

    *clean = false;
    if (text.len < strlen(HEAD) || memcmp(text.ptr, HEAD, strlen(HEAD)) != 0)
        return false;
    text.ptr += strlen(HEAD);
    text.len -= strlen(HEAD);
    while (text.len && (end = memchr(text.ptr, '\n', text.len))) {
        struct slice line = {text.ptr, (size_t)(end - text.ptr)};

        *clean = slice_equal(line, SLICE(CLEAN));
        if (!*clean && !read_line(ledgers, line))
            return false;
        text.ptr += line.len + 1;
        text.len -= line.len + 1;
    }
    *clean = *clean && !text.len;
    return true;
}

static char *read_file(const char *path, size_t *len)
{
    int fd = open(path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
    struct stat info;
    char *text = NULL;
    ssize_t got = 0;

    *len = 0;
    if (fd >= 0 && fstat(fd, &info) == 0 && info.st_size <= FILE_MAX_OCTETS)
        text = malloc((size_t)info.st_size + 1);
    while (text && *len < (size_t)info.st_size &&
           (got = read(fd, text + *len, (size_t)info.st_size - *len)) > 0)
        *len += (size_t)got;
    if (text && got < 0) {
        free(text);
        text = NULL;
    }
    if (fd >= 0)
        close(fd);
    return text;
}

/* --- writing --------------------------------------------------------------------- */

static void give_up(struct ledgers *ledgers, const char *what)
{
    log_event(LOG_WARN, "limits_not_saved", log_s("file", ledgers->path), log_s("what", what),
              log_s("error", strerror(errno)),
              log_s("text", "what accounts have sent is forgotten when bearerd ends"));
    if (ledgers->fd >= 0)
        close(ledgers->fd);
    ledgers->fd = -1;
}

static void write_ledger(FILE *out, const struct ledger *ledger)
{
    fprintf(out, "%llu %s %s\n", (unsigned long long)ledger->wall_ms, ledger->state, ledger->id);
}

static bool write_all(const struct ledgers *ledgers, int fd, bool clean)
{
    FILE *out = fdopen(dup(fd), "w");
    struct ledger *ledger, *next;
    bool ok;

    if (!out)
        return false;
    fputs(HEAD, out);
    HASH_ITER (hh, ledgers->ledgers, ledger, next)
        write_ledger(out, ledger);
    if (clean)
        fputs(CLEAN "\n", out);
    ok = !ferror(out);
    return fclose(out) == 0 && ok;
}

/* A new file in its place. Not synced while we run: it would hold up everything, and
 * file systems write it out before the rename. */
static bool replace(struct ledgers *ledgers, bool clean)
{
    char temporary[sizeof(ledgers->path) + 8];
    int fd;

    snprintf(temporary, sizeof(temporary), "%s.new", ledgers->path);
    unlink(temporary);
    fd = open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_APPEND | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd < 0 || !write_all(ledgers, fd, clean) || (clean && fsync(fd) != 0) ||
        rename(temporary, ledgers->path) != 0) {
        if (fd >= 0)
            close(fd);
        return false;
    }
    if (ledgers->fd >= 0)
        close(ledgers->fd);
    ledgers->fd = fd;
    ledgers->file_size = ledgers->live_size + strlen(HEAD);
    return true;
}

/* In one write, so that no line is in another. */
static void append(struct ledgers *ledgers, const struct ledger *ledger)
{
    char line[LINE_MAX_OCTETS];
    int len = snprintf(line, sizeof(line), "%llu %s %s\n", (unsigned long long)ledger->wall_ms,
                       ledger->state, ledger->id);
    ssize_t wrote;

    if (ledgers->fd < 0)
        return;
    wrote = write(ledgers->fd, line, (size_t)len);
    if (wrote != len) {
        give_up(ledgers, "write");
        return;
    }
    ledgers->file_size += (size_t)len;
}

/* --- life ------------------------------------------------------------------------ */

static void read_in(struct ledgers *ledgers, uint64_t now)
{
    size_t len;
    char *text = read_file(ledgers->path, &len);
    struct ledger *ledger, *next;
    bool clean = false;

    if (!text && errno == ENOENT)
        return; /* the first start */
    if (!text || !read_lines(ledgers, (struct slice){text, len}, &clean)) {
        log_event(LOG_WARN, "limits_state_broken", log_s("file", ledgers->path),
                  log_s("text", "what accounts have sent before this start is not known"));
        HASH_ITER (hh, ledgers->ledgers, ledger, next)
            drop(ledgers, ledger);
    }
    if (!clean)
        ledgers->lost_wall_ms = now;
    free(text);
}

void ledgers_open(struct ledgers *ledgers, const char *folder, uint64_t now)
{
    *ledgers = (struct ledgers){.fd = -1};
    if (snprintf(ledgers->path, sizeof(ledgers->path), "%s/" NAME, folder) >=
        (int)sizeof(ledgers->path)) {
        errno = ENAMETOOLONG;
        give_up(ledgers, "open");
        ledgers->path[0] = '\0';
        return;
    }
    read_in(ledgers, now);
    drop_old(ledgers, now);
}

void ledgers_begin(struct ledgers *ledgers)
{
    if (ledgers->path[0] && !replace(ledgers, false))
        give_up(ledgers, "open");
}

void ledgers_close(struct ledgers *ledgers, bool clean, uint64_t now)
{
    struct ledger *ledger, *next;

    drop_old(ledgers, now);
    if (ledgers->fd >= 0 && !replace(ledgers, clean))
        give_up(ledgers, "close");
    if (ledgers->fd >= 0)
        close(ledgers->fd);
    ledgers->fd = -1;
    HASH_ITER (hh, ledgers->ledgers, ledger, next)
        drop(ledgers, ledger);
}

static struct slice key_of(bool group, struct slice id, char memory[KEY_MAX])
{
    if (!group)
        return id;
    memcpy(memory, id.ptr, id.len);
    memory[id.len] = '\t';
    return (struct slice){memory, id.len + 1};
}

bool ledgers_take(struct ledgers *ledgers, const struct ipc_ledger *told, uint64_t now)
{
    char memory[KEY_MAX];
    struct slice key = key_of(told->group, told->id, memory);
    struct ledger *ledger = find(ledgers, key);

    if (!is_plain(told->state, '!'))
        return false;
    if (!ledger && told->group && ledgers->groups >= GROUPS_MAX)
        return false;
    if (!is_plain(told->id, ' ')) /* it could not be read back */
        return true;
    ledgers->groups += !ledger && told->group;
    ledger = put(ledgers, key, now, told->state);
    if (!ledger)
        return true;
    append(ledgers, ledger);
    if (ledgers->file_size > 2 * ledgers->live_size + SLACK) {
        drop_old(ledgers, now);
        if (ledgers->fd >= 0 && !replace(ledgers, false))
            give_up(ledgers, "replace");
    }
    return true;
}

void ledgers_lost(struct ledgers *ledgers, uint64_t now)
{
    ledgers->lost_wall_ms = now;
}

bool ledgers_find(const struct ledgers *ledgers, bool group, struct slice id, uint64_t now,
                  struct ipc_ledger_put *out)
{
    char memory[KEY_MAX];
    const struct ledger *ledger = find(ledgers, key_of(group, id, memory));
    uint64_t lost = ledgers->lost_wall_ms;

    *out = (struct ipc_ledger_put){.group = group, .id = id, .lost_ms = LEDGERS_NEVER};
    if (lost && lost + KEEP_MS > now)
        out->lost_ms = now > lost ? now - lost : 0;
    if (ledger) {
        out->state = slice_of(ledger->state);
        out->elapsed_ms = now > ledger->wall_ms ? now - ledger->wall_ms : 0;
    } else {
        out->state = SLICE("");
    }
    return ledger || out->lost_ms != LEDGERS_NEVER;
}
