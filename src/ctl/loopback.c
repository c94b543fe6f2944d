#include "ctl/loopback.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "ctl/ctl.h"

#define PAGE(title, text)                                                                          \
    "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><title>bearerctl</title>"            \
    "<meta name=\"referrer\" content=\"no-referrer\">"                                             \
    "<body style=\"font-family:sans-serif;max-width:34em;margin:4em auto\"><h1>" title             \
    "</h1><p>" text "</p></body></html>\n"

static const struct {
    const char *status, *page;
} replies[] = {
    [CALLBACK_OURS] = {"200 OK",
                       PAGE(
                           "Back to bearerctl",
                           "The provider&rsquo;s answer has arrived. Look at the terminal for what "
                           "becomes of it; this page can be closed.")},
    [CALLBACK_STATE] = {"400 Bad Request",
                        PAGE("An older sign-in",
                             "This is not the answer that bearerctl waits for. Use the address "
                             "that it has shown last.")},
    [CALLBACK_OTHER] = {"404 Not Found", PAGE("Nothing here", "bearerctl waits for a sign-in.")},
    [CALLBACK_INVALID] = {"400 Bad Request",
                          PAGE("Not understood", "bearerctl waits for a browser.")},
};

static int listen_at(const struct sockaddr *address, socklen_t len)
{
    int fd = socket(address->sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), on = 1;

    if (fd < 0)
        return -1;
    if (address->sa_family == AF_INET6)
        setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof(on));
    if (bind(fd, address, len) == 0 && listen(fd, LOOPBACK_VISITORS) == 0)
        return fd;
    close(fd);
    return -1;
}

int loopback_open(struct loopback *loopback)
{
    struct sockaddr_in four = {.sin_family = AF_INET,
                               .sin_addr = {.s_addr = htonl(INADDR_LOOPBACK)}};
    struct sockaddr_in6 six = {.sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT};
    socklen_t len = sizeof(four);

    for (size_t i = 0; i < LOOPBACK_VISITORS; i++)
        loopback->visitors[i] = (struct loopback_visitor){.fd = -1};
    loopback->next = 0;
    loopback->listeners[1] = -1;
    loopback->listeners[0] = listen_at((const struct sockaddr *)&four, sizeof(four));
    if (loopback->listeners[0] < 0 ||
        getsockname(loopback->listeners[0], (struct sockaddr *)&four, &len) != 0)
        return ctl_fail("cannot listen at 127.0.0.1 for the browser: %s", strerror(errno));
    loopback->port = ntohs(four.sin_port);
    /* "localhost" may be either; a browser tries both. */
    six.sin6_port = four.sin_port;
    loopback->listeners[1] = listen_at((const struct sockaddr *)&six, sizeof(six));
    return CTL_OK;
}

static void leave(struct loopback_visitor *visitor)
{
    if (visitor->fd >= 0)
        close(visitor->fd);
    explicit_bzero(visitor->head, visitor->len);
    visitor->fd = -1;
    visitor->len = 0;
}

void loopback_close(struct loopback *loopback)
{
    for (size_t i = 0; i < LOOPBACK_VISITORS; i++)
        leave(&loopback->visitors[i]);
    for (size_t i = 0; i < 2; i++) {
        if (loopback->listeners[i] >= 0)
            close(loopback->listeners[i]);
        loopback->listeners[i] = -1;
    }
}

size_t loopback_polls(const struct loopback *loopback, struct pollfd polls[LOOPBACK_POLLS])
{
    for (size_t i = 0; i < 2; i++)
        polls[i] = (struct pollfd){.fd = loopback->listeners[i], .events = POLLIN};
    for (size_t i = 0; i < LOOPBACK_VISITORS; i++)
        polls[2 + i] = (struct pollfd){.fd = loopback->visitors[i].fd, .events = POLLIN};
    return LOOPBACK_POLLS;
}

static void let_in(struct loopback *loopback, int listener)
{
    int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    struct loopback_visitor *visitor;

    if (fd < 0)
        return;
    visitor = &loopback->visitors[loopback->next++ % LOOPBACK_VISITORS];
    leave(visitor);
    visitor->fd = fd;
}

/* The page is small and the socket's buffer empty: it goes out as a whole, or nobody minds. */
static void answer(int fd, enum callback verdict)
{
    char text[2048];
    int len =
        snprintf(text, sizeof(text),
                 "HTTP/1.1 %s\r\nContent-Type: text/html; charset=utf-8\r\n"
                 "Content-Length: %zu\r\nCache-Control: no-store\r\nConnection: close\r\n\r\n%s",
                 replies[verdict].status, strlen(replies[verdict].page), replies[verdict].page);

    if (send(fd, text, (size_t)len, MSG_NOSIGNAL) == len)
        shutdown(fd, SHUT_WR);
}

static bool hear(struct loopback_visitor *visitor, const char *state, char *target)
{
    ssize_t got =
        recv(visitor->fd, visitor->head + visitor->len, sizeof(visitor->head) - visitor->len, 0);
    struct slice found;
    enum callback verdict;

    if (got < 0 && (errno == EAGAIN || errno == EINTR))
        return false;
    if (got <= 0) {
        leave(visitor);
        return false;
    }
    visitor->len += (size_t)got;
    verdict = callback_read((struct slice){visitor->head, visitor->len}, "/", state, &found);
    if (verdict == CALLBACK_MORE)
        return false;
    answer(visitor->fd, verdict);
    if (verdict == CALLBACK_OURS)
        slice_copy(found, target, CALLBACK_HEAD_MAX);
    leave(visitor);
    return verdict == CALLBACK_OURS;
}

bool loopback_step(struct loopback *loopback, const struct pollfd *polls, size_t count,
                   const char *state, char target[CALLBACK_HEAD_MAX])
{
    for (size_t i = 2; i < count; i++) {
        struct loopback_visitor *visitor = &loopback->visitors[i - 2];

        if (visitor->fd >= 0 && polls[i].fd == visitor->fd && polls[i].revents &&
            hear(visitor, state, target))
            return true;
    }
    for (size_t i = 0; i < 2; i++) {
        if (polls[i].fd >= 0 && polls[i].revents)
            let_in(loopback, polls[i].fd);
    }
    return false;
}
