#include "broker/broker.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "broker/admin/checks.h"
#include "broker/admin/intake.h"
#include "broker/admin/sweep.h"
#include "broker/notify.h"
#include "broker/oauth/verify.h"
#include "broker/store/file_io.h"

/* A relay that never becomes ready will not do so the fourth time. */
#define FAILED_STARTS_MAX 3
/* Behind drain_ms: for the relay to say so, and for tokens to be saved. */
#define DRAIN_GRACE_MS 2000
#define END_STEP_MS 50

static const int signal_numbers[BROKER_SIGNALS] = {SIGHUP, SIGTERM, SIGINT};

/* --- what works with the setup --------------------------------------------- */

static struct http_settings http_settings_of(const struct setup *setup)
{
    const struct conf *conf = setup->conf;
    struct http_settings settings = {.timeout_ms = conf->oauth_timeout_ms,
                                     .connect_ms = conf->oauth_connect_ms,
                                     .connections = conf->oauth_connections,
                                     .connections_per_host = conf->oauth_connections_per_host};

    slice_copy(slice_of(setup->ca_path), settings.ca_file, sizeof(settings.ca_file));
    return settings;
}

static struct http_settings event_settings_of(const struct setup *setup)
{
    struct http_settings settings = http_settings_of(setup);

    settings.timeout_ms = setup->conf->webhook_timeout_ms;
    settings.connections = settings.connections_per_host = 1;
    return settings;
}

void broker_use_setup(struct broker *broker)
{
    const struct conf *conf = broker->setup->conf;
    struct http_settings settings = http_settings_of(broker->setup);
    struct http_settings event_settings = event_settings_of(broker->setup);

    log_set_level(conf->log_level);
    broker->log_level_set = false;
    log_set_format(conf->log_format);
    http_configure(broker->http, &settings);
    http_configure(broker->verify_http, &settings);
    http_configure(broker->event_http, &event_settings);
    webhook_configure(&broker->webhook, conf, broker->setup->webhook_secret);
    verifier_configure(broker->verifier, conf);
    resolver_configure(broker->resolver, conf->dns_ttl_max_ms, conf->use_ipv6);
    broker->tokens.conf = conf;
    registry_configure(&broker->registry, conf);
}

void broker_send_config(struct broker *broker)
{
    const struct setup *setup = broker->setup;
    struct ipc_message message = {.type = IPC_CONFIG};
    size_t len;
    char *options;

    if (!broker->registry.link)
        return;
    options = conf_write(setup->conf, &len);
    message.u.config = (struct ipc_config){{options, len},
                                           {setup->ca_pem, setup->ca_len},
                                           {setup->cert_pem, setup->cert_len},
                                           {setup->key_pem, setup->key_len}};
    if (options)
        relay_link_send(broker->registry.link, &message);
    else
        broker_protocol_error(broker, "out of memory for the configuration");
    free(options);
}

static void send_log_level(struct broker *broker)
{
    struct ipc_message message = {.type = IPC_LOG_LEVEL,
                                  .u.log_level = {(uint8_t)broker_log_level()}};

    if (broker->registry.link)
        relay_link_send(broker->registry.link, &message);
}

void broker_set_log_level(struct broker *broker, enum log_level level)
{
    log_event(LOG_WARN, "log_level", log_s("from", log_level_names[broker_log_level()]),
              log_s("to", log_level_names[level]));
    log_set_level(level);
    broker->log_level_set = true;
    send_log_level(broker);
}

enum log_level broker_log_level(void)
{
    return (enum log_level)__atomic_load_n(&log_threshold, __ATOMIC_RELAXED);
}

/* --- the relay's life ------------------------------------------------------- */

