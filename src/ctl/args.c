#include "ctl/args.h"

#include <stdlib.h>

#define NAMES_MAX 64
#define NAME_MAX_LEN 64

/* What a secret would be given as: everybody on the machine can read a command
 * line. */
static const char *const secret_options[] = {"token",         "password",      "passwd",
                                             "client-secret", "refresh-token", NULL};

struct parser {
    struct args *args;
    const struct ctl_command *commands;
    const char *group; /* "accounts", before the word behind it */
    int argc, at;
    char **argv;
    struct reason *why;
};

bool args_next_word(const char **words, char *out, size_t cap)
{
    size_t len = strcspn(*words, "|");

    if (!len)
        return false;
    slice_copy((struct slice){*words, len}, out, cap);
    *words += len + ((*words)[len] == '|');
    return true;
}

bool args_is_one_of(const char *words, const char *word)
{
    char one[NAME_MAX_LEN];

    while (args_next_word(&words, one, sizeof(one))) {
        if (strcmp(one, word) == 0)
            return true;
    }
    return false;
}

static const struct ctl_option *each_of(const struct ctl_option *options,
                                        bool (*each)(const struct ctl_option *option, void *arg),
                                        void *arg)
{
    for (; options && options->name; options++) {
        if (!each(options, arg))
            return options;
    }
    return NULL;
}

/* Before the command is known, all that some of them know are allowed. */
const struct ctl_option *args_each_option(const struct ctl_command *command,
                                          bool (*each)(const struct ctl_option *option, void *arg),
                                          void *arg)
{
    const struct ctl_option *found = command ? each_of(command->options, each, arg) : NULL;

    if (!found && (!command || command->flags & CTL_JSON))
        found = each_of(ctl_json_options, each, arg);
    if (!found && (!command || !(command->flags & CTL_LOCAL)))
        found = each_of(ctl_connection_options, each, arg);
    return found;
}

struct wanted {
    struct slice name;
    char letter;
    const char *names[NAMES_MAX + 1];
    size_t count;
};

static bool is_other(const struct ctl_option *option, void *arg)
{
    struct wanted *wanted = arg;

    if (wanted->count < NAMES_MAX)
        wanted->names[wanted->count++] = option->name;
    if (wanted->letter)
        return option->letter != wanted->letter;
    return !slice_equal(slice_of(option->name), wanted->name);
}

static bool refuse_option(struct parser *parser, const struct wanted *wanted, const char *word)
{
    const char *name = parser->args->command ? parser->args->command->name : NULL, *nearest = NULL;
    char spelled[NAME_MAX_LEN];

    if (!wanted->letter && slice_copy(wanted->name, spelled, sizeof(spelled))) {
        for (size_t i = 0; secret_options[i]; i++) {
            if (strcmp(spelled, secret_options[i]) == 0)
                return reason_set(parser->why,
                                  "--%s: others could see it in the list of "
                                  "processes; see bearerctl help%s%s for where it goes",
                                  spelled, name ? " " : "", name ? name : "");
        }
        nearest = nearest_name(spelled, wanted->names);
    }
    return reason_set(parser->why, "%s%sthere is no option %.*s%s%s%s", name ? name : "",
                      name ? ": " : "", (int)strcspn(word, "="), word,
                      nearest ? "; did you mean --" : "", nearest ? nearest : "",
                      nearest ? "?" : "");
}

static bool check_value(const struct ctl_option *option, const char *value, struct reason *why)
{
    char list[256];
    struct text text;

    if (!option->words || args_is_one_of(option->words, value))
        return true;
    text_init(&text, list, sizeof(list));
    for (const char *c = option->words; *c; c++)
        text_add_str(&text, *c == '|' ? ", " : (char[]){*c, '\0'});
    return reason_set(why, "--%s is \"%.60s\", which is none of %s", option->name, value, list);
}

static bool keep_option(struct parser *parser, const struct ctl_option *option, const char *value)
{
    struct args *args = parser->args;

    if (args->givens == ARGS_OPTIONS_MAX)
        return reason_set(parser->why, "more than %d options", ARGS_OPTIONS_MAX);
    if (value && !check_value(option, value, parser->why))
        return false;
    args->given[args->givens++] = (struct args_given){option, value};
    return true;
}

/* `attached`: behind "=" or the letter, NULL: nothing. */
static bool take_option(struct parser *parser, const struct ctl_option *option,
                        const char *attached)
{
    if (!option->value) {
        if (attached)
            return reason_set(parser->why, "--%s takes no value", option->name);
        return keep_option(parser, option, NULL);
    }
    if (!attached && parser->at + 1 == parser->argc)
        return reason_set(parser->why, "--%s needs a value: %s", option->name, option->value);
    return keep_option(parser, option, attached ? attached : parser->argv[++parser->at]);
}

static bool parse_option(struct parser *parser, const char *word)
{
    bool is_long = word[1] == '-';
    size_t len = is_long ? strcspn(word + 2, "=") : 1;
    const char *rest = word + (is_long ? 2 : 1) + len;
    struct wanted wanted = {.name = {word + 2, len}, .letter = is_long ? '\0' : word[1]};
    const struct ctl_option *option;

    if (strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0)
        return parser->args->help = true;
    if (strcmp(word, "--version") == 0)
        return parser->args->version = true;
    option = args_each_option(parser->args->command, is_other, &wanted);
    if (!option)
        return refuse_option(parser, &wanted, word);
    if (!is_long && *rest == '=')
        rest++;
    else if (is_long && *rest)
        return take_option(parser, option, rest + 1);
    return take_option(parser, option, *rest ? rest : NULL);
}

