/* bearer-accounts: what a store of accounts costs, seen by its user.
 *
 *     bearer-accounts LOCATION fill N      adds N accounts, 1000 at a time, and where the store
 *                                          keeps access tokens, one for each
 *     bearer-accounts LOCATION import FILE adds the records of an accounts.json
 *     bearer-accounts LOCATION measure R   loads all; R times each: adds one, changes it, replaces
 *                                          its token, removes it
 *
 * measure prints one JSON object: wall clock and CPU time of the process (the
 * store's thread is part of it) in microseconds, the median of the rounds. */
#include <jansson.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "base/clock.h"
#include "broker/store/store.h"
#include "broker/wipe.h"
#include "net/loop.h"

#define CHUNK 1000
#define ROUNDS_MAX 10000
/* Microsoft's refresh tokens have some 1.2 KB, Google's 100 octets; access tokens more. */
#define LONG_TOKEN 1200
#define SHORT_TOKEN 100
#define LONG_ACCESS 1600
#define SHORT_ACCESS 220
#define HOUR_MS 3600000u

struct user {
    struct loop loop;
    struct mailbox mailbox;
    struct store *store;
    struct conf *conf;
};

struct sample {
    double wall, cpu; /* microseconds */
};

static void stop(const char *what, const char *why)
{
    fprintf(stderr, "bearer-accounts: %s: %s\n", what, why);
    exit(1);
}

static double now(clockid_t clock)
{
    struct timespec at;

    clock_gettime(clock, &at);
    return (double)at.tv_sec * 1e6 + (double)at.tv_nsec / 1e3;
}

static struct sample sample_begin(void)
{
    return (struct sample){now(CLOCK_MONOTONIC), now(CLOCK_PROCESS_CPUTIME_ID)};
}

static struct sample sample_end(struct sample began)
{
    return (struct sample){now(CLOCK_MONOTONIC) - began.wall,
                           now(CLOCK_PROCESS_CPUTIME_ID) - began.cpu};
}

static void user_open(struct user *user, const char *location)
{
    struct store_options options = {.key_file = "", .results = &user->mailbox};
    struct reason why;

    user->conf = conf_default();
    if (!user->conf || !loop_init(&user->loop, &why) ||
        !mailbox_init(&user->mailbox, &user->loop, &why))
        stop(location, "out of memory");
    user->store = store_open(location, &options, &why);
    if (!user->store)
        stop(location, why.text);
}

static void user_close(struct user *user)
{
    user->store->ops->close(user->store);
    mailbox_close(&user->mailbox);
    loop_close(&user->loop);
    conf_free(user->conf);
}

/* --- requests ------------------------------------------------------------------ */

static void on_written(struct store_write *write)
{
    loop_stop(&((struct user *)write->owner)->loop);
}

static void on_kept(struct store_keep *keep)
{
    loop_stop(&((struct user *)keep->owner)->loop);
}

static void on_saved(struct store_save *save)
{
    loop_stop(&((struct user *)save->owner)->loop);
}

static void on_loaded(struct store_load *load)
{
    loop_stop(&((struct user *)load->owner)->loop);
}

static void make_token(char *token, size_t number, const char *kind)
{
    size_t len = number % 2 ? LONG_TOKEN : SHORT_TOKEN;

    snprintf(token, LONG_TOKEN + 1, "%s-%zu-", kind, number);
    for (size_t at = strlen(token); at < len; at++)
        token[at] = "0.AXoAlonG_opaque-text"[at % 22];
    token[len] = '\0';
}

