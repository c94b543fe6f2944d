/* What the tests of src/conf share. */
#pragma once

#include "check.h"
#include "conf/options.h"

/* Parses under the name "file"; NULL and the reason where it is refused. */
static inline struct conf *parse(const char *text, struct conf_notes *notes, struct reason *why)
{
    char *copy = exact_copy(slice_of(text));
    struct conf *conf = conf_parse((struct slice){copy, strlen(text)}, "file", notes, why);

    free(copy);
    return conf;
}

/* The same where it must be accepted. */
static inline struct conf *parse_ok(const char *text, struct conf_notes *notes)
{
    struct reason why = {""};
    struct conf *conf = parse(text, notes, &why);

    if (!conf)
        fail_msg("\"%.200s\": %s", text, why.text);
    return conf;
}

/* The value of an option as the text form has it. */
static inline void check_option(const char *row, struct conf *conf, const char *name,
                                const char *wanted)
{
    struct option_target target;
    char memory[8192];
    struct text text;

    if (!option_find(conf, name, &target, NULL))
        fail_msg("%s: there is no option %s", row, name);
    text_init(&text, memory, sizeof(memory));
    option_format(target.row, target.base, &text);
    check_text(row, slice_of(memory), wanted);
}

static inline bool has_note(const struct conf_notes *notes, const char *part)
{
    for (size_t i = 0; i < notes->count; i++) {
        if (strstr(notes->lines[i], part))
            return true;
    }
    return false;
}
