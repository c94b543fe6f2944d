/* Completions for bash, zsh and fish, made from the table of commands. All three
 * work alike: a loop finds the command among the words so far, one list says
 * what may follow an option, another what may follow a command. */
#include <stdio.h>
#include <string.h>

#include "ctl/args.h"
#include "ctl/out.h"

#define WORD_MAX 64

/* Within '...'. */
static void put_quoted(const char *text, bool fish)
{
    for (; *text; text++) {
        if (*text == '\'')
            fputs(fish ? "\\'" : "'\\''", stdout);
        else if (*text == '\\' && fish)
            fputs("\\\\", stdout);
        else
            putchar(*text);
    }
}

static void put_words(const char *words, const char *separator)
{
    for (; *words; words++) {
        if (*words == '|')
            fputs(separator, stdout);
        else
            putchar(*words);
    }
}

/* Copies the next group ("accounts") from `at` on and moves behind its first
 * command; false when there is none. */
static bool next_group(const struct ctl_command **at, char *out, size_t cap)
{
    for (; (*at)->name; (*at)++) {
        size_t len = strcspn((*at)->name, " ");
        bool first = *at == ctl_commands || strncmp((*at)[-1].name, (*at)->name, len + 1) != 0;

        if ((*at)->name[len] && first) {
            slice_copy((struct slice){(*at)->name, len}, out, cap);
            (*at)++;
            return true;
        }
    }
    return false;
}

static void put_groups(const char *separator)
{
    const struct ctl_command *at = ctl_commands;
    char group[WORD_MAX];
    bool first = true;

    while (next_group(&at, group, sizeof(group))) {
        printf("%s%s", first ? "" : separator, group);
        first = false;
    }
}

static bool is_file(const struct ctl_option *option)
{
    return option->value && strcmp(option->value, "FILE") == 0;
}

static bool takes_file(const struct ctl_command *command)
{
    return strstr(command->arguments, "FILE") != NULL;
}

/* Calls `put` for the options of each command; those of the connection once. */
struct each {
    const struct ctl_command *command; /* NULL: any */
    void (*put)(const struct ctl_command *command, const struct ctl_option *option);
};

static bool put_one(const struct ctl_option *option, void *arg)
{
    const struct each *each = arg;

    each->put(each->command, option);
    return true;
}

static void each_own_option(void (*put)(const struct ctl_command *command,
                                        const struct ctl_option *option))
{
    for (const struct ctl_command *command = ctl_commands; command->name; command++) {
        for (const struct ctl_option *option = command->options; option && option->name; option++)
            put(command, option);
    }
}

static void each_option(void (*put)(const struct ctl_command *command,
                                    const struct ctl_option *option))
{
    struct each each = {NULL, put};

    args_each_option(NULL, put_one, &each);
    each_own_option(put);
}

/* --- bash and zsh ---------------------------------------------------------- */

/* Is the option of another command listed already? */
static bool is_first(const struct ctl_option *option)
{
    for (const struct ctl_command *command = ctl_commands; command->name; command++) {
        for (const struct ctl_option *o = command->options; o && o->name; o++) {
            if (strcmp(o->name, option->name) == 0)
                return o == option;
        }
    }
    return true;
}

static void put_valued(const struct ctl_command *command, const struct ctl_option *option)
{
    (void)command;
    if (!option->value || !is_first(option))
        return;
    printf("|--%s", option->name);
    if (option->letter)
        printf("|-%c", option->letter);
}

/* Finds the command: words that are neither options nor their values. */
static void put_loop(const char *words)
{
    printf("    for word in %s; do\n"
           "        if [[ -n $skip ]]; then skip=; continue; fi\n"
           "        case $word in\n"
           "        ''",
           words);
    each_option(put_valued);
    fputs(") skip=1 ;;\n"
          "        -*) ;;\n"
          "        *) case $command in\n"
          "           ''|",
          stdout);
    put_groups("|");
    fputs(") command=\"${command:+$command }$word\" ;;\n"
          "           esac ;;\n"
          "        esac\n"
          "    done\n",
          stdout);
}

static void put_pattern(const struct ctl_command *command, const struct ctl_option *option)
{
    const char *name = command ? command->name : "*";
    const char *quote = command ? "'" : "";

    printf("    %s%s%s:--%s", quote, name, quote, option->name);
    if (option->letter)
        printf("|%s%s%s:-%c", quote, name, quote, option->letter);
    fputs(") ", stdout);
}

static void put_bash_value(const struct ctl_command *command, const struct ctl_option *option)
{
    if (!option->value)
        return;
    put_pattern(command, option);
    if (is_file(option)) {
        fputs("compopt -o filenames; COMPREPLY=($(compgen -f -- \"$cur\")); ", stdout);
    } else if (option->words) {
        fputs("COMPREPLY=($(compgen -W '", stdout);
        put_words(option->words, " ");
        fputs("' -- \"$cur\")); ", stdout);
    }
    puts("return ;;");
}

