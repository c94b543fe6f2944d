#include "check.h"

#include "relay/provider.h"

#include <errno.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <poll.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#define USUAL_CAPS                                                                                 \
    "SIZE 35882577\n8BITMIME\nAUTH XOAUTH2 OAUTHBEARER\nPIPELINING\nCHUNKING\nSMTPUTF8"

struct peer {
    struct provider *provider;
    unsigned number;
    int fd;
    SSL *ssl;
    unsigned times[STEPS];
    uint64_t random;
    bool ended;
    char in[16384];
    size_t in_len, in_at;
    /* Transaction. */
    bool mail;
    unsigned rcpts;
    char head[64]; /* of the content */
    size_t head_len;
    uint64_t content;
};

/* --- octets --- */

static void peer_send(struct peer *peer, const char *bytes, size_t len)
{
    if (peer->ended || !len)
        return;
    if (peer->ssl ? SSL_write(peer->ssl, bytes, (int)len) != (int)len
                  : send(peer->fd, bytes, len, MSG_NOSIGNAL) != (ssize_t)len)
        peer->ended = true;
}

static int peer_octet(struct peer *peer)
{
    if (peer->in_at == peer->in_len) {
        int n = peer->ssl ? SSL_read(peer->ssl, peer->in, sizeof(peer->in))
                          : (int)recv(peer->fd, peer->in, sizeof(peer->in), 0);

        if (n <= 0) {
            peer->ended = true;
            return -1;
        }
        peer->in_len = (size_t)n;
        peer->in_at = 0;
    }
    return (unsigned char)peer->in[peer->in_at++];
}

static bool peer_line(struct peer *peer, char *line, size_t cap)
{
    size_t len = 0;
    int c;

    while ((c = peer_octet(peer)) >= 0 && c != '\n') {
        if (c != '\r' && len + 1 < cap)
            line[len++] = (char)c;
    }
    line[len] = '\0';
    return c >= 0;
}

/* --- the script --- */

static struct fault random_fault(struct peer *peer, enum step step)
{
    static const struct fault choices[] = {
        {.act = ACT_CLOSE},
        {.act = ACT_RESET},
        {.act = ACT_STALL},
        {.act = ACT_SAY, .text = "451 4.3.0 later"},
        {.act = ACT_SAY, .text = "550 5.7.1 no"},
        {.act = ACT_SAY_CLOSE, .text = "421 4.7.0 closing"},
        {.act = ACT_SAY_CLOSE, .text = "451 4.3.0 later"},
        {.act = ACT_ALSO, .text = "421 4.7.0 Connection expired\r\n"},
        {.act = ACT_ALSO, .text = "250 2.0.0 again\r\n"},
        {.act = ACT_ALSO, .text = "25"},
        {.act = ACT_SAY, .text = "not SMTP"},
        {.act = ACT_ACCEPT_CLOSE},
        {.act = ACT_LATE, .text = "30"},
        {.act = ACT_SAY, .text = "354 go ahead?"},
    };
    struct fault fault = {.act = ACT_OK};

    if (!peer->provider->one_in || next_random(&peer->random) % peer->provider->one_in)
        return fault;
    fault = choices[next_random(&peer->random) % COUNT_OF(choices)];
    /* What would park the account, and end the test. */
    if (step == STEP_AUTH && (fault.act == ACT_SAY || fault.act == ACT_SAY_CLOSE))
        fault.act = ACT_CLOSE;
    if (step == STEP_IDLE && fault.act == ACT_SAY)
        fault.act = ACT_SAY_CLOSE;
    /* A 250 too many that comes when the next command is out already is
     * believed: it cannot be told from the truth. */
    if (fault.act == ACT_ALSO && step >= STEP_MAIL &&
        (step <= STEP_CONTENT || (step == STEP_IDLE && fault.text[0] == '2')))
        fault.act = ACT_CLOSE;
    return fault;
}

static struct fault decide(struct peer *peer, enum step step)
{
    struct provider *provider = peer->provider;

