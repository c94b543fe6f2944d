/* The command line of bearerd. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#include "conf/conf.h"

#define CLI_FLAGS_MAX 24

/* Texts are argv's or the environment's. */
struct cli {
    const char *config, *accounts;      /* as given, NULL: see cli_find_... */
    bool check, dry_run, help, version; /* dry_run: as given, cli_apply sets the option too */
    const char *values[CLI_FLAGS_MAX];  /* by flag; NULL: not given */
    bool from_environment[CLI_FLAGS_MAX];
};

/* The environment first, flags on top of it. False and a reason that names the
 * flag and, if it is unknown, the nearest known one. */
bool cli_parse(struct cli *cli, int argc, char **argv, struct reason *why);

/* What flags and environment say wins over the file: to be called after each
 * conf_load, reloads included. --host and --port stand for one listener without
 * TLS, in place of all that the file has. */
bool cli_apply(const struct cli *cli, struct conf *conf, struct reason *why);

/* Which configuration file to read. One that was named must exist. If none was:
 * the first that exists of ./bearerd.yaml, ./config.json and
 * /etc/bearerd/bearerd.yaml, else "", which stands for an empty configuration. */
bool cli_find_config(const struct cli *cli, char *path, size_t cap, struct reason *why);

/* Where the accounts are, as store_open takes it. A file that was named must exist,
 * unless it is a database. If none was: the first that exists of ./accounts.json
 * and accounts.json in /etc/xoauth2, /usr/local/etc/xoauth2, ~/.xoauth2 and
 * /etc/bearerd, else the database in our state folder; `by_default` then says
 * that it and its folder may have to be made. */
bool cli_find_accounts(const struct cli *cli, const struct conf *conf, char *location, size_t cap,
                       bool *by_default, struct reason *why);

void cli_print_help(FILE *out);

/* Walks the flags for the manual page: calls once per flag. `value` is NULL for
 * those without, `variable` where the environment has none. */
struct cli_flag_info {
    const char *name, *value, *variable, *help;
};
size_t cli_flags(void (*each)(const struct cli_flag_info *info, void *arg), void *arg);
