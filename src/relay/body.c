#include "relay/body.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

void body_init(struct body *body, struct worker *worker)
{
    *body = (struct body){.worker = worker, .fd = -1, .ends_crlf = true};
    chain_init(&body->memory, &worker->loop.chunks);
}

/* The budget counts whole chunks: that is what memory they take. */
static void charge(struct body *body)
{
    uint64_t now = (body->memory.size + CHUNK_BYTES - 1) / CHUNK_BYTES * sizeof(struct chunk);

    stats_add(&body->worker->stats->message_memory_bytes, now - body->charged);
    if (now > body->charged)
        atomic_fetch_add(&body->worker->relay->memory_used, now - body->charged);
    else if (now < body->charged)
        atomic_fetch_sub(&body->worker->relay->memory_used, body->charged - now);
    body->charged = now;
}

bool body_memory_tight(struct worker *worker)
{
    return atomic_load(&worker->relay->memory_used) >= worker_conf(worker)->memory_limit;
}

static bool write_file(struct body *body, const void *bytes, size_t len)
{
    const char *from = bytes;

    while (len) {
        ssize_t n = write(body->fd, from, len);

        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0) {
            log_event(LOG_ERROR, "spill_failed", log_s("dir", worker_conf(body->worker)->spill_dir),
                      log_s("error", strerror(errno)));
            return false;
        }
        from += n;
        len -= (size_t)n;
    }
    return true;
}

/* An unlinked file: nothing is left behind by a crash. */
static int open_spill(const char *dir)
{
    char path[CONF_TEXT_MAX + 32];
    int fd = open(dir, O_TMPFILE | O_RDWR | O_CLOEXEC | O_EXCL, 0600);

    if (fd >= 0 || (errno != EOPNOTSUPP && errno != EISDIR && errno != EINVAL))
        return fd;
    snprintf(path, sizeof(path), "%s/bearerd-body-XXXXXX", dir);
    fd = mkostemp(path, O_CLOEXEC);
    if (fd >= 0)
        unlink(path);
    return fd;
}

static bool belongs_in_file(const struct body *body, size_t len)
{
    const struct conf *conf = worker_conf(body->worker);

    if (body_memory_tight(body->worker))
        return true;
    return body->memory.size + len > conf->spill_threshold &&
           atomic_load(&body->worker->relay->memory_used) >= conf->memory_limit / 2;
}

/* Gives the memory back. */
static bool move_to_file(struct body *body)
{
    struct chain_reader reader;
    const unsigned char *run;
    size_t len;

    chain_reader_init(&reader, &body->memory);
    while ((len = chain_read(&reader, &run, SIZE_MAX))) {
        if (!write_file(body, run, len))
            return false;
    }
    chain_clear(&body->memory);
    charge(body);
    return true;
}

/* What is in memory moves, too, unless that is so much that it would hold up the
 * other sessions: then the file takes what comes from here on. */
static bool spill(struct body *body)
{
    const char *dir = worker_conf(body->worker)->spill_dir;

    body->fd = open_spill(dir);
    if (body->fd < 0) {
        log_event(LOG_ERROR, "spill_failed", log_s("dir", dir), log_s("error", strerror(errno)));
        return false;
    }
    stats_add(&body->worker->stats->spilled_total, 1);
    return body->memory.size > worker_conf(body->worker)->spill_threshold || move_to_file(body);
}

typedef uint64_t words __attribute__((vector_size(32)));

/* Has any octet its high bit set? In blocks: octet by octet it would cost more
 * than copying them, and compilers do not vectorize it at -O2. */
static bool any_8bit(const unsigned char *bytes, size_t len)
{
    words block, all = {0};
    unsigned char rest = 0;
    size_t at = 0;

    for (; len - at >= sizeof(block); at += sizeof(block)) {
        memcpy(&block, bytes + at, sizeof(block));
        all |= block;
    }
    for (; at < len; at++)
        rest |= bytes[at];
    return ((all[0] | all[1] | all[2] | all[3]) & 0x8080808080808080) || rest & 0x80;
}

static void note_end(struct body *body, const char *bytes, size_t len)
{
    if (len >= 2)
        body->ends_crlf = bytes[len - 2] == '\r' && bytes[len - 1] == '\n';
    else
        body->ends_crlf = body->last == '\r' && bytes[0] == '\n';
    body->last = bytes[len - 1];
}

bool body_add(struct body *body, const void *bytes, size_t len)
{
    if (body->failed)
        return false;
    if (!len)
        return true;
    if (body->fd < 0 && belongs_in_file(body, len))
        body->failed = !spill(body);
    if (!body->failed)
        body->failed =
            body->fd >= 0 ? !write_file(body, bytes, len) : !chain_add(&body->memory, bytes, len);
    charge(body);
    if (body->failed)
        return false;
    body->size += len;
    body->has_8bit = body->has_8bit || any_8bit(bytes, len);
    note_end(body, bytes, len);
    stats_add(&body->worker->stats->bytes_received_total, len);
    return true;
}

void body_clear(struct body *body)
{
    chain_clear(&body->memory);
    charge(body);
    if (body->fd >= 0)
        close(body->fd);
    body_init(body, body->worker);
}

void body_reader_init(struct body_reader *reader, const struct body *body)
{
    reader->body = body;
    reader->offset = 0;
    chain_reader_init(&reader->chain, &body->memory);
}

ptrdiff_t body_read(struct body_reader *reader, const unsigned char **run, unsigned char *scratch,
                    size_t max)
{
    ssize_t n;

    uint64_t in_memory = reader->body->memory.size;

    if (reader->offset < in_memory) {
        n = (ssize_t)chain_read(&reader->chain, run, max);
        reader->offset += (uint64_t)n;
        return n;
    }
    if (reader->offset == reader->body->size)
        return 0;
    do
        n = pread(reader->body->fd, scratch, max, (off_t)(reader->offset - in_memory));
    while (n < 0 && errno == EINTR);
    if (n <= 0)
        return -1; /* a short file is as bad as an error */
    reader->offset += (uint64_t)n;
    *run = scratch;
    return n;
}
