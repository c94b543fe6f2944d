#include "relay/relay.h"

#include <errno.h>
#include <signal.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/log.h"
#include "relay/directory.h"
#include "relay/link.h"

/* Mapped as the broker made it: it reads what we count without asking us. */
static struct stats_area *map_stats(int fd)
{
    off_t size = lseek(fd, 0, SEEK_END);
    void *area = MAP_FAILED;

    if (size == (off_t)sizeof(struct stats_area))
        area = mmap(NULL, sizeof(struct stats_area), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (area != MAP_FAILED) {
        close(fd);
        return area;
    }
    log_event(LOG_ERROR, "relay_failed", log_s("reason", "no memory for counters"),
              log_i("size", size), log_s("error", strerror(errno)));
    return NULL;
}

int relay_main(int ipc_fd, int stats_fd)
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
    relay->stats = map_stats(stats_fd);
    if (relay->directory && relay->stats)
        status = link_run(relay, ipc_fd);
    directory_free(relay->directory);
    if (relay->stats)
        munmap(relay->stats, sizeof(*relay->stats));
    free(relay);
    return status;
}
