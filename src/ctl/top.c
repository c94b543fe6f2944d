#include "ctl/top.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <uthash.h>

#include "ctl/out.h"
#include "ctl/safe.h"

#define TRAILER "q quits"

struct row {
    UT_hash_handle hh;
    char *id, *email;
    uint64_t sample; /* when it was seen last */
    long long busy, idle, dialing, max, running, waiting, delivered, failed, done_before;
    long long last; /* delivery, seconds since 1970; -1 none */
    double rate;    /* messages a second */
    bool is_new;
};

struct top {
    char *place;
    json_t *status;
    struct row *rows; /* by id */
    struct row **order;
    size_t shown, total; /* rows of this sample; the API's pools */
    uint64_t sample, sampled_ms;
    long long delivered_before;
    double rate;
    char trouble[200];
};

struct top *top_new(const char *place)
{
    struct top *top = calloc(1, sizeof(*top));

    if (top)
        top->order = calloc(TOP_ROWS_MAX, sizeof(struct row *));
    if (top && top->order)
        top->place = safe_text(slice_of(place));
    if (top && top->place)
        return top;
    top_free(top);
    return NULL;
}

static void free_row(struct row *row)
{
    free(row->id);
    free(row->email);
    free(row);
}

static void drop_rows(struct top *top, bool all)
{
    struct row *row, *next;

    HASH_ITER (hh, top->rows, row, next) {
        if (!all && row->sample == top->sample)
            continue;
        HASH_DEL(top->rows, row);
        free_row(row);
    }
}

void top_free(struct top *top)
{
    if (!top)
        return;
    drop_rows(top, true);
    json_decref(top->status);
    free(top->order);
    free(top->place);
    free(top);
}

void top_status(struct top *top, const json_t *status)
{
    json_decref(top->status);
    top->status = json_incref((json_t *)status);
    top->sample++;
    top->shown = top->total = 0;
}

static struct row *row_of(struct top *top, const char *id, const char *email)
{
    struct row *row;

    HASH_FIND_STR(top->rows, id, row);
    if (row)
        return row;
    row = calloc(1, sizeof(*row));
    if (!row)
        return NULL;
    row->id = strdup(id);
    row->email = safe_text(slice_of(email));
    row->is_new = true;
    if (!row->id || !row->email) {
        free_row(row);
        return NULL;
    }
    HASH_ADD_KEYPTR(hh, top->rows, row->id, strlen(row->id), row);
    return row;
}

void top_pool(struct top *top, const json_t *pool)
{
    const json_t *messages = json_object_get(pool, "messages");
    struct row *row;

    top->total++;
    row = top->shown < TOP_ROWS_MAX
              ? row_of(top, get_text(pool, "account_id"), get_text(pool, "email"))
              : NULL;
    if (!row || row->sample == top->sample) /* twice in one sample: a page moved */
        return;
    row->sample = top->sample;
    row->busy = get_number(pool, "busy");
    row->idle = get_number(pool, "idle");
    row->dialing = get_number(pool, "dialing");
    row->max = get_number(pool, "max_connections");
    row->running = get_number(pool, "running");
    row->waiting = get_number(pool, "waiting");
    row->delivered = get_number(messages, "delivered");
    row->failed = get_number(messages, "rejected") + get_number(messages, "deferred") +
                  get_number(messages, "unknown");
    row->last = out_time(get_text(pool, "last_delivery"));
    top->order[top->shown++] = row;
}

/* A counter that went back belongs to a relay that started anew. */
static double rate_of(long long now, long long before, double seconds)
{
    return seconds > 0 && now > before ? (double)(now - before) / seconds : 0;
}

static int by_activity(const void *a, const void *b)
{
    const struct row *left = *(struct row *const *)a, *right = *(struct row *const *)b;
    const double ranks[][2] = {
        {left->rate, right->rate},
        {(double)(left->running + left->waiting), (double)(right->running + right->waiting)},
        {(double)(left->busy + left->dialing), (double)(right->busy + right->dialing)},
        {(double)left->delivered, (double)right->delivered},
        {(double)left->last, (double)right->last},
    };

    for (size_t i = 0; i < sizeof(ranks) / sizeof(*ranks); i++) {
        if (ranks[i][0] != ranks[i][1])
            return ranks[i][0] > ranks[i][1] ? -1 : 1;
    }
    return strcmp(left->email, right->email);
}

