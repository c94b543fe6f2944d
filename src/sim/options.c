#include "sim/options.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>

struct option_row {
    char letter;
    const char *name, *value, *help;
};

static const struct option_row rows[] = {
    {'p', "profile", "NAME", "gmail or m365: how listeners talk and what accounts are (gmail)"},
    {'s', "smtp-port", "PORT", "STARTTLS listener; 0: the kernel picks (default), off: none"},
    {'S', "smtps-port", "PORT", "implicit TLS listener, likewise"},
    {'l', "listen", "SPEC", "one more listener: smtp:PORT:PROFILE or smtps:PORT:PROFILE"},
    {'h', "http-port", "PORT", "HTTPS: POST /token, /introspect; likewise"},
    {'c', "control-port", "PORT", "plain HTTP: /state, /messages, /knobs...; likewise"},
    {'b', "bind", "ADDRESS", "where to listen (127.0.0.1)"},
    {'d', "state-dir", "DIR", "certificates, accounts.json, ports.json (bearer-sim)"},
    {'a', "accounts", "N[:PROFILE]", "user1 to userN; again: more, with another profile (3)"},
    {'D', "domain", "NAME", "their domain (example.test)"},
    {'k', "knob", "NAME=VALUE", "a global knob, see below"},
    {'n', "no-digest", NULL, "no SHA-256 of the content"},
    {'m', "keep-messages", "N", "how many accepted messages are remembered (65536)"},
    {'K', "keep-content", "OCTETS", "so much of each message's content is remembered (0)"},
    {'M', "mail-dir", "DIR", "each message is written there as SEQ.eml"},
    {'N', "cert-names", "LIST", "names in the certificate (localhost,127.0.0.1,::1)"},
    {'y', "cert-days", "DAYS", "its lifetime, negative: expired (825); for a new certificate"},
    {'r', "seed", "NUMBER", "for tokens and chances; 0: differs each time (default)"},
    {'R', "resume", NULL, "accounts and tokens go on from DIR/tokens.json, and are left there"},
    {'?', "help", NULL, "this text"},
};

#define ROWS (sizeof(rows) / sizeof(*rows))

void options_print_help(void)
{
    printf("bearer-sim: a simulated mail provider with OAuth2, for tests.\n\n");
    for (size_t i = 0; i < ROWS; i++) {
        char left[40];

        snprintf(left, sizeof(left), "--%s %s", rows[i].name, rows[i].value ? rows[i].value : "");
        printf("  %-26s %s\n", left, rows[i].help);
    }
    printf("\n");
}

static bool parse_number(const char *text, uint64_t *out, struct reason *why)
{
    if (!slice_to_u64(slice_of(text), out))
        return reason_set(why, "\"%s\" is not a whole number", text);
    return true;
}

static bool parse_days(const char *text, int *days, struct reason *why)
{
    char *end;
    long number = strtol(text, &end, 10);

    if (end == text || *end || number < -36500 || number > 36500)
        return reason_set(why, "\"%s\" is not a number of days", text);
    *days = (int)number;
    return true;
}

static bool parse_port(const char *text, int *port, struct reason *why)
{
    uint64_t number;

    if (strcmp(text, "off") == 0) {
        *port = PORT_OFF;
        return true;
    }
    if (!slice_to_u64(slice_of(text), &number) || number > 65535)
        return reason_set(why, "\"%s\" is not a port", text);
    *port = (int)number;
    return true;
}

static bool parse_profile(const char *text, const struct profile **profile, struct reason *why)
{
    *profile = profile_find(text);
    return *profile || reason_set(why, "there is no profile \"%s\": use gmail or m365", text);
}

static bool parse_listen(struct options *options, const char *text, struct reason *why)
{
    char kind[8], port[8], profile[16];
    struct listen_spec *spec = &options->listeners[options->listener_count];

    if (options->listener_count == OPTIONS_LISTENERS - 2)
        return reason_set(why, "too many listeners");
    if (sscanf(text, "%7[^:]:%7[^:]:%15s", kind, port, profile) != 3 ||
        (strcmp(kind, "smtp") != 0 && strcmp(kind, "smtps") != 0))
        return reason_set(why, "\"%s\" is not smtp:PORT:PROFILE or smtps:PORT:PROFILE", text);
    spec->implicit_tls = strcmp(kind, "smtps") == 0;
    if (!parse_port(port, &spec->port, why) || !parse_profile(profile, &spec->profile, why))
        return false;
    options->listener_count++;
    return true;
}

