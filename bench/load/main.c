/* bearer-load: an SMTP load generator, and the sink that its own cost is
 * measured against. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>

#include "load/report.h"
#include "load/sink.h"

static int fail(const char *why)
{
    fprintf(stderr, "bearer-load: %s\n", why);
    return 1;
}

/* A descriptor for each connection. */
static void raise_limit(void)
{
    struct rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
        limit.rlim_cur = limit.rlim_max;
        setrlimit(RLIMIT_NOFILE, &limit);
    }
}

static bool write_json(const struct load *load, const char *path, struct reason *why)
{
    FILE *out = strcmp(path, "-") == 0 ? stdout : fopen(path, "we");

    if (!out)
        return reason_set(why, "cannot write %s: %s", path, strerror(errno));
    report_json(load, out);
    return (out == stdout ? fflush(out) : fclose(out)) == 0 ||
           reason_set(why, "cannot write %s: %s", path, strerror(errno));
}

int main(int argc, char **argv)
{
    static struct load_options options;
    static struct load load; /* large: the histogram */
    struct reason why;
    bool ok;

    signal(SIGPIPE, SIG_IGN);
    raise_limit();
    if (!load_options_parse(&options, argc, argv, &why))
        return fail(why.text);
    if (options.help) {
        load_options_print_help();
        return 0;
    }
    if (options.sink)
        return sink_run(options.sink, &why) ? 0 : fail(why.text);
    if (!load_init(&load, &options, &why))
        return fail(why.text);
    ok = load_run(&load, &why);
    if (ok) {
        report_line(&load, stderr);
        ok = !options.json || write_json(&load, options.json, &why);
    }
    load_clear(&load);
    return ok ? 0 : fail(why.text);
}