static void put_option_word(const struct ctl_command *command, const struct ctl_option *option)
{
    (void)command;
    printf(" --%s", option->name);
}

static void put_firsts(const char *group)
{
    size_t len = group ? strlen(group) + 1 : 0;
    const struct ctl_command *at = ctl_commands;
    char name[WORD_MAX];

    for (const struct ctl_command *command = ctl_commands; command->name; command++) {
        if (group && strncmp(command->name, group, len - 1) == 0 && command->name[len - 1] == ' ')
            printf(" %s", command->name + len);
        else if (!group && !strchr(command->name, ' '))
            printf(" %s", command->name);
    }
    while (!group && next_group(&at, name, sizeof(name)))
        printf(" %s", name);
}

static void put_bash_command(const struct ctl_command *command)
{
    struct each each = {command, put_option_word};

    printf("    '%s') words='", command->name);
    if (command->words)
        put_words(command->words, " ");
    args_each_option(command, put_one, &each);
    fputs(" --help'", stdout);
    if (takes_file(command))
        fputs("; files=1", stdout);
    puts(" ;;");
}

static int print_bash(void)
{
    const struct ctl_command *at = ctl_commands;
    char group[WORD_MAX];

    puts("# bash completion for bearerctl; made by `bearerctl completion bash`\n"
         "_bearerctl() {\n"
         "    local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD-1]}\n"
         "    local word command= skip= words= files=\n"
         "    COMPREPLY=()");
    put_loop("\"${COMP_WORDS[@]:1:COMP_CWORD-1}\"");
    puts("    case $command:$prev in");
    each_own_option(put_bash_value);
    for (const struct ctl_option *option = ctl_connection_options; option->name; option++)
        put_bash_value(NULL, option);
    puts("    esac\n    case $command in");
    fputs("    '') words='", stdout);
    put_firsts(NULL);
    puts(" --help --version' ;;");
    while (next_group(&at, group, sizeof(group))) {
        printf("    '%s') words='", group);
        put_firsts(group);
        puts("' ;;");
    }
    for (const struct ctl_command *command = ctl_commands; command->name; command++)
        put_bash_command(command);
    puts("    esac\n"
         "    COMPREPLY=($(compgen -W \"$words\" -- \"$cur\"))\n"
         "    if [[ -n $files && $cur != -* ]]; then\n"
         "        compopt -o filenames\n"
         "        COMPREPLY+=($(compgen -f -- \"$cur\"))\n"
         "    fi\n"
         "}\n"
         "complete -F _bearerctl bearerctl");
    return out_flush();
}

static void put_zsh_value(const struct ctl_command *command, const struct ctl_option *option)
{
    if (!option->value)
        return;
    put_pattern(command, option);
    if (is_file(option)) {
        fputs("_files", stdout);
    } else if (option->words) {
        fputs("compadd -- ", stdout);
        put_words(option->words, " ");
    } else {
        printf("_message '%s'", option->value);
    }
    puts("; return ;;");
}

static void put_zsh_word(const char *word, const char *text)
{
    printf(" '%s:", word);
    put_quoted(text, false);
    putchar('\'');
}

static void put_zsh_option(const struct ctl_command *command, const struct ctl_option *option)
{
    char word[WORD_MAX];

    (void)command;
    snprintf(word, sizeof(word), "--%s", option->name);
    put_zsh_word(word, option->help);
}

static void put_zsh_command(const struct ctl_command *command)
{
    struct each each = {command, put_zsh_option};

    printf("    '%s')\n        list=(", command->name);
    args_each_option(command, put_one, &each);
    puts(")");
    if (command->words) {
        fputs("        compadd -- ", stdout);
        put_words(command->words, " ");
        putchar('\n');
    }
    puts(takes_file(command) ? "        _files\n        ;;" : "        ;;");
}

static void put_zsh_group(const char *group)
{
    size_t len = strlen(group);

    printf("    '%s')\n        list=(", group);
    for (const struct ctl_command *command = ctl_commands; command->name; command++) {
        if (strncmp(command->name, group, len) == 0 && command->name[len] == ' ')
            put_zsh_word(command->name + len + 1, command->summary);
    }
    puts(")\n        ;;");
}

static void put_zsh_firsts(void)
{
    const struct ctl_command *at = ctl_commands;
    char group[WORD_MAX];

    fputs("    '')\n        list=(", stdout);
    for (const struct ctl_command *command = ctl_commands; command->name; command++) {
        if (!strchr(command->name, ' '))
            put_zsh_word(command->name, command->summary);
    }
    while (next_group(&at, group, sizeof(group)))
        put_zsh_word(group, "several commands");
    puts(")\n        ;;");
    for (at = ctl_commands; next_group(&at, group, sizeof(group));)
        put_zsh_group(group);
}