static void send_listeners(struct broker *broker, struct relay_link *link)
{
    for (size_t i = 0; i < broker->listeners.count; i++) {
        const struct listener_socket *socket = &broker->listeners.sockets[i];
        struct ipc_message message = {.type = IPC_LISTENER};

        message.u.listener =
            (struct ipc_listener){relay_process_listener_fd(i), socket->worker,
                                  (uint32_t)socket->tls, slice_of(socket->address)};
        relay_link_send(link, &message);
    }
}

static void on_relay_started(void *owner, struct relay_link *link)
{
    struct broker *broker = owner;
    struct ipc_message start = {.type = IPC_START};

    registry_relay_started(&broker->registry, link);
    broker->told_all = false;
    broker_send_config(broker);
    if (broker->log_level_set)
        send_log_level(broker);
    send_listeners(broker, link);
    relay_link_send(link, &start);
}

static void on_relay_message(void *owner, const struct ipc_message *message)
{
    requests_take(owner, message);
}

static void on_relay_lost(void *owner)
{
    struct broker *broker = owner;

    registry_relay_gone(&broker->registry);
    if (!broker->told_all)
        ledgers_lost(&broker->ledgers, clock_wall_ms());
    relay_view_gone(broker->view);
    /* Its questions die with it: their numbers mean nothing to the next one. */
    resolver_forget_all(broker->resolver);
    passwords_forget_all(broker->passwords);
}

static void maybe_end(struct broker *broker);

static void on_relay_exited(void *owner, bool ready)
{
    struct broker *broker = owner;

    if (ready && !broker->draining)
        broker->relay_lost_ms = loop_now(&broker->loop);
    if (broker->draining) {
        broker->drained = true;
        maybe_end(broker);
    } else if (!ready && !broker->ready && ++broker->failed_starts >= FAILED_STARTS_MAX) {
        broker_fail(broker, "relay", "the relay process ends before it is ready");
    }
}

static const struct relay_process_events relay_events = {on_relay_started, on_relay_message,
                                                         on_relay_lost, on_relay_exited};

void broker_protocol_error(struct broker *broker, const char *what)
{
    log_event(LOG_ERROR, "relay_protocol_error", log_s("message", what));
    relay_process_kill(broker->process);
}

void broker_read_stats(const struct broker *broker, struct stats *sums)
{
    if (broker->process)
        relay_stats_read(relay_process_stats(broker->process), sums);
    else
        *sums = (struct stats){0};
}

void broker_announce(struct broker *broker)
{
    char addresses[1024], status[1152];

    if (!broker->ready)
        return;
    listeners_format(&broker->listeners, addresses, sizeof(addresses));
    snprintf(status, sizeof(status), "relaying for %zu accounts on %s",
             registry_count(&broker->registry), addresses);
    notify_ready(status);
}

void broker_relay_ready(struct broker *broker)
{
    char addresses[1024];

    if (!relay_process_ready(broker->process)) {
        broker_protocol_error(broker, "ready");
        return;
    }
    if (broker->ready) {
        log_event(LOG_INFO, "relay_ready",
                  log_u("restarts", relay_process_restarts(broker->process)));
        return;
    }
    broker->ready = true;
    listeners_format(&broker->listeners, addresses, sizeof(addresses));
    log_event(LOG_INFO, "ready", log_s("listeners", addresses),
              log_u("accounts", registry_count(&broker->registry)),
              log_u("workers", broker->setup->conf->workers), log_s("version", BEARERD_VERSION));
    broker_announce(broker);
}

/* --- start ------------------------------------------------------------------ */

void broker_fail(struct broker *broker, const char *what, const char *why)
{
    log_event(LOG_ERROR, "start_failed", log_s("what", what), log_s("reason", why));
    if (log_output_fd(broker->log) != STDERR_FILENO)
        dprintf(STDERR_FILENO, "bearerd: %s: %s\n", what, why);
    broker->status = 1;
    if (broker->process)
        relay_process_end(broker->process);
    loop_stop(&broker->loop);
}

