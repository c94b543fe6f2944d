/* What a user, and everybody together, has done; GET /state shows it. */
#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "smtp/command.h"

#define WINDOW_MS 60000
#define WINDOW_MAX 65536 /* events that a window remembers; enough for any limit */

/* Events in a sliding 60 s, and the most that any 60 s ever held. Exact up to
 * WINDOW_MAX; beyond that `most` stops there. */
struct window {
    uint64_t *at; /* ring of times, oldest at head */
    size_t cap, head, count, most;
};

void window_clear(struct window *window);
void window_add(struct window *window, uint64_t now_ms);
size_t window_count(struct window *window, uint64_t now_ms);

#define PEERS_MAX 64
#define PEER_TEXT 48

/* What came from one client address. */
struct peer {
    char address[PEER_TEXT];
    uint64_t logins, messages;
};

#define STATS_GRANTS 6

/* The answers of the token endpoint to one kind of grant. */
struct grant_count {
    const char *name; /* static */
    uint64_t issued, refused;
};

struct stats {
    uint64_t accepted, logins, login_failures, refreshes, refresh_errors, protocol_errors;
    uint64_t verbs[SMTP_VERBS];
    unsigned connections, max_connections; /* logged in */
    unsigned submitting, max_submitting;   /* of these: within a transaction */
    unsigned open;                         /* transactions between MAIL and verdict */
    struct window messages, logged_in;
    struct grant_count grants[STATS_GRANTS]; /* the first without a name ends them */
    struct peer *peers; /* of users; the last of PEERS_MAX stands for all others */
    size_t peer_count;
};

void stats_clear(struct stats *stats);
/* Back to zero, but for what is true now (connections). */
void stats_reset(struct stats *stats);
void stats_connected(struct stats *stats);
void stats_submitting(struct stats *stats);
/* The counters of an address; NULL when memory is out. */
struct peer *stats_peer(struct stats *stats, const char *address);
/* A token request was answered; NULL as `grant`: of no kind that there is. */
void stats_token(struct stats *stats, const char *grant, bool issued);
json_t *stats_show(const struct stats *stats);
