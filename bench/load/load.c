#include "load/load.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "load/cpu.h"
#include "load/file.h"

#define OPENING_MAX 64 /* logins at the same time, until all stand */
#define LOSSES_MAX 20  /* in a row, without one login: the server is gone */
#define GOODBYE_MS 2000

static void next_phase(struct load *load);

const struct user *load_next_user(struct load *load)
{
    load->connections++;
    return &load->users.list[load->next_user++ % load->users.count];
}

void load_note_tls(struct load *load, SSL *ssl)
{
    snprintf(load->tls_text, sizeof(load->tls_text), "%s %s%s", SSL_get_version(ssl),
             SSL_get_cipher_name(ssl), SSL_session_reused(ssl) ? " resumed" : "");
}

/* --- arrivals that wait for a client --------------------------------------- */

static void wait_add(struct load *load, uint64_t due_us)
{
    if (load->waiting_count == load->waiting_cap) {
        size_t cap = load->waiting_cap ? load->waiting_cap * 2 : 1024;
        uint64_t *grown = calloc(cap, sizeof(*grown));

        if (!grown)
            abort();
        for (size_t i = 0; i < load->waiting_count; i++)
            grown[i] = load->waiting[(load->waiting_head + i) % load->waiting_cap];
        free(load->waiting);
        load->waiting = grown;
        load->waiting_cap = cap;
        load->waiting_head = 0;
    }
    load->waiting[(load->waiting_head + load->waiting_count++) % load->waiting_cap] = due_us;
    if (load->waiting_count > load->result.most_waiting)
        load->result.most_waiting = load->waiting_count;
}

static uint64_t wait_take(struct load *load)
{
    uint64_t due_us = load->waiting[load->waiting_head];

    load->waiting_head = (load->waiting_head + 1) % load->waiting_cap;
    load->waiting_count--;
    return due_us;
}

/* --- sending ---------------------------------------------------------------- */

static bool open_loop(const struct load *load)
{
    return load->phase == LOAD_MEASURING && load->options->rate > 0;
}

static bool may_issue(const struct load *load)
{
    return (load->phase == LOAD_WARMING || load->phase == LOAD_MEASURING) && !load->stopped &&
           load->issued < load->budget;
}

static void give(struct load *load, struct client *client, uint64_t due_us)
{
    client_send(client, load->numbers++, due_us);
}

/* The phase ends with the last answer. */
static void check_end(struct load *load)
{
    bool sending = load->phase == LOAD_WARMING || load->phase == LOAD_MEASURING;

    if (sending && load->answered == load->issued && !may_issue(load))
        next_phase(load);
}

static void send_or_rest(struct load *load, struct client *client)
{
    if (load->phase == LOAD_ENDING) {
        client_quit(client);
    } else if (load->waiting_count) {
        give(load, client, wait_take(load));
    } else if (!open_loop(load) && may_issue(load)) {
        load->issued++;
        give(load, client, clock_us());
    } else {
        list_push_tail(&load->idle, &client->idle);
    }
}

static void wake_idle(struct load *load)
{
    struct list_node *node;

    while (may_issue(load) && !open_loop(load) && (node = list_pop_head(&load->idle)))
        send_or_rest(load, container_of(node, struct client, idle));
}

static void on_arrival(struct arrivals *arrivals, uint64_t due_us)
{
    struct load *load = arrivals->owner;
    struct list_node *node;

    if (!may_issue(load)) {
        arrivals_stop(arrivals);
        return;
    }
    load->issued++;
    node = list_pop_head(&load->idle);
    if (node)
        give(load, container_of(node, struct client, idle), due_us);
    else
        wait_add(load, due_us);
}

/* --- phases ----------------------------------------------------------------- */

static void give_up(struct load *load)
{
    load->failed = true;
    loop_stop(&load->loop);
}

static void read_cpu(struct load *load, double sign)
{
    load->result.cpu += sign * cpu_self();
    for (size_t i = 0; i < load->options->watched_count; i++)
        load->result.watched[i] += sign * cpu_of(load->options->watched[i]);
}

static void begin_warming(struct load *load)
{
    load->phase = LOAD_WARMING;
    load->budget = load->options->warm_up;
}

static void begin_measuring(struct load *load)
{
    const struct load_options *options = load->options;

    load->phase = LOAD_MEASURING;
    load->budget = options->messages ? options->messages : UINT64_MAX;
    if (options->seconds > 0)
        loop_timer_set(&load->loop, &load->over, (uint64_t)(options->seconds * 1000));
    load->start_us = clock_us();
    read_cpu(load, -1);
    if (options->rate > 0 && !arrivals_start(&load->arrivals, &load->loop, options->rate,
                                             options->poisson, on_arrival, load, &load->last_loss))
        give_up(load);
}