static bool parse_group(struct options *options, const char *text, struct reason *why)
{
    struct account_group *group = &options->groups[options->group_count];
    char number[12], profile[16] = "";
    uint64_t count;

    if (options->group_count == OPTIONS_GROUPS)
        return reason_set(why, "too many groups of accounts");
    if (sscanf(text, "%11[^:]:%15s", number, profile) < 1 || !parse_number(number, &count, why))
        return reason_set(why, "\"%s\" is not N or N:PROFILE", text);
    group->count = (unsigned)count;
    group->profile = NULL;
    if (*profile && !parse_profile(profile, &group->profile, why))
        return false;
    options->group_count++;
    return true;
}

static bool add_knob(struct options *options, const char *text, struct reason *why)
{
    if (options->knob_count == OPTIONS_KNOBS)
        return reason_set(why, "too many --knob");
    options->knobs[options->knob_count++] = text;
    return true;
}

static bool take(struct options *options, char letter, char *value, struct reason *why)
{
    switch (letter) {
    case 'p':
        return parse_profile(value, &options->profile, why);
    case 's':
        return parse_port(value, &options->smtp_port, why);
    case 'S':
        return parse_port(value, &options->smtps_port, why);
    case 'l':
        return parse_listen(options, value, why);
    case 'h':
        return parse_port(value, &options->http_port, why);
    case 'c':
        return parse_port(value, &options->control_port, why);
    case 'a':
        return parse_group(options, value, why);
    case 'k':
        return add_knob(options, value, why);
    case 'm':
        return parse_number(value, &options->keep_messages, why);
    case 'K':
        return parse_number(value, &options->keep_content, why);
    case 'r':
        return parse_number(value, &options->seed, why);
    case 'b':
        options->bind = value;
        break;
    case 'd':
        options->state_dir = value;
        break;
    case 'D':
        options->domain = value;
        break;
    case 'M':
        options->mail_dir = value;
        break;
    case 'N':
        options->cert_names = value;
        break;
    case 'y':
        return parse_days(value, &options->cert_days, why);
    case 'R':
        options->resume = true;
        break;
    case 'n':
        options->digest = false;
        break;
    default:
        options->help = true;
    }
    return true;
}

static void set_defaults(struct options *options)
{
    *options = (struct options){
        .bind = "127.0.0.1",
        .profile = &profile_gmail,
        .state_dir = "bearer-sim",
        .domain = "example.test",
        .cert_names = "localhost,127.0.0.1,::1",
        .cert_days = 825,
        .digest = true,
        .keep_messages = 65536,
    };
}

/* --smtp-port and --smtps-port come first, so that they are "the" ports. */
static void add_default_listeners(struct options *options)
{
    struct listen_spec all[OPTIONS_LISTENERS];
    size_t count = 0;

    if (options->smtp_port != PORT_OFF)
        all[count++] = (struct listen_spec){false, options->smtp_port, options->profile};
    if (options->smtps_port != PORT_OFF)
        all[count++] = (struct listen_spec){true, options->smtps_port, options->profile};
    for (size_t i = 0; i < options->listener_count; i++)
        all[count++] = options->listeners[i];
    memcpy(options->listeners, all, count * sizeof(*all));
    options->listener_count = count;
}

static void finish(struct options *options)
{
    add_default_listeners(options);
    if (!options->group_count)
        options->groups[options->group_count++].count = 3;
    for (size_t i = 0; i < options->group_count; i++) {
        if (!options->groups[i].profile)
            options->groups[i].profile = options->profile;
    }
}

bool options_parse(struct options *options, int argc, char **argv, struct reason *why)
{
    struct option longs[ROWS + 1] = {{0}};
    int letter;

    set_defaults(options);
    for (size_t i = 0; i < ROWS; i++)
        longs[i] = (struct option){rows[i].name, rows[i].value ? required_argument : no_argument,
                                   NULL, rows[i].letter == '?' ? 'H' : rows[i].letter};
    opterr = 0;
    while ((letter = getopt_long(argc, argv, "", longs, NULL)) != -1) {
        if (letter == '?')
            return reason_set(why, "bad option \"%s\"; see --help", argv[optind - 1]);
        if (!take(options, (char)letter, optarg, why))
            return false;
    }
    if (optind < argc)
        return reason_set(why, "unexpected argument \"%s\"", argv[optind]);
    finish(options);
    return true;
}
