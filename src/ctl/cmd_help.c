#include <stdio.h>
#include <string.h>

#include "ctl/args.h"

#define WIDTH 78
#define OPTION_WIDTH 30

/* Words from `column` on, in lines of at most WIDTH. */
static void put_words(const char *text, int column, int indent)
{
    while (*text) {
        int len = (int)strcspn(text, " ");

        if (column > indent && column + 1 + len > WIDTH) {
            printf("\n%*s", indent, "");
            column = indent;
        }
        printf("%s%.*s", column > indent ? " " : "", len, text);
        column += len + (column > indent);
        text += len;
        text += strspn(text, " ");
    }
    putchar('\n');
}

static void put_paragraphs(const char *text)
{
    char paragraph[2048];

    while (*text) {
        size_t len = strcspn(text, "\n");

        slice_copy((struct slice){text, len}, paragraph, sizeof(paragraph));
        putchar('\n');
        put_words(paragraph, 0, 0);
        text += len + (text[len] == '\n');
    }
}

static bool put_option(const struct ctl_option *option, void *arg)
{
    char head[128];
    int len;

    (void)arg;
    if (option->letter)
        snprintf(head, sizeof(head), "  -%c, --%s%s%s", option->letter, option->name,
                 option->value ? " " : "", option->value ? option->value : "");
    else
        snprintf(head, sizeof(head), "  --%s%s%s", option->name, option->value ? " " : "",
                 option->value ? option->value : "");
    len = printf("%-*s", OPTION_WIDTH - 1, head);
    if (len >= OPTION_WIDTH)
        printf("\n%*s", OPTION_WIDTH - 1, "");
    putchar(' ');
    put_words(option->help, OPTION_WIDTH, OPTION_WIDTH);
    if (option->words) {
        printf("%*s(", OPTION_WIDTH, "");
        for (const char *c = option->words; *c; c++)
            fputs(*c == '|' ? ", " : (char[]){*c, '\0'}, stdout);
        puts(")");
    }
    return true;
}

int help_command(const struct ctl_command *command)
{
    char summary[256];

    printf("bearerctl %s%s%s%s\n", command->name,
           command->options || !(command->flags & CTL_LOCAL) ? " [OPTION]..." : "",
           *command->arguments ? " " : "", command->arguments);
    snprintf(summary, sizeof(summary), "    %s", command->summary);
    puts(summary);
    put_paragraphs(command->help);
    if (command->options || command->flags & CTL_JSON || !(command->flags & CTL_LOCAL))
        puts("\nOptions:");
    args_each_option(command, put_option, NULL);
    return CTL_OK;
}

static void list_commands(const char *group)
{
    size_t len = group ? strlen(group) : 0;

    for (const struct ctl_command *command = ctl_commands; command->name; command++) {
        char head[64];

        if (group && (strncmp(command->name, group, len) != 0 || command->name[len] != ' '))
            continue;
        snprintf(head, sizeof(head), "%s %s", command->name, command->arguments);
        printf("  %-30s %s\n", head, command->summary);
    }
}

int help_list(void)
{
    puts("Usage: bearerctl COMMAND [OPTION]... [ARGUMENT]...\n");
    list_commands(NULL);
    puts("\nbearerctl help COMMAND tells more, bearerctl(1) all of it. Exit codes: 0 done,\n"
         "1 failed, 2 wrong command line, 3 cannot reach bearerd, 4 not allowed, 5 done\n"
         "in part.");
    return CTL_OK;
}

static bool is_group(const char *name)
{
    size_t len = strlen(name);

    for (const struct ctl_command *command = ctl_commands; command->name; command++) {
        if (strncmp(command->name, name, len) == 0 && command->name[len] == ' ')
            return true;
    }
    return false;
}

int cmd_help(const struct args *args)
{
    char *argv[] = {(char *)"bearerctl", (char *)args_word(args, 0), (char *)args_word(args, 1)};
    struct args wanted;
    struct reason why = {""};
    int rc;

    if (!args->count)
        return help_list();
    if (args->count == 1 && is_group(argv[1])) {
        list_commands(argv[1]);
        return CTL_OK;
    }
    /* As if it stood there with --help: no arguments are missing then. */
    char *line[] = {argv[0], argv[1], argv[2] ? argv[2] : (char *)"--help", (char *)"--help"};

    rc = args_parse(&wanted, ctl_commands, 4, line, &why) && wanted.command
             ? help_command(wanted.command)
             : ctl_usage("%s", why.text);
    args_clear(&wanted);
    return rc;
}
