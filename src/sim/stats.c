#include "sim/stats.h"

#include <stdlib.h>

void window_clear(struct window *window)
{
    free(window->at);
    *window = (struct window){0};
}

static void forget(struct window *window)
{
    window->head = (window->head + 1) % window->cap;
    window->count--;
}

size_t window_count(struct window *window, uint64_t now_ms)
{
    while (window->count && window->at[window->head] + WINDOW_MS <= now_ms)
        forget(window);
    return window->count;
}

/* Doubles the ring and puts its oldest entry first. */
static bool grow(struct window *window)
{
    size_t cap = window->cap ? window->cap * 2 : 32;
    uint64_t *at = malloc(cap * sizeof(*at));

    if (!at)
        return false;
    for (size_t i = 0; i < window->count; i++)
        at[i] = window->at[(window->head + i) % window->cap];
    free(window->at);
    window->at = at;
    window->cap = cap;
    window->head = 0;
    return true;
}

void window_add(struct window *window, uint64_t now_ms)
{
    window_count(window, now_ms);
    if (window->count == window->cap && (window->cap >= WINDOW_MAX || !grow(window))) {
        if (!window->cap)
            return;
        forget(window);
    }
    window->at[(window->head + window->count++) % window->cap] = now_ms;
    if (window->count > window->most)
        window->most = window->count;
}

void stats_clear(struct stats *stats)
{
    window_clear(&stats->messages);
    window_clear(&stats->logged_in);
    free(stats->peers);
    *stats = (struct stats){0};
}

void stats_reset(struct stats *stats)
{
    unsigned connections = stats->connections, submitting = stats->submitting;
    unsigned open = stats->open;

    stats_clear(stats);
    stats->connections = stats->max_connections = connections;
    stats->submitting = stats->max_submitting = submitting;
    stats->open = open;
}

void stats_connected(struct stats *stats)
{
    if (++stats->connections > stats->max_connections)
        stats->max_connections = stats->connections;
}

void stats_submitting(struct stats *stats)
{
    if (++stats->submitting > stats->max_submitting)
        stats->max_submitting = stats->submitting;
}

struct peer *stats_peer(struct stats *stats, const char *address)
{
    struct peer *peers = stats->peers;
    size_t count = stats->peer_count;

    for (size_t i = 0; i < count; i++) {
        if (strcmp(peers[i].address, address) == 0)
            return &peers[i];
    }
    if (count == PEERS_MAX)
        return &peers[PEERS_MAX - 1];
    peers = realloc(peers, (count + 1) * sizeof(*peers));
    if (!peers)
        return NULL;
    stats->peers = peers;
    stats->peer_count++;
    peers[count] = (struct peer){.logins = 0};
    slice_copy(slice_of(count == PEERS_MAX - 1 ? "others" : address), peers[count].address,
               PEER_TEXT);
    return &peers[count];
}

static void count(struct stats *stats, const char *grant, bool issued)
{
    struct grant_count *at = stats->grants;

    while (at->name && strcmp(at->name, grant) != 0)
        at++;
    if (at - stats->grants == STATS_GRANTS - 1)
        return;
    at->name = grant;
    at->issued += issued;
    at->refused += !issued;
}

void stats_token(struct stats *stats, const char *grant, bool issued)
{
    stats->refreshes += issued;
    stats->refresh_errors += !issued;
    if (grant)
        count(stats, grant, issued);
}

static json_t *show_grants(const struct stats *stats)
{
    json_t *out = json_object();

    for (const struct grant_count *at = stats->grants; at->name; at++)
        json_object_set_new(out, at->name,
                            json_pack("{s:I, s:I}", "issued", (json_int_t)at->issued, "refused",
                                      (json_int_t)at->refused));
    return out;
}

static json_t *show_peers(const struct stats *stats)
{
    json_t *out = json_object();

    for (size_t i = 0; i < stats->peer_count; i++) {
        const struct peer *peer = &stats->peers[i];

        json_object_set_new(out, peer->address,
                            json_pack("{s:I, s:I}", "logins", (json_int_t)peer->logins, "messages",
                                      (json_int_t)peer->messages));
    }
    return out;
}

static json_t *show_verbs(const struct stats *stats)
{
    json_t *out = json_object();

    for (int i = 0; i < SMTP_VERBS; i++) {
        if (stats->verbs[i])
            json_object_set_new(out, smtp_verb_names[i], json_integer((json_int_t)stats->verbs[i]));
    }
    return out;
}

json_t *stats_show(const struct stats *stats)
{
    return json_pack(
        "{s:I, s:i, s:i, s:i, s:i, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:o, s:o, s:o}", "accepted",
        (json_int_t)stats->accepted, "connections", (int)stats->connections, "max_connections",
        (int)stats->max_connections, "submitting", (int)stats->submitting, "max_submitting",
        (int)stats->max_submitting, "logins", (json_int_t)stats->logins, "login_failures",
        (json_int_t)stats->login_failures, "max_messages_60s", (json_int_t)stats->messages.most,
        "max_logins_60s", (json_int_t)stats->logged_in.most, "refreshes",
        (json_int_t)stats->refreshes, "refresh_errors", (json_int_t)stats->refresh_errors,
        "protocol_errors", (json_int_t)stats->protocol_errors, "commands", show_verbs(stats),
        "grants", show_grants(stats), "peers", show_peers(stats));
}
