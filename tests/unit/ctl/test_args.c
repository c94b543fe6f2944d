/* The command line, against a small table of commands. */
#include "check.h"
#include "ctl/args.h"

static int run_nothing(const struct args *args)
{
    (void)args;
    return 0;
}

static const struct ctl_option list_options[] = {
    {"state", 0, "STATE", "active|blocked", ""},
    {"output", 'o', "FILE", NULL, ""},
    {"yes", 'y', NULL, NULL, ""},
    {NULL},
};
static const struct ctl_command commands[] = {
    {"things list", "[TEXT]", 0, 1, NULL, CTL_JSON, list_options, "", "", run_nothing},
    {"things show", "ADDRESS", 1, 1, NULL, 0, NULL, "", "", run_nothing},
    {"many", "[X]...", 0, -1, NULL, CTL_LOCAL, NULL, "", "", run_nothing},
    {"level", "[LEVEL]", 0, 1, "info|debug", 0, NULL, "", "", run_nothing},
    {NULL},
};

#define LINE_MAX_WORDS 12

/* `line`: words with one blank between them; "''" is an empty one. */
static bool parse(struct args *args, const char *line, struct reason *why)
{
    static char memory[512];
    char *argv[LINE_MAX_WORDS + 1] = {(char *)"bearerctl"}, *word, *rest = memory;
    int argc = 1;

    slice_copy(slice_of(line), memory, sizeof(memory));
    while ((word = strsep(&rest, " ")) && argc < LINE_MAX_WORDS) {
        if (*word)
            argv[argc++] = strcmp(word, "''") == 0 ? word + 2 : word;
    }
    why->text[0] = '\0';
    return args_parse(args, commands, argc, argv, why);
}

static void accepts(void **state)
{
    static const struct {
        const char *line, *command, *option, *value, *word;
        int count;
    } rows[] = {
        {"things list", "things list", "state", NULL, NULL, 0},
        {"things list --state active", "things list", "state", "active", NULL, 0},
        {"things list --state=blocked x", "things list", "state", "blocked", "x", 1},
        {"things list x --state active", "things list", "state", "active", "x", 1},
        {"things list --state active --state blocked", "things list", "state", "blocked", NULL, 0},
        {"things list -o f", "things list", "output", "f", NULL, 0},
        {"things list -of", "things list", "output", "f", NULL, 0},
        {"things list --output=", "things list", "output", "", NULL, 0},
        {"things list --output ''", "things list", "output", "", NULL, 0},
        {"things list --output --yes", "things list", "output", "--yes", NULL, 0},
        {"things list -y", "things list", "yes", "", NULL, 0},
        {"things list -- --yes", "things list", "yes", NULL, "--yes", 1},
        {"things list -", "things list", "yes", NULL, "-", 1},
        {"--json things list", "things list", "json", "", NULL, 0},
        {"--url u things --json list", "things list", "url", "u", NULL, 0},
        {"things show --url=u a@b", "things show", "url", "u", "a@b", 1},
        {"many a b c d", "many", "json", NULL, "a", 4},
        {"level debug", "level", "url", NULL, "debug", 1},
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct reason why;
        struct args args;

        if (!parse(&args, rows[i].line, &why))
            fail_msg("%s: %s", rows[i].line, why.text);
        assert_string_equal(args.command->name, rows[i].command);
        check_text(rows[i].line, slice_of(args_value(&args, rows[i].option)), rows[i].value);
        check_num(rows[i].line, args_has(&args, rows[i].option), rows[i].value != NULL);
        check_text(rows[i].line, slice_of(args_word(&args, 0)), rows[i].word);
        check_num(rows[i].line, args.count, rows[i].count);
        args_clear(&args);
    }
}

static void refuses(void **state)
{
    static const struct {
        const char *line, *why;
    } rows[] = {
        {"thing", "there is no command \"thing\"; did you mean \"things\"?"},
        {"zzzzzzzz", "see bearerctl help"},
        {"things", "things needs a word more"},
        {"things lst", "there is no command \"things lst\"; did you mean \"list\"?"},
        {"things things", "there is no command \"things things\""},
        {"list", "there is no command \"list\""},
        {"things list --stat x", "things list: there is no option --stat; did you mean --state?"},
        {"things list --stat=secret", "there is no option --stat; did"},
        {"things list --state", "--state needs a value: STATE"},
        {"things list --state nothing", "none of active, blocked"},
        {"things list --yes=1", "--yes takes no value"},
        {"things list -x", "there is no option -x"},
        {"things list a b", "things list takes [TEXT], no more"},
        {"things show", "things show needs ADDRESS"},
        {"things show a --json", "there is no option --json"},
        {"--json things show a", "things show takes no --json"},
        {"--url u many", "many takes no --url"},
        {"--state active things list", "there is no option --state"},
        {"level loud", "\"loud\" is none of info|debug"},
        {"things list --token abc", "list of processes"},
        {"things list --refresh-token=abc", "list of processes"},
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct reason why;
        struct args args;

        if (parse(&args, rows[i].line, &why))
            fail_msg("%s: was accepted", rows[i].line);
        if (!strstr(why.text, rows[i].why))
            fail_msg("%s: %s", rows[i].line, why.text);
        assert_null(strstr(why.text, "abc"));
        assert_null(strstr(why.text, "secret"));
        args_clear(&args);
    }
}

static void help_needs_nothing_else(void **state)
{
    static const char *const lines[] = {"--help", "things --help", "things show --help",
                                        "things list a b c -h", "--version"};

    (void)state;
    for (size_t i = 0; i < COUNT_OF(lines); i++) {
        struct reason why;
        struct args args;

        assert_true(parse(&args, lines[i], &why));
        assert_true(args.help || args.version);
        args_clear(&args);
    }
}

static void takes_no_more_options_than_it_can_keep(void **state)
{
    char *argv[ARGS_OPTIONS_MAX + 4] = {(char *)"bearerctl", (char *)"things", (char *)"list"};
    struct reason why;
    struct args args;

    (void)state;
    for (int i = 0; i <= ARGS_OPTIONS_MAX; i++)
        argv[3 + i] = (char *)"-y";
    assert_true(args_parse(&args, commands, 3 + ARGS_OPTIONS_MAX, argv, &why));
    args_clear(&args);
    assert_false(args_parse(&args, commands, 4 + ARGS_OPTIONS_MAX, argv, &why));
    args_clear(&args);
}

/* Names that clash, or a row that its own parser cannot serve. */
static bool keep(const struct ctl_option *option, void *arg)
{
    const char **seen = arg;
    size_t i = 0;

    for (; seen[i]; i++) {
        if (strcmp(seen[i], option->name) == 0)
            fail_msg("--%s comes twice", option->name);
    }
    seen[i] = option->name;
    return true;
}

static void real_table_is_sound(void **state)
{
    (void)state;
    for (const struct ctl_command *command = ctl_commands; command->name; command++) {
        const char *seen[ARGS_OPTIONS_MAX + 1] = {NULL};

        args_each_option(command, keep, seen);
        assert_non_null(command->run);
        assert_non_null(command->help);
        assert_true(command->at_most < 0 || command->at_least <= command->at_most);
        assert_int_equal(command->at_most == 0, !*command->arguments);
        assert_true(strlen(command->summary) <= 47);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(accepts),
        cmocka_unit_test(refuses),
        cmocka_unit_test(help_needs_nothing_else),
        cmocka_unit_test(takes_no_more_options_than_it_can_keep),
        cmocka_unit_test(real_table_is_sound),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
