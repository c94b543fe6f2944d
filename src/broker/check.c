/* bearerd --check: what a start would find, told to a person. */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "broker/account_address.h"
#include "broker/broker.h"

#define ADDRESS_NOTES_MAX 50

struct check {
    struct loop loop;
    struct store_load load;
};

static void print_notes(const struct conf_notes *notes)
{
    for (size_t i = 0; i < notes->count; i++)
        printf("note: %s\n", notes->lines[i]);
}

static bool check_listeners(const struct conf *conf)
{
    bool ok = true;

    for (size_t i = 0; i < conf->listener_count; i++) {
        struct net_address address;
        struct reason why;

        if (net_address_parse(conf->listeners[i].address, &address, &why))
            continue;
        fprintf(stderr, "error: listeners: %s\n", why.text);
        ok = false;
    }
    return ok;
}

static void on_loaded(struct store_load *load)
{
    struct check *check = container_of(load, struct check, load);

    loop_stop(&check->loop);
}

/* Through the store as in a start, whatever its back end. */
static bool load_accounts(struct check *check, const char *path, const struct conf *conf)
{
    struct mailbox mailbox;
    struct store_options options = {
        .key_file = conf->store_key_file, .results = &mailbox, .look_only = true};
    struct reason why;
    struct store *store = NULL;

    if (!loop_init(&check->loop, &why) || !mailbox_init(&mailbox, &check->loop, &why)) {
        fprintf(stderr, "error: %s\n", why.text);
        return false;
    }
    store = store_open(path, &options, &why);
    if (!store) {
        fprintf(stderr, "error: %s\n", why.text);
        mailbox_close(&mailbox);
        loop_close(&check->loop);
        return false;
    }
    check->load.conf = conf;
    check->load.done = on_loaded;
    store->ops->load(store, &check->load);
    loop_run(&check->loop);
    store->ops->close(store);
    mailbox_close(&mailbox);
    loop_close(&check->loop);
    if (!check->load.set)
        fprintf(stderr, "error: %s\n", check->load.why.text);
    return check->load.set != NULL;
}

static bool print_accounts(const struct account_set *set, const char *path)
{
    for (size_t i = 0; i < set->problems.count; i++) {
        const struct problem *problem = &set->problems.items[i];

        fprintf(problem->skipped ? stderr : stdout, "%s: %s\n", problem->skipped ? "error" : "note",
                problem->text);
    }
    if (set->problems.more)
        printf("note: %zu further problems\n", set->problems.more);
    printf("accounts: %s: %zu valid, %zu skipped\n", path, set->count, set->problems.skipped);
    return set->problems.skipped == 0;
}

static bool exists(const char *location)
{
    const char *path;

    store_find(location, &path);
    return access(path, F_OK) == 0;
}

/* Notes only: addresses come and go, and this may not be the host that will run
 * it. */
static void print_addresses(const struct account_set *set, const struct addresses *addresses)
{
    char why[ADDRESS_WHY_MAX];
    size_t count = 0;

    for (size_t i = 0; i < set->count; i++) {
        const struct account_record *record = set->records[i];
        enum address_verdict verdict = addresses_check(addresses, record->source_address);

        if (verdict == ADDRESS_OK || count++ >= ADDRESS_NOTES_MAX)
            continue;
        address_explain(record->source_address, verdict, why);
        printf("note: account %s could not send now: %s\n", record->id, why);
    }
    if (count > ADDRESS_NOTES_MAX)
        printf("note: %zu more accounts could not send now for their ip_address\n",
               count - ADDRESS_NOTES_MAX);
}

static void check_addresses(struct loop *loop, const struct account_set *set,
                            const struct conf *conf)
{
    struct address_rules rules = address_rules_of(conf);
    struct address_watch *watch;
    struct addresses addresses;
    struct reason why;

    addresses_init(&addresses);
    addresses_configure(&addresses, &rules);
    if (!loop_init(loop, &why))
        return;
    watch = address_watch_open(loop, &addresses, &why);
    if (!watch)
        printf("note: this host's addresses are not known: %s\n", why.text);
    print_addresses(set, &addresses);
    address_watch_close(watch);
    addresses_clear(&addresses);
    loop_close(loop);
}

static bool check_accounts(const struct cli *cli, const struct conf *conf)
{
    struct check *check = calloc(1, sizeof(*check));
    char path[SETUP_PATH_MAX] = "";
    struct reason why;
    bool ok = false, by_default;

    if (!cli_find_accounts(cli, conf, path, sizeof(path), &by_default, &why))
        fprintf(stderr, "error: %s\n", why.text);
    else if (!exists(path))
        ok = printf("accounts: %s: a start makes it; there are no accounts yet\n", path) > 0;
    else if (check && load_accounts(check, path, conf))
        check_addresses(&check->loop, check->load.set, conf);
    if (check && check->load.set)
        ok = print_accounts(check->load.set, path);
    if (path[0] && !admin_check(conf, path, &why)) {
        fprintf(stderr, "error: %s\n", why.text);
        ok = false;
    }
    if (check)
        account_set_free(check->load.set);
    free(check);
    return ok;
}

int broker_check(const struct cli *cli)
{
    struct conf_notes notes = {NULL, 0, 0};
    struct reason why;
    struct setup *setup = setup_load(cli, &notes, &why);
    bool ok;

    print_notes(&notes);
    conf_notes_clear(&notes);
    if (!setup) {
        fprintf(stderr, "error: %s\n", why.text);
        return 1;
    }
    printf("configuration: %s\n", setup->config_path[0] ? setup->config_path : "(none: defaults)");
    printf("trust store: %s\n", setup->ca_path);
    ok = check_listeners(setup->conf);
    ok = check_accounts(cli, setup->conf) && ok;
    setup_unref(setup);
    fflush(stdout);
    fprintf(ok ? stdout : stderr, "%s\n",
            ok ? "all is well"
               : "bearerd would not start like this, "
                 "or not serve all accounts");
    return ok ? 0 : 1;
}
