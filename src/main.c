/* bearerd: an OAuth2 SMTP submission relay and connection pooler.
 *
 *     bearerd [flags]     the broker: accounts, tokens, DNS, supervision
 *     bearerd --relay     the relay: all SMTP; started by the broker only
 */
#include <curl/curl.h>
#include <fcntl.h>
#include <jansson.h>
#ifdef __GLIBC__
#include <malloc.h>
#endif
#include <signal.h>
#include <sodium.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/log.h"
#include "broker/broker.h"
#include "broker/wipe.h"
#include "conf/cli.h"
#include "relay/relay.h"

#define RELAY_IPC_FD 3
#define RELAY_STATS_FD 4

/* Descriptors 0 to 2 must exist, or the first socket would become one. */
static void open_standard_descriptors(void)
{
    int fd;

    do
        fd = open("/dev/null", O_RDWR);
    while (fd >= 0 && fd <= STDERR_FILENO);
    if (fd >= 0)
        close(fd);
}

/* What both processes do before anything else: no core file, no debugger of the
 * same user, may show a token. */
static void harden(void)
{
    struct rlimit none = {0, 0}, files;

    signal(SIGPIPE, SIG_IGN);
    signal(SIGUSR1, SIG_IGN); /* rotations that signal; ours copy and truncate */
    umask(077);
    setrlimit(RLIMIT_CORE, &none);
#ifndef __SANITIZE_ADDRESS__ /* its leak check is a debugger of ours */
    prctl(PR_SET_DUMPABLE, 0);
#endif
    prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
        files.rlim_cur = files.rlim_max;
        setrlimit(RLIMIT_NOFILE, &files);
    }
}

static int run_relay(void)
{
    int status;

    harden();
    prctl(PR_SET_NAME, "bearerd-relay"); /* not "exe", as ps would say */
    /* The end of the channel tells us the same, but not a relay that hangs. */
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    log_start(STDERR_FILENO, "relay", LOG_KEY_VALUE);
    status = relay_main(RELAY_IPC_FD, RELAY_STATS_FD);
    log_stop();
    return status;
}

/* The broker's threads allocate little at a time. One heap for all of them grows in
 * larger steps, and what one frees serves the others. */
static void share_heap(void)
{
#ifdef __GLIBC__
    mallopt(M_ARENA_MAX, 1);
    mallopt(M_TOP_PAD, 1 << 20);
#endif
}

static bool start_libraries(void)
{
    json_set_alloc_funcs(wipe_malloc, wipe_free);
    return sodium_init() >= 0 &&
           curl_global_init_mem(CURL_GLOBAL_DEFAULT, wipe_malloc, wipe_free, wipe_realloc,
                                wipe_strdup, wipe_calloc) == CURLE_OK;
}

static int run_broker(int argc, char **argv)
{
    struct cli cli;
    struct reason why;
    int status;

    if (!cli_parse(&cli, argc, argv, &why)) {
        fprintf(stderr, "bearerd: %s\n", why.text);
        return 2;
    }
    if (cli.help) {
        cli_print_help(stdout);
        return 0;
    }
    if (cli.version) {
        printf("bearerd %s\n", BEARERD_VERSION);
        return 0;
    }
    harden();
    share_heap();
    close_range(3, ~0U, 0); /* what a careless parent left open */
    if (!start_libraries()) {
        fprintf(stderr, "bearerd: a library does not start: out of memory?\n");
        return 1;
    }
    status = cli.check ? broker_check(&cli) : broker_main(&cli);
    curl_global_cleanup();
    return status;
}

int main(int argc, char **argv)
{
    open_standard_descriptors();
    if (argc == 2 && strcmp(argv[1], "--relay") == 0)
        return run_relay();
    return run_broker(argc, argv);
}