static void begin_ending(struct load *load)
{
    struct list_node *node;

    read_cpu(load, 1);
    load->result.seconds = (double)(clock_us() - load->start_us) / 1e6;
    load->phase = LOAD_ENDING;
    arrivals_stop(&load->arrivals);
    loop_timer_set(&load->loop, &load->over, GOODBYE_MS);
    while ((node = list_pop_head(&load->idle)))
        client_quit(container_of(node, struct client, idle));
}

static void next_phase(struct load *load)
{
    uint64_t issued = load->issued;

    load->issued = load->answered = 0;
    load->stopped = false;
    if (load->phase == LOAD_MEASURING) {
        load->result.sent = issued;
        begin_ending(load);
    } else if (load->phase == LOAD_CONNECTING && load->options->warm_up) {
        begin_warming(load);
    } else {
        begin_measuring(load);
    }
    wake_idle(load);
}

static void on_over(struct timer *timer)
{
    struct load *load = container_of(timer, struct load, over);

    if (load->phase == LOAD_ENDING) {
        loop_stop(&load->loop);
        return;
    }
    load->stopped = true;
    check_end(load);
}

/* --- from clients ----------------------------------------------------------- */

static void open_next(struct load *load)
{
    if (load->opened < load->options->connections)
        client_open(&load->clients[load->opened++]);
}

void load_ready(struct load *load, struct client *client)
{
    load->losses_in_row = 0;
    send_or_rest(load, client);
    if (load->phase != LOAD_CONNECTING)
        return;
    open_next(load);
    if (load->idle.count == load->options->connections)
        next_phase(load);
}

static void count_answer(struct load *load, int code, uint64_t us)
{
    struct load_result *result = &load->result;

    if (load->phase != LOAD_MEASURING)
        return;
    if (!code) {
        result->lost++;
    } else if (code / 100 == 2) {
        result->accepted++;
        hist_add(&result->latency, us);
    } else {
        result->refused++;
        result->by_code[code < 600 ? code : 0]++;
    }
}

void load_answered(struct load *load, int code, uint64_t us)
{
    count_answer(load, code, us);
    load->answered++;
    check_end(load);
}

bool load_lost(struct load *load, struct client *client, bool in_message, const char *why)
{
    (void)client;
    if (load->phase == LOAD_ENDING) {
        load_gone(load, client);
        return false;
    }
    load->losses++;
    reason_set(&load->last_loss, "%s", why);
    if (in_message)
        load_answered(load, 0, 0);
    if (++load->losses_in_row < LOSSES_MAX + load->options->connections)
        return true;
    give_up(load);
    return false;
}

void load_gone(struct load *load, struct client *client)
{
    if (load->phase != LOAD_ENDING)
        client_open(client);
    else if (--load->opened == 0)
        loop_stop(&load->loop);
}

/* --- life ------------------------------------------------------------------- */

static bool prepare_tls(struct load *load, struct reason *why)
{
    char *pem;

    tls_peer_init(&load->peer);
    if (load->options->tls == LOAD_TLS_NONE)
        return true;
    pem = file_read(load->options->ca_file, why);
    if (!pem)
        return false;
    load->tls = tls_client_context(slice_of(pem), why);
    free(pem);
    return load->tls != NULL;
}

bool load_init(struct load *load, const struct load_options *options, struct reason *why)
{
    *load = (struct load){.options = options, .arrivals.fd = -1};
    reason_set(&load->last_loss, "nothing was tried");
    list_init(&load->idle);
    timer_init(&load->over, on_over);
    if (!loop_init(&load->loop, why) || !prepare_tls(load, why) ||
        !net_address_parse(options->to, &load->server, why) ||
        !message_make(&load->message, options->size, why) ||
        !users_load(&load->users, options, why))
        return false;
    if (!net_address_is_unix(&load->server))
        load->port = ntohs(load->server.v4.sin_port);
    load->clients = calloc(options->connections, sizeof(*load->clients));
    if (!load->clients)
        return reason_set(why, "out of memory for clients");
    for (uint64_t i = 0; i < options->connections; i++)
        client_init(&load->clients[i], load);
    return true;
}

bool load_run(struct load *load, struct reason *why)
{
    for (int i = 0; i < OPENING_MAX; i++)
        open_next(load);
    loop_run(&load->loop);
    if (load->failed)
        return reason_set(why, "given up: %s", load->last_loss.text);
    return true;
}

void load_clear(struct load *load)
{
    for (uint64_t i = 0; load->clients && i < load->options->connections; i++)
        client_close(&load->clients[i]);
    arrivals_stop(&load->arrivals);
    loop_timer_cancel(&load->loop, &load->over);
    loop_close(&load->loop);
    tls_peer_clear(&load->peer);
    SSL_CTX_free(load->tls);
    message_clear(&load->message);
    users_clear(&load->users);
    free(load->clients);
    free(load->waiting);
}
