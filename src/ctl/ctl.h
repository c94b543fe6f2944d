/* bearerctl: one row in commands[], one file per command. */
#pragma once

enum { CTL_OK, CTL_FAILED, CTL_USAGE }; /* exit codes */

struct ctl_command {
    const char *name, *arguments; /* "" none */
    const char *summary;          /* a line for the list */
    const char *help;             /* paragraphs for `bearerctl help NAME` */
    /* argv[0] is the command's name. Returns an exit code. */
    int (*run)(int argc, char **argv);
};

extern const struct ctl_command ctl_commands[]; /* ends with a NULL name */

const struct ctl_command *ctl_find(const char *name);
/* Says on standard error what is wrong with the command line: CTL_USAGE. */
int ctl_usage(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* ... or what went wrong: CTL_FAILED. */
int ctl_fail(const char *format, ...) __attribute__((format(printf, 1, 2)));

int cmd_help(int argc, char **argv);
int cmd_passwd(int argc, char **argv);