static long long counter(const struct top *top, const char *name)
{
    return get_number(json_object_get(top->status, "counters"), name);
}

void top_sampled(struct top *top, uint64_t now_ms)
{
    double seconds = top->sampled_ms ? (double)(now_ms - top->sampled_ms) / 1000 : 0;
    long long delivered = counter(top, "messages_delivered_total");

    drop_rows(top, false);
    for (size_t i = 0; i < top->shown; i++) {
        struct row *row = top->order[i];
        long long done = row->delivered + row->failed;

        row->rate = row->is_new ? 0 : rate_of(done, row->done_before, seconds);
        row->done_before = done;
        row->is_new = false;
    }
    top->rate = rate_of(delivered, top->delivered_before, seconds);
    top->delivered_before = delivered;
    top->sampled_ms = now_ms;
    qsort(top->order, top->shown, sizeof(struct row *), by_activity);
}

void top_trouble(struct top *top, const char *text)
{
    char *safe = text ? safe_text(slice_of(text)) : NULL;

    slice_copy(slice_of(safe ? safe : ""), top->trouble, sizeof(top->trouble));
    free(safe);
}

/* --- the screen ------------------------------------------------------------ */

struct screen {
    char *text;
    size_t len, cap;
    unsigned width, height, line;
    bool colours;
};

static void put(struct screen *screen, const char *bytes, size_t len)
{
    char *grown;

    if (screen->len + len + 1 > screen->cap) {
        grown = realloc(screen->text, 2 * (screen->cap + len) + 1024);
        if (!grown)
            return;
        screen->text = grown;
        screen->cap = 2 * (screen->cap + len) + 1024;
    }
    memcpy(screen->text + screen->len, bytes, len);
    screen->len += len;
    screen->text[screen->len] = '\0';
}

static void put_str(struct screen *screen, const char *text)
{
    put(screen, text, strlen(text));
}

/* A line of safe text, cut to the width; what stood behind it is erased. */
static void put_line(struct screen *screen, enum colour colour, const char *text)
{
    struct slice fits = safe_cut(slice_of(text), screen->width);

    if (screen->line == screen->height)
        return;
    if (screen->line++)
        put_str(screen, "\r\n");
    put_str(screen, out_begin(screen->colours, colour));
    put(screen, fits.ptr, fits.len);
    put_str(screen, out_end(screen->colours, colour));
    put_str(screen, "\033[K");
}

