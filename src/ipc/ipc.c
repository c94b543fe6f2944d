#include "ipc/ipc.h"

#include <stdlib.h>

#include "base/log.h"

/* A reader keeps its buffer for the next frame unless the last one was huge. */
#define READER_KEEP (64u << 10)
#define READER_STEP 4096u
#define LENGTH_BYTES 4

#define OPTIONS_MAX (1u << 20)
#define ADDRESSES_MAX (16u * 64)
#define PROVIDER_MAX 64
/* The last values of conf.h's enumerations, which this folder cannot see. */
#define TLS_LAST 2
#define UPSTREAM_TLS_LAST 2
#define MECHANISM_LAST 2
#define AUTO_LAST 2
#define LOG_LEVEL_LAST (LOG_LEVELS - 1)
#define REPLY_CODE_LAST 599
#define STEP_MAX 32

const char *const account_state_names[ACCOUNT_STATES + 1] = {
    "active", "throttled", "parked", "needs_consent", "misconfigured", "blocked", "disabled", NULL};

enum field_kind { FIELD_U8, FIELD_U32, FIELD_U64, FIELD_TEXT };

/* `max` is the largest value of an enumeration or the longest text; both ends
 * check it, so a reader of a decoded message need not. */
struct field {
    enum field_kind kind;
    size_t offset; /* into union ipc_body */
    uint64_t max;
};

#define U8(type, member, max)                                                                      \
    {                                                                                              \
        FIELD_U8, offsetof(struct type, member), max                                               \
    }
#define U32(type, member, max)                                                                     \
    {                                                                                              \
        FIELD_U32, offsetof(struct type, member), max                                              \
    }
#define U64(type, member)                                                                          \
    {                                                                                              \
        FIELD_U64, offsetof(struct type, member), UINT64_MAX                                       \
    }
#define TEXT(type, member, max)                                                                    \
    {                                                                                              \
        FIELD_TEXT, offsetof(struct type, member), max                                             \
    }

