/* bearer-micro: what single functions cost.
 *
 * Every row is timed several times, all rows in turn before any row again, so
 * that a slow spell of the machine hits all of them; what counts is the median.
 * The reference of a row ran in the same seconds. */
#include "micro/micro.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define RUNS 7
#define RUN_NS 8e6 /* a run takes at least so long */
#define ROWS_MAX 64

struct timed {
    const struct micro *micro;
    uint64_t rounds;
    double ns[RUNS]; /* of one round */
    double median;
};

static struct timed table[ROWS_MAX];
static size_t rows;

/* Of this thread alone: what else the machine does is not our cost. */
static double now_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return (double)now.tv_sec * 1e9 + (double)now.tv_nsec;
}

static double time_of(const struct micro *micro, uint64_t rounds)
{
    double before = now_ns();

    micro->run(rounds);
    return now_ns() - before;
}

static void add_rows(const struct micro *micro)
{
    for (; micro->name && rows < ROWS_MAX; micro++)
        table[rows++].micro = micro;
}

static void choose_rounds(struct timed *timed)
{
    double ns = 0;

    for (timed->rounds = 1; ns < RUN_NS / 4; timed->rounds *= 2)
        ns = time_of(timed->micro, timed->rounds);
    timed->rounds = (uint64_t)((double)(timed->rounds >> 1) * RUN_NS / ns) + 1;
}

static int by_value(const void *a, const void *b)
{
    double left = *(const double *)a, right = *(const double *)b;

    return (left > right) - (left < right);
}

static void measure(void)
{
    for (size_t i = 0; i < rows; i++)
        choose_rounds(&table[i]);
    for (int run = 0; run < RUNS; run++) {
        for (size_t i = 0; i < rows; i++)
            table[i].ns[run] = time_of(table[i].micro, table[i].rounds) / (double)table[i].rounds;
    }
    for (size_t i = 0; i < rows; i++) {
        qsort(table[i].ns, RUNS, sizeof(*table[i].ns), by_value);
        table[i].median = table[i].ns[RUNS / 2];
    }
}

static const struct timed *reference_of(const struct timed *timed)
{
    for (size_t i = 0; timed->micro->reference && i < rows; i++) {
        if (strcmp(table[i].micro->name, timed->micro->reference) == 0)
            return &table[i];
    }
    return NULL;
}

/* Speed against the reference's: by octets where both have them. */
static double ratio_of(const struct timed *timed, const struct timed *reference)
{
    double per = timed->median, theirs = reference->median;

    if (timed->micro->octets && reference->micro->octets) {
        per /= (double)timed->micro->octets;
        theirs /= (double)reference->micro->octets;
    }
    return theirs > 0 ? per / theirs : 0;
}

static void print_row(const struct timed *timed)
{
    const struct micro *micro = timed->micro;
    const struct timed *reference = reference_of(timed);

    printf("%-44s %10.2f ns", micro->name, timed->median);
    if (micro->octets)
        printf(" %7.2f GB/s", (double)micro->octets / timed->median);
    else
        printf("             ");
    if (reference)
        printf("  %6.2f x %s", ratio_of(timed, reference), micro->reference);
    if (micro->goal_ns > 0)
        printf("  goal %.0f ns: %s", micro->goal_ns,
               timed->median <= micro->goal_ns ? "met" : "MISSED");
    printf("\n");
}

static void json_row(const struct timed *timed, FILE *out)
{
    const struct micro *micro = timed->micro;
    const struct timed *reference = reference_of(timed);

    fprintf(out, "{\"name\": \"%s\", \"ns\": %.3f, \"ns_least\": %.3f, \"ns_most\": %.3f",
            micro->name, timed->median, timed->ns[0], timed->ns[RUNS - 1]);
    if (micro->octets)
        fprintf(out, ", \"gb_s\": %.3f", (double)micro->octets / timed->median);
    if (reference)
        fprintf(out, ", \"reference\": \"%s\", \"ratio\": %.3f", micro->reference,
                ratio_of(timed, reference));
    if (micro->goal_ns > 0)
        fprintf(out, ", \"goal_ns\": %.1f", micro->goal_ns);
    fprintf(out, "}");
}

static int write_json(const char *path)
{
    FILE *out = fopen(path, "we");

    if (!out) {
        perror(path);
        return 1;
    }
    fprintf(out, "[");
    for (size_t i = 0; i < rows; i++) {
        fprintf(out, i ? ",\n " : "");
        json_row(&table[i], out);
    }
    fprintf(out, "]\n");
    return fclose(out) == 0 ? 0 : 1;
}

int main(int argc, char **argv)
{
    if (argc != 1 && !(argc == 3 && strcmp(argv[1], "--json") == 0)) {
        fprintf(stderr, "usage: bearer-micro [--json FILE]\n");
        return 2;
    }
    micro_base_prepare();
    micro_wire_prepare();
    micro_relay_prepare();
    micro_pool_prepare();
    micro_broker_prepare();
    add_rows(micro_base);
    add_rows(micro_wire);
    add_rows(micro_relay);
    add_rows(micro_pool);
    add_rows(micro_broker);
    measure();
    for (size_t i = 0; i < rows; i++)
        print_row(&table[i]);
    return argc == 3 ? write_json(argv[2]) : 0;
}