static json_t *make_record(size_t number)
{
    char email[64], id[64], token[LONG_TOKEN + 1];
    bool outlook = number % 2;

    snprintf(email, sizeof(email), "mailbox.%zu@customer%zu.example", number, number % 997);
    snprintf(id, sizeof(id), "acc-%08zu", number);
    make_token(token, number, "token");
    return json_pack("{s:s,s:s,s:s,s:s,s:s,s:s,s:s,s:s,s:s}", "email", email, "account_id", id,
                     "provider", outlook ? "outlook" : "gmail", "client_id",
                     outlook ? "00000000-1111-2222-3333-444444444444"
                             : "123456789012-abcdefghijklmnop.apps.googleusercontent.com",
                     "client_secret", "GOCSPX-a-secret-of-some-length", "refresh_token", token,
                     "ip_address", "", "vmta_name", "vmta-1", "oauth_token_url",
                     "https://127.0.0.1:1/token"); /* nobody is asked */
}

static struct store_edit make_edit(enum store_edit_kind kind, size_t number, json_t *object)
{
    struct store_edit edit = {.kind = kind, .object = object};
    char id[64];

    snprintf(id, sizeof(id), "acc-%08zu", number);
    edit.id = slice_dup(slice_of(id));
    return edit;
}

static void run_write(struct user *user, struct store_edit *edits, size_t count)
{
    struct store_write write = {.conf = user->conf, .edits = edits, .count = count};

    write.done = on_written;
    write.owner = user;
    user->store->ops->write(user->store, &write);
    loop_run(&user->loop);
    for (size_t i = 0; i < count; i++) {
        if (edits[i].status != STORE_OK)
            stop("write", edits[i].why.text);
    }
}

static struct sample time_edit(struct user *user, struct store_edit edit)
{
    struct store_write write = {.edits = malloc(sizeof(edit)), .count = 1};
    struct sample began, took;

    write.edits[0] = edit;
    began = sample_begin();
    run_write(user, write.edits, 1);
    took = sample_end(began);
    store_write_clear(&write);
    return took;
}

static struct sample time_token(struct user *user, size_t number)
{
    char id[64], old[LONG_TOKEN + 1], new[LONG_TOKEN + 1];
    struct store_save save = {.id = id, .expected = old, .token = new};
    struct sample began;

    snprintf(id, sizeof(id), "acc-%08zu", number);
    make_token(old, number, "token");
    make_token(new, number, "fresh");
    save.done = on_saved;
    save.owner = user;
    began = sample_begin();
    user->store->ops->save_token(user->store, &save);
    loop_run(&user->loop);
    if (save.status != STORE_OK)
        stop("save", save.why.text);
    return sample_end(began);
}

/* --- commands ------------------------------------------------------------------ */

/* They end within the next hour, at all times. */
static void keep_tokens(struct user *user, size_t first, size_t count)
{
    static char ids[CHUNK][32], value[LONG_ACCESS + 1], brief[SHORT_ACCESS + 1];
    static struct store_access items[CHUNK];
    struct store_keep keep = {.items = items, .count = count, .done = on_kept, .owner = user};

    memset(value, 'e', LONG_ACCESS);
    memset(brief, 'y', SHORT_ACCESS);
    for (size_t i = 0; i < count; i++) {
        snprintf(ids[i], sizeof(ids[i]), "acc-%08zu", first + i);
        items[i] = (struct store_access){.id = ids[i],
                                         .value = (first + i) % 2 ? value : brief,
                                         .expires_wall_ms = clock_wall_ms() + HOUR_MS / 4 +
                                                            randombytes_uniform(HOUR_MS / 4 * 3),
                                         .life_ms = HOUR_MS};
    }
    user->store->ops->keep(user->store, &keep);
    loop_run(&user->loop);
    if (keep.status != STORE_OK)
        stop("keep", keep.why.text);
}

static void fill(struct user *user, size_t count)
{
    for (size_t done = 0; done < count; done += CHUNK) {
        size_t n = count - done < CHUNK ? count - done : CHUNK;
        struct store_write write = {.edits = calloc(n, sizeof(struct store_edit)), .count = n};

        for (size_t i = 0; i < n; i++)
            write.edits[i] = make_edit(STORE_ADD, done + i, make_record(done + i));
        run_write(user, write.edits, n);
        store_write_clear(&write);
        if (user->store->ops->keep)
            keep_tokens(user, done, n);
    }
}