static bool is_in_group(const struct ctl_command *command, const char *group)
{
    size_t len = strlen(group);

    return strncmp(command->name, group, len) == 0 && command->name[len] == ' ';
}

static bool refuse_command(struct parser *parser, const char *word)
{
    const char *names[NAMES_MAX + 1] = {NULL}, *group = parser->group, *nearest;
    char firsts[NAMES_MAX][NAME_MAX_LEN];
    size_t count = 0;

    for (const struct ctl_command *c = parser->commands; c->name && count < NAMES_MAX; c++) {
        if (group && !is_in_group(c, group))
            continue;
        slice_copy(group ? slice_of(c->name + strlen(group) + 1)
                         : (struct slice){c->name, strcspn(c->name, " ")},
                   firsts[count], NAME_MAX_LEN);
        names[count] = firsts[count];
        count++;
    }
    nearest = nearest_name(word, names);
    return reason_set(parser->why, "there is no command \"%s%s%.60s\"; %s%s%s", group ? group : "",
                      group ? " " : "", word, nearest ? "did you mean \"" : "see bearerctl help",
                      nearest ? nearest : "", nearest ? "\"?" : "");
}

static bool take_command(struct parser *parser, const char *word)
{
    bool is_group = false;

    for (const struct ctl_command *c = parser->commands; c->name; c++) {
        const char *name = parser->group && is_in_group(c, parser->group)
                               ? c->name + strlen(parser->group) + 1
                               : c->name;

        if ((!parser->group || name != c->name) && strcmp(name, word) == 0) {
            parser->args->command = c;
            return true;
        }
        is_group = is_group || is_in_group(c, word);
    }
    if (!is_group || parser->group)
        return refuse_command(parser, word);
    parser->group = word;
    return true;
}

/* Options that stood in front of the command were taken on trust. */
static bool check_options(struct parser *parser)
{
    struct args *args = parser->args;

    for (int i = 0; i < args->givens; i++) {
        const struct ctl_option *option = args->given[i].option;
        struct wanted wanted = {.name = slice_of(option->name)};

        if (args_each_option(args->command, is_other, &wanted) != option)
            return reason_set(parser->why, "%s takes no --%s", args->command->name, option->name);
    }
    return true;
}

static bool check_words(struct parser *parser)
{
    const struct args *args = parser->args;
    const struct ctl_command *command = args->command;

    if (args->count < command->at_least)
        return reason_set(parser->why, "%s needs %s", command->name, command->arguments);
    if (command->at_most >= 0 && args->count > command->at_most) {
        if (!*command->arguments)
            return reason_set(parser->why, "%s takes no argument", command->name);
        return reason_set(parser->why, "%s takes %s, no more", command->name, command->arguments);
    }
    for (int i = 0; command->words && i < args->count; i++) {
        if (!args_is_one_of(command->words, args->words[i]))
            return reason_set(parser->why, "%s: \"%.60s\" is none of %s", command->name,
                              args->words[i], command->words);
    }
    return true;
}

static bool finish(struct parser *parser)
{
    struct args *args = parser->args;

    if (args->help || args->version)
        return true;
    if (parser->group && !args->command)
        return reason_set(parser->why, "%s needs a word more: see bearerctl help %s", parser->group,
                          parser->group);
    return !args->command || (check_options(parser) && check_words(parser));
}

bool args_parse(struct args *args, const struct ctl_command *commands, int argc, char **argv,
                struct reason *why)
{
    struct parser parser = {args, commands, NULL, argc, 1, argv, why};
    bool only_words = false;

    *args = (struct args){.words = calloc((size_t)argc + 1, sizeof(*args->words))};
    if (!args->words)
        return reason_set(why, "out of memory");
    for (; parser.at < argc; parser.at++) {
        const char *word = argv[parser.at];

        if (!only_words && strcmp(word, "--") == 0) {
            only_words = true;
        } else if (!only_words && word[0] == '-' && word[1]) {
            if (!parse_option(&parser, word))
                return false;
        } else if (args->command) {
            args->words[args->count++] = word;
        } else if (!take_command(&parser, word)) {
            return false;
        }
    }
    return finish(&parser);
}

void args_clear(struct args *args)
{
    free(args->words);
    *args = (struct args){NULL};
}

const char *args_value(const struct args *args, const char *name)
{
    for (int i = args->givens; i > 0; i--) {
        const struct args_given *given = &args->given[i - 1];

        if (strcmp(given->option->name, name) == 0)
            return given->value ? given->value : "";
    }
    return NULL;
}

bool args_has(const struct args *args, const char *name)
{
    return args_value(args, name) != NULL;
}

bool args_number(const struct args *args, const char *name, uint64_t min, uint64_t max,
                 uint64_t otherwise, uint64_t *out)
{
    const char *value = args_value(args, name);

    *out = otherwise;
    if (!value || (slice_to_u64(slice_of(value), out) && *out >= min && *out <= max))
        return true;
    ctl_usage("--%s is \"%.60s\"; it must be a number from %llu to %llu", name, value,
              (unsigned long long)min, (unsigned long long)max);
    return false;
}

const char *args_word(const struct args *args, int index)
{
    return index < args->count ? args->words[index] : NULL;
}