static const struct field config_fields[] = {
    TEXT(ipc_config, options, OPTIONS_MAX),
    TEXT(ipc_config, ca_pem, IPC_CA_MAX),
    TEXT(ipc_config, cert_pem, IPC_PEM_MAX),
    TEXT(ipc_config, key_pem, IPC_PEM_MAX),
};
static const struct field listener_fields[] = {
    U32(ipc_listener, fd, 65535),
    U32(ipc_listener, worker, UINT32_MAX), /* the maximum: shared by all */
    U32(ipc_listener, tls, TLS_LAST),
    TEXT(ipc_listener, address, IPC_ID_MAX),
};
static const struct field account_fields[] = {
    TEXT(ipc_account, id, IPC_ID_MAX),
    TEXT(ipc_account, login, IPC_ID_MAX),
    TEXT(ipc_account, sasl_user, IPC_ID_MAX),
    TEXT(ipc_account, provider, PROVIDER_MAX),
    TEXT(ipc_account, host, IPC_ID_MAX),
    U32(ipc_account, port, 65535),
    U32(ipc_account, tls, UPSTREAM_TLS_LAST),
    U32(ipc_account, mechanism, MECHANISM_LAST),
    TEXT(ipc_account, source_address, IPC_ID_MAX),
    U64(ipc_account, generation),
    U8(ipc_account, has_password, 1),
    U8(ipc_account, bdat, AUTO_LAST),
    U32(ipc_account, max_connections, UINT32_MAX),
    U32(ipc_account, max_messages_per_connection, UINT32_MAX),
    U32(ipc_account, max_concurrent, UINT32_MAX),
    U64(ipc_account, max_age_ms),
    U64(ipc_account, idle_ms),
    U32(ipc_account, messages_per_minute, UINT32_MAX),
    U32(ipc_account, messages_per_hour, UINT32_MAX),
    U32(ipc_account, messages_per_day, UINT32_MAX),
    U32(ipc_account, recipients_per_day, UINT32_MAX),
    U32(ipc_account, recipients_per_message, UINT32_MAX),
    TEXT(ipc_account, group, IPC_ID_MAX),
    U32(ipc_account, group_messages_per_minute, UINT32_MAX),
    U32(ipc_account, group_messages_per_hour, UINT32_MAX),
    U32(ipc_account, group_messages_per_day, UINT32_MAX),
    U32(ipc_account, group_recipients_per_day, UINT32_MAX),
    U32(ipc_account, connections_start, UINT32_MAX),
    U32(ipc_account, breaker_failures, UINT32_MAX),
    U32(ipc_account, breaker_trials, UINT32_MAX),
    U64(ipc_account, breaker_recovery_ms),
    U32(ipc_account, prewarm_min_connections, UINT32_MAX),
    U32(ipc_account, prewarm_max_connections, UINT32_MAX),
    U32(ipc_account, prewarm_min_messages, UINT32_MAX),
    U32(ipc_account, prewarm_messages_per_connection, UINT32_MAX),
    U32(ipc_account, prewarm_concurrency, UINT32_MAX),
};
static const struct field account_remove_fields[] = {
    TEXT(ipc_account_remove, id, IPC_ID_MAX),
    TEXT(ipc_account_remove, login, IPC_ID_MAX),
};
static const struct field token_fields[] = {
    TEXT(ipc_token, id, IPC_ID_MAX), TEXT(ipc_token, token, IPC_TOKEN_MAX),
    U64(ipc_token, generation),      U64(ipc_token, serial),
    U64(ipc_token, expires_wall_ms),
};
static const struct field state_fields[] = {
    TEXT(ipc_state, id, IPC_ID_MAX),           U64(ipc_state, generation),
    U32(ipc_state, state, ACCOUNT_STATES - 1), U64(ipc_state, until_wall_ms),
    TEXT(ipc_state, text, IPC_TEXT_MAX),
};
static const struct field lookup_fields[] = {
    U64(ipc_lookup, request),
    TEXT(ipc_lookup, login, IPC_ID_MAX),
};
static const struct field lookup_done_fields[] = {
    U64(ipc_lookup_done, request),
    U8(ipc_lookup_done, found, 1),
};
static const struct field password_fields[] = {
    U64(ipc_password, request),
    TEXT(ipc_password, id, IPC_ID_MAX),
    TEXT(ipc_password, password, IPC_TOKEN_MAX),
};
static const struct field password_done_fields[] = {
    U64(ipc_password_done, request),
    U8(ipc_password_done, ok, 2),
    U64(ipc_password_done, generation),
};
static const struct field resolve_fields[] = {
    U64(ipc_resolve, request),
    TEXT(ipc_resolve, host, IPC_ID_MAX),
    U32(ipc_resolve, port, 65535),
};
static const struct field resolve_done_fields[] = {
    U64(ipc_resolve_done, request),
    TEXT(ipc_resolve_done, addresses, ADDRESSES_MAX),
    U64(ipc_resolve_done, ttl_ms),
    TEXT(ipc_resolve_done, error, IPC_TEXT_MAX),
};
static const struct field token_wanted_fields[] = {
    TEXT(ipc_token_wanted, id, IPC_ID_MAX),
};
static const struct field token_rejected_fields[] = {
    TEXT(ipc_token_rejected, id, IPC_ID_MAX),
    U64(ipc_token_rejected, serial),
    TEXT(ipc_token_rejected, text, IPC_TEXT_MAX),
};
static const struct field observed_fields[] = {
    TEXT(ipc_observed, id, IPC_ID_MAX),           U64(ipc_observed, generation),
    U32(ipc_observed, state, ACCOUNT_STATES - 1), U64(ipc_observed, for_ms),
    TEXT(ipc_observed, text, IPC_TEXT_MAX),
};

