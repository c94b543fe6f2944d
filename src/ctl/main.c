#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/str.h"
#include "ctl/ctl.h"

const struct ctl_command ctl_commands[] = {
    {"passwd", "", "make a password_hash for an account in accounts.json",
     "Asks twice for a password, or reads one line where standard input is not a\n"
     "terminal, and prints its Argon2id hash. That line is the value of password_hash\n"
     "in an account's record.\n",
     cmd_passwd},
    {"help", "[COMMAND]", "list the commands, or explain one", "", cmd_help},
    {NULL, NULL, NULL, NULL, NULL},
};

const struct ctl_command *ctl_find(const char *name)
{
    for (const struct ctl_command *command = ctl_commands; command->name; command++) {
        if (strcmp(command->name, name) == 0)
            return command;
    }
    return NULL;
}

static void say(const char *format, va_list args)
{
    fputs("bearerctl: ", stderr);
    vfprintf(stderr, format, args);
    fputc('\n', stderr);
}

int ctl_usage(const char *format, ...)
{
    va_list args;

    va_start(args, format);
    say(format, args);
    va_end(args);
    return CTL_USAGE;
}

int ctl_fail(const char *format, ...)
{
    va_list args;

    va_start(args, format);
    say(format, args);
    va_end(args);
    return CTL_FAILED;
}

#define NAMES_MAX 32

static int refuse_command(const char *name)
{
    const char *names[NAMES_MAX + 1] = {NULL}, *nearest;

    for (size_t i = 0; ctl_commands[i].name && i < NAMES_MAX; i++)
        names[i] = ctl_commands[i].name;
    nearest = nearest_name(name, names);
    if (nearest)
        return ctl_usage("there is no command \"%s\"; did you mean \"%s\"?", name, nearest);
    return ctl_usage("there is no command \"%s\"; see bearerctl help", name);
}

int main(int argc, char **argv)
{
    const struct ctl_command *command;

    if (argc < 2) {
        cmd_help(0, NULL);
        return CTL_USAGE;
    }
    if (strcmp(argv[1], "--version") == 0) {
        puts("bearerctl " BEARERD_VERSION);
        return CTL_OK;
    }
    if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0)
        return cmd_help(0, NULL);
    command = ctl_find(argv[1]);
    return command ? command->run(argc - 1, argv + 1) : refuse_command(argv[1]);
}
