/* The option table: what an option is called, what it may be, where it lives.
 *
 * Everything that knows options walks this table: reading files, the text form
 * for the relay, the command line, the manual pages. Adding an option is a
 * field in conf.h and a row in options.c.
 */
#pragma once

#include "conf/conf.h"
#include "conf/originals.h"

enum option_type {
    OPTION_BOOL,
    OPTION_U32,
    OPTION_SIZE,     /* uint64_t octets */
    OPTION_DURATION, /* uint64_t milliseconds */
    OPTION_MODE,     /* uint32_t permission bits, octal */
    OPTION_FACTOR,   /* double with at most three decimals */
    OPTION_CHOICE,   /* an enumeration */
    OPTION_TEXT,     /* char[max + 1], at least `min` octets */
    OPTION_LISTENERS,
    OPTION_RANGES,
    OPTION_DOMAINS, /* char[CONF_TEXT_MAX]: "a.example, b.example" */
};

/* A word of a choice. The first word of a value is the one that we write and
 * document, further ones are understood. */
struct option_word {
    const char *text;
    int value;
};

/* What a text must look like. */
struct option_form {
    const char *expects; /* "host:port" */
    bool (*matches)(const char *value);
};

struct option_row {
    const char *name; /* dotted; of a provider's option without "providers.NAME." */
    const char *help; /* one or more sentences */
    const char *fallback;
    enum option_type type;
    bool restart; /* does not change while running */
    bool secret;  /* its value is shown to nobody */
    size_t offset;
    uint64_t min, max; /* FACTOR: in thousandths */
    const struct option_word *words;
    const struct option_form *form;
};

/* All of struct conf, and what each of its providers and applications has. */
extern const struct option_row option_rows[];
extern const struct option_row provider_rows[];
extern const struct option_row app_rows[];
extern const size_t option_row_count, provider_row_count, app_row_count;
#define OPTION_ROWS_MAX CONF_ROWS_MAX /* at least either count */
#define OPTION_NAME_MAX 128

/* Sets the field in `base`, a struct conf, conf_provider or conf_app. On failure
 * the reason is "VALUE: must be ..." and the field keeps its value (a list: what
 * it got so far). */
bool option_set(const struct option_row *row, void *base, struct slice value, struct reason *why);
/* Lists: empties, and adds one item. */
void option_list_clear(const struct option_row *row, void *base);
bool option_list_add(const struct option_row *row, void *base, struct slice item,
                     struct reason *why);
static inline bool option_is_list(const struct option_row *row)
{
    return row->type == OPTION_LISTENERS || row->type == OPTION_RANGES ||
           row->type == OPTION_DOMAINS;
}
/* A text that may also be written as a mapping: of form fields. */
bool option_is_form(const struct option_row *row);
/* "&key=value", encoded; without the '&' when it is the first. */
void option_form_add(struct text *out, const char *key, const char *value);
/* What option_set reads back to the same value. */
void option_format(const struct option_row *row, const void *base, struct text *out);

/* For people: "duration", "1s to 1h", and both in a sentence's end. */
const char *option_type_name(const struct option_row *row);
void option_range(const struct option_row *row, struct text *out);
void option_expects(const struct option_row *row, struct text *out);

/* Where names are looked up: at the top, or below "providers.NAME." or "apps.NAME.". */
struct option_scope {
    const struct option_row *rows;
    const struct original_key *keys;
    const size_t *row_count, *key_count;
};

extern const struct option_scope scope_top, scope_provider, scope_app;

const struct option_row *scope_option(const struct option_scope *scope, const char *name);
const struct original_key *scope_original(const struct option_scope *scope, const char *name);
/* Whether options or keys of the original have names that begin "NAME.". */
bool scope_is_section(const struct option_scope *scope, const char *name);
/* The known name, section or key nearest to this one; false: none is near. */
bool scope_nearest(const struct option_scope *scope, const char *name, char *out, size_t cap);

/* An option by its dotted name, or by what the original called it. `base` is
 * what its value belongs into: the configuration, or one of its providers or
 * applications, which is made when missing. False and a reason when there is none. */
struct option_target {
    const struct option_row *row;
    void *base;
};

bool option_find(struct conf *conf, const char *name, struct option_target *target,
                 struct reason *why);

/* Where its value comes from. */
struct conf_origin *option_origin(const struct option_target *target);
/* Says so of a value that was just stored, and of those that follow it. */
void option_set_origin(struct conf *conf, const struct option_target *target,
                       struct conf_origin origin);

/* The built-in ones, with their defaults. */
void providers_init(struct conf *conf);
/* Those that are not the original's take over what "default" has now, but for what makes
 * them themselves. Before anything is set in them. */
void providers_follow_default(struct conf *conf);
/* By name, whatever its case; makes a missing one. Making one moves the others. */
struct conf_app *app_make(struct conf *conf, const char *name, struct reason *why);
/* Frees and wipes all of them. */
void apps_clear(struct conf *conf);
/* Of each: what no single option can tell. */
bool apps_check(const struct conf *conf, struct reason *why);

/* By name, whatever its case; the second makes a missing one, which starts as
 * a copy of "default". Making one moves the others. */
struct conf_provider *provider_find(struct conf *conf, const char *name);
struct conf_provider *provider_make(struct conf *conf, const char *name, struct reason *why);
/* Finds the ceiling and makes max_connections obey it; true when that had to be
 * changed. Due whenever a provider's options have changed. */
bool provider_clamp(struct conf_provider *provider);
/* option_set and what follows from it: oauth.refresh_ahead reaches the
 * providers that have no value of their own. */
bool option_store(struct conf *conf, const struct option_target *target, struct slice value,
                  struct reason *why);

/* Adds a sentence; `notes` may be NULL. */
void conf_note(struct conf_notes *notes, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
