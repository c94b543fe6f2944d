/* Reading configuration and accounts: all of it is read and checked before any
 * of it takes effect, so a broken file changes nothing.
 */
#include "base/log.h"
#include "broker/broker.h"
#include "broker/notify.h"
#include "conf/options.h"

void reload_log_notes(const struct conf_notes *notes)
{
    for (size_t i = 0; i < notes->count; i++)
        log_event(LOG_WARN, "configuration_note", log_s("text", notes->lines[i]));
}

static void log_problems(const struct problems *problems)
{
    for (size_t i = 0; i < problems->count; i++)
        log_event(LOG_WARN, problems->items[i].skipped ? "account_skipped" : "account_note",
                  log_s("text", problems->items[i].text));
    if (problems->more)
        log_event(LOG_WARN, "account_note", log_u("further_problems", problems->more));
}

static void on_kept(void *owner, const char *option)
{
    struct broker *broker = owner;

    conf_note(&broker->report.notes,
              "%s: this option cannot change while running; its old value "
              "stays until a restart",
              option);
    log_event(LOG_WARN, "restart_needed", log_s("option", option),
              log_s("text", "this option cannot change while running; its old value stays"));
}

/* Those that asked for the reload that has just ended. */
static void tell_waiters(struct broker *broker)
{
    list_foreach_safe (&broker->reload_waiters, node) {
        struct reload_waiter *waiter = container_of(node, struct reload_waiter, node);

        if (waiter->next) {
            waiter->next = false;
            continue;
        }
        list_remove(&broker->reload_waiters, &waiter->node);
        waiter->done(waiter, &broker->report);
    }
    conf_notes_clear(&broker->report.notes);
    broker->report = (struct reload_report){NULL};
}

void reload_end(struct broker *broker)
{
    list_foreach (&broker->reload_waiters, node)
        container_of(node, struct reload_waiter, node)->next = false;
    broker->report.error = "bearerd is ending";
    tell_waiters(broker);
}

static void end_load(struct broker *broker)
{
    broker->loading = false;
    tell_waiters(broker);
    broker_announce(broker);
    if (broker->load_again) {
        broker->load_again = broker->accounts_again = false;
        reload_begin(broker);
    } else if (broker->accounts_again) {
        broker->accounts_again = false;
        reload_accounts(broker);
    }
}

static void give_up(struct broker *broker, const char *what, const struct reason *why)
{
    setup_unref(broker->next_setup);
    broker->next_setup = NULL;
    if (!broker->ready && !broker->listeners.count) {
        broker_fail(broker, what, why->text);
        return;
    }
    log_event(LOG_ERROR, "reload_failed", log_s("reason", why->text),
              log_s("text", "nothing was changed"));
    broker->report.error = why->text;
    end_load(broker);
}

/* A new setup takes effect before the accounts that were checked against it. */
static void use_next_setup(struct broker *broker)
{
    struct setup *old = broker->setup;

    if (!broker->next_setup)
        return;
    broker->setup = broker->next_setup;
    broker->next_setup = NULL;
    broker_use_setup(broker);
    setup_unref(old);
    admin_reload(broker->admin);
    broker_send_config(broker);
}

static void on_loaded(struct store_load *load)
{
    struct broker *broker = load->owner;
    struct account_set *set = load->set;
    struct registry_changes changes;
    bool first = !broker->listeners.count;

    if (broker->draining || broker->ended) { /* too late: the listeners are closed */
        account_set_free(load->set);
        load->set = NULL;
        broker->loading = false;
        return;
    }
    if (!load->set) {
        give_up(broker, "accounts", &load->why);
        return;
    }
    use_next_setup(broker);
    log_problems(&load->set->problems);
    registry_apply(&broker->registry, load->set, &changes);
    secret_expiry_soon(&broker->secret_expiry);
    log_event(LOG_INFO, first ? "accounts_loaded" : "reloaded",
              log_u("accounts", registry_count(&broker->registry)), log_u("added", changes.added),
              log_u("changed", changes.changed), log_u("removed", changes.removed),
              log_u("skipped", load->set->problems.skipped));
    broker->skipped = set->problems.skipped;
    broker->report.changes = changes;
    broker->report.problems = &set->problems;
    load->set = NULL; /* end_load may begin another load */
    if (!registry_count(&broker->registry))
        log_event(
            LOG_WARN, "no_accounts", log_s("accounts", broker->accounts_path),
            log_s("text", "nobody can send before an account is added: bearerctl login ADDRESS"));
    if (first)
        broker_accounts_loaded(broker);
    end_load(broker);
    account_set_free(set);
}

static void load_accounts(struct broker *broker)
{
    broker->loading = true;
    broker->load.conf = (broker->next_setup ? broker->next_setup : broker->setup)->conf;
    broker->load.done = on_loaded;
    broker->load.owner = broker;
    broker->store->ops->load(broker->store, &broker->load);
}

void reload_first_accounts(struct broker *broker)
{
    load_accounts(broker);
}

void reload_accounts(struct broker *broker)
{
    if (broker->draining)
        return;
    if (broker->loading)
        broker->accounts_again = true;
    else
        load_accounts(broker);
}

void reload_begin(struct broker *broker)
{
    struct conf_notes *notes = &broker->report.notes;
    struct reason why;

    if (broker->draining)
        return;
    if (broker->loading) {
        broker->load_again = true;
        return;
    }
    notify_reloading();
    log_event(LOG_INFO, "reloading", log_s("config", broker->setup->config_path),
              log_s("accounts", broker->accounts_path));
    broker->next_setup = setup_load(broker->cli, notes, &why);
    reload_log_notes(notes);
    if (!broker->next_setup) {
        give_up(broker, "configuration", &why);
        return;
    }
    setup_keep_fixed(broker->next_setup, broker->setup, on_kept, broker);
    load_accounts(broker);
}

void reload_begin_for(struct broker *broker, struct reload_waiter *waiter)
{
    waiter->next = broker->loading;
    list_push_tail(&broker->reload_waiters, &waiter->node);
    reload_begin(broker);
}
