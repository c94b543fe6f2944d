#include <errno.h>
#include <stdio.h>
#include <unistd.h>

#include "sim/session.h"

#define BACKLOG 4096

static bool start_one(struct sim *sim, const struct listen_spec *spec, struct reason *why)
{
    struct listener *listener = &sim->listeners[sim->listener_count];
    struct net_address address;
    char text[NET_ADDRESS_TEXT];
    int fd;

    snprintf(text, sizeof(text), "%s:%d", sim->options.bind, spec->port);
    if (!net_address_parse(text, &address, why))
        return false;
    fd = listen_open(&address, false, BACKLOG, 0, why);
    if (fd < 0)
        return false;
    address.len = sizeof(address.local);
    getsockname(fd, &address.any, &address.len);
    listener->port = ntohs(address.v4.sin_port);
    listener->sim = sim;
    listener->spec = *spec;
    if (!acceptor_start(&listener->acceptor, &sim->loop, fd, session_accepted, listener, why)) {
        close(fd);
        return false;
    }
    sim->listener_count++;
    return true;
}

bool listeners_start(struct sim *sim, struct reason *why)
{
    for (size_t i = 0; i < sim->options.listener_count; i++) {
        if (sim->options.listeners[i].port != PORT_OFF &&
            !start_one(sim, &sim->options.listeners[i], why))
            return false;
    }
    return true;
}

void listeners_close(struct sim *sim)
{
    struct list_node *node;

    for (size_t i = 0; i < sim->listener_count; i++) {
        acceptor_close(&sim->listeners[i].acceptor, NULL);
        close(sim->listeners[i].acceptor.fd);
    }
    while ((node = list_first(&sim->sessions)))
        session_free(container_of(node, struct session, node));
}
