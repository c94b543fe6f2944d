/* bearerctl's command line: COMMAND [OPTION]... [ARGUMENT]...
 *
 * Options may stand anywhere, as --name VALUE, --name=VALUE or -n VALUE; what
 * follows "--" is an argument. Options that each command knows may stand in
 * front of it too. */
#pragma once

#include "base/str.h"
#include "ctl/ctl.h"

#define ARGS_OPTIONS_MAX 64

struct args {
    const struct ctl_command *command; /* NULL: none was named */
    bool help, version;
    const char **words; /* arguments, in argv's order */
    int count;
    struct args_given {
        const struct ctl_option *option;
        const char *value; /* NULL: takes none */
    } given[ARGS_OPTIONS_MAX];
    int givens;
};

/* False and a reason for the user. The texts stay argv's. */
bool args_parse(struct args *args, const struct ctl_command *commands, int argc, char **argv,
                struct reason *why);
void args_clear(struct args *args);

/* The option's value, the last one if it was given twice; NULL: not given. An
 * option without a value has "". */
const char *args_value(const struct args *args, const char *name);
bool args_has(const struct args *args, const char *name);
/* Decimal, min..max; `otherwise` when it was not given. False says so itself. */
bool args_number(const struct args *args, const char *name, uint64_t min, uint64_t max,
                 uint64_t otherwise, uint64_t *out);
/* The argument, or NULL. */
const char *args_word(const struct args *args, int index);

/* Calls for each option of a command: its own, then --json, then those of the
 * connection. Stops when `each` returns false, and returns that option. */
const struct ctl_option *args_each_option(const struct ctl_command *command,
                                          bool (*each)(const struct ctl_option *option, void *arg),
                                          void *arg);
/* Is `word` one of "a|b|c"? */
bool args_is_one_of(const char *words, const char *word);
/* Copies the first of "a|b|c" and moves on; false at the end. */
bool args_next_word(const char **words, char *out, size_t cap);
