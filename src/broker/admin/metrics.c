/* /metrics: Prometheus' text format, version 0.0.4.
 *
 * The relay's numbers come from its table (ipc/stats.h), the broker's from the one
 * here: a row for each.
 */
#include <dirent.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "broker/admin/handlers.h"
#include "broker/broker.h"

#define PREFIX "bearerd_"

struct metric {
    const char *name, *type, *help;
    /* Writes a line for each value. */
    void (*write)(FILE *out, const char *name, const struct broker *broker);
};

static void write_number(FILE *out, const char *name, uint64_t value)
{
    fprintf(out, "%s %" PRIu64 "\n", name, value);
}

/* --- the process ----------------------------------------------------------------- */

static void build_info(FILE *out, const char *name, const struct broker *broker)
{
    (void)broker;
    fprintf(out, "%s{version=\"%s\"} 1\n", name, BEARERD_VERSION);
}

static void start_time(FILE *out, const char *name, const struct broker *broker)
{
    fprintf(out, "%s %" PRIu64 ".%03u\n", name, broker->started_wall_ms / 1000,
            (unsigned)(broker->started_wall_ms % 1000));
}

static void cpu_seconds(FILE *out, const char *name, const struct broker *broker)
{
    struct rusage used;
    uint64_t us;

    (void)broker;
    getrusage(RUSAGE_SELF, &used);
    us = ((uint64_t)used.ru_utime.tv_sec + (uint64_t)used.ru_stime.tv_sec) * 1000000 +
         (uint64_t)used.ru_utime.tv_usec + (uint64_t)used.ru_stime.tv_usec;
    fprintf(out, "%s %" PRIu64 ".%06u\n", name, us / 1000000, (unsigned)(us % 1000000));
}

static void resident_memory(FILE *out, const char *name, const struct broker *broker)
{
    FILE *statm = fopen("/proc/self/statm", "re");
    char line[256] = "";
    struct slice second;
    uint64_t pages;

    (void)broker;
    if (statm && fgets(line, sizeof(line), statm)) {
        second = slice_of(line + strcspn(line, " "));
        second = slice_trim(second);
        second.len = strcspn(second.ptr, " \n");
        if (slice_to_u64(second, &pages))
            write_number(out, name, pages * (uint64_t)sysconf(_SC_PAGESIZE));
    }
    if (statm)
        fclose(statm);
}

/* --- accounts and tokens ------------------------------------------------------------ */

static void accounts_by_state(FILE *out, const char *name, const struct broker *broker)
{
    for (size_t i = 0; i < ACCOUNT_STATES; i++)
        fprintf(out, "%s{state=\"%s\"} %zu\n", name, account_state_names[i],
                broker->registry.states[i]);
}

static void gates_closed(FILE *out, const char *name, const struct broker *broker)
{
    fprintf(out, "%s{kind=\"endpoint\"} %zu\n%s{kind=\"application\"} %zu\n", name,
            broker->tokens.gates_closed[GATE_ENDPOINT], name,
            broker->tokens.gates_closed[GATE_APP]);
}

/* Names of applications and ids are visible ASCII; a quote or backslash would end the
 * label. */
static void write_label(FILE *out, const char *value)
{
    for (; *value; value++) {
        if (*value == '"' || *value == '\\')
            fputc('\\', out);
        fputc(*value, out);
    }
}

struct expiry_lines {
    FILE *out;
    const char *name;
    uint64_t wall_ms;
};

static void write_expiry(const struct expiring *one, void *arg)
{
    const struct expiry_lines *lines = arg;

    fprintf(lines->out, "%s{application=\"", lines->name);
    write_label(lines->out, one->app[0] ? one->app : one->client_id);
    fprintf(lines->out, "\",kind=\"%s\"} %" PRId64 "\n",
            one->is_certificate ? "certificate" : "client_secret",
            ((int64_t)one->expires_wall_ms - (int64_t)lines->wall_ms) / 1000);
}

static void secret_expiry(FILE *out, const char *name, const struct broker *broker)
{
    struct expiry_lines lines = {out, name, clock_wall_ms()};

    secret_expiry_each(&broker->secret_expiry, lines.wall_ms, EXPIRY_TOLD_MS, write_expiry, &lines);
}

static void clock_skew(FILE *out, const char *name, const struct broker *broker)
{
    const struct host_clock *clock;

    for (clock = broker->tokens.clocks.by_origin; clock; clock = clock->hh.next) {
        if (!clock->known)
            continue;
        fprintf(out, "%s{host=\"", name);
        write_label(out, clock->origin);
        fprintf(out, "\"} %s%" PRId64 ".%03u\n", clock->skew_ms < 0 ? "-" : "",
                (clock->skew_ms < 0 ? -clock->skew_ms : clock->skew_ms) / 1000,
                (unsigned)((clock->skew_ms < 0 ? -clock->skew_ms : clock->skew_ms) % 1000));
    }
}

#define NUMBER(function, expression)                                                               \
    static void function(FILE *out, const char *name, const struct broker *broker)                 \
    {                                                                                              \
        write_number(out, name, (uint64_t)(expression));                                           \
    }

