#include "conf/cli.h"

#include <errno.h>
#include <getopt.h>
#include <stdlib.h>
#include <unistd.h>

struct flag {
    const char *name, *value, *variable;
    const char *option; /* that it sets, NULL: it is for cli.c or main.c */
    const char *help;
};

enum {
    FLAG_CONFIG,
    FLAG_ACCOUNTS,
    FLAG_HOST,
    FLAG_PORT,
    FLAG_DRY_RUN,
    FLAG_CHECK,
    FLAG_VERSION,
    FLAG_HELP
};

static const struct flag flags[] = {
    [FLAG_CONFIG] = {"config", "FILE", NULL, NULL,
                     "Configuration, YAML or JSON. Default: the first of ./bearerd.yaml, "
                     "./config.json and /etc/bearerd/bearerd.yaml, or nothing."},
    [FLAG_ACCOUNTS] =
        {"accounts", "LOCATION", NULL, "store.location",
         "Accounts: sqlite:FILE, file:FILE for an accounts.json, or a FILE of either "
         "kind. Default: the first of ./accounts.json and accounts.json in "
         "/etc/xoauth2, /usr/local/etc/xoauth2, ~/.xoauth2 and /etc/bearerd; if there "
         "is none, accounts.db in $STATE_DIRECTORY, /var/lib/bearerd (as root) or "
         "~/.local/state/bearerd, which is made."},
    [FLAG_HOST] = {"host", "ADDRESS", "XOAUTH2_HOST", NULL,
                   "Listen here without TLS, in place of listeners (127.0.0.1)."},
    [FLAG_PORT] = {"port", "PORT", "XOAUTH2_PORT", NULL, "On this port (2525)."},
    [FLAG_DRY_RUN] = {"dry-run", NULL, "XOAUTH2_DRY_RUN", "dry_run",
                      "Connect and authenticate at the provider, send nothing, answer 250."},
    [FLAG_CHECK] = {"check", NULL, NULL, NULL, "Check configuration and accounts, then exit."},
    [FLAG_VERSION] = {"version", NULL, NULL, NULL, "Print the version, then exit."},
    [FLAG_HELP] = {"help", NULL, NULL, NULL, "Print this, then exit."},
    {"key-file", "FILE", NULL, "store.key_file",
     "The key that opens the secrets of an sqlite: store. Default: the credential bearerd.key of "
     "the service manager, else accounts.db.key beside accounts.db, which is made."},
    {"admin-host", "ADDRESS", "XOAUTH2_ADMIN_HOST", "admin.host",
     "The admin API listens here; other than loopback needs TLS and an API token (127.0.0.1)."},
    {"admin-port", "PORT", "XOAUTH2_ADMIN_PORT", "admin.port",
     "On this port; 0: on its unix socket only (9090)."},
    {"global-concurrency", "N", "XOAUTH2_GLOBAL_CONCURRENCY", "limits.global_concurrency",
     "Messages being relayed at once (0: no limit)."},
    {"log-level", "LEVEL", NULL, "log.level", "error, warn, info, debug or trace (info)."},
    {"workers", "N", NULL, "workers", "Threads that relay (0: one per CPU)."},
    {"ca-file", "FILE", NULL, "ca_file",
     "Certificates that vouch for providers and token endpoints (the system's)."},
};

#define FLAGS (sizeof(flags) / sizeof(*flags))
_Static_assert(FLAGS <= CLI_FLAGS_MAX, "CLI_FLAGS_MAX");

/* --- reading --------------------------------------------------------------- */

/* 1 and 0 are what the environment often has for a switch. */
static const char *variable_value(const struct flag *flag)
{
    const char *value = flag->variable ? getenv(flag->variable) : NULL;

    if (!value || !*value)
        return NULL;
    if (!flag->value && strcmp(value, "1") == 0)
        return "true";
    return !flag->value && strcmp(value, "0") == 0 ? "false" : value;
}

static void read_environment(struct cli *cli)
{
    for (size_t i = 0; i < FLAGS; i++) {
        cli->values[i] = variable_value(&flags[i]);
        cli->from_environment[i] = cli->values[i] != NULL;
    }
}

static bool refuse_flag(const char *given, struct reason *why)
{
    const char *names[FLAGS + 1] = {NULL}, *nearest;
    char word[64];
    const char *start = given + strspn(given, "-");

    for (size_t i = 0; i < FLAGS; i++)
        names[i] = flags[i].name;
    slice_copy((struct slice){start, strcspn(start, "=")}, word, sizeof(word));
    nearest = nearest_name(word, names);
    if (nearest)
        return reason_set(why, "there is no option \"%.64s\"; did you mean \"--%s\"?", given,
                          nearest);
    return reason_set(why, "there is no option \"%.64s\"; see --help", given);
}

/* What getopt_long returns for the first flag; below are letters. Each has its
 * own, or getopt_long would not see that an abbreviation is ambiguous. */
#define FLAG_BASE 256