static void import(struct user *user, const char *path)
{
    json_error_t error;
    json_t *records = json_load_file(path, 0, &error);
    struct store_write write = {.count = json_array_size(records)};

    if (!json_is_array(records))
        stop(path, error.text);
    write.edits = calloc(write.count + 1, sizeof(struct store_edit));
    for (size_t i = 0; i < write.count; i++)
        write.edits[i] = (struct store_edit){.kind = STORE_ADD,
                                             .object = json_incref(json_array_get(records, i))};
    run_write(user, write.edits, write.count);
    store_write_clear(&write);
    json_decref(records);
}

static size_t load_all(struct user *user, struct sample *took)
{
    struct store_load load = {.conf = user->conf, .done = on_loaded, .owner = user};
    struct sample began = sample_begin();
    size_t count;

    user->store->ops->load(user->store, &load);
    loop_run(&user->loop);
    *took = sample_end(began);
    if (!load.set)
        stop("load", load.why.text);
    if (load.set->problems.skipped)
        stop("load", load.set->problems.items[0].text);
    count = load.set->count;
    account_set_free(load.set);
    return count;
}

static int by_wall(const void *a, const void *b)
{
    double left = ((const struct sample *)a)->wall, right = ((const struct sample *)b)->wall;

    return (left > right) - (left < right);
}

static int by_cpu(const void *a, const void *b)
{
    double left = ((const struct sample *)a)->cpu, right = ((const struct sample *)b)->cpu;

    return (left > right) - (left < right);
}

static void print(const char *name, struct sample *samples, size_t count)
{
    qsort(samples, count, sizeof(*samples), by_wall);
    printf(", \"%s_us\": %.1f", name, samples[count / 2].wall);
    qsort(samples, count, sizeof(*samples), by_cpu);
    printf(", \"%s_cpu_us\": %.1f", name, samples[count / 2].cpu);
}

static void measure(struct user *user, size_t rounds)
{
    static struct sample added[ROUNDS_MAX], changed[ROUNDS_MAX], saved[ROUNDS_MAX],
        removed[ROUNDS_MAX];
    struct sample load;
    size_t count = load_all(user, &load);

    for (size_t i = 0; i < rounds; i++) {
        size_t number = 50000000 + i;
        json_t *patch = json_pack("{s:b}", "disabled", 1);

        added[i] = time_edit(user, make_edit(STORE_ADD, number, make_record(number)));
        changed[i] = time_edit(user, make_edit(STORE_PATCH, number, patch));
        saved[i] = time_token(user, number);
        removed[i] = time_edit(user, make_edit(STORE_REMOVE, number, NULL));
    }
    printf("{\"accounts\": %zu", count);
    print("load", &load, 1);
    print("add", added, rounds);
    print("change", changed, rounds);
    print("token", saved, rounds);
    print("remove", removed, rounds);
    printf("}\n");
}

static bool run(struct user *user, const char *command, const char *argument)
{
    uint64_t number = 0;
    bool is_number = slice_to_u64(slice_of(argument), &number) && number > 0;

    if (strcmp(command, "import") == 0)
        import(user, argument);
    else if (strcmp(command, "fill") == 0 && is_number)
        fill(user, number);
    else if (strcmp(command, "measure") == 0 && is_number)
        measure(user, number < ROUNDS_MAX ? number : ROUNDS_MAX);
    else
        return false;
    return true;
}

int main(int argc, char **argv)
{
    static struct user user;
    bool done = false;

    json_set_alloc_funcs(wipe_malloc, wipe_free);
    if (sodium_init() < 0)
        stop("libsodium", "does not start");
    if (argc == 4) {
        user_open(&user, argv[1]);
        done = run(&user, argv[2], argv[3]);
        user_close(&user);
    }
    if (!done)
        fprintf(stderr, "usage: bearer-accounts LOCATION fill N | import FILE | measure ROUNDS\n");
    return done ? 0 : 2;
}