NUMBER(skipped, broker->skipped)
NUMBER(requests, broker->tokens.stats.requests)
NUMBER(ok, broker->tokens.stats.ok)
NUMBER(failures, broker->tokens.stats.failures)
NUMBER(rejected, broker->tokens.stats.rejected)
NUMBER(running, broker->tokens.phases[TOKEN_RUNNING].count)
NUMBER(saves, broker->tokens.stats.saves)
NUMBER(save_failures, broker->tokens.stats.save_failures)
NUMBER(unsaved, broker->tokens.unsaved.count)
NUMBER(ready, broker->process &&relay_process_is_ready(broker->process))
NUMBER(restarts, broker->process ? relay_process_restarts(broker->process) : 0)
NUMBER(draining, broker->draining)
NUMBER(changes, broker->events.changes)
NUMBER(events_sent, broker->webhook.stats.sent)
NUMBER(events_failed, broker->webhook.stats.failed)
NUMBER(events_dropped, broker->webhook.stats.dropped)
NUMBER(events_queued, broker->webhook.queue.count)
NUMBER(log_lost, ((void)broker, log_dropped()))

static const struct metric metrics[] = {
    {"build_info", "gauge", "what runs; always 1", build_info},
    {"start_time_seconds", "gauge", "when the broker started, since 1970", start_time},
    {"broker_cpu_seconds_total", "counter", "processor time that the broker has used", cpu_seconds},
    {"broker_memory_bytes", "gauge", "memory of the broker that is in RAM", resident_memory},
    {"ready", "gauge", "1 while the relay process relays", ready},
    {"draining", "gauge", "1 while bearerd ends", draining},
    {"relay_restarts_total", "counter", "starts of a relay process after one ended", restarts},
    {"log_lines_lost_total", "counter", "lines of the broker's log that found no room", log_lost},
    {"accounts", "gauge", "accounts by state", accounts_by_state},
    {"accounts_skipped", "gauge", "records that the last load could not use", skipped},
    {"token_requests_total", "counter", "requests to token endpoints", requests},
    {"token_ok_total", "counter", "of them, those that brought a token", ok},
    {"token_failures_total", "counter", "of them, those that did not", failures},
    {"token_rejected_total", "counter", "access tokens that a provider refused", rejected},
    {"token_requests_running", "gauge", "requests to token endpoints under way now", running},
    {"token_gates_closed", "gauge",
     "token endpoints and applications that fail for all their accounts now", gates_closed},
    {"refresh_token_saves_total", "counter", "refresh tokens given to the store", saves},
    {"refresh_token_save_failures_total", "counter", "of them, those that it did not save",
     save_failures},
    {"refresh_tokens_unsaved", "gauge", "refresh tokens that are in memory only now", unsaved},
    {"clock_skew_seconds", "gauge", "by how much a token endpoint's clock is ahead of ours",
     clock_skew},
    {"secret_expiry_seconds", "gauge",
     "until a client secret or certificate ends, of those that do within 30 days or have",
     secret_expiry},
    {"account_state_changes_total", "counter", "accounts that came to another state", changes},
    {"events_sent_total", "counter", "events that the webhook's receiver took", events_sent},
    {"events_failed_total", "counter", "events that it refused, or that were given up",
     events_failed},
    {"events_dropped_total", "counter", "events for which there was no room", events_dropped},
    {"events_queued", "gauge", "events that wait for the receiver now", events_queued},
    {NULL, NULL, NULL, NULL},
};

static void write_head(FILE *out, const char *name, const char *type, const char *help)
{
    fprintf(out, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

static void write_broker(FILE *out, const struct broker *broker)
{
    for (const struct metric *metric = metrics; metric->name; metric++) {
        char name[96];

        snprintf(name, sizeof(name), PREFIX "%s", metric->name);
        write_head(out, name, metric->type, metric->help);
        metric->write(out, name, broker);
    }
}

/* --- the relay ---------------------------------------------------------------------- */

/* Buckets hold each value once; the format wants them to hold all smaller ones. */
static void write_histogram(FILE *out, const char *name, const struct stats_histogram *histogram)
{
    uint64_t count = 0;

    for (size_t i = 0; i + 1 < STATS_BUCKETS; i++) {
        count += histogram->buckets[i];
        fprintf(out, "%s_bucket{le=\"%u.%03u\"} %" PRIu64 "\n", name, (1u << i) / 1000,
                (1u << i) % 1000, count);
    }
    count += histogram->buckets[STATS_BUCKETS - 1];
    fprintf(out, "%s_bucket{le=\"+Inf\"} %" PRIu64 "\n", name, count);
    fprintf(out, "%s_sum %" PRIu64 ".%03u\n", name, histogram->sum_ms / 1000,
            (unsigned)(histogram->sum_ms % 1000));
    fprintf(out, "%s_count %" PRIu64 "\n", name, count);
}

static void write_relay(FILE *out, const struct broker *broker)
{
    static const char *const types[] = {[STATS_KIND_COUNTER] = "counter",
                                        [STATS_KIND_GAUGE] = "gauge",
                                        [STATS_KIND_HISTOGRAM] = "histogram"};
    struct stats sums;

    broker_read_stats(broker, &sums);
    for (const struct stats_info *info = stats_table; info->name; info++) {
        char name[96];

        snprintf(name, sizeof(name), PREFIX "relay_%s", info->name);
        write_head(out, name, types[info->kind], info->help);
        if (info->kind == STATS_KIND_HISTOGRAM)
            write_histogram(out, name, stats_histogram(&sums, info));
        else
            write_number(out, name, stats_number(&sums, info));
    }
}

void metrics_show(struct admin_request *request)
{
    const struct broker *broker = admin_broker(request);
    char *text = NULL;
    size_t len;
    FILE *out = open_memstream(&text, &len);

    if (out) {
        write_broker(out, broker);
        write_relay(out, broker);
    }
    if (out && fclose(out) == 0)
        admin_reply_text(request, 200, "text/plain; version=0.0.4; charset=utf-8",
                         (struct slice){text, len});
    else
        admin_error(request, 500, "out of memory");
    free(text);
}
