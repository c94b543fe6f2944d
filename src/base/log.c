#include "base/log.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"

/* Two buffers: callers append to one under a short lock, the writer swaps them
 * and writes the other without the lock. */
#define LOG_BUFFER_BYTES (1u << 20)
#define LOG_LINE_BYTES 8192
#define LOG_BATCH_MS 5

const char *const log_level_names[] = {"error", "warn", "info", "debug", "trace", NULL};

int log_threshold = LOG_INFO;

static struct {
    pthread_mutex_t lock;
    pthread_cond_t wake;
    pthread_t thread;
    char *fill, *spare;
    size_t filled;
    uint64_t dropped, dropped_told;
    int fd;
    enum log_format format;
    const char *process;
    bool running, stopping, asleep;
} writer = {.lock = PTHREAD_MUTEX_INITIALIZER,
            .wake = PTHREAD_COND_INITIALIZER,
            .fd = STDERR_FILENO,
            .process = "bearerd"};

/* The text of a second is made once: at full speed, making it for each line
 * would cost as much as the rest of the line. */
static void add_time(struct text *line, uint64_t wall_ms)
{
    static _Thread_local struct {
        time_t second;
        char text[sizeof("2026-01-01T00:00:00.")];
    } made = {.second = -1};
    time_t second = (time_t)(wall_ms / 1000);
    unsigned ms = (unsigned)(wall_ms % 1000);
    char rest[] = {(char)('0' + ms / 100), (char)('0' + ms / 10 % 10), (char)('0' + ms % 10), 'Z'};
    struct tm parts;

    if (second != made.second) {
        gmtime_r(&second, &parts);
        if (!strftime(made.text, sizeof(made.text), "%Y-%m-%dT%H:%M:%S.", &parts))
            made.text[0] = '\0';
        made.second = second;
    }
    text_add_str(line, made.text);
    text_add(line, rest, sizeof(rest));
}

static void add_code(struct text *line, unsigned char c, enum log_format format)
{
    static const char digits[] = "0123456789abcdef";
    char code[] = {'\\', 'u', '0', '0', digits[c >> 4], digits[c & 15]};

    if (format == LOG_KEY_VALUE) {
        code[1] = 'x';
        code[2] = code[4];
        code[3] = code[5];
        text_add(line, code, 4);
    } else {
        text_add(line, code, 6);
    }
}

/* Printable ASCII stays, and so does valid-looking UTF-8 in neither format: an
 * octet above 126 is escaped, so that a terminal never interprets it. */
static bool is_plain(unsigned char c)
{
    return c >= 32 && c < 127 && c != '"' && c != '\\';
}

static void add_escaped(struct text *line, struct slice value, enum log_format format)
{
    for (size_t i = 0; i < value.len;) {
        size_t run = i;

        while (run < value.len && is_plain((unsigned char)value.ptr[run]))
            run++;
        text_add(line, value.ptr + i, run - i);
        if (run < value.len) {
            unsigned char c = (unsigned char)value.ptr[run];

            if (c == '"' || c == '\\') {
                text_add_char(line, '\\');
                text_add_char(line, (char)c);
            } else {
                add_code(line, c, format);
            }
        }
        i = run + 1;
    }
}

static bool needs_quotes(struct slice value)
{
    if (value.len == 0)
        return true;
    for (size_t i = 0; i < value.len; i++) {
        unsigned char c = (unsigned char)value.ptr[i];

        if (c <= 32 || c >= 127 || c == '"' || c == '\\' || c == '=')
            return true;
    }
    return false;
}

static void add_string(struct text *line, struct slice value, enum log_format format)
{
    if (format == LOG_KEY_VALUE && !needs_quotes(value)) {
        text_add_slice(line, value);
        return;
    }
    text_add_char(line, '"');
    add_escaped(line, value, format);
    text_add_char(line, '"');
}

static void add_key(struct text *line, const char *key, enum log_format format)
{
    if (format == LOG_JSON) {
        text_add_str(line, ",\"");
        text_add_str(line, key);
        text_add_str(line, "\":");
    } else {
        text_add_char(line, ' ');
        text_add_str(line, key);
        text_add_char(line, '=');
    }
}

static void add_field(struct text *line, const struct log_field *field, enum log_format format)
{
    if (field->type == LOG_STR && !field->str)
        return;
    add_key(line, field->key, format);
    switch (field->type) {
    case LOG_STR:
        add_string(line, slice_of(field->str), format);
        break;
    case LOG_SLICE:
        add_string(line, field->slice, format);
        break;
    case LOG_U64:
        text_add_u64(line, field->u);
        break;
    case LOG_I64:
        if (field->i < 0)
            text_add_char(line, '-');
        text_add_u64(line, field->i < 0 ? -(uint64_t)field->i : (uint64_t)field->i);
        break;
    case LOG_BOOL:
        text_add_str(line, field->u ? "true" : "false");
        break;
    case LOG_END:
        break;
    }
}

size_t log_format_line(char *out, size_t cap, enum log_format format, uint64_t wall_ms,
                       enum log_level level, const char *process, const char *event,
                       const struct log_field *fields)
{
    struct text line;

    /* Room is kept for the mark of a cut line and the closing brace. */
    text_init(&line, out, cap - 16);
    text_add_str(&line, format == LOG_JSON ? "{\"ts\":\"" : "");
    add_time(&line, wall_ms);
    text_add_str(&line, format == LOG_JSON ? "\"" : "");
    add_key(&line, "level", format);
    add_string(&line, slice_of(log_level_names[level]), format);
    add_key(&line, "process", format);
    add_string(&line, slice_of(process), format);
    add_key(&line, "event", format);
    add_string(&line, slice_of(event), format);
    for (; fields->type != LOG_END; fields++) {
        size_t before = line.len;

        add_field(&line, fields, format);
        if (line.cut) { /* a field that does not fit is left out whole */
            line.len = before;
            break;
        }
    }
    line.cap = cap;
    if (line.cut) {
        line.cut = false;
        add_key(&line, "cut", format);
        text_add_char(&line, '1');
    }
    if (format == LOG_JSON)
        text_add_char(&line, '}');
    return line.len;
}

