/* The command line of bearer-load. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/str.h"

#define OPTIONS_WATCHED 8

enum load_tls { LOAD_TLS_NONE, LOAD_TLS_STARTTLS, LOAD_TLS_IMPLICIT };
enum load_auth { LOAD_AUTH_NONE, LOAD_AUTH_PLAIN, LOAD_AUTH_XOAUTH2, LOAD_AUTH_OAUTHBEARER };

/* How a message travels on a connection that stands. */
enum load_flight {
    LOAD_FLIGHT_DATA,    /* MAIL RCPT DATA in one write, then the content: 2 round trips */
    LOAD_FLIGHT_BDAT,    /* all in one write: 1 round trip */
    LOAD_FLIGHT_LOCKSTEP /* a round trip for each command */
};

struct load_options {
    const char *to, *ca_file, *tls_name, *helo;
    enum load_tls tls;
    enum load_auth auth;
    enum load_flight flight;
    const char *users_file;      /* lines of "user secret" */
    const char *user, *password; /* or a pattern, %u being a number from 1 */
    uint64_t accounts;
    uint64_t connections, per_connection; /* messages on one, 0: no limit */
    uint64_t messages, warm_up;
    double seconds, rate; /* 0: as many messages; closed loop */
    bool poisson;         /* open loop: at random instead of evenly */
    uint64_t size, rcpts;
    const char *json; /* file, "-" for standard output, NULL: none */
    int watched[OPTIONS_WATCHED];
    size_t watched_count;
    const char *sink; /* address to listen on; nothing else happens then */
    bool help;
};

bool load_options_parse(struct load_options *options, int argc, char **argv, struct reason *why);
void load_options_print_help(void);
