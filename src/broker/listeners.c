#include "broker/listeners.h"

#include <stdlib.h>
#include <unistd.h>

/* A port of 0 is the kernel's choice; the other workers need the same one. */
static void learn_port(int fd, struct net_address *address)
{
    struct net_address bound = {.len = sizeof(bound.local)};

    if (getsockname(fd, &bound.any, &bound.len) != 0)
        return;
    if (address->any.sa_family == AF_INET)
        address->v4.sin_port = bound.v4.sin_port;
    else if (address->any.sa_family == AF_INET6)
        address->v6.sin6_port = bound.v6.sin6_port;
}

static bool add(struct listeners *listeners, const struct conf *conf, struct net_address *address,
                uint32_t worker, enum conf_tls tls, bool share_port, struct reason *why)
{
    struct listener_socket *socket = &listeners->sockets[listeners->count];
    int fd = listen_open(address, share_port, (int)conf->backlog, (int)conf->unix_mode, why);

    if (fd < 0)
        return false;
    learn_port(fd, address);
    socket->fd = fd;
    socket->worker = worker;
    socket->tls = tls;
    net_address_format(address, socket->address, sizeof(socket->address));
    listeners->count++;
    return true;
}

/* SO_REUSEPORT lets a second bearerd bind the same address and take half of
 * the clients: so the first socket is opened without it, to see that the
 * address is free. */
static bool is_free(struct net_address *address, const struct conf *conf, struct reason *why)
{
    int fd = listen_open(address, false, 1, (int)conf->unix_mode, why);

    if (fd < 0)
        return false;
    learn_port(fd, address);
    close(fd);
    return true;
}

static bool open_one(struct listeners *listeners, const struct conf *conf,
                     const struct conf_listener *from, struct reason *why)
{
    struct net_address address;

    if (!net_address_parse(from->address, &address, why))
        return false;
    if (net_address_is_unix(&address))
        return add(listeners, conf, &address, LISTENER_SHARED, from->tls, false, why);
    if (conf->workers > 1 && !is_free(&address, conf, why))
        return false;
    for (uint32_t worker = 0; worker < conf->workers; worker++) {
        if (!add(listeners, conf, &address, worker, from->tls, conf->workers > 1, why))
            return false;
    }
    return true;
}

bool listeners_open(struct listeners *listeners, const struct conf *conf, struct reason *why)
{
    size_t max = conf->listener_count * (conf->workers ? conf->workers : 1);

    *listeners = (struct listeners){calloc(max + 1, sizeof(struct listener_socket)), 0};
    if (!listeners->sockets)
        return reason_set(why, "out of memory");
    for (size_t i = 0; i < conf->listener_count; i++) {
        if (!open_one(listeners, conf, &conf->listeners[i], why)) {
            listeners_close(listeners);
            return false;
        }
    }
    return true;
}

void listeners_close(struct listeners *listeners)
{
    for (size_t i = 0; i < listeners->count; i++) {
        struct listener_socket *socket = &listeners->sockets[i];

        /* The relay has the same socket: this ends listening for both. */
        shutdown(socket->fd, SHUT_RDWR);
        close(socket->fd);
        if (strncmp(socket->address, "unix:", 5) == 0)
            unlink(socket->address + 5);
    }
    free(listeners->sockets);
    *listeners = (struct listeners){NULL, 0};
}

void listeners_format(const struct listeners *listeners, char *out, size_t cap)
{
    struct text text;

    text_init(&text, out, cap);
    for (size_t i = 0; i < listeners->count; i++) {
        if (i && strcmp(listeners->sockets[i].address, listeners->sockets[i - 1].address) == 0)
            continue;
        if (text.len)
            text_add_char(&text, ' ');
        text_add_str(&text, listeners->sockets[i].address);
    }
}