static const struct field snapshot_fields[] = {
    U64(ipc_snapshot, request),
    TEXT(ipc_snapshot, id, IPC_ID_MAX),
    TEXT(ipc_snapshot, after, IPC_ID_MAX),
    U32(ipc_snapshot, limit, IPC_SNAPSHOT_ROWS),
};
static const struct field pool_fields[] = {
    U64(ipc_pool, request),
    TEXT(ipc_pool, id, IPC_ID_MAX),
    TEXT(ipc_pool, endpoint, IPC_ENDPOINT_MAX),
    U32(ipc_pool, dialing, UINT32_MAX),
    U32(ipc_pool, idle, UINT32_MAX),
    U32(ipc_pool, busy, UINT32_MAX),
    U32(ipc_pool, draining, UINT32_MAX),
    U32(ipc_pool, waiting, UINT32_MAX),
    U32(ipc_pool, running, UINT32_MAX),
    U32(ipc_pool, max_connections, UINT32_MAX),
    U32(ipc_pool, max_concurrent, UINT32_MAX),
    U32(ipc_pool, dial_failures, UINT32_MAX),
    U32(ipc_pool, logins, UINT32_MAX),
    U32(ipc_pool, max_logins, UINT32_MAX),
    U64(ipc_pool, login_wait_ms),
    U32(ipc_pool, connections_now, UINT32_MAX),
    U32(ipc_pool, minute, UINT32_MAX),
    U32(ipc_pool, max_minute, UINT32_MAX),
    U32(ipc_pool, hour, UINT32_MAX),
    U32(ipc_pool, max_hour, UINT32_MAX),
    U32(ipc_pool, day, UINT32_MAX),
    U32(ipc_pool, max_day, UINT32_MAX),
    U32(ipc_pool, recipients, UINT32_MAX),
    U32(ipc_pool, max_recipients, UINT32_MAX),
    U64(ipc_pool, message_wait_ms),
    U64(ipc_pool, breaker_wait_ms),
    U64(ipc_pool, delivered),
    U64(ipc_pool, rejected),
    U64(ipc_pool, deferred),
    U64(ipc_pool, unknown),
    U64(ipc_pool, last_delivery_wall_ms),
};
static const struct field snapshot_done_fields[] = {
    U64(ipc_snapshot_done, request),
    U8(ipc_snapshot_done, more, 1),
};
static const struct field probe_fields[] = {
    U64(ipc_probe, request),
    TEXT(ipc_probe, id, IPC_ID_MAX),
};
static const struct field probe_done_fields[] = {
    U64(ipc_probe_done, request),
    U8(ipc_probe_done, ok, 1),
    U32(ipc_probe_done, code, REPLY_CODE_LAST),
    TEXT(ipc_probe_done, step, STEP_MAX),
    TEXT(ipc_probe_done, text, IPC_TEXT_MAX),
};
static const struct field diagnose_fields[] = {
    U64(ipc_diagnose, request),
    TEXT(ipc_diagnose, id, IPC_ID_MAX),
    TEXT(ipc_diagnose, sender, IPC_ID_MAX),
};
static const struct field diagnosis_step_fields[] = {
    U64(ipc_diagnosis_step, request),
    U8(ipc_diagnosis_step, step, IPC_STEPS - 1),
    U8(ipc_diagnosis_step, result, IPC_STEP_RESULTS - 1),
    U8(ipc_diagnosis_step, state, ACCOUNT_STATES - 1),
    U32(ipc_diagnosis_step, code, REPLY_CODE_LAST),
    U64(ipc_diagnosis_step, took_ms),
    TEXT(ipc_diagnosis_step, text, IPC_TEXT_MAX),
};
static const struct field diagnosis_done_fields[] = {
    U64(ipc_diagnosis_done, request),
    U8(ipc_diagnosis_done, ok, 1),
    TEXT(ipc_diagnosis_done, text, IPC_TEXT_MAX),
};
static const struct field log_level_fields[] = {
    U8(ipc_log_level, level, LOG_LEVEL_LAST),
};

static const struct field ledger_fields[] = {
    U8(ipc_ledger, group, 1),
    TEXT(ipc_ledger, id, IPC_ID_MAX),
    TEXT(ipc_ledger, state, IPC_LEDGER_MAX),
};
static const struct field ledger_put_fields[] = {
    U8(ipc_ledger_put, group, 1),
    TEXT(ipc_ledger_put, id, IPC_ID_MAX),
    TEXT(ipc_ledger_put, state, IPC_LEDGER_MAX),
    U64(ipc_ledger_put, elapsed_ms),
    U64(ipc_ledger_put, lost_ms),
};

struct row {
    const char *name;
    const struct field *fields;
    size_t count;
};

#define ROW(name)                                                                                  \
    {                                                                                              \
#name, name##_fields, sizeof(name##_fields) / sizeof(name##_fields[0])                     \
    }
#define EMPTY_ROW(name)                                                                            \
    {                                                                                              \
#name, NULL, 0                                                                             \
    }

