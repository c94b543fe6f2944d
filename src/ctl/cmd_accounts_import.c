/* accounts import: a file of any size to bearerd, a batch of records a time.
 *
 *     file -> records.c -> batch (NDJSON) -> POST -> a line per record -> report
 *
 * A file is read twice: the first time only to see that it is sound and how
 * long it is, so that a mistake in its last line is told before anything is
 * done. What comes through a pipe can be read once only. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/wipe.h"
#include "ctl/api.h"
#include "ctl/import_check.h"
#include "ctl/input.h"
#include "ctl/out.h"
#include "ctl/progress.h"
#include "ctl/records.h"
#include "ctl/safe.h"

#define BATCH_RECORDS 5000
#define BATCH_OCTETS (8u << 20)
#define READ_OCTETS 65536

struct import {
    struct api *api;
    const char *name; /* of the file, for messages */
    bool json, verify, overwrite;
    struct progress progress;
    struct import_check *check; /* --dry-run; else NULL */
    char *batch;
    size_t len, cap;
    size_t records;            /* in the batch */
    unsigned long long before; /* in earlier batches */
    unsigned long long lines[BATCH_RECORDS];
    size_t answered; /* of the batch */
    unsigned long long added, updated, failed;
    int rc; /* why it stopped; CTL_OK: it did not */
};

/* --- answers --------------------------------------------------------------- */

static void report_failure(struct import *import, const char *email, const char *error,
                           unsigned long long record, unsigned long long line)
{
    progress_hide(&import->progress);
    printf("record %llu (line %llu) ", record, line);
    safe_put(stdout, *email ? email : "?");
    fputs(": ", stdout);
    out_line(*error ? error : "refused without a reason");
}

static void report_json(struct import *import, json_t *value, unsigned long long record,
                        unsigned long long line)
{
    progress_hide(&import->progress);
    json_object_set_new(value, "record", json_integer((json_int_t)record));
    json_object_set_new(value, "line", json_integer((json_int_t)line));
    json_dumpf(value, stdout, JSON_COMPACT | (isatty(STDOUT_FILENO) ? JSON_ENSURE_ASCII : 0));
    putchar('\n');
}

static void count(struct import *import, const json_t *value)
{
    if (!get_bool(value, "ok"))
        import->failed++;
    else if (strcmp(get_text(value, "action"), "updated") == 0)
        import->updated++;
    else
        import->added++;
    import->progress.done++;
    import->progress.failed = import->failed;
}

static bool on_answer(void *owner, struct slice raw, json_t *value)
{
    struct import *import = owner;
    long long record = get_number(value, "record");

    (void)raw;
    if (!json_object_get(value, "record"))
        return true; /* progress, summary: we count ourselves */
    if (record < 1 || (size_t)record > import->records || import->answered == import->records) {
        import->rc = ctl_fail("bearerd answers for a record that was not sent");
        return false;
    }
    import->answered++;
    count(import, value);
    if (import->json)
        report_json(import, value, import->before + (unsigned long long)record,
                    import->lines[record - 1]);
    else if (!get_bool(value, "ok"))
        report_failure(import, get_text(value, "email"), get_text(value, "error"),
                       import->before + (unsigned long long)record, import->lines[record - 1]);
    progress_show(&import->progress);
    return true;
}

/* --- batches --------------------------------------------------------------- */

static bool send_batch(struct import *import)
{
    int rc;

    if (!import->records)
        return true;
    import->answered = 0;
    rc = api_stream(import->api, "POST", "/admin/accounts/batch", "application/x-ndjson",
                    (struct slice){import->batch, import->len}, on_answer, import);
    explicit_bzero(import->batch, import->len);
    if (import->rc == CTL_OK)
        import->rc = rc;
    if (import->rc == CTL_OK && import->answered < import->records)
        import->rc = ctl_fail("bearerd answered for %zu of %zu records only", import->answered,
                              import->records);
    import->before += import->records;
    import->records = import->len = 0;
    return import->rc == CTL_OK;
}

static bool reserve(struct import *import, size_t more)
{
    size_t cap = import->cap ? import->cap : READ_OCTETS;
    char *grown;

    while (cap < import->len + more)
        cap *= 2;
    if (cap == import->cap)
        return true;
    grown = malloc(cap);
    if (!grown)
        return false;
    if (import->len)
        memcpy(grown, import->batch, import->len);
    secret_free_len(import->batch, import->len);
    import->batch = grown;
    import->cap = cap;
    return true;
}

static bool append(struct import *import, const char *text, size_t len)
{
    if (!reserve(import, len + 1)) {
        import->rc = ctl_fail("out of memory");
        return false;
    }
    memcpy(import->batch + import->len, text, len);
    import->batch[import->len + len] = '\n';
    import->len += len + 1;
    return true;
}

/* Objects with comments only stand in files of the original; they are no
 * accounts. */
static bool is_comment(json_t *record)
{
    const char *key;
    json_t *value;

    json_object_foreach(record, key, value)
    {
        if (key[0] != '_')
            return false;
    }
    return true;
}

static bool send_record(void *owner, json_t *record, unsigned long long line)
{
    struct import *import = owner;
    char *text;
    bool good;

    if (is_comment(record))
        return true;
    json_object_set_new(record, "verify", json_boolean(import->verify));
    json_object_set_new(record, "overwrite", json_boolean(import->overwrite));
    text = json_dumps(record, JSON_COMPACT);
    if (import->records == BATCH_RECORDS ||
        (text && import->records && import->len + strlen(text) > BATCH_OCTETS))
        send_batch(import);
    good = import->rc == CTL_OK && text && append(import, text, strlen(text));
    if (good)
        import->lines[import->records++] = line;
    wipe_free(text);
    return good;
}

