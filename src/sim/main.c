#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "net/tls.h"
#include "sim/files.h"
#include "sim/random.h"
#include "sim/sim.h"
#include "sim/tokens_file.h"

/* Ten thousand connections are a test like any other. */
static void raise_limits(void)
{
    struct rlimit files;

    if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
        files.rlim_cur = files.rlim_max;
        setrlimit(RLIMIT_NOFILE, &files);
    }
}

static bool make_dir(const char *path, struct reason *why)
{
    if (path && mkdir(path, 0700) != 0 && errno != EEXIST)
        return reason_set(why, "cannot create %s: %s", path, strerror(errno));
    return true;
}

static bool set_knobs(struct sim *sim, struct reason *why)
{
    for (size_t i = 0; i < sim->options.knob_count; i++) {
        if (!knobs_apply_text(&sim->knobs, sim->options.knobs[i], why))
            return false;
    }
    return true;
}

static void add_account(struct sim *sim, const char *email, const struct profile *profile)
{
    struct account *account;

    if (accounts_find(&sim->accounts, slice_of(email)))
        return; /* it came with --resume */
    account = accounts_add(&sim->accounts, email, profile,
                           clients_need(&sim->clients, profile, NULL, NULL));
    account_new_grant(&sim->accounts, account, NULL);
}

static void make_accounts(struct sim *sim)
{
    const struct options *options = &sim->options;
    unsigned number = 1;
    char email[320];

    for (size_t group = 0; group < options->group_count; group++) {
        for (unsigned i = 0; i < options->groups[group].count; i++) {
            snprintf(email, sizeof(email), "user%u@%s", number++, options->domain);
            add_account(sim, email, options->groups[group].profile);
        }
    }
}

/* Names in the style of the provider; the same for one seed. */
static void make_hosts(struct sim *sim)
{
    char digits[5];

    random_hex(digits, 4);
    snprintf(sim->front_host, sizeof(sim->front_host), "SY5P282CA%s", digits);
    random_hex(digits, 4);
    snprintf(sim->store_host, sizeof(sim->store_host), "SYBP282MB%s.AUSP282.PROD.OUTLOOK.COM",
             digits);
}

static bool prepare(struct sim *sim, struct reason *why)
{
    random_seed(sim->options.seed);
    make_hosts(sim);
    list_init(&sim->sessions);
    recorder_init(&sim->recorder, (size_t)sim->options.keep_messages);
    sim->scratch = malloc(SIM_SCRATCH);
    sim->sha256 = EVP_MD_fetch(NULL, "SHA256", NULL);
    if (!make_dir(sim->options.state_dir, why) || !make_dir(sim->options.mail_dir, why) ||
        !set_knobs(sim, why) || !certs_ready(&sim->certs, &sim->options, why) ||
        !keys_ready(&sim->keys, sim->options.state_dir, why))
        return false;
    sim->tls = tls_server_context(slice_of(sim->certs.chain), slice_of(sim->certs.key), why);
    if (!sim->tls)
        return false;
    if (sim->options.resume && !tokens_load(sim, why))
        return false;
    if (!sim_add_clients(sim, why))
        return false;
    make_accounts(sim);
    return true;
}

static bool start_http(struct sim *sim, struct reason *why)
{
    const struct options *options = &sim->options;

    sim->http.skewed = true;
    if (options->http_port != PORT_OFF && !http_server_start(&sim->http, sim, options->http_port,
                                                             &sim->certs, http_token_routes, why))
        return false;
    return options->control_port == PORT_OFF ||
           http_server_start(&sim->control, sim, options->control_port, NULL, http_control_routes,
                             why);
}

static bool start(struct sim *sim, struct reason *why)
{
    return loop_init(&sim->loop, why) && delay_init(&sim->delay, &sim->loop, why) &&
           listeners_start(sim, why) && start_http(sim, why) && files_announce(sim, why);
}

static void on_signal(uv_signal_t *signal, int number)
{
    struct sim *sim = signal->data;

    (void)number;
    loop_stop(&sim->loop);
}

static void watch_signals(struct sim *sim, uv_signal_t *signals)
{
    static const int numbers[] = {SIGTERM, SIGINT};

    for (int i = 0; i < 2; i++) {
        uv_signal_init(&sim->loop.uv, &signals[i]);
        signals[i].data = sim;
        uv_signal_start(&signals[i], on_signal, numbers[i]);
    }
}

static void run(struct sim *sim)
{
    uv_signal_t signals[2];

    watch_signals(sim, signals);
    loop_run(&sim->loop);
    uv_close((uv_handle_t *)&signals[0], NULL);
    uv_close((uv_handle_t *)&signals[1], NULL);
    http_server_stop(&sim->http);
    http_server_stop(&sim->control);
    listeners_close(sim);
    delay_close(&sim->delay);
    loop_close(&sim->loop);
}

static void clear(struct sim *sim)
{
    recorder_clear(&sim->recorder);
    codes_clear(&sim->codes);
    devices_clear(&sim->devices);
    accounts_clear(&sim->accounts);
    clients_clear(&sim->clients);
    keys_clear(&sim->keys);
    stats_clear(&sim->totals);
    knobs_clear(&sim->knobs);
    out_pool_clear(&sim->outbox);
    certs_clear(&sim->certs);
    SSL_CTX_free(sim->tls);
    EVP_MD_free(sim->sha256);
    free(sim->scratch);
}

static int fail(const char *why)
{
    fprintf(stderr, "bearer-sim: %s\n", why);
    return 1;
}

int main(int argc, char **argv)
{
    static struct sim sim; /* large: error texts */
    struct reason why;
    bool ok;

    signal(SIGPIPE, SIG_IGN);
    raise_limits();
    if (!options_parse(&sim.options, argc, argv, &why))
        return fail(why.text);
    if (sim.options.help) {
        options_print_help();
        knobs_print_help();
        return 0;
    }
    if (!prepare(&sim, &why) || !start(&sim, &why))
        return fail(why.text);
    run(&sim);
    ok = !sim.options.resume || tokens_save(&sim, &why);
    clear(&sim);
    return ok ? 0 : fail(why.text);
}