    peer->times[step]++;
    for (size_t i = 0; i < provider->fault_count; i++) {
        const struct fault *fault = &provider->faults[i];

        if (fault->step == step && (!fault->conn || fault->conn == peer->number) &&
            (!fault->nth || fault->nth == peer->times[step]))
            return *fault;
    }
    return random_fault(peer, step);
}

static void hang_up(struct peer *peer, bool reset)
{
    struct linger linger = {.l_onoff = 1};

    if (reset)
        setsockopt(peer->fd, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger));
    peer->ended = true;
}

static void wait_for_end(struct peer *peer)
{
    while (!peer->ended && peer_octet(peer) >= 0)
        ;
}

static void say(struct peer *peer, const char *text)
{
    char line[600];
    int len = snprintf(line, sizeof(line), "%s\r\n", text);

    peer_send(peer, line, (size_t)len);
}

static void drip(struct peer *peer, const char *text)
{
    for (size_t i = 0; !peer->ended && !atomic_load(&peer->provider->stopping); i++) {
        char c = i < 4 ? text[i] : 'x';

        peer_send(peer, &c, 1);
        usleep(20000);
    }
}

static void say_also(struct peer *peer, const char *usual, const char *text)
{
    char both[1200];
    int len = snprintf(both, sizeof(both), "%s\r\n%s", usual, text);

    peer_send(peer, both, (size_t)len);
}

static void dawdle(const char *text)
{
    uint64_t ms;

    if (!slice_to_u64(slice_of(text), &ms))
        abort(); /* a mistake in the test */
    usleep((useconds_t)ms * 1000);
}

/* The other side may end it, too. */
static void hold(struct peer *peer)
{
    struct provider *provider = peer->provider;
    unsigned turn = atomic_fetch_add(&provider->held, 1);

    while (atomic_load(&provider->let_go) <= turn && !atomic_load(&provider->stopping))
        usleep(200);
}

/* True: the reply was the usual one, or one of the same meaning. */
static bool act(struct peer *peer, const struct fault *fault, const char *usual)
{
    switch (fault->act) {
    case ACT_LATE:
    case ACT_HOLD:
        if (fault->act == ACT_HOLD)
            hold(peer);
        else
            dawdle(fault->text);
        if (usual)
            say(peer, usual);
        break;
    case ACT_OK:
    case ACT_ACCEPT_CLOSE:
        if (usual)
            say(peer, usual);
        break;
    case ACT_CLOSE:
    case ACT_RESET:
        hang_up(peer, fault->act == ACT_RESET);
        break;
    case ACT_STALL:
        wait_for_end(peer);
        break;
    case ACT_SAY:
    case ACT_SAY_CLOSE:
        say(peer, fault->text);
        if (fault->act == ACT_SAY_CLOSE)
            hang_up(peer, false);
        return fault->text[0] == '2' || fault->text[0] == '3';
    case ACT_ALSO:
        if (usual)
            say_also(peer, usual, fault->text);
        else
            peer_send(peer, fault->text, strlen(fault->text));
        break;
    case ACT_DRIP:
        drip(peer, usual ? usual : "250 ");
        break;
    }
    return !peer->ended;
}

/* Answers a step: the usual reply (NULL: none), or as the script says. */
static bool answer(struct peer *peer, enum step step, const char *usual)
{
    struct fault fault = decide(peer, step);

    return act(peer, &fault, usual);
}

/* --- set-up --- */

static bool secure(struct peer *peer)
{
    peer->ssl = SSL_new(peer->provider->tls);
    SSL_set_fd(peer->ssl, peer->fd);
    peer->in_len = peer->in_at = 0;
    return SSL_accept(peer->ssl) == 1;
}

