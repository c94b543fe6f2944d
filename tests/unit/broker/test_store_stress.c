/* Many programs on one store, some of which die at bad moments: what was
 * acknowledged is there, whole and once, and readers never see anything else. */
#include "broker/store_world.h"

#include <signal.h>
#include <sodium.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "broker/wipe.h"

#define WRITERS 8
/* Acknowledged ones, of each writer. */
#define CHANGES 200
#define CHANGES_UNDER_FIRE 60
#define SLOTS 6 /* records of each writer */
#define READERS 2
#define KILLS 16

/* What a record has: scope and refresh token as numbers; 0: there is none. */
struct value {
    int scope, token;
};

/* Shared by all processes. A writer notes what it is about to do, then that the
 * store has acknowledged it. */
struct writer {
    volatile int changes; /* acknowledged */
    volatile int busy;    /* slot of the change under way, -1: none */
    struct value acked[SLOTS], pending;
    volatile unsigned tries;
};

static struct shared {
    struct writer writers[WRITERS];
    int changes; /* that each makes */
    volatile int ended;
    volatile int looks; /* of the readers */
} * shared;

static const char *file_name;
static char location[512];

/* In a child: cmocka must not take its failure for ours and go on with the tests. */
#define stop(...)                                                                                  \
    do {                                                                                           \
        fprintf(stderr, __VA_ARGS__);                                                              \
        fprintf(stderr, "\n");                                                                     \
        _exit(1);                                                                                  \
    } while (0)

static void open_or_stop(struct world *world)
{
    struct reason why;

    if (!world_try_open(world, location, "", false, &why))
        stop("open: %s", why.text);
}

/* --- a writer ------------------------------------------------------------------- */

static void make_record(int writer, int slot, int number, char *out, size_t cap)
{
    snprintf(out, cap,
             "{\"email\":\"w%d-%d@x\",\"account_id\":\"w%d-%d\",\"provider\":\"outlook\","
             "\"client_id\":\"c\",\"refresh_token\":\"%d\",\"scope\":\"%d\"}",
             writer, slot, writer, slot, number, number);
}

static enum store_status save(struct world *world, const char *id, struct value from, int to,
                              struct reason *why)
{
    char old[16], new[16];

    snprintf(old, sizeof(old), "%d", from.token);
    snprintf(new, sizeof(new), "%d", to);
    return world_save(world, id, old, new, why);
}

/* What change `number` makes of a record that has `now`. */
static struct value choose(uint64_t random, struct value now, int number)
{
    if (!now.scope || random % 4 == 0)
        return (struct value){number, number};
    if (random % 16 == 1)
        return (struct value){0, 0};
    return random % 2 ? (struct value){now.scope, number} : (struct value){number, now.token};
}

static enum store_status change(struct world *world, int writer, int slot, struct value now,
                                struct value next, struct reason *why)
{
    char id[32], object[512];

    snprintf(id, sizeof(id), "w%d-%d", writer, slot);
    if (!next.scope)
        return world_change(world, STORE_REMOVE, id, NULL, why);
    if (next.scope == next.token) {
        make_record(writer, slot, next.scope, object, sizeof(object));
        return world_change(world, now.scope ? STORE_REPLACE : STORE_ADD, NULL, object, why);
    }
    if (next.scope == now.scope)
        return save(world, id, now, next.token, why);
    snprintf(object, sizeof(object), "{\"scope\":\"%d\"}", next.scope);
    return world_change(world, STORE_PATCH, id, object, why);
}

static void write_changes(int number)
{
    struct writer *writer = &shared->writers[number];
    uint64_t random = 1 + (uint64_t)number * 7919 + writer->tries * 104729;
    struct world world;

    open_or_stop(&world);
    while (writer->changes < shared->changes) {
        int slot = (int)(next_random(&random) % SLOTS);
        enum store_status status;
        struct reason why;

        writer->tries++;
        writer->pending = choose(next_random(&random), writer->acked[slot], 1 + (int)writer->tries);
        writer->busy = slot;
        status = change(&world, number, slot, writer->acked[slot], writer->pending, &why);
        if (status != STORE_OK)
            stop("writer %d: status %d: %s", number, status, why.text);
        writer->acked[slot] = writer->pending;
        writer->busy = -1;
        writer->changes++;
    }
    world_close(&world);
}

/* --- what a reader sees ------------------------------------------------------------ */

static struct account_set *load(struct world *world)
{
    struct reason why;
    struct account_set *set = world_load(world, &why);

    if (!set)
        stop("load: %s", why.text);
    if (set->problems.skipped)
        stop("load: %s", set->problems.items[0].text);
    return set;
}

