#include "relay/relay.h"

#include <signal.h>
#include <sodium.h>
#include <stdlib.h>

#include "relay/directory.h"
#include "relay/link.h"

int relay_main(int ipc_fd)
{
    struct relay *relay = sodium_init() < 0 ? NULL : calloc(1, sizeof(*relay));
    int status = 2;

    if (!relay)
        return status;
    /* The broker decides about the end: a terminal's Ctrl-C reaches both. */
    signal(SIGPIPE, SIG_IGN);
    signal(SIGINT, SIG_IGN);
    signal(SIGTERM, SIG_IGN);
    signal(SIGHUP, SIG_IGN);
    relay->directory = directory_new();
    relay->stats = aligned_alloc(128, sizeof(*relay->stats));
    if (relay->directory && relay->stats) {
        memset(relay->stats, 0, sizeof(*relay->stats));
        status = link_run(relay, ipc_fd);
    }
    directory_free(relay->directory);
    free(relay->stats);
    free(relay);
    return status;
}