static void greet_caps(struct peer *peer, char *out, size_t cap)
{
    const char *caps = peer->provider->caps ? peer->provider->caps : USUAL_CAPS;
    struct text text;

    text_init(&text, out, cap);
    text_add_str(&text, "250-provider.test");
    if (!peer->ssl) {
        text_add_str(&text, "\r\n250 STARTTLS");
        return;
    }
    while (*caps) {
        size_t len = strcspn(caps, "\n");

        text_addf(&text, "\r\n250%c%.*s", caps[len] ? '-' : ' ', (int)len, caps);
        caps += len + (caps[len] != '\0');
    }
}

static bool holds_refused_token(const struct provider *provider, const char *line)
{
    char plain[12288];
    const char *base64 = strrchr(line, ' ');
    int len = base64 ? EVP_DecodeBlock((unsigned char *)plain, (const unsigned char *)base64 + 1,
                                       (int)strlen(base64 + 1))
                     : -1;

    return provider->refused_token && len > 0 &&
           memmem(plain, (size_t)len, provider->refused_token, strlen(provider->refused_token));
}

static void login(struct peer *peer, const char *line)
{
    struct provider *provider = peer->provider;

    pthread_mutex_lock(&provider->lock);
    provider->logins++;
    slice_copy(slice_of(line), provider->last_token, sizeof(provider->last_token));
    pthread_mutex_unlock(&provider->lock);
    if (holds_refused_token(provider, line)) {
        usleep(50000);
        say(peer, "535 5.7.8 no");
    } else {
        answer(peer, STEP_AUTH, "235 2.7.0 Accepted");
    }
}

/* --- transactions --- */

static void forget(struct peer *peer)
{
    peer->mail = false;
    peer->rcpts = 0;
    peer->head_len = 0;
    peer->content = 0;
}

static void take_octet(struct peer *peer, char c)
{
    if (peer->head_len + 1 < sizeof(peer->head))
        peer->head[peer->head_len++] = c;
    peer->content++;
}

static void accept_message(struct peer *peer)
{
    struct provider *provider = peer->provider;
    unsigned id;

    peer->head[peer->head_len] = '\0';
    pthread_mutex_lock(&provider->lock);
    provider->messages++;
    if (sscanf(peer->head, "Id: %u", &id) == 1 && id < PROVIDER_IDS)
        provider->accepted[id]++;
    pthread_mutex_unlock(&provider->lock);
}

/* Refused is refused, whatever becomes of the reply. */
static bool takes_message(const struct fault *fault)
{
    if (fault->act == ACT_SAY || fault->act == ACT_SAY_CLOSE)
        return fault->text[0] == '2';
    return fault->act != ACT_CLOSE && fault->act != ACT_RESET && fault->act != ACT_STALL;
}

static void final_reply(struct peer *peer)
{
    struct fault fault;

    if (peer->ended)
        return;
    if (!peer->mail || !peer->rcpts) {
        say(peer, "503 5.5.1 no valid recipients");
        forget(peer);
        return;
    }
    fault = decide(peer, STEP_FINAL);
    if (takes_message(&fault))
        accept_message(peer);
    forget(peer);
    if (fault.act == ACT_ACCEPT_CLOSE)
        hang_up(peer, false);
    else
        act(peer, &fault, "250 2.0.0 OK");
}

static void bdat(struct peer *peer, const char *line)
{
    unsigned long size = strtoul(line + 5, NULL, 10);

    for (unsigned long i = 0; i < size && !peer->ended; i++) {
        int c;

        if (i == size / 2 && !answer(peer, STEP_CONTENT, NULL))
            break;
        c = peer_octet(peer);
        if (c >= 0)
            take_octet(peer, (char)c);
    }
    if (peer->content == size)
        final_reply(peer);
    else if (!peer->ended)
        hang_up(peer, false);
}

static void data(struct peer *peer)
{
    char line[4096];
    bool told = false;

    if (!peer->rcpts) {
        say(peer, "503 5.5.1 no valid recipients");
        return;
    }
    if (!answer(peer, STEP_DATA, "354 go ahead"))
        return;
    while (peer_line(peer, line, sizeof(line)) && strcmp(line, ".") != 0) {
        for (const char *c = line[0] == '.' ? line + 1 : line; *c; c++)
            take_octet(peer, *c);
        take_octet(peer, '\n');
        if (!told && !answer(peer, STEP_CONTENT, NULL))
            return;
        told = true;
    }
    final_reply(peer);
}

