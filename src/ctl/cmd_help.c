#include <stdio.h>

#include "ctl/ctl.h"

static int list_commands(void)
{
    puts("Usage: bearerctl COMMAND [ARGUMENT]...\n");
    for (const struct ctl_command *command = ctl_commands; command->name; command++)
        printf("  %-10s %-12s %s\n", command->name, command->arguments, command->summary);
    puts("\nSee bearerctl(1).");
    return CTL_OK;
}

int cmd_help(int argc, char **argv)
{
    const struct ctl_command *command;

    if (argc < 2)
        return list_commands();
    command = ctl_find(argv[1]);
    if (!command)
        return ctl_usage("there is no command \"%s\"", argv[1]);
    printf("bearerctl %s%s%s: %s\n", command->name, *command->arguments ? " " : "",
           command->arguments, command->summary);
    if (*command->help)
        printf("\n%s", command->help);
    return CTL_OK;
}
