#include "relay/relay.h"

#include <signal.h>
#include <sodium.h>
#include <stdlib.h>
#include <sys/prctl.h>

#include "relay/directory.h"
#include "relay/link.h"

int relay_main(int ipc_fd)
{
    struct relay *relay = calloc(1, sizeof(*relay));
    int status;

    if (!relay || sodium_init() < 0)
        return 2;
    prctl(PR_SET_NAME, "bearerd-relay"); /* ps would show "exe" otherwise */
    /* The broker decides about the end: a terminal's Ctrl-C reaches both. */
    signal(SIGPIPE, SIG_IGN);
    signal(SIGINT, SIG_IGN);
    signal(SIGTERM, SIG_IGN);
    signal(SIGHUP, SIG_IGN);
    relay->directory = directory_new();
    relay->stats = aligned_alloc(128, sizeof(*relay->stats));
    if (!relay->directory || !relay->stats)
        return 2;
    memset(relay->stats, 0, sizeof(*relay->stats));
    status = link_run(relay, ipc_fd);
    directory_free(relay->directory);
    free(relay->stats);
    free(relay);
    return status;
}
