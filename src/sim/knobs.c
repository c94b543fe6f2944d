#include "sim/knobs.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "sim/authorize_errors.h"
#include "sim/devices.h"
#include "sim/faults.h"
#include "sim/random.h"
#include "sim/token_errors.h"

enum knob_kind {
    NUMBER,
    SIGNED,
    TEXT,
    DATE,
    POLLS,
    REPLY,
    FAULT,
    ERROR,
    AUTHORIZE,
    FAILURE,
    QUOTA,
    ROTATION
};

/* The values of kinds that have few. */
static const char *const words_of[][4] = {
    [FAILURE] = {"challenge", "direct", NULL},
    [QUOTA] = {"mail", "final", NULL},
    [ROTATION] = {"keep", "rotate", "revoke", NULL},
};

struct knob_row {
    char name[24];
    enum knob_kind kind;
    char help[176];
};

/* clang-format off */
static const struct knob_row rows[KNOBS] = {
#define KNOB(id, name, kind, help) [KNOB_##id] = {name, kind, help},
    KNOB_ROWS(KNOB)
#undef KNOB
#define PHASE(id, name, help) \
    [KNOB_REPLY + PHASE_##id] = {"reply_" name, REPLY, "this reply instead of the usual one: " help}, \
    [KNOB_FAULT + PHASE_##id] = {"fault_" name, FAULT, "a fault (see below): " help},
    KNOB_PHASES(PHASE)
#undef PHASE
};
/* clang-format on */

static const char fault_help[] =
    "Faults: close (goodbye of TLS, FIN), drop (FIN at once), reset (RST), stall (silence for\n"
    "ever), stall:MS (the reply comes later), partial (half a reply line, then silence),\n"
    "partial-close, garbage (octets that are no reply), extra[:TEXT] (the usual reply and one\n"
    "more behind it). A reply_... whose code is 421 closes; with 2xx or 3xx it only changes\n"
    "the text. {id} {host} {client} and the like are filled in, \\n separates lines.\n"
    "With \"count\": n, \"after\": n, \"percent\": p beside it, a reply, a fault, reject_auth,\n"
    "token_error or authorize_error works n times, not on the first n occasions, with that\n"
    "chance.\n";

static void value_clear(struct knob_value *value)
{
    free(value->text);
    *value = (struct knob_value){0};
}

void knobs_clear(struct knobs *knobs)
{
    for (int i = 0; i < KNOBS; i++)
        value_clear(&knobs->values[i]);
}

bool knob_fires(struct knob_scope scope, enum knob knob)
{
    struct knob_value *value = knob_find(scope, knob);

    if (!value->set || value->left == 0)
        return false;
    if (rows[knob].kind == NUMBER && !value->number)
        return false;
    if (value->skip > 0) {
        value->skip--;
        return false;
    }
    if (value->percent < 100 && random_below(100) >= value->percent)
        return false;
    if (value->left > 0)
        value->left--;
    return true;
}

static int find_row(const char *name)
{
    for (int i = 0; i < KNOBS; i++) {
        if (strcmp(rows[i].name, name) == 0)
            return i;
    }
    return -1;
}

static bool unknown(const char *name, struct reason *why)
{
    const char *names[KNOBS + 1] = {NULL};
    const char *near;

    for (int i = 0; i < KNOBS; i++)
        names[i] = rows[i].name;
    near = nearest_name(name, names);
    if (near)
        return reason_set(why, "there is no knob \"%s\"; did you mean \"%s\"?", name, near);
    return reason_set(why, "there is no knob \"%s\"; GET /knobs lists them", name);
}

static bool is_modifier(const char *name)
{
    return strcmp(name, "scope") == 0 || strcmp(name, "count") == 0 || strcmp(name, "after") == 0 ||
           strcmp(name, "percent") == 0;
}

static bool is_word(const char *text, const char *const *words)
{
    while (*words && strcmp(*words, text) != 0)
        words++;
    return *words != NULL;
}

static bool is_reply(const char *text)
{
    return strlen(text) > 3 && text[0] >= '2' && text[0] <= '5' &&
           strspn(text, "0123456789") == 3 && (text[3] == ' ' || text[3] == '-');
}

bool knob_is_date(const char *text)
{
    struct tm tm = {0};
    const char *end = strlen(text) == 10 ? strptime(text, "%Y-%m-%d", &tm) : NULL;

    return end && !*end;
}

static bool text_fits(const struct knob_row *row, const char *text, struct reason *why)
{
    if (!text)
        return reason_set(why, "knob \"%s\" takes a text", row->name);
    if (row->kind == REPLY && !is_reply(text))
        return reason_set(why, "knob \"%s\" takes a reply: \"421 4.3.2 text\"", row->name);
    if (row->kind == FAULT && !fault_known(text))
        return reason_set(why, "knob \"%s\": there is no fault \"%s\"", row->name, text);
    if (row->kind == DATE && !knob_is_date(text))
        return reason_set(why, "knob \"%s\" takes a date: 2026-12-31", row->name);
    if (row->kind == POLLS && !device_polls_known(text))
        return reason_set(why, "knob \"%s\" is not \"%s\": %s", row->name, text, row->help);
    if (row->kind == AUTHORIZE && !authorize_error_known(text))
        return reason_set(why, "knob \"%s\": there is no error \"%s\"", row->name, text);
    if (row->kind == ERROR && !token_error_known(text))
        return reason_set(why, "knob \"%s\": there is no error \"%s\"", row->name, text);
    if (row->kind >= FAILURE && !is_word(text, words_of[row->kind]))
        return reason_set(why, "knob \"%s\" is not \"%s\": %s", row->name, text, row->help);
    return true;
}

static bool fits(int row, const json_t *value, struct reason *why)
{
    if (json_is_null(value))
        return true;
    if (rows[row].kind > SIGNED)
        return text_fits(&rows[row], json_string_value(value), why);
    if (rows[row].kind == SIGNED)
        return json_is_integer(value) ||
               reason_set(why, "knob \"%s\" takes a whole number", rows[row].name);
    if (!json_is_boolean(value) && (!json_is_integer(value) || json_integer_value(value) < 0))
        return reason_set(why, "knob \"%s\" takes a whole number from 0", rows[row].name);
    return true;
}

static bool check(const json_t *settings, struct reason *why)
{
    const char *name;
    json_t *value;

    json_object_foreach((json_t *)(uintptr_t)settings, name, value)
    {
        int row = find_row(name);

        if (strcmp(name, "scope") == 0)
            continue;
        if (is_modifier(name) && (!json_is_integer(value) || json_integer_value(value) < 0))
            return reason_set(why, "\"%s\" is a whole number from 0", name);
        if (is_modifier(name))
            continue;
        if (row < 0)
            return unknown(name, why);
        if (!fits(row, value, why))
            return false;
    }
    return true;
}

static int64_t modifier(const json_t *settings, const char *name, int64_t otherwise)
{
    const json_t *value = json_object_get(settings, name);

    return json_is_integer(value) ? json_integer_value(value) : otherwise;
}

static void assign(struct knob_value *to, const json_t *value, const json_t *settings)
{
    value_clear(to);
    if (json_is_null(value))
        return;
    to->set = true;
    to->left = modifier(settings, "count", -1);
    to->skip = modifier(settings, "after", 0);
    to->percent = (unsigned)modifier(settings, "percent", 100);
    if (json_is_string(value))
        to->text = strdup(json_string_value(value));
    else
        to->number = json_is_boolean(value) ? json_is_true(value) : json_integer_value(value);
}

bool knobs_apply(struct knobs *knobs, const json_t *settings, struct reason *why)
{
    const char *name;
    json_t *value;

    if (!json_is_object(settings))
        return reason_set(why, "knobs come as a JSON object");
    if (!check(settings, why))
        return false;
    json_object_foreach((json_t *)(uintptr_t)settings, name, value)
    {
        if (!is_modifier(name))
            assign(&knobs->values[find_row(name)], value, settings);
    }
    return true;
}

/* A text where a number is wanted stays one, to be refused. */
static json_t *parse_value(const struct knob_row *row, const char *text)
{
    bool negative = row->kind == SIGNED && *text == '-';
    uint64_t number;

    if (row->kind > SIGNED || !slice_to_u64(slice_of(text + negative), &number))
        return json_string(text);
    return json_integer(negative ? -(json_int_t)number : (json_int_t)number);
}

bool knobs_apply_text(struct knobs *knobs, const char *setting, struct reason *why)
{
    const char *equals = strchr(setting, '=');
    char name[64];
    json_t *settings, *value;
    int row;
    bool ok;

    if (!equals ||
        !slice_copy((struct slice){setting, (size_t)(equals - setting)}, name, sizeof(name)))
        return reason_set(why, "a knob is set as name=value, not \"%s\"", setting);
    row = find_row(name);
    if (row < 0)
        return unknown(name, why);
    value = parse_value(&rows[row], equals + 1);
    settings = json_pack("{s:o}", name, value);
    ok = settings && knobs_apply(knobs, settings, why);
    json_decref(settings);
    return ok;
}

json_t *knobs_show(const struct knobs *knobs)
{
    json_t *out = json_object();

    for (int i = 0; i < KNOBS; i++) {
        const struct knob_value *value = &knobs->values[i];

        if (value->set)
            json_object_set_new(out, rows[i].name,
                                value->text ? json_string(value->text)
                                            : json_integer(value->number));
    }
    return out;
}

json_t *knobs_describe(void)
{
    json_t *out = json_object();

    for (int i = 0; i < KNOBS; i++)
        json_object_set_new(out, rows[i].name, json_string(rows[i].help));
    return out;
}

void knobs_print_help(void)
{
    printf("Knobs (--knob NAME=VALUE, or POST /knobs on the control port):\n");
    for (int i = 0; i < KNOBS; i++)
        printf("  %-21s %s\n", rows[i].name, rows[i].help);
    printf("%s", fault_help);
}