static void list_options(struct option *longs)
{
    for (size_t i = 0; i < FLAGS; i++)
        longs[i] = (struct option){flags[i].name, flags[i].value ? required_argument : no_argument,
                                   NULL, FLAG_BASE + (int)i};
    longs[FLAGS] = (struct option){NULL, 0, NULL, 0};
}

static bool refuse_argument(int got, const char *given, struct reason *why)
{
    if (got == ':')
        return reason_set(why, "%.64s needs a value; see --help", given);
    if (optopt >= FLAG_BASE)
        return reason_set(why, "--%s takes no value; see --help", flags[optopt - FLAG_BASE].name);
    return refuse_flag(given, why);
}

static bool read_flags(struct cli *cli, int argc, char **argv, struct reason *why)
{
    struct option longs[FLAGS + 1];
    int got;

    list_options(longs);
    opterr = 0;
    optind = 0; /* starts anew, also in tests */
    while ((got = getopt_long(argc, argv, ":h", longs, NULL)) != -1) {
        size_t flag = got == 'h' ? FLAG_HELP : (size_t)(got - FLAG_BASE);

        if (got != 'h' && got < FLAG_BASE)
            return refuse_argument(got, argv[optind - 1], why);
        cli->values[flag] = optarg ? optarg : "true";
        cli->from_environment[flag] = false;
    }
    if (optind < argc)
        return reason_set(why, "\"%.64s\" is not an option; see --help", argv[optind]);
    return true;
}

bool cli_parse(struct cli *cli, int argc, char **argv, struct reason *why)
{
    *cli = (struct cli){0};
    read_environment(cli);
    if (!read_flags(cli, argc, argv, why))
        return false;
    cli->config = cli->values[FLAG_CONFIG];
    cli->accounts = cli->values[FLAG_ACCOUNTS];
    cli->check = cli->values[FLAG_CHECK];
    cli->help = cli->values[FLAG_HELP];
    cli->version = cli->values[FLAG_VERSION];
    cli->dry_run = cli->values[FLAG_DRY_RUN] && strcmp(cli->values[FLAG_DRY_RUN], "true") == 0;
    return true;
}

/* --- applying -------------------------------------------------------------- */

static bool refuse_value(const struct cli *cli, size_t flag, const struct reason *detail,
                         struct reason *why)
{
    if (cli->from_environment[flag])
        return reason_set(why, "%s: %s", flags[flag].variable, detail->text);
    return reason_set(why, "--%s: %s", flags[flag].name, detail->text);
}

/* The original took names that bind() takes; a listener has numbers. */
static void listener_address(const char *host, const char *port, struct text *out)
{
    if (strcmp(host, "localhost") == 0)
        host = "127.0.0.1";
    if (strncmp(host, "unix:", 5) == 0)
        text_add_str(out, host);
    else if (strchr(host, ':') && host[0] != '[')
        text_addf(out, "[%s]:%s", host, port);
    else
        text_addf(out, "%s:%s", host, port);
}

static enum conf_origin_kind origin_of(const struct cli *cli, size_t flag)
{
    return cli->from_environment[flag] ? CONF_ENVIRONMENT : CONF_FLAG;
}

static bool apply_listener(const struct cli *cli, struct conf *conf, struct reason *why)
{
    const char *host = cli->values[FLAG_HOST], *port = cli->values[FLAG_PORT];
    char memory[256];
    struct text address;
    struct reason detail;

    if (!host && !port)
        return true;
    text_init(&address, memory, sizeof(memory));
    listener_address(host ? host : "127.0.0.1", port ? port : "2525", &address);
    return conf_set_from(conf, "listeners", memory, origin_of(cli, host ? FLAG_HOST : FLAG_PORT),
                         &detail) ||
           refuse_value(cli, host ? FLAG_HOST : FLAG_PORT, &detail, why);
}

bool cli_apply(const struct cli *cli, struct conf *conf, struct reason *why)
{
    for (size_t i = 0; i < FLAGS; i++) {
        struct reason detail;

        if (flags[i].option && cli->values[i] &&
            !conf_set_from(conf, flags[i].option, cli->values[i], origin_of(cli, i), &detail))
            return refuse_value(cli, i, &detail, why);
    }
    return apply_listener(cli, conf, why);
}

/* --- files ----------------------------------------------------------------- */

static bool take_path(const char *flag, const char *given, char *path, size_t cap,
                      struct reason *why)
{
    if (!slice_copy(slice_of(given), path, cap))
        return reason_set(why, "--%s: the path is too long", flag);
    return access(path, F_OK) == 0 || reason_set(why, "--%s %s: %s", flag, path, strerror(errno));
}

/* The first that exists; `home` stands for "~". */
static bool search(const char *const *places, char *path, size_t cap)
{
    const char *home = getenv("HOME");
    struct text full;

    for (; *places; places++) {
        bool below_home = (*places)[0] == '~';

        text_init(&full, path, cap);
        text_addf(&full, "%s%s", below_home && home ? home : "", *places + below_home);
        if ((!below_home || home) && !full.cut && access(path, F_OK) == 0)
            return true;
    }
    path[0] = '\0';
    return false;
}