static void read_all(void)
{
    struct world world;

    open_or_stop(&world);
    while (!shared->ended) {
        account_set_free(load(&world));
        shared->looks++;
        nanosleep(&(struct timespec){.tv_nsec = 3000000}, NULL); /* others want to work too */
    }
    world_close(&world);
}

static struct value value_of(const struct account_set *set, int writer, int slot)
{
    char id[32];

    snprintf(id, sizeof(id), "w%d-%d", writer, slot);
    for (size_t i = 0; i < set->count; i++) {
        if (strcmp(set->records[i]->id, id) == 0)
            return (struct value){(int)strtol(set->records[i]->scope, NULL, 10),
                                  (int)strtol(set->records[i]->refresh_token, NULL, 10)};
    }
    return (struct value){0, 0};
}

static bool same(struct value a, struct value b)
{
    return a.scope == b.scope && a.token == b.token;
}

/* The change that a dead writer had under way was made or it was not. */
static void check_writer(const struct account_set *set, int number)
{
    struct writer *writer = &shared->writers[number];

    for (int slot = 0; slot < SLOTS; slot++) {
        struct value value = value_of(set, number, slot);

        if (slot == writer->busy && same(value, writer->pending))
            writer->acked[slot] = value;
        if (!same(value, writer->acked[slot]))
            fail_msg("writer %d, record %d: %d, %d instead of %d, %d", number, slot, value.scope,
                     value.token, writer->acked[slot].scope, writer->acked[slot].token);
    }
    writer->busy = -1;
}

/* Closes what it opens: this process must not have a database open when it forks. */
static void check_writers(int from, int to)
{
    struct world world;
    struct account_set *set;

    world_open(&world, location, "", false);
    set = load(&world);
    for (int i = from; i < to; i++)
        check_writer(set, i);
    account_set_free(set);
    world_close(&world);
}

/* --- the test ---------------------------------------------------------------------- */

static pid_t start(void (*run)(int), int number)
{
    pid_t pid = fork();

    if (pid == 0) {
        run(number);
        _exit(0);
    }
    assert_true(pid > 0);
    return pid;
}

static void run_reader(int number)
{
    (void)number;
    read_all();
}

static void check_ended(pid_t pid)
{
    int status = 0;

    assert_true(waitpid(pid, &status, 0) == pid);
    check_num("exit status", status, 0);
}

/* Kills one after another while they write, each to be followed by a new one. */
static void kill_some(pid_t *writers)
{
    uint64_t random = 99;

    for (int i = 0; i < KILLS; i++) {
        struct timespec wait = {.tv_nsec = (long)(next_random(&random) % 40) * 1000000};
        int victim = (int)(next_random(&random) % WRITERS);

        nanosleep(&wait, NULL);
        kill(writers[victim], SIGKILL);
        assert_true(waitpid(writers[victim], NULL, 0) == writers[victim]);
        check_writers(victim, victim + 1);
        writers[victim] = start(write_changes, victim);
    }
}

static void run(bool killing)
{
    pid_t writers[WRITERS], readers[READERS];

    memset(shared, 0, sizeof(*shared));
    shared->changes = killing ? CHANGES_UNDER_FIRE : CHANGES;
    for (int i = 0; i < WRITERS; i++)
        shared->writers[i].busy = -1;
    check_ended(start(write_changes, 0)); /* it makes the file, then is done */
    for (int i = 0; i < WRITERS; i++)
        writers[i] = start(write_changes, i);
    for (int i = 0; i < READERS; i++)
        readers[i] = start(run_reader, i);
    if (killing)
        kill_some(writers);
    for (int i = 0; i < WRITERS; i++)
        check_ended(writers[i]);
    shared->ended = 1;
    for (int i = 0; i < READERS; i++)
        check_ended(readers[i]);
    assert_true(shared->looks > 0);
    check_writers(0, WRITERS);
}

static void test_many_writers(void **state)
{
    (void)state;
    run(false);
}

static void test_writers_that_are_killed(void **state)
{
    (void)state;
    run(true);
}

static int set_up(void **state)
{
    (void)state;
    world_folder_begin();
    snprintf(location, sizeof(location), "%s", world_path(file_name));
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    return world_folder_end();
}

static int run_group(const char *name, const char *file)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_many_writers, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_writers_that_are_killed, set_up, tear_down),
    };

    file_name = file;
    return cmocka_run_group_tests_name(name, tests, NULL, NULL);
}

int main(void)
{
    json_set_alloc_funcs(wipe_malloc, wipe_free);
    shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (shared == MAP_FAILED || sodium_init() < 0)
        return 1;
    return run_group("broker/store_stress (file)", "accounts.json") +
           run_group("broker/store_stress (sqlite)", "accounts.db");
}