void broker_accounts_loaded(struct broker *broker)
{
    struct reason why;

    if (!listeners_open(&broker->listeners, broker->setup->conf, &why)) {
        broker_fail(broker, "listeners", why.text);
        return;
    }
    broker->admin = admin_start(broker, &why);
    if (!broker->admin) {
        broker_fail(broker, "admin API", why.text);
        return;
    }
    ledgers_begin(&broker->ledgers);
    broker->process = relay_process_new(&broker->loop, &broker->listeners,
                                        log_output_fd(broker->log), &relay_events, broker);
    if (!broker->process)
        broker_fail(broker, "relay", "out of memory");
    else if (!relay_process_start(broker->process, &why))
        broker_fail(broker, "relay", why.text);
}

/* --- drain and end ----------------------------------------------------------- */

/* The relay is gone; tokens that are under way are waited for, because an
 * endpoint may have replaced a refresh token that nobody has stored yet. */
static void maybe_end(struct broker *broker)
{
    if (!broker->drained || tokens_busy(&broker->tokens))
        return;
    loop_timer_cancel(&broker->loop, &broker->drain_timer);
    loop_stop(&broker->loop);
}

static void on_end_step(struct timer *timer)
{
    struct broker *broker = container_of(timer, struct broker, drain_timer);

    if (loop_now(&broker->loop) >= broker->end_by && broker->drained) {
        log_event(LOG_WARN, "end_without_tokens");
        loop_stop(&broker->loop);
        return;
    }
    if (loop_now(&broker->loop) >= broker->drain_by)
        relay_process_kill(broker->process);
    loop_timer_set(&broker->loop, &broker->drain_timer, END_STEP_MS);
    maybe_end(broker);
}

void broker_relay_drained(struct broker *broker)
{
    if (!broker->draining) {
        broker_protocol_error(broker, "drained");
        return;
    }
    broker->told_all = true;
    /* It ends by itself now, and soon. */
    broker->drain_by = loop_now(&broker->loop) + DRAIN_GRACE_MS;
}

void broker_drain(struct broker *broker)
{
    struct ipc_message message = {.type = IPC_DRAIN};
    const struct conf *conf = broker->setup->conf;

    if (broker->draining)
        return;
    log_event(LOG_INFO, "draining", log_u("drain_ms", conf->drain_ms));
    notify_stopping();
    broker->draining = true;
    tokens_set_stage(&broker->tokens, TOKENS_DRAIN);
    tokens_save_again(&broker->tokens);
    listeners_close(&broker->listeners);
    if (broker->process)
        relay_process_end(broker->process);
    broker->drained = !broker->process || !relay_process_runs(broker->process);
    if (broker->registry.link)
        relay_link_send(broker->registry.link, &message);
    broker->drain_by = loop_now(&broker->loop) + conf->drain_ms + DRAIN_GRACE_MS;
    broker->end_by = broker->drain_by + conf->oauth_timeout_ms;
    loop_timer_set(&broker->loop, &broker->drain_timer, END_STEP_MS);
}

static void on_signal(uv_signal_t *handle, int number)
{
    struct broker *broker = handle->data;

    if (number == SIGHUP) {
        reload_begin(broker);
    } else if (!broker->draining) {
        broker_drain(broker);
    } else {
        log_event(LOG_WARN, "ended_at_once", log_i("signal", number));
        broker->status = 1;
        loop_stop(&broker->loop);
    }
}

/* --- building and taking down ------------------------------------------------ */

static void on_watchdog(struct timer *timer)
{
    struct broker *broker = container_of(timer, struct broker, watchdog);

    notify_alive();
    loop_timer_set(&broker->loop, &broker->watchdog, notify_watchdog_ms());
}

/* The store differs from what we hold: by hand, or by another program. */
static void on_store_changed(void *owner)
{
    struct broker *broker = owner;

    log_event(LOG_INFO, "store_changed", log_s("accounts", broker->accounts_path));
    reload_accounts(broker);
}

