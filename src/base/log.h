/* Structured log: one line per event, key=value or JSON.
 *
 *     log_event(LOG_INFO, "account_parked", log_s("account", id), log_u("until", at));
 *
 * A level that is off costs one load and one branch: the arguments are not
 * evaluated. A line is formatted on the caller's stack and copied into a
 * buffer that one writer thread per process empties; a caller never waits for
 * the disk or the terminal. When the buffer is full, lines are dropped and the
 * next line that fits says how many.
 *
 * Values are escaped here, so a remote byte can never forge a line. Secrets
 * must not be passed at all: there is no level for them.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/str.h"

enum log_level { LOG_ERROR, LOG_WARN, LOG_INFO, LOG_DEBUG, LOG_TRACE, LOG_LEVELS };
enum log_format { LOG_KEY_VALUE, LOG_JSON };

extern const char *const log_level_names[]; /* NULL-terminated, by level */

extern int log_threshold; /* written by log_set_level only */

static inline bool log_on(enum log_level level)
{
    return __builtin_expect((int)level <= __atomic_load_n(&log_threshold, __ATOMIC_RELAXED), 0);
}

enum log_field_type { LOG_END, LOG_STR, LOG_SLICE, LOG_U64, LOG_I64, LOG_BOOL };

struct log_field {
    const char *key;
    enum log_field_type type;
    union {
        const char *str; /* NULL: the field is left out */
        struct slice slice;
        uint64_t u;
        int64_t i;
    };
};

#define log_s(k, v) ((struct log_field){.key = (k), .type = LOG_STR, .str = (v)})
#define log_sl(k, v) ((struct log_field){.key = (k), .type = LOG_SLICE, .slice = (v)})
#define log_u(k, v) ((struct log_field){.key = (k), .type = LOG_U64, .u = (uint64_t)(v)})
#define log_i(k, v) ((struct log_field){.key = (k), .type = LOG_I64, .i = (int64_t)(v)})
#define log_b(k, v) ((struct log_field){.key = (k), .type = LOG_BOOL, .u = (v)})

#define log_event(level, ...)                                                                      \
    do {                                                                                           \
        if (log_on(level))                                                                         \
            log_write_fields(level, LOG_EVENT_ARGS(__VA_ARGS__, {.type = LOG_END}));               \
    } while (0)
#define LOG_EVENT_ARGS(name, ...)                                                                  \
    name, (const struct log_field[])                                                               \
    {                                                                                              \
        __VA_ARGS__                                                                                \
    }

/* Use log_event. */
void log_write_fields(enum log_level level, const char *event, const struct log_field *fields);

/* Formats one line without a newline into `out`; what log_write_fields uses,
 * open to tests. Returns its length; a line too long is cut and says cut=1. */
size_t log_format_line(char *out, size_t cap, enum log_format format, uint64_t wall_ms,
                       enum log_level level, const char *process, const char *event,
                       const struct log_field *fields);

/* Starts the writer on `fd` (not closed by us). `process` names the process in
 * each line and must stay valid. Before log_start, and after log_stop, lines go
 * out directly and may block; that is for start-up messages and tests. */
void log_start(int fd, const char *process, enum log_format format);
void log_set_level(enum log_level level);
void log_set_format(enum log_format format);
void log_set_fd(int fd);    /* reopened file; takes effect with the next write */
void log_stop(void);        /* writes what is buffered, ends the thread */
uint64_t log_dropped(void); /* lines lost since start */