static int print_zsh(void)
{
    puts("#compdef bearerctl\n"
         "# zsh completion for bearerctl; made by `bearerctl completion zsh`\n"
         "_bearerctl() {\n"
         "    local word command= skip= prev=${words[CURRENT-1]}\n"
         "    local -a list");
    put_loop("\"${(@)words[2,CURRENT-1]}\"");
    puts("    case $command:$prev in");
    each_own_option(put_zsh_value);
    for (const struct ctl_option *option = ctl_connection_options; option->name; option++)
        put_zsh_value(NULL, option);
    puts("    esac\n    case $command in");
    put_zsh_firsts();
    for (const struct ctl_command *command = ctl_commands; command->name; command++)
        put_zsh_command(command);
    puts("    esac\n"
         "    _describe 'bearerctl' list\n"
         "}\n"
         "if [[ $funcstack[1] = _bearerctl ]]; then\n"
         "    _bearerctl \"$@\"\n"
         "else\n"
         "    compdef _bearerctl bearerctl\n"
         "fi");
    return out_flush();
}

/* --- fish ------------------------------------------------------------------ */

static void put_fish_head(const char *command)
{
    printf("complete -c bearerctl -n '__bearerctl_is \"%s\"'", command);
}

static void put_fish_option(const struct ctl_command *command, const struct ctl_option *option)
{
    put_fish_head(command->name);
    printf(" -l %s", option->name);
    if (option->letter)
        printf(" -s %c", option->letter);
    if (is_file(option)) {
        fputs(" -r -F", stdout);
    } else if (option->value) {
        fputs(" -x", stdout);
        if (option->words) {
            fputs(" -a '", stdout);
            put_words(option->words, " ");
            putchar('\'');
        }
    }
    fputs(" -d '", stdout);
    put_quoted(option->help, true);
    puts("'");
}

static void put_fish_word(const char *context, const char *word, const char *text)
{
    put_fish_head(context);
    printf(" -a %s -d '", word);
    put_quoted(text, true);
    puts("'");
}

static void put_fish_command(const struct ctl_command *command)
{
    struct each each = {command, put_fish_option};
    const char *blank = strchr(command->name, ' ');
    char group[WORD_MAX] = "";

    if (blank)
        slice_copy((struct slice){command->name, (size_t)(blank - command->name)}, group,
                   sizeof(group));
    put_fish_word(group, blank ? blank + 1 : command->name, command->summary);
    if (command->words) {
        put_fish_head(command->name);
        fputs(" -a '", stdout);
        put_words(command->words, " ");
        puts("'");
    }
    if (takes_file(command)) {
        put_fish_head(command->name);
        puts(" -F");
    }
    args_each_option(command, put_one, &each);
}

static void put_fish_valued(const struct ctl_command *command, const struct ctl_option *option)
{
    (void)command;
    if (!option->value || !is_first(option))
        return;
    printf(" --%s", option->name);
    if (option->letter)
        printf(" -%c", option->letter);
}

static int print_fish(void)
{
    static const struct ctl_command none = {.name = ""}; /* before the command is there */
    const struct ctl_command *at = ctl_commands;
    char group[WORD_MAX];

    puts("# fish completion for bearerctl; made by `bearerctl completion fish`\n"
         "function __bearerctl_is\n"
         "    set -l words (commandline -opc)\n"
         "    set -l found\n"
         "    set -l skip\n"
         "    for word in $words[2..-1]\n"
         "        if test -n \"$skip\"\n"
         "            set skip\n"
         "            continue\n"
         "        end\n"
         "        switch $word");
    fputs("            case ''", stdout);
    each_option(put_fish_valued);
    puts("\n                set skip 1\n"
         "            case '-*'\n"
         "            case '*'\n"
         "                switch \"$found\"");
    fputs("                    case '' ", stdout);
    put_groups(" ");
    puts("\n                        set -a found $word\n"
         "                end\n"
         "        end\n"
         "    end\n"
         "    test \"$found\" = \"$argv\"\n"
         "end\n"
         "complete -c bearerctl -f");
    while (next_group(&at, group, sizeof(group)))
        put_fish_word("", group, "several commands");
    for (const struct ctl_option *option = ctl_connection_options; option->name; option++)
        put_fish_option(&none, option);
    for (const struct ctl_command *command = ctl_commands; command->name; command++)
        put_fish_command(command);
    return out_flush();
}

int cmd_completion(const struct args *args)
{
    const char *shell = args_word(args, 0);

    if (strcmp(shell, "bash") == 0)
        return print_bash();
    return strcmp(shell, "zsh") == 0 ? print_zsh() : print_fish();
}