static void write_all(int fd, const char *bytes, size_t len)
{
    while (len) {
        ssize_t n = write(fd, bytes, len);

        if (n > 0) {
            bytes += n;
            len -= (size_t)n;
        } else if (n < 0 && errno == EAGAIN) {
            struct pollfd wait = {.fd = fd, .events = POLLOUT};

            poll(&wait, 1, 1000);
        } else if (n < 0 && errno != EINTR) {
            return; /* nobody can be told that telling failed */
        }
    }
}

static void append_locked(const char *line, size_t len)
{
    memcpy(writer.fill + writer.filled, line, len);
    writer.filled += len;
    writer.fill[writer.filled++] = '\n';
}

static void tell_dropped_locked(void)
{
    char line[LOG_LINE_BYTES];
    uint64_t lost = writer.dropped - writer.dropped_told;
    size_t len;

    if (!lost)
        return;
    len = log_format_line(line, sizeof(line), writer.format, clock_wall_ms(), LOG_WARN,
                          writer.process, "log_lines_dropped",
                          (const struct log_field[]){log_u("lines", lost), {.type = LOG_END}});
    if (writer.filled + len + 1 > LOG_BUFFER_BYTES)
        return;
    append_locked(line, len);
    writer.dropped_told = writer.dropped;
}

void log_write_fields(enum log_level level, const char *event, const struct log_field *fields)
{
    char line[LOG_LINE_BYTES];
    enum log_format format = __atomic_load_n(&writer.format, __ATOMIC_RELAXED);
    size_t len = log_format_line(line, sizeof(line) - 1, format, clock_wall_ms(), level,
                                 writer.process, event, fields);

    pthread_mutex_lock(&writer.lock);
    if (!writer.running) {
        line[len++] = '\n';
        write_all(writer.fd, line, len);
    } else if (writer.filled + len + 1 > LOG_BUFFER_BYTES) {
        writer.dropped++;
    } else {
        tell_dropped_locked();
        if (writer.filled + len + 1 <= LOG_BUFFER_BYTES)
            append_locked(line, len);
        else
            writer.dropped++;
        if (writer.asleep) {
            writer.asleep = false;
            pthread_cond_signal(&writer.wake);
        }
    }
    pthread_mutex_unlock(&writer.lock);
}

static void *writer_main(void *unused)
{
    (void)unused;
    pthread_mutex_lock(&writer.lock);
    for (;;) {
        char *full;
        size_t len;
        int fd = writer.fd;

        while (!writer.filled && !writer.stopping) {
            writer.asleep = true;
            pthread_cond_wait(&writer.wake, &writer.lock);
        }
        writer.asleep = false;
        tell_dropped_locked();
        if (!writer.filled)
            break;
        full = writer.fill;
        len = writer.filled;
        writer.fill = writer.spare;
        writer.spare = full;
        writer.filled = 0;
        pthread_mutex_unlock(&writer.lock);
        write_all(fd, full, len);
        /* Under load, lines gather for a moment: one write for many lines. */
        if (!__atomic_load_n(&writer.stopping, __ATOMIC_RELAXED))
            nanosleep(&(struct timespec){.tv_nsec = LOG_BATCH_MS * 1000000L}, NULL);
        pthread_mutex_lock(&writer.lock);
    }
    pthread_mutex_unlock(&writer.lock);
    return NULL;
}

void log_start(int fd, const char *process, enum log_format format)
{
    pthread_mutex_lock(&writer.lock);
    writer.fd = fd;
    writer.process = process;
    __atomic_store_n(&writer.format, format, __ATOMIC_RELAXED);
    writer.stopping = false;
    if (!writer.running) {
        writer.fill = malloc(LOG_BUFFER_BYTES);
        writer.spare = malloc(LOG_BUFFER_BYTES);
        if (writer.fill && writer.spare)
            writer.running = pthread_create(&writer.thread, NULL, writer_main, NULL) == 0;
    }
    pthread_mutex_unlock(&writer.lock);
}

void log_set_level(enum log_level level)
{
    __atomic_store_n(&log_threshold, (int)level, __ATOMIC_RELAXED);
}

void log_set_format(enum log_format format)
{
    __atomic_store_n(&writer.format, format, __ATOMIC_RELAXED);
}

void log_set_fd(int fd)
{
    pthread_mutex_lock(&writer.lock);
    writer.fd = fd;
    pthread_mutex_unlock(&writer.lock);
}

void log_stop(void)
{
    pthread_mutex_lock(&writer.lock);
    if (!writer.running) {
        pthread_mutex_unlock(&writer.lock);
        return;
    }
    __atomic_store_n(&writer.stopping, true, __ATOMIC_RELAXED);
    pthread_cond_signal(&writer.wake);
    pthread_mutex_unlock(&writer.lock);
    pthread_join(writer.thread, NULL);
    pthread_mutex_lock(&writer.lock);
    writer.running = false;
    free(writer.fill);
    free(writer.spare);
    writer.fill = writer.spare = NULL;
    writer.filled = 0;
    pthread_mutex_unlock(&writer.lock);
}

uint64_t log_dropped(void)
{
    uint64_t dropped;

    pthread_mutex_lock(&writer.lock);
    dropped = writer.dropped;
    pthread_mutex_unlock(&writer.lock);
    return dropped;
}
