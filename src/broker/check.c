/* bearerd --check: what a start would find, told to a person. */
#include <stdio.h>
#include <stdlib.h>

#include "broker/broker.h"

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
    struct store_options options = {.key_file = "", .results = &mailbox};
    struct reason why;
    struct store *store = NULL;

    if (loop_init(&check->loop, &why) && mailbox_init(&mailbox, &check->loop, &why))
        store = store_open(path, &options, &why);
    if (!store) {
        fprintf(stderr, "error: %s\n", why.text);
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

static bool check_accounts(const struct cli *cli, const struct conf *conf)
{
    struct check *check = calloc(1, sizeof(*check));
    char path[SETUP_PATH_MAX] = "";
    struct reason why;
    bool ok = false;

    if (!cli_find_accounts(cli, path, sizeof(path), &why))
        fprintf(stderr, "error: %s\n", why.text);
    else if (check && load_accounts(check, path, conf))
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
