/* The command line. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/str.h"
#include "sim/profile.h"

#define OPTIONS_LISTENERS 16
#define OPTIONS_GROUPS 8
#define OPTIONS_KNOBS 32
#define PORT_OFF (-1)

struct listen_spec {
    bool implicit_tls;
    int port; /* 0: the kernel picks */
    const struct profile *profile;
};

struct account_group {
    unsigned count;
    const struct profile *profile;
};

struct options {
    const char *bind;
    const struct profile *profile;
    int smtp_port, smtps_port, http_port, control_port;
    struct listen_spec listeners[OPTIONS_LISTENERS]; /* all SMTP ones */
    size_t listener_count;
    const char *state_dir, *domain;
    struct account_group groups[OPTIONS_GROUPS];
    size_t group_count;
    const char *cert_names; /* comma-separated names and addresses */
    int cert_days;          /* negative: expired */
    bool digest;
    uint64_t keep_messages, keep_content;
    const char *mail_dir; /* NULL: messages are not written */
    const char *knobs[OPTIONS_KNOBS];
    size_t knob_count;
    uint64_t seed;
    bool resume; /* accounts and tokens of the last run go on */
    bool help;
};

bool options_parse(struct options *options, int argc, char **argv, struct reason *why);
void options_print_help(void);
