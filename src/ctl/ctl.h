/* bearerctl: one row in ctl_commands[] (commands.c), one file per command. Help,
 * manual page and completions are written from the rows. */
#pragma once

#include <stdbool.h>

/* Exit codes. */
enum {
    CTL_OK,
    CTL_FAILED,      /* bearerd, or we, could not do it */
    CTL_USAGE,       /* the command line is wrong */
    CTL_UNREACHABLE, /* no bearerd answers */
    CTL_FORBIDDEN,   /* bearerd does not let us */
    CTL_PARTLY       /* done for some, not for others */
};

struct ctl_option {
    const char *name;  /* without dashes; NULL ends a list */
    char letter;       /* 0: none */
    const char *value; /* stands for the value in texts; NULL: takes none */
    const char *words; /* "a|b": the only values; NULL: any */
    const char *help;
};

#define CTL_LOCAL 1u  /* speaks to no bearerd */
#define CTL_JSON 2u   /* takes --json */
#define CTL_SECRET 4u /* secrets travel: never in clear over a network */

struct args;

struct ctl_command {
    const char *name;      /* one word, or two: a group and what to do in it */
    const char *arguments; /* "" none */
    int at_least, at_most; /* how many of them; at_most -1: any number */
    const char *words;     /* "a|b": the only arguments; NULL: any */
    unsigned flags;
    const struct ctl_option *options; /* NULL: none of its own */
    const char *summary;              /* a line for the list */
    const char *help;                 /* paragraphs, each a line; "" none */
    int (*run)(const struct args *args);
};

extern const struct ctl_command ctl_commands[];          /* ends with a NULL name */
extern const struct ctl_option ctl_connection_options[]; /* of all that are not CTL_LOCAL */
extern const struct ctl_option ctl_json_options[];       /* of those with CTL_JSON */

/* Say on standard error what went wrong, with control characters made harmless,
 * and return the code: CTL_USAGE, CTL_FAILED. */
int ctl_usage(const char *format, ...) __attribute__((format(printf, 1, 2)));
int ctl_fail(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* Something worth knowing that changes no exit code. */
void ctl_note(const char *format, ...) __attribute__((format(printf, 1, 2)));

int cmd_accounts_add(const struct args *args);
int cmd_accounts_disable(const struct args *args);
int cmd_accounts_enable(const struct args *args);
int cmd_accounts_export(const struct args *args);
int cmd_accounts_import(const struct args *args);
int cmd_accounts_list(const struct args *args);
int cmd_accounts_remove(const struct args *args);
int cmd_accounts_set(const struct args *args);
int cmd_accounts_show(const struct args *args);
int cmd_accounts_verify(const struct args *args);
int cmd_addresses(const struct args *args);
int cmd_api_token_create(const struct args *args);
int cmd_api_token_list(const struct args *args);
int cmd_api_token_revoke(const struct args *args);
int cmd_check(const struct args *args);
int cmd_completion(const struct args *args);
int cmd_config(const struct args *args);
int cmd_drain(const struct args *args);
int cmd_health(const struct args *args);
int cmd_help(const struct args *args);
int cmd_limits(const struct args *args);
int cmd_log(const struct args *args);
int cmd_login(const struct args *args);
int cmd_passwd(const struct args *args);
int cmd_pools(const struct args *args);
int cmd_rekey(const struct args *args);
int cmd_reload(const struct args *args);
int cmd_status(const struct args *args);
int cmd_tokens(const struct args *args);
int cmd_top(const struct args *args);

/* `bearerctl` alone, and --help. */
int help_list(void);
int help_command(const struct ctl_command *command);
