/* Prints the table of commands for tools/ctl-docs, which writes the manual page
 * from it. Not installed. */
#include <stdio.h>

#include "ctl/args.h"

static void print_option(const char *kind, const struct ctl_option *option)
{
    printf("%s\t%s\t%s\t%s\t%s\t%s\n", kind, option->name,
           option->letter ? (char[]){option->letter, '\0'} : "", option->value ? option->value : "",
           option->words ? option->words : "", option->help);
}

static void print_options(const char *kind, const struct ctl_option *options)
{
    for (; options && options->name; options++)
        print_option(kind, options);
}

static void print_help(const char *help)
{
    for (; *help; help++)
        fputs(*help == '\n' ? "\\n" : (char[]){*help, '\0'}, stdout);
}

int main(void)
{
    for (const struct ctl_command *command = ctl_commands; command->name; command++) {
        printf("command\t%s\t%s\t%s\t%s\t%s\t", command->name, command->arguments,
               command->words ? command->words : "", command->flags & CTL_JSON ? "json" : "",
               command->summary);
        print_help(command->help);
        putchar('\n');
        print_options("own", command->options);
    }
    print_options("json", ctl_json_options);
    print_options("connection", ctl_connection_options);
    return fflush(stdout) == 0 ? 0 : 1;
}