static const struct row rows[] = {
    [IPC_CONFIG] = ROW(config),
    [IPC_LISTENER] = ROW(listener),
    [IPC_START] = EMPTY_ROW(start),
    [IPC_ACCOUNT_PUT] = ROW(account),
    [IPC_ACCOUNT_REMOVE] = ROW(account_remove),
    [IPC_TOKEN] = ROW(token),
    [IPC_STATE] = ROW(state),
    [IPC_LOOKUP_DONE] = ROW(lookup_done),
    [IPC_PASSWORD_DONE] = ROW(password_done),
    [IPC_RESOLVE_DONE] = ROW(resolve_done),
    [IPC_DRAIN] = EMPTY_ROW(drain),
    [IPC_SNAPSHOT] = ROW(snapshot),
    [IPC_PROBE] = ROW(probe),
    [IPC_LOG_LEVEL] = ROW(log_level),
    [IPC_LEDGER_PUT] = ROW(ledger_put),
    [IPC_DIAGNOSE] = ROW(diagnose),
    [IPC_READY] = EMPTY_ROW(ready),
    [IPC_LOOKUP] = ROW(lookup),
    [IPC_PASSWORD] = ROW(password),
    [IPC_RESOLVE] = ROW(resolve),
    [IPC_TOKEN_WANTED] = ROW(token_wanted),
    [IPC_TOKEN_REJECTED] = ROW(token_rejected),
    [IPC_OBSERVED] = ROW(observed),
    [IPC_DRAINED] = EMPTY_ROW(drained),
    [IPC_POOL] = ROW(pool),
    [IPC_SNAPSHOT_DONE] = ROW(snapshot_done),
    [IPC_PROBE_DONE] = ROW(probe_done),
    [IPC_LEDGER] = ROW(ledger),
    [IPC_DIAGNOSIS_STEP] = ROW(diagnosis_step),
    [IPC_DIAGNOSIS_DONE] = ROW(diagnosis_done),
};

#define ROWS (sizeof(rows) / sizeof(rows[0]))

static const struct row *row_of(unsigned type)
{
    return type < ROWS && rows[type].name ? &rows[type] : NULL;
}

const char *ipc_name(enum ipc_type type)
{
    const struct row *row = row_of((unsigned)type);

    return row ? row->name : "unknown";
}

static unsigned char *put_number(unsigned char *at, uint64_t value, size_t octets)
{
    for (size_t i = 0; i < octets; i++)
        *at++ = (unsigned char)(value >> (8 * i));
    return at;
}

static uint64_t get_number(const unsigned char *at, size_t octets)
{
    uint64_t value = 0;

    for (size_t i = 0; i < octets; i++)
        value |= (uint64_t)at[i] << (8 * i);
    return value;
}

static size_t field_octets(enum field_kind kind) /* of the number, or the text's length */
{
    return kind == FIELD_U8 ? 1 : kind == FIELD_U64 ? 8 : 4;
}

static uint64_t field_number(const struct field *field, const void *body)
{
    const char *at = (const char *)body + field->offset;

    switch (field->kind) {
    case FIELD_U8:
        return *(const uint8_t *)at;
    case FIELD_U32:
        return *(const uint32_t *)(const void *)at;
    case FIELD_U64:
        return *(const uint64_t *)(const void *)at;
    case FIELD_TEXT:
        break;
    }
    return ((const struct slice *)(const void *)at)->len;
}

static void field_set_number(const struct field *field, void *body, uint64_t value)
{
    void *at = (char *)body + field->offset;

    if (field->kind == FIELD_U8)
        *(uint8_t *)at = (uint8_t)value;
    else if (field->kind == FIELD_U32)
        *(uint32_t *)at = (uint32_t)value;
    else
        *(uint64_t *)at = value;
}

static const struct slice *field_text(const struct field *field, const void *body)
{
    return (const struct slice *)(const void *)((const char *)body + field->offset);
}

/* Octets of the payload, 0 when a field is over its maximum. */
static size_t payload_size(const struct row *row, const void *body)
{
    size_t size = 1;

    for (size_t i = 0; i < row->count; i++) {
        const struct field *field = &row->fields[i];
        uint64_t number = field_number(field, body);

        if (number > field->max)
            return 0;
        size += field_octets(field->kind) + (field->kind == FIELD_TEXT ? (size_t)number : 0);
    }
    return size <= IPC_FRAME_MAX ? size : 0;
}

unsigned char *ipc_encode(const struct ipc_message *message, size_t *len)
{
    const struct row *row = row_of((unsigned)message->type);
    size_t size = row ? payload_size(row, &message->u) : 0;
    unsigned char *frame = size ? malloc(LENGTH_BYTES + size) : NULL, *at;

    if (!frame)
        return NULL;
    at = put_number(frame, size, LENGTH_BYTES);
    *at++ = (unsigned char)message->type;
    for (size_t i = 0; i < row->count; i++) {
        const struct field *field = &row->fields[i];

        at = put_number(at, field_number(field, &message->u), field_octets(field->kind));
        if (field->kind == FIELD_TEXT && field_text(field, &message->u)->len) {
            memcpy(at, field_text(field, &message->u)->ptr, field_text(field, &message->u)->len);
            at += field_text(field, &message->u)->len;
        }
    }
    *len = LENGTH_BYTES + size;
    return frame;
}