/* --- files ----------------------------------------------------------------- */

/* CTL_OK, or what is wrong was said. */
static int read_records(struct import *import, int fd, records_each *each)
{
    static char bytes[READ_OCTETS];
    struct records records = {RECORDS_BEGIN};
    struct reason why = {""};
    ssize_t got;
    bool good = true;

    while (good && (got = read(fd, bytes, sizeof(bytes))) != 0 && !api_interrupted()) {
        if (got < 0)
            good = errno == EINTR || reason_set(&why, "cannot read it: %s", strerror(errno));
        else
            good = records_feed(&records, (struct slice){bytes, (size_t)got}, each, import, &why);
    }
    if (good && !api_interrupted())
        records_finish(&records, &why);
    explicit_bzero(bytes, sizeof(bytes));
    records_clear(&records);
    if (import->rc == CTL_OK && why.text[0])
        return ctl_fail("%s: %s", import->name, why.text);
    if (import->rc == CTL_OK && api_interrupted())
        return ctl_fail("interrupted");
    return import->rc;
}

static bool count_record(void *owner, json_t *record, unsigned long long line)
{
    struct import *import = owner;

    (void)line;
    import->progress.total += !is_comment(record);
    return true;
}

static bool can_read_twice(int fd)
{
    struct stat facts;

    return fstat(fd, &facts) == 0 && S_ISREG(facts.st_mode) && lseek(fd, 0, SEEK_CUR) == 0;
}

static int send_file(struct import *import, int fd)
{
    uint64_t total;

    if (can_read_twice(fd)) {
        int rc = read_records(import, fd, count_record);

        if (rc != CTL_OK) {
            ctl_note("nothing was imported");
            return rc;
        }
        lseek(fd, 0, SEEK_SET);
    }
    total = import->progress.total;
    progress_start(&import->progress, "import", total);
    import->rc = read_records(import, fd, send_record);
    if (import->rc == CTL_OK)
        send_batch(import);
    progress_hide(&import->progress);
    return import->rc;
}

/* --- reports --------------------------------------------------------------- */

static int outcome(const struct import *import)
{
    unsigned long long done = import->added + import->updated;

    if (!import->failed)
        return CTL_OK;
    return done ? CTL_PARTLY : CTL_FAILED;
}

static void print_summary(const struct import *import, uint64_t ms)
{
    char added[48], updated[48], failed[48];

    if (import->json) {
        printf("{\"summary\":{\"success\":%s,\"added_count\":%llu,\"updated_count\":%llu,"
               "\"failed_count\":%llu,\"seconds\":%.3f}}\n",
               import->failed ? (import->added + import->updated ? "\"partial\"" : "false")
                              : "true",
               import->added, import->updated, import->failed, (double)ms / 1000);
        return;
    }
    out_count(added, sizeof(added), (long long)import->added);
    out_count(updated, sizeof(updated), (long long)import->updated);
    out_count(failed, sizeof(failed), (long long)import->failed);
    printf("%s added, %s updated, %s failed, in %.1f s%s\n", added, updated, failed,
           (double)ms / 1000, import->verify ? "" : "; not verified (bearerctl accounts verify)");
}

static int run_import(struct import *import, const struct args *args, int fd)
{
    uint64_t started = clock_ms();
    int rc = api_open(&import->api, args);

    if (rc != CTL_OK)
        return rc;
    rc = send_file(import, fd);
    if (rc == CTL_OK || import->before)
        print_summary(import, clock_ms() - started);
    if (rc != CTL_OK && import->before)
        ctl_note("it stopped there; the same command goes on: what is there already is reported "
                 "as such, or replaced with --overwrite");
    if (rc == CTL_OK)
        rc = outcome(import);
    api_close(import->api);
    return out_flush() == CTL_OK ? rc : CTL_FAILED;
}

static bool check_record(void *owner, json_t *record, unsigned long long line)
{
    struct import *import = owner;
    struct reason why;

    if (is_comment(record))
        return true;
    import->before++;
    if (import_check_record(import->check, record, import->before, &why))
        import->added++;
    else if (++import->failed)
        report_failure(import, get_text(record, "email"), why.text, import->before, line);
    return true;
}

static int run_dry(struct import *import, int fd)
{
    int rc;

    import->check = import_check_new();
    rc = import->check ? read_records(import, fd, check_record) : ctl_fail("out of memory");
    import_check_free(import->check);
    if (rc != CTL_OK)
        return rc;
    printf("%llu records look right, %llu do not; nothing was sent. bearerd checks more: values, "
           "and what it has already\n",
           import->added, import->failed);
    return out_flush() == CTL_OK ? outcome(import) : CTL_FAILED;
}

int cmd_accounts_import(const struct args *args)
{
    const char *path = args_word(args, 0);
    struct import *import = calloc(1, sizeof(*import));
    int fd, rc;

    if (!import)
        return ctl_fail("out of memory");
    import->name = strcmp(path, "-") == 0 ? "standard input" : path;
    import->json = args_has(args, "json");
    import->verify = args_has(args, "verify") && !args_has(args, "no-verify");
    import->overwrite = args_has(args, "overwrite");
    fd = input_open(path);
    rc = fd < 0                      ? CTL_FAILED
         : args_has(args, "dry-run") ? run_dry(import, fd)
                                     : run_import(import, args, fd);
    input_close(fd);
    secret_free_len(import->batch, import->cap);
    free(import);
    return rc;
}