static void on_record_changed(struct tokens *tokens)
{
    reload_accounts(container_of(tokens, struct broker, tokens));
}

static void watch_signals(struct broker *broker)
{
    for (size_t i = 0; i < BROKER_SIGNALS; i++) {
        uv_signal_init(&broker->loop.uv, &broker->signals[i]);
        broker->signals[i].data = broker;
        uv_signal_start(&broker->signals[i], on_signal, signal_numbers[i]);
    }
}

/* Without it accounts are as they were, and the relay's bind decides. */
static void watch_addresses(struct broker *broker)
{
    struct reason why;

    broker->address_watch = address_watch_open(&broker->loop, &broker->registry.addresses, &why);
    if (!broker->address_watch)
        log_event(LOG_WARN, "addresses_unknown", log_s("reason", why.text),
                  log_s("text", "ip_address of accounts is not checked before it is used"));
}

static struct store *open_store(struct broker *broker, struct reason *why)
{
    struct store_options options = {.key_file = broker->setup->conf->store_key_file,
                                    .results = &broker->mailbox,
                                    .changed = on_store_changed,
                                    .owner = broker};
    const char *path;

    store_find(broker->accounts_path, &path);
    if (broker->accounts_by_default && !file_make_folders(path, why))
        return NULL;
    return store_open(broker->accounts_path, &options, why);
}

static void open_ledgers(struct broker *broker)
{
    char folder[SETUP_PATH_MAX];

    admin_store_folder(broker->accounts_path, folder, sizeof(folder));
    ledgers_open(&broker->ledgers, folder, clock_wall_ms());
    broker->told_all = true; /* by nobody, so far */
}

static bool build(struct broker *broker, struct reason *why)
{
    struct http_settings settings = http_settings_of(broker->setup);

    list_init(&broker->intakes);
    list_init(&broker->sweeps);
    list_init(&broker->checks);
    logins_init(&broker->logins);
    if (!loop_init(&broker->loop, why) || !mailbox_init(&broker->mailbox, &broker->loop, why))
        return false;
    broker->http = http_new(&broker->loop, &settings, why);
    broker->verify_http = broker->http ? http_new(&broker->loop, &settings, why) : NULL;
    broker->event_http = broker->verify_http ? http_new(&broker->loop, &settings, why) : NULL;
    broker->resolver = broker->event_http ? resolver_new(&broker->loop, why) : NULL;
    if (!broker->resolver)
        return false;
    broker->verifier = verifier_new(&broker->loop, broker->verify_http, &broker->tokens.clocks);
    if (!broker->verifier)
        return reason_set(why, "out of memory");
    broker->passwords = passwords_new(&broker->loop);
    if (!broker->passwords)
        return reason_set(why, "out of memory");
    broker->store = open_store(broker, why);
    if (!broker->store)
        return false;
    tokens_init(&broker->tokens, &broker->loop, broker->http, broker->store);
    broker->tokens.store_changed = on_record_changed;
    webhook_init(&broker->webhook, &broker->loop, broker->event_http);
    events_init(&broker->events, &broker->loop, &broker->webhook);
    registry_init(&broker->registry, &broker->loop);
    broker->registry.changed = events_take;
    broker->registry.owner = &broker->events;
    broker->registry.ledgers = &broker->ledgers;
    broker->registry.tokens = &broker->tokens;
    open_ledgers(broker);
    secret_expiry_init(&broker->secret_expiry, &broker->loop, &broker->registry);
    broker->view = relay_view_new(&broker->registry);
    if (!broker->view)
        return reason_set(why, "out of memory");
    timer_init(&broker->drain_timer, on_end_step);
    timer_init(&broker->watchdog, on_watchdog);
    if (notify_watchdog_ms())
        loop_timer_set(&broker->loop, &broker->watchdog, notify_watchdog_ms());
    broker_use_setup(broker);
    watch_addresses(broker);
    watch_signals(broker);
    return true;
}

