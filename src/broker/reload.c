/* Reading configuration and accounts: all of it is read and checked before any
 * of it takes effect, so a broken file changes nothing.
 */
#include "base/log.h"
#include "broker/broker.h"
#include "broker/notify.h"

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

static void on_kept(const char *option)
{
    log_event(LOG_WARN, "restart_needed", log_s("option", option),
              log_s("text", "this option cannot change while running; its old value stays"));
}

static void end_load(struct broker *broker)
{
    broker->loading = false;
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
    log_event(LOG_INFO, first ? "accounts_loaded" : "reloaded",
              log_u("accounts", registry_count(&broker->registry)), log_u("added", changes.added),
              log_u("changed", changes.changed), log_u("removed", changes.removed),
              log_u("skipped", load->set->problems.skipped));
    account_set_free(load->set);
    load->set = NULL;
    if (first)
        broker_accounts_loaded(broker);
    end_load(broker);
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
    struct conf_notes notes = {NULL, 0, 0};
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
    broker->next_setup = setup_load(broker->cli, &notes, &why);
    reload_log_notes(&notes);
    conf_notes_clear(&notes);
    if (!broker->next_setup) {
        give_up(broker, "configuration", &why);
        return;
    }
    setup_keep_fixed(broker->next_setup, broker->setup, on_kept);
    load_accounts(broker);
}
