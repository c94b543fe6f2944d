#include "sim/sim.h"

#include <stdio.h>

#include "base/clock.h"
#include "sim/session.h"

struct knob_scope sim_scope(struct sim *sim, struct account *user)
{
    return sim_token_scope(sim, NULL, user);
}

struct knob_scope sim_token_scope(struct sim *sim, struct client *client, struct account *user)
{
    return (struct knob_scope){&sim->knobs, client ? client->knobs : NULL,
                               user ? user->knobs : NULL};
}

uint64_t sim_wall_ms(struct sim *sim)
{
    int64_t skew = knob_number(sim_scope(sim, NULL), KNOB_CLOCK_SKEW_S, 0);

    return clock_wall_ms() + (uint64_t)(skew * 1000);
}

bool sim_tenant_known(const struct sim *sim, struct slice tenant)
{
    static const char *const known[] = {"common", "organizations", "consumers", SIM_TENANT,
                                        SIM_TENANT_CONSUMERS};

    for (size_t i = 0; i < sizeof(known) / sizeof(*known); i++) {
        if (slice_equal_nocase(tenant, slice_of(known[i])))
            return true;
    }
    return slice_equal_nocase(tenant, slice_of(sim->options.domain));
}

void sim_error(struct sim *sim, struct session *session, const char *what)
{
    char *out = sim->errors[sim->error_count++ % SIM_ERRORS];

    sim->totals.protocol_errors++;
    if (!session) {
        snprintf(out, SIM_ERROR_TEXT, "%s", what);
        return;
    }
    snprintf(out, SIM_ERROR_TEXT, "connection %llu%s%s: %s", (unsigned long long)session->number,
             session->user ? " of " : "", session->user ? session->user->email : "", what);
    if (session->user)
        session->user->stats.protocol_errors++;
}

/* An application's name, so that tests and GET /clients can speak of it. */
static struct client *add(struct sim *sim, const struct profile *profile, const char *name,
                          const char *id, const char *secret)
{
    struct client *client = clients_need(&sim->clients, profile, id, secret);

    if (!client->name)
        client->name = strdup(name);
    return client;
}

/* Fixed, so that a configuration may name them before the simulator runs. */
bool sim_add_clients(struct sim *sim, struct reason *why)
{
    struct client *confidential =
        add(sim, &profile_m365, "confidential", "c0f1de27-0000-4000-8000-000000000002",
            "sim~Secret.Of.The.Application");
    struct client *service = add(sim, &profile_gmail, "service-account", SERVICE_ACCOUNT_EMAIL, "");

    add(sim, &profile_m365, "public", "ab11c000-0000-4000-8000-000000000001", "");
    add(sim, &profile_gmail, "desktop", "123456789012-desktop.apps.googleusercontent.com",
        "GOCSPX-SecretOfTheDesktopApplic");
    return client_set_certificate(confidential, sim->keys.certificate, why) &&
           client_set_certificate(service, sim->keys.certificate, why);
}