/* The store first: its last answers concern accounts that must still exist. */
static void take_down(struct broker *broker)
{
    broker->ended = true;
    admin_stop(broker->admin);
    tokens_set_stage(&broker->tokens, TOKENS_STOP);
    relay_process_free(broker->process);
    broker->process = NULL;
    tokens_keep_all(&broker->tokens);
    broker->store->ops->close(broker->store);
    mailbox_close(&broker->mailbox);
    intakes_abandon(broker);
    sweeps_abandon(broker);
    checks_abandon(broker);
    logins_clear(&broker->logins);
    relay_view_gone(broker->view); /* who asked just now hears that there is none */
    relay_view_free(broker->view);
    broker->view = NULL;
    address_watch_close(broker->address_watch);
    secret_expiry_clear(&broker->secret_expiry);
    registry_clear(&broker->registry);
    events_clear(&broker->events);
    webhook_clear(&broker->webhook);
    ledgers_close(&broker->ledgers, broker->told_all, clock_wall_ms());
    verifier_free(broker->verifier);
    tokens_clear(&broker->tokens);
    http_free(broker->event_http);
    http_free(broker->verify_http);
    http_free(broker->http);
    resolver_free(broker->resolver);
    passwords_free(broker->passwords);
    reload_end(broker);
    for (size_t i = 0; i < BROKER_SIGNALS; i++)
        uv_close((uv_handle_t *)&broker->signals[i], NULL);
    listeners_close(&broker->listeners);
    loop_close(&broker->loop);
    setup_unref(broker->next_setup);
    admin_free(broker->admin);
}

static int run(struct broker *broker)
{
    const struct tokens_stats *stats = &broker->tokens.stats;
    struct reason why;

    if (!build(broker, &why)) {
        log_event(LOG_ERROR, "start_failed", log_s("reason", why.text));
        /* Half of it was begun, and nothing of it serves: the system takes it back. */
        log_stop();
        _exit(1);
    }
    reload_first_accounts(broker);
    loop_run(&broker->loop);
    take_down(broker);
    log_event(LOG_INFO, "ended", log_i("status", broker->status),
              log_u("token_requests", stats->requests), log_u("tokens", stats->ok),
              log_u("token_failures", stats->failures), log_u("token_rejects", stats->rejected),
              log_u("saves", stats->saves), log_u("save_failures", stats->save_failures));
    return broker->status;
}

static bool find_accounts(struct broker *broker, struct reason *why)
{
    return cli_find_accounts(broker->cli, broker->setup->conf, broker->accounts_path,
                             sizeof(broker->accounts_path), &broker->accounts_by_default, why);
}

int broker_main(const struct cli *cli)
{
    struct broker *broker = calloc(1, sizeof(*broker));
    struct conf_notes notes = {NULL, 0, 0};
    struct reason why = {"out of memory"};
    int status = 1;

    if (broker) {
        broker->cli = cli;
        broker->started_wall_ms = clock_wall_ms();
        broker->started_ms = clock_ms();
        list_init(&broker->reload_waiters);
        broker->setup = setup_load(cli, &notes, &why);
    }
    if (!broker || !broker->setup || !find_accounts(broker, &why) ||
        !admin_check(broker->setup->conf, broker->accounts_path, &why) ||
        !(broker->log = log_output_open(broker->setup->conf, &why))) {
        dprintf(STDERR_FILENO, "bearerd: %s\n", why.text);
    } else {
        log_set_level(broker->setup->conf->log_level);
        log_start(log_output_fd(broker->log), "broker", broker->setup->conf->log_format);
        reload_log_notes(&notes);
        status = run(broker);
        log_stop();
        log_output_close(broker->log);
    }
    conf_notes_clear(&notes);
    if (broker)
        setup_unref(broker->setup);
    free(broker);
    return status;
}
