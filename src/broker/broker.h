/* The broker process: accounts, tokens, DNS, and the relay that it runs.
 *
 *     setup -> accounts -> listeners -> relay -> ready ... drain -> end
 *
 * One loop, one thread; what blocks runs elsewhere (the store's thread, libuv's
 * threads for passwords).
 */
#pragma once

#include "broker/listeners.h"
#include "broker/log_output.h"
#include "broker/oauth/http.h"
#include "broker/passwords.h"
#include "broker/registry.h"
#include "broker/relay_process.h"
#include "broker/resolver.h"
#include "broker/setup.h"

#define BROKER_SIGNALS 3

struct broker {
    const struct cli *cli;
    struct setup *setup;
    char accounts_path[SETUP_PATH_MAX]; /* a location, for store_open */
    bool accounts_by_default;           /* nobody named it */
    struct log_output *log;
    struct loop loop;
    struct mailbox mailbox; /* answers of the store */
    struct http *http;
    struct store *store;
    struct tokens tokens;
    struct registry registry;
    struct resolver *resolver;
    struct passwords *passwords;
    struct listeners listeners;
    struct relay_process *process;
    uv_signal_t signals[BROKER_SIGNALS];
    struct timer watchdog;
    /* Reloading. */
    struct store_load load;
    struct setup *next_setup;                 /* of the reload under way */
    bool loading, load_again, accounts_again; /* all, or the accounts only */
    /* Life. */
    bool ready;             /* announced */
    unsigned failed_starts; /* of the relay, before it was ready once */
    bool draining, drained, ended;
    struct timer drain_timer;
    uint64_t drain_by, end_by; /* ms: the relay is killed; we end */
    int status;                /* exit status */
};

/* Runs until it is told to end. Returns the exit status. */
int broker_main(const struct cli *cli);
/* --check: reads and checks everything, binds nothing, and reports. */
int broker_check(const struct cli *cli);

/* The relay's messages; requests.c. */
void requests_take(struct broker *broker, const struct ipc_message *message);

/* Configuration and accounts; reload.c. */
void reload_first_accounts(struct broker *broker);
void reload_begin(struct broker *broker); /* on SIGHUP */
void reload_log_notes(const struct conf_notes *notes);
/* The accounts only: somebody changed the store. */
void reload_accounts(struct broker *broker);

/* Hands the setup to what works with it; broker.c. */
void broker_use_setup(struct broker *broker);
void broker_send_config(struct broker *broker);
/* The first accounts are there. */
void broker_accounts_loaded(struct broker *broker);
/* Ends the loop with an error. */
void broker_fail(struct broker *broker, const char *what, const char *why);
/* The relay does what it must not: it is replaced. */
void broker_protocol_error(struct broker *broker, const char *what);
void broker_relay_ready(struct broker *broker);
void broker_relay_drained(struct broker *broker);
/* Tells the service manager that we are ready. */
void broker_announce(struct broker *broker);