static void put_linef(struct screen *screen, enum colour colour, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

static void put_linef(struct screen *screen, enum colour colour, const char *format, ...)
{
    char line[1024], *safe;
    va_list args;

    va_start(args, format);
    vsnprintf(line, sizeof(line), format, args);
    va_end(args);
    safe = safe_text(slice_of(line));
    put_line(screen, colour, safe ? safe : "");
    free(safe);
}

static void put_accounts(struct screen *screen, const struct top *top)
{
    json_t *accounts = json_object_get(top->status, "accounts"), *value;
    char line[512], count[48];
    const char *state;
    struct text text;

    text_init(&text, line, sizeof(line));
    out_count(count, sizeof(count), get_number(accounts, "total"));
    text_addf(&text, "accounts: %s", count);
    json_object_foreach(accounts, state, value)
    {
        if (strcmp(state, "total") == 0 || get_number(accounts, state) == 0)
            continue;
        out_count(count, sizeof(count), get_number(accounts, state));
        text_addf(&text, ", %s %s", count, state);
    }
    put_linef(screen, PLAIN, "%s", line);
}

static void put_messages(struct screen *screen, const struct top *top)
{
    static const char *const words[] = {"delivered", "rejected", "deferred", "unknown"};
    char line[512], name[64], count[48];
    struct text text;

    text_init(&text, line, sizeof(line));
    text_addf(&text, "messages: %.1f/s", top->rate);
    for (size_t i = 0; i < sizeof(words) / sizeof(*words); i++) {
        snprintf(name, sizeof(name), "messages_%s_total", words[i]);
        out_count(count, sizeof(count), counter(top, name));
        text_addf(&text, ", %s %s", count, words[i]);
    }
    put_linef(screen, PLAIN, "%s", line);
}

static void put_connections(struct screen *screen, const struct top *top)
{
    long long busy = 0, idle = 0, dialing = 0, waiting = 0;

    for (size_t i = 0; i < top->shown; i++) {
        busy += top->order[i]->busy;
        idle += top->order[i]->idle;
        dialing += top->order[i]->dialing;
        waiting += top->order[i]->waiting;
    }
    put_linef(screen, PLAIN, "connections: %lld busy, %lld idle, %lld dialing; %lld messages wait",
              busy, idle, dialing, waiting);
}

static void put_head(struct screen *screen, const struct top *top)
{
    char up[32];

    out_duration(up, sizeof(up), get_number(top->status, "uptime_seconds"));
    put_linef(screen, BOLD, "bearerd %.40s, up %s, %s", get_text(top->status, "version"), up,
              top->place);
    put_accounts(screen, top);
    put_messages(screen, top);
    put_connections(screen, top);
    put_line(screen, PLAIN, "");
}

/* Behind the address: widths that 80 columns leave 25 of. */
#define NUMBERS "%7s %5s %5s %5s %5s %5s %10s %7s"
#define NUMBERS_WIDTH 57

static void put_row(struct screen *screen, enum colour colour, const char *email,
                    const char *numbers)
{
    size_t room = screen->width > NUMBERS_WIDTH + 8 ? screen->width - NUMBERS_WIDTH - 1 : 8;
    struct slice fits = safe_cut(slice_of(email), room);
    size_t used = safe_width(fits);
    char line[2048];
    struct text text;

    text_init(&text, line, sizeof(line));
    text_add_slice(&text, fits);
    for (; used < room; used++)
        text_add_char(&text, ' ');
    text_add_char(&text, ' ');
    text_add_str(&text, numbers);
    put_line(screen, colour, line);
}

static void put_account(struct screen *screen, const struct row *row, long long now_s)
{
    char numbers[256], rate[32], cells[5][24], delivered[48], last[32] = "-";
    const long long values[] = {row->running, row->waiting, row->busy, row->idle, row->failed};

    for (size_t i = 0; i < 5; i++)
        snprintf(cells[i], sizeof(cells[i]), "%lld", values[i]);
    snprintf(rate, sizeof(rate), "%.1f", row->rate);
    out_count(delivered, sizeof(delivered), row->delivered);
    if (row->last >= 0)
        out_duration(last, sizeof(last), now_s - row->last);
    snprintf(numbers, sizeof(numbers), NUMBERS, rate, cells[0], cells[1], cells[2], cells[3],
             cells[4], delivered, last);
    put_row(screen, row->rate > 0 || row->running || row->waiting ? PLAIN : DIM, row->email,
            numbers);
}

static void put_accounts_table(struct screen *screen, const struct top *top, long long now_s)
{
    char numbers[256];

    snprintf(numbers, sizeof(numbers), NUMBERS, "MSG/S", "RUN", "WAIT", "BUSY", "IDLE", "FAIL",
             "DELIVERED", "LAST");
    put_row(screen, BOLD, "ACCOUNT", numbers);
    for (size_t i = 0; i < top->shown && screen->line + 1 < screen->height; i++)
        put_account(screen, top->order[i], now_s);
    while (screen->line + 1 < screen->height)
        put_line(screen, PLAIN, "");
}

char *top_draw(const struct top *top, unsigned width, unsigned height, bool colours,
               long long now_s)
{
    struct screen screen = {.width = width, .height = height, .colours = colours};

    put_str(&screen, "\033[H");
    put_head(&screen, top);
    put_accounts_table(&screen, top, now_s);
    if (top->trouble[0])
        put_linef(&screen, BAD, "%s", top->trouble);
    else if (top->total > top->shown)
        put_linef(&screen, DIM, TRAILER "; %zu of %zu pools", top->shown, top->total);
    else
        put_line(&screen, DIM, TRAILER);
    put_str(&screen, "\033[J");
    return screen.text;
}