static void command(struct peer *peer, const char *line)
{
    char caps[1024];

    if (strncasecmp(line, "EHLO", 4) == 0) {
        greet_caps(peer, caps, sizeof(caps));
        answer(peer, STEP_EHLO, caps);
    } else if (strcasecmp(line, "STARTTLS") == 0) {
        if (answer(peer, STEP_STARTTLS, "220 2.0.0 ready") && !secure(peer))
            peer->ended = true;
    } else if (strncasecmp(line, "AUTH", 4) == 0) {
        login(peer, line);
    } else if (strncasecmp(line, "MAIL", 4) == 0) {
        forget(peer);
        peer->mail = answer(peer, STEP_MAIL, "250 2.1.0 OK");
    } else if (strncasecmp(line, "RCPT", 4) == 0) {
        if (!peer->mail)
            say(peer, "503 5.5.1 MAIL first");
        else
            peer->rcpts += answer(peer, STEP_RCPT, "250 2.1.5 OK");
    } else if (strncasecmp(line, "BDAT", 4) == 0) {
        bdat(peer, line);
        if (!peer->ended)
            answer(peer, STEP_IDLE, NULL);
    } else if (strcasecmp(line, "DATA") == 0) {
        data(peer);
        if (!peer->ended)
            answer(peer, STEP_IDLE, NULL);
    } else if (strcasecmp(line, "RSET") == 0) {
        forget(peer);
        answer(peer, STEP_RSET, "250 2.0.0 flushed");
    } else if (strcasecmp(line, "QUIT") == 0) {
        answer(peer, STEP_QUIT, "221 2.0.0 bye");
        peer->ended = true;
    } else {
        say(peer, "500 5.5.2 what?");
    }
}

static void record(struct provider *provider, const char *line)
{
    size_t at, len = strlen(line);

    pthread_mutex_lock(&provider->lock);
    at = strlen(provider->commands);
    if (at + len + 2 < sizeof(provider->commands)) {
        memcpy(provider->commands + at, line, len);
        memcpy(provider->commands + at + len, "\n", 2);
    }
    pthread_mutex_unlock(&provider->lock);
}

static void converse(struct peer *peer)
{
    char line[16384];
    struct fault fault = decide(peer, STEP_CONNECT);

    if (fault.act == ACT_STALL)
        wait_for_end(peer);
    if (fault.act != ACT_OK)
        return;
    if (peer->provider->implicit && !secure(peer))
        return;
    answer(peer, STEP_GREETING, "220 provider.test ready");
    while (!peer->ended && peer_line(peer, line, sizeof(line))) {
        record(peer->provider, line);
        command(peer, line);
    }
}

/* --- threads --- */