/* Takes one field off the front of `rest`. */
static bool decode_field(const struct field *field, struct slice *rest, void *body)
{
    size_t octets = field_octets(field->kind);
    uint64_t number;

    if (rest->len < octets)
        return false;
    number = get_number((const unsigned char *)rest->ptr, octets);
    rest->ptr += octets;
    rest->len -= octets;
    if (number > field->max)
        return false;
    if (field->kind != FIELD_TEXT) {
        field_set_number(field, body, number);
        return true;
    }
    if (number > rest->len)
        return false;
    *(struct slice *)(void *)((char *)body + field->offset) =
        (struct slice){rest->ptr, (size_t)number};
    rest->ptr += number;
    rest->len -= (size_t)number;
    return true;
}

bool ipc_decode(struct slice frame, struct ipc_message *out, struct reason *why)
{
    unsigned type = frame.len ? (unsigned char)frame.ptr[0] : 0;
    const struct row *row = row_of(type);
    struct slice rest;

    if (!row)
        return reason_set(why, "message of unknown type %u", type);
    memset(out, 0, sizeof(*out));
    out->type = (enum ipc_type)type;
    rest = (struct slice){frame.ptr + 1, frame.len - 1};
    for (size_t i = 0; i < row->count; i++) {
        if (!decode_field(&row->fields[i], &rest, &out->u))
            return reason_set(why, "message %s: field %zu is cut or over its limit", row->name, i);
    }
    if (rest.len)
        return reason_set(why, "message %s: %zu octets too many", row->name, rest.len);
    return true;
}

void ipc_reader_init(struct ipc_reader *reader)
{
    *reader = (struct ipc_reader){NULL, 0, 0};
}

static void drop_buffer(struct ipc_reader *reader)
{
    if (reader->held) {
        explicit_bzero(reader->held, reader->cap);
        free(reader->held);
    }
    reader->held = NULL;
    reader->cap = 0;
}

void ipc_reader_clear(struct ipc_reader *reader)
{
    drop_buffer(reader);
    ipc_reader_init(reader);
}

/* Room for `need` octets. Grows with what has come, not with what a length
 * field promises. No realloc: it could leave a token behind in freed memory. */
static bool reserve(struct ipc_reader *reader, size_t need)
{
    size_t cap = reader->cap ? reader->cap : READER_STEP;
    unsigned char *held;

    if (need <= reader->cap)
        return true;
    while (cap < need)
        cap *= 2;
    held = malloc(cap);
    if (!held)
        return false;
    if (reader->len)
        memcpy(held, reader->held, reader->len);
    drop_buffer(reader);
    reader->held = held;
    reader->cap = cap;
    return true;
}

/* The frame's full size once its length is known, else the length's own. */
static size_t wanted_size(const struct ipc_reader *reader)
{
    if (reader->len < LENGTH_BYTES)
        return LENGTH_BYTES;
    return LENGTH_BYTES + (size_t)get_number(reader->held, LENGTH_BYTES);
}

/* The frame that the last call handed out is no longer needed. */
static void forget_finished(struct ipc_reader *reader)
{
    if (reader->len < LENGTH_BYTES || reader->len < wanted_size(reader))
        return;
    explicit_bzero(reader->held, reader->len);
    reader->len = 0;
    if (reader->cap > READER_KEEP)
        drop_buffer(reader);
}

int ipc_reader_next(struct ipc_reader *reader, struct slice bytes, size_t *used,
                    struct ipc_message *out, struct reason *why)
{
    *used = 0;
    forget_finished(reader);
    for (;;) {
        size_t want = wanted_size(reader), take;

        if (want > LENGTH_BYTES + IPC_FRAME_MAX || (reader->len >= LENGTH_BYTES && want == 4)) {
            reason_set(why, "a frame of %zu octets", want - LENGTH_BYTES);
            return -1;
        }
        if (reader->len == want && want > LENGTH_BYTES)
            break;
        take = want - reader->len < bytes.len - *used ? want - reader->len : bytes.len - *used;
        if (!take)
            return 0;
        if (!reserve(reader, reader->len + take)) {
            reason_set(why, "out of memory for a message");
            return -1;
        }
        memcpy(reader->held + reader->len, bytes.ptr + *used, take);
        reader->len += take;
        *used += take;
    }
    return ipc_decode(
               (struct slice){(char *)reader->held + LENGTH_BYTES, reader->len - LENGTH_BYTES}, out,
               why)
               ? 1
               : -1;
}
