/* The broker process: accounts, tokens, DNS, and the relay that it runs.
 *
 *     setup -> accounts -> listeners -> admin API -> relay -> ready ... drain -> end
 *
 * One loop, one thread; what blocks runs elsewhere (the store's thread, libuv's
 * threads for passwords).
 */
#pragma once

#include "broker/address_watch.h"
#include "broker/admin/login.h"
#include "broker/admin/server.h"
#include "broker/events.h"
#include "broker/ledgers.h"
#include "broker/listeners.h"
#include "broker/log_output.h"
#include "broker/oauth/http.h"
#include "broker/passwords.h"
#include "broker/registry.h"
#include "broker/relay_process.h"
#include "broker/relay_view.h"
#include "broker/resolver.h"
#include "broker/secret_expiry.h"
#include "broker/setup.h"

#define BROKER_SIGNALS 3

/* What a reload came to. */
struct reload_report {
    const char *error; /* NULL: it took effect */
    struct conf_notes notes;
    const struct problems *problems;
    struct registry_changes changes;
};

/* Embedded by who wants to know; `done` may free it. */
struct reload_waiter {
    struct list_node node;
    bool next; /* the reload under way began before it asked */
    void (*done)(struct reload_waiter *waiter, const struct reload_report *report);
};

struct broker {
    const struct cli *cli;
    struct setup *setup;
    char accounts_path[SETUP_PATH_MAX]; /* a location, for store_open */
    bool accounts_by_default;           /* nobody named it */
    struct log_output *log;
    struct loop loop;
    struct mailbox mailbox; /* answers of the store */
    struct http *http;
    struct http *verify_http; /* its connections serve no mail */
    struct http *event_http;
    struct webhook webhook;
    struct events events;
    struct verifier *verifier;
    struct logins logins;
    struct list intakes, sweeps; /* intake.broker_node, sweep.broker_node: at work */
    struct list checks;          /* check.node, of accounts_check.c */
    struct store *store;
    struct tokens tokens;
    struct registry registry;
    struct ledgers ledgers;
    struct secret_expiry secret_expiry;
    struct address_watch *address_watch; /* NULL: the kernel does not tell */
    struct resolver *resolver;
    struct passwords *passwords;
    struct listeners listeners;
    struct relay_process *process;
    struct relay_view *view;
    struct admin *admin;
    uv_signal_t signals[BROKER_SIGNALS];
    struct timer watchdog;
    /* Reloading. */
    struct store_load load;
    struct setup *next_setup;                 /* of the reload under way */
    bool loading, load_again, accounts_again; /* all, or the accounts only */
    struct reload_report report;              /* of the reload under way */
    struct list reload_waiters;               /* reload_waiter.node */
    size_t skipped;                           /* records that the last load could not use */
    bool log_level_set;                       /* by broker_set_log_level; a reload ends it */
    /* Life. */
    uint64_t started_wall_ms, started_ms;
    uint64_t relay_lost_ms; /* when one that relayed ended last; 0: none has */
    bool ready;             /* announced */
    unsigned failed_starts; /* of the relay, before it was ready once */
    bool draining, drained, ended;
    bool told_all; /* the last relay has said all that it had to say */
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
/* The same; `done` is called once, perhaps before this returns. */
void reload_begin_for(struct broker *broker, struct reload_waiter *waiter);
/* There will be no further reload: tells who waits. */
void reload_end(struct broker *broker);
void reload_log_notes(const struct conf_notes *notes);
/* The accounts only: somebody changed the store. */
void reload_accounts(struct broker *broker);

/* What records are checked against from now on: the setup of the reload under way,
 * if there is one. */
static inline struct setup *broker_next_setup(const struct broker *broker)
{
    return broker->next_setup ? broker->next_setup : broker->setup;
}

/* Hands the setup to what works with it; broker.c. */
void broker_use_setup(struct broker *broker);
void broker_send_config(struct broker *broker);
/* As SIGTERM; a second time it does nothing. */
void broker_drain(struct broker *broker);
/* Of both processes, until the next reload. */
void broker_set_log_level(struct broker *broker, enum log_level level);
enum log_level broker_log_level(void);
/* What the relays have counted; all zero before the first one. */
void broker_read_stats(const struct broker *broker, struct stats *sums);
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
