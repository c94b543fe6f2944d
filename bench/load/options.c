#include "load/options.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>

enum kind { TEXT, NUMBER, DECIMAL, FLAG, CHOICE, PID };

static const char *const tls_names[] = {"none", "starttls", "implicit", NULL};
static const char *const auth_names[] = {"none", "plain", "xoauth2", "oauthbearer", NULL};
static const char *const flight_names[] = {"data", "bdat", "lockstep", NULL};

struct option_row {
    const char *name;
    enum kind kind;
    size_t offset; /* of the field; unused for PID */
    const char *const *choices;
    const char *help;
};

#define AT(field) offsetof(struct load_options, field)

static const struct option_row rows[] = {
    {"to", TEXT, AT(to), NULL, "ADDRESS:PORT of the server (127.0.0.1:2525)"},
    {"tls", CHOICE, AT(tls), tls_names, "none, starttls or implicit (none)"},
    {"ca-file", TEXT, AT(ca_file), NULL, "PEM trust anchors for TLS"},
    {"tls-name", TEXT, AT(tls_name), NULL, "name in the certificate (localhost)"},
    {"helo", TEXT, AT(helo), NULL, "argument of EHLO (load.example)"},
    {"auth", CHOICE, AT(auth), auth_names, "none, plain, xoauth2 or oauthbearer (none)"},
    {"users", TEXT, AT(users_file), NULL, "file of lines \"user secret\": password or token"},
    {"user", TEXT, AT(user), NULL, "instead of a file: user; %u is a number from 1"},
    {"password", TEXT, AT(password), NULL, "their password or token (x)"},
    {"accounts", NUMBER, AT(accounts), NULL, "so many of that user pattern (1)"},
    {"connections", NUMBER, AT(connections), NULL, "at the same time; users take turns (1)"},
    {"messages-per-connection", NUMBER, AT(per_connection), NULL, "then a new one; 0: no limit"},
    {"messages", NUMBER, AT(messages), NULL, "in all (1, or as --seconds says)"},
    {"seconds", DECIMAL, AT(seconds), NULL, "time to start messages in"},
    {"warm-up", NUMBER, AT(warm_up), NULL, "messages before those that count (0)"},
    {"rate", DECIMAL, AT(rate), NULL, "open loop: messages a second, whatever the answers do"},
    {"poisson", FLAG, AT(poisson), NULL, "open loop: at random times instead of even ones"},
    {"flight", CHOICE, AT(flight), flight_names, "data, bdat or lockstep (data)"},
    {"size", NUMBER, AT(size), NULL, "octets of content (2048)"},
    {"rcpts", NUMBER, AT(rcpts), NULL, "recipients of each message (1)"},
    {"json", TEXT, AT(json), NULL, "write the result there; -: standard output"},
    {"cpu-of", PID, 0, NULL, "a process whose CPU time is reported too; again: another"},
    {"sink", TEXT, AT(sink), NULL, "instead: an SMTP server on this address that takes all"},
    {"help", FLAG, AT(help), NULL, "this text"},
};

#define ROWS (sizeof(rows) / sizeof(*rows))

void load_options_print_help(void)
{
    printf("bearer-load: an SMTP load generator.\n\n");
    for (size_t i = 0; i < ROWS; i++)
        printf("  --%-24s %s\n", rows[i].name, rows[i].help);
}

static bool choose(const struct option_row *row, const char *value, unsigned *out,
                   struct reason *why)
{
    for (unsigned i = 0; row->choices[i]; i++) {
        if (strcmp(row->choices[i], value) == 0) {
            *out = i;
            return true;
        }
    }
    return reason_set(why, "--%s: \"%s\" is none of its values; see --help", row->name, value);
}

static bool parse_number(const struct option_row *row, const char *value, uint64_t *out,
                         struct reason *why)
{
    if (!slice_to_u64(slice_of(value), out))
        return reason_set(why, "--%s: \"%s\" is not a whole number", row->name, value);
    return true;
}

static bool parse_decimal(const struct option_row *row, const char *value, double *out,
                          struct reason *why)
{
    char *end;

    *out = strtod(value, &end);
    if (*value && !*end && *out >= 0)
        return true;
    return reason_set(why, "--%s: \"%s\" is not a number", row->name, value);
}

static bool add_watched(struct load_options *options, const struct option_row *row,
                        const char *value, struct reason *why)
{
    uint64_t pid;

    if (options->watched_count == OPTIONS_WATCHED)
        return reason_set(why, "too many --%s", row->name);
    if (!parse_number(row, value, &pid, why))
        return false;
    options->watched[options->watched_count++] = (int)pid;
    return true;
}

static bool take(struct load_options *options, const struct option_row *row, const char *value,
                 struct reason *why)
{
    void *field = (char *)options + row->offset;

    switch (row->kind) {
    case TEXT:
        *(const char **)field = value;
        return true;
    case NUMBER:
        return parse_number(row, value, field, why);
    case DECIMAL:
        return parse_decimal(row, value, field, why);
    case CHOICE:
        return choose(row, value, field, why);
    case PID:
        return add_watched(options, row, value, why);
    case FLAG:
        *(bool *)field = true;
        return true;
    }
    return false;
}

static bool check(struct load_options *options, struct reason *why)
{
    if (options->tls != LOAD_TLS_NONE && !options->ca_file)
        return reason_set(why, "--tls needs --ca-file");
    if (options->auth != LOAD_AUTH_NONE && !options->users_file && !options->user)
        return reason_set(why, "--auth needs --users or --user");
    if (!options->connections || !options->rcpts || !options->accounts)
        return reason_set(why, "--connections, --rcpts and --accounts must be above 0");
    if (options->poisson && options->rate <= 0)
        return reason_set(why, "--poisson needs --rate");
    if (!options->messages && options->seconds <= 0)
        options->messages = 1;
    return true;
}

bool load_options_parse(struct load_options *options, int argc, char **argv, struct reason *why)
{
    struct option longs[ROWS + 1] = {{0}};
    int index;

    *options = (struct load_options){
        .to = "127.0.0.1:2525",
        .tls_name = "localhost",
        .helo = "load.example",
        .password = "x",
        .accounts = 1,
        .connections = 1,
        .size = 2048,
        .rcpts = 1,
    };
    for (size_t i = 0; i < ROWS; i++)
        longs[i] = (struct option){
            rows[i].name, rows[i].kind == FLAG ? no_argument : required_argument, NULL, (int)i};
    opterr = 0;
    while ((index = getopt_long(argc, argv, "", longs, NULL)) != -1) {
        if ((size_t)index >= ROWS) /* '?' is */
            return reason_set(why, "bad option \"%s\"; see --help", argv[optind - 1]);
        if (!take(options, &rows[index], optarg, why))
            return false;
    }
    if (optind < argc)
        return reason_set(why, "unexpected argument \"%s\"", argv[optind]);
    return options->help || options->sink || check(options, why);
}