static void *peer_main(void *arg)
{
    struct peer *peer = arg;
    struct provider *provider = peer->provider;
    struct timeval limit = {.tv_sec = 20};
    int one = 1;

    setsockopt(peer->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
    setsockopt(peer->fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
    setsockopt(peer->fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit));
    converse(peer);
    if (peer->ssl) {
        SSL_set_quiet_shutdown(peer->ssl, 1);
        SSL_free(peer->ssl);
    }
    ERR_clear_error();
    pthread_mutex_lock(&provider->lock);
    close(peer->fd);
    provider->fds[peer->number - 1] = -1;
    pthread_mutex_unlock(&provider->lock);
    free(peer);
    return NULL;
}

/* Not counted: those that the other side has closed already. */
static unsigned count_open(const struct provider *provider)
{
    unsigned open = 0;

    for (unsigned i = 0; i < provider->connections; i++) {
        struct pollfd poll_fd = {.fd = provider->fds[i], .events = POLLRDHUP};

        if (poll_fd.fd < 0)
            continue;
        poll(&poll_fd, 1, 0);
        open += !(poll_fd.revents & (POLLRDHUP | POLLHUP | POLLERR));
    }
    return open;
}

static void take_peer(struct provider *provider, int fd)
{
    struct peer *peer = calloc(1, sizeof(*peer));
    unsigned open;

    assert_true(provider->connections < PROVIDER_PEERS);
    peer->provider = provider;
    peer->fd = fd;
    pthread_mutex_lock(&provider->lock);
    provider->fds[provider->connections++] = fd;
    peer->number = provider->connections;
    peer->random = provider->seed * 2654435761u + peer->number * 40503u + 1;
    open = count_open(provider);
    if (open > provider->most)
        provider->most = open;
    pthread_create(&provider->threads[peer->number - 1], NULL, peer_main, peer);
    pthread_mutex_unlock(&provider->lock);
}

static void *acceptor_main(void *arg)
{
    struct provider *provider = arg;
    int fd;

    while ((fd = accept4(provider->listener, NULL, NULL, SOCK_CLOEXEC)) >= 0 ||
           errno == ECONNABORTED || errno == EINTR) {
        if (atomic_load(&provider->stopping)) {
            if (fd >= 0)
                close(fd);
            break;
        }
        if (fd >= 0)
            take_peer(provider, fd);
    }
    return NULL;
}

void provider_start(struct provider *provider, SSL_CTX *tls)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof(address);

    memset(provider, 0, sizeof(*provider));
    provider->tls = tls;
    provider->implicit = true;
    pthread_mutex_init(&provider->lock, NULL);
    provider->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(provider->listener, (struct sockaddr *)&address, len), 0);
    assert_int_equal(listen(provider->listener, 128), 0);
    getsockname(provider->listener, (struct sockaddr *)&address, &len);
    provider->port = ntohs(address.sin_port);
    pthread_create(&provider->acceptor, NULL, acceptor_main, provider);
}

void provider_script(struct provider *provider, const struct fault *faults, size_t count)
{
    assert_true(count <= PROVIDER_FAULTS);
    if (count)
        memcpy(provider->faults, faults, count * sizeof(*faults));
    provider->fault_count = count;
}

unsigned provider_held(struct provider *provider)
{
    unsigned held = atomic_load(&provider->held), let_go = atomic_load(&provider->let_go);

    return held > let_go ? held - let_go : 0;
}

void provider_let_go(struct provider *provider)
{
    atomic_store(&provider->let_go, atomic_load(&provider->held));
}

void provider_stop(struct provider *provider)
{
    atomic_store(&provider->stopping, true);
    shutdown(provider->listener, SHUT_RDWR);
    pthread_join(provider->acceptor, NULL);
    close(provider->listener);
    pthread_mutex_lock(&provider->lock);
    for (unsigned i = 0; i < provider->connections; i++) {
        if (provider->fds[i] >= 0)
            shutdown(provider->fds[i], SHUT_RDWR);
    }
    pthread_mutex_unlock(&provider->lock);
    for (unsigned i = 0; i < provider->connections; i++)
        pthread_join(provider->threads[i], NULL);
    pthread_mutex_destroy(&provider->lock);
}

unsigned provider_accepted(struct provider *provider, unsigned id)
{
    unsigned count;

    pthread_mutex_lock(&provider->lock);
    count = provider->accepted[id];
    pthread_mutex_unlock(&provider->lock);
    return count;
}

unsigned provider_open(struct provider *provider)
{
    unsigned open;

    pthread_mutex_lock(&provider->lock);
    open = count_open(provider);
    pthread_mutex_unlock(&provider->lock);
    return open;
}

unsigned provider_count(struct provider *provider, const char *command)
{
    unsigned count = 0;

    pthread_mutex_lock(&provider->lock);
    for (const char *at = provider->commands; (at = strstr(at, command)); at++)
        count += at == provider->commands || at[-1] == '\n';
    pthread_mutex_unlock(&provider->lock);
    return count;
}