bool cli_find_config(const struct cli *cli, char *path, size_t cap, struct reason *why)
{
    static const char *const places[] = {"./bearerd.yaml", "./config.json",
                                         "/etc/bearerd/bearerd.yaml", NULL};

    if (cli->config)
        return take_path("config", cli->config, path, cap, why);
    search(places, path, cap);
    return true;
}

/* What the store makes when it is missing. */
static bool may_be_missing(const char *location)
{
    size_t len = strlen(location);

    return strncmp(location, "sqlite:", 7) == 0 ||
           (len > 3 && strcmp(location + len - 3, ".db") == 0);
}

static bool take_location(const struct cli *cli, const char *given, char *location, size_t cap,
                          struct reason *why)
{
    const char *name = cli->accounts ? "--accounts" : "store.location";
    const char *path = strncmp(given, "file:", 5) == 0 ? given + 5 : given;

    if (!slice_copy(slice_of(given), location, cap))
        return reason_set(why, "%s: the path is too long", name);
    return may_be_missing(path) || access(path, F_OK) == 0 ||
           reason_set(why, "%s %s: %s", name, path, strerror(errno));
}

/* systemd may name several folders, separated by colons. */
static bool default_location(char *location, size_t cap, struct reason *why)
{
    const char *state = getenv("STATE_DIRECTORY"), *home = getenv("HOME");
    struct text text;

    text_init(&text, location, cap);
    text_add_str(&text, "sqlite:");
    if (state && state[0])
        text_add(&text, state, strcspn(state, ":"));
    else if (geteuid() == 0)
        text_add_str(&text, "/var/lib/bearerd");
    else if (home && home[0])
        text_addf(&text, "%s/.local/state/bearerd", home);
    else
        return reason_set(why, "there is no home folder to keep accounts in: name a place with "
                               "--accounts");
    text_add_str(&text, "/accounts.db");
    return !text.cut || reason_set(why, "the path of the state folder is too long");
}

bool cli_find_accounts(const struct cli *cli, const struct conf *conf, char *location, size_t cap,
                       bool *by_default, struct reason *why)
{
    static const char *const places[] = {"./accounts.json",
                                         "/etc/xoauth2/accounts.json",
                                         "/usr/local/etc/xoauth2/accounts.json",
                                         "~/.xoauth2/accounts.json",
                                         "/etc/bearerd/accounts.json",
                                         NULL};

    *by_default = false;
    if (cli->accounts && !cli->accounts[0])
        return reason_set(why, "--accounts: the name is empty");
    if (conf->store_location[0])
        return take_location(cli, conf->store_location, location, cap, why);
    if (search(places, location, cap))
        return true;
    *by_default = true;
    return default_location(location, cap, why);
}

/* --- help ------------------------------------------------------------------ */

#define HELP_COLUMN 26
#define HELP_WIDTH 80

/* Words of `help` in lines behind the flag's column. */
static void print_wrapped(FILE *out, const char *help)
{
    size_t column = HELP_COLUMN;

    while (*help) {
        size_t word = strcspn(help, " ");

        if (column > HELP_COLUMN && column + 1 + word > HELP_WIDTH) {
            fprintf(out, "\n%*s", HELP_COLUMN, "");
            column = HELP_COLUMN;
        }
        column += (size_t)fprintf(out, "%s%.*s", column > HELP_COLUMN ? " " : "", (int)word, help);
        help += word + strspn(help + word, " ");
    }
    fputc('\n', out);
}

void cli_print_help(FILE *out)
{
    fprintf(out, "Usage: bearerd [OPTION]...\n"
                 "Relays mail to providers that want OAuth2, over pooled connections.\n\n");
    for (size_t i = 0; i < FLAGS; i++) {
        char left[64];

        snprintf(left, sizeof(left), "  --%s %s", flags[i].name,
                 flags[i].value ? flags[i].value : "");
        fprintf(out, "%-*s", HELP_COLUMN, left);
        if (strlen(left) >= HELP_COLUMN)
            fprintf(out, "\n%*s", HELP_COLUMN, "");
        print_wrapped(out, flags[i].help);
    }
    fprintf(out, "\nThe environment may hold the same, with less weight:");
    for (size_t i = 0; i < FLAGS; i++) {
        if (flags[i].variable)
            fprintf(out, "\n  %s", flags[i].variable);
    }
    fprintf(out, "\n\nSee bearerd(8), and bearerd.yaml(5) for the configuration.\n");
}

size_t cli_flags(void (*each)(const struct cli_flag_info *info, void *arg), void *arg)
{
    for (size_t i = 0; i < FLAGS; i++)
        each(&(struct cli_flag_info){flags[i].name, flags[i].value, flags[i].variable,
                                     flags[i].help},
             arg);
    return FLAGS;
}
