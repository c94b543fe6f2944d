#include "conf/conf.h"

#include <stdio.h>
#include <stdlib.h>

#include "conf/options.h"

/* A list of 64 ranges is the longest value. */
#define VALUE_MAX (8 * CONF_TEXT_MAX)

struct conf *conf_default(void)
{
    struct conf *conf = calloc(1, sizeof(*conf));

    if (!conf)
        return NULL;
    for (size_t i = 0; i < option_row_count; i++)
        option_set(&option_rows[i], conf, slice_of(option_rows[i].fallback), NULL);
    providers_init(conf);
    return conf;
}

void conf_free(struct conf *conf)
{
    if (conf)
        apps_clear(conf);
    free(conf);
}

/* --- setting one option ---------------------------------------------------- */

/* A provider that still has the old common value takes the new one. Files are
 * read in an order that lets a provider's own value win. */
static void spread_refresh_ahead(struct conf *conf, uint64_t before)
{
    for (size_t i = 0; i < conf->provider_count; i++) {
        if (conf->providers[i].refresh_ahead_ms == before)
            conf->providers[i].refresh_ahead_ms = conf->refresh_ahead_ms;
    }
}

bool option_store(struct conf *conf, const struct option_target *target, struct slice value,
                  struct reason *why)
{
    uint64_t refresh_ahead = conf->refresh_ahead_ms;

    if (!option_set(target->row, target->base, value, why))
        return false;
    if (conf->refresh_ahead_ms != refresh_ahead)
        spread_refresh_ahead(conf, refresh_ahead);
    return true;
}

const char *const conf_origin_names[CONF_ORIGINS] = {"default", "file", "flag", "environment"};

struct conf_origin *option_origin(const struct option_target *target)
{
    size_t index;

    if (target->row >= option_rows && target->row < option_rows + option_row_count) {
        index = (size_t)(target->row - option_rows);
        return &((struct conf *)target->base)->origins[index];
    }
    if (target->row >= app_rows && target->row < app_rows + app_row_count) {
        index = (size_t)(target->row - app_rows);
        return &((struct conf_app *)target->base)->origins[index];
    }
    index = (size_t)(target->row - provider_rows);
    return &((struct conf_provider *)target->base)->origins[index];
}

void option_set_origin(struct conf *conf, const struct option_target *target,
                       struct conf_origin origin)
{
    struct option_target follower = {scope_option(&scope_provider, "refresh_ahead"), NULL};

    *option_origin(target) = origin;
    if (target->base != conf || strcmp(target->row->name, "oauth.refresh_ahead") != 0)
        return;
    for (size_t i = 0; i < conf->provider_count; i++) {
        follower.base = &conf->providers[i];
        if (option_origin(&follower)->kind == CONF_DEFAULT)
            *option_origin(&follower) = origin;
    }
}

static void clamp_all(struct conf *conf)
{
    for (size_t i = 0; i < conf->provider_count; i++)
        provider_clamp(&conf->providers[i]);
}

bool conf_set_from(struct conf *conf, const char *name, const char *value,
                   enum conf_origin_kind from, struct reason *why)
{
    struct option_target target;
    struct reason detail;

    if (!option_find(conf, name, &target, why))
        return false;
    if (!option_store(conf, &target, slice_of(value), &detail))
        return reason_set(why, "%s: %s", name, detail.text);
    option_set_origin(conf, &target, (struct conf_origin){from, 0});
    clamp_all(conf);
    return true;
}

bool conf_set(struct conf *conf, const char *name, const char *value, struct reason *why)
{
    return conf_set_from(conf, name, value, CONF_FLAG, why);
}

/* `memory` holds VALUE_MAX octets. */
static struct text value_text(const struct option_row *row, const void *base, char *memory)
{
    struct text value;

    text_init(&value, memory, VALUE_MAX);
    option_format(row, base, &value);
    return value;
}

/* --- the text form --------------------------------------------------------- */

/* One "name=value" a line. No value holds a line end: forms.c sees to that. */
static void write_rows(FILE *out, const char *prefix, const struct option_row *rows, size_t count,
                       const void *base)
{
    char memory[VALUE_MAX];

    for (size_t i = 0; i < count; i++) {
        if (!rows[i].secret)
            fprintf(out, "%s%s=%s\n", prefix, rows[i].name, value_text(&rows[i], base, memory).at);
    }
}

char *conf_write(const struct conf *conf, size_t *len)
{
    char *memory = NULL, prefix[CONF_NAME_MAX + 16];
    FILE *out = open_memstream(&memory, len);

    if (!out)
        return NULL;
    write_rows(out, "", option_rows, option_row_count, conf);
    for (size_t i = 0; i < conf->provider_count; i++) {
        snprintf(prefix, sizeof(prefix), "providers.%s.", conf->providers[i].name);
        write_rows(out, prefix, provider_rows, provider_row_count, &conf->providers[i]);
    }
    if (fclose(out) != 0) {
        free(memory);
        return NULL;
    }
    return memory;
}

static bool read_line(struct conf *conf, struct slice line, struct reason *why)
{
    const char *equals = memchr(line.ptr, '=', line.len);
    char name[OPTION_NAME_MAX];
    struct option_target target;

    if (!equals ||
        !slice_copy((struct slice){line.ptr, (size_t)(equals - line.ptr)}, name, sizeof(name)))
        return reason_set(why, "\"%.*s\" is not name=value", line.len > 64 ? 64 : (int)line.len,
                          line.ptr);
    line.len -= (size_t)(equals + 1 - line.ptr);
    line.ptr = equals + 1;
    return option_find(conf, name, &target, why) && option_set(target.row, target.base, line, why);
}

static bool read_lines(struct conf *conf, struct slice text, struct reason *why)
{
    while (text.len) {
        const char *end = memchr(text.ptr, '\n', text.len);
        struct slice line = {text.ptr, end ? (size_t)(end - text.ptr) : text.len};

        if (line.len && !read_line(conf, line, why))
            return false;
        text.ptr += line.len + (end != NULL);
        text.len -= line.len + (end != NULL);
    }
    return true;
}

struct conf *conf_read(struct slice text, struct reason *why)
{
    struct conf *conf = conf_default();

    if (!conf) {
        reason_set(why, "out of memory");
        return NULL;
    }
    if (!read_lines(conf, text, why)) {
        conf_free(conf);
        return NULL;
    }
    clamp_all(conf);
    return conf;
}

/* --- comparing and listing ------------------------------------------------- */

static bool differs(const struct option_row *row, const struct conf *from, const struct conf *to)
{
    char before[VALUE_MAX], after[VALUE_MAX];

    return strcmp(value_text(row, from, before).at, value_text(row, to, after).at) != 0;
}

const char *conf_needs_restart(const struct conf *from, const struct conf *to)
{
    for (size_t i = 0; i < option_row_count; i++) {
        if (option_rows[i].restart && differs(&option_rows[i], from, to))
            return option_rows[i].name;
    }
    return NULL;
}

static void tell_rows(const char *prefix, const struct option_row *rows, size_t count,
                      const void *base, const void *defaults, const struct conf_origin *origins,
                      void (*each)(const struct conf_value_info *info, void *arg), void *arg)
{
    char memory[2][VALUE_MAX], name[OPTION_NAME_MAX];

    for (size_t i = 0; i < count; i++) {
        const char *value = value_text(&rows[i], base, memory[0]).at;

        snprintf(name, sizeof(name), "%s%s", prefix, rows[i].name);
        each(&(struct conf_value_info){name, rows[i].secret && *value ? "(set)" : value,
                                       value_text(&rows[i], defaults, memory[1]).at, origins[i],
                                       !rows[i].restart},
             arg);
        explicit_bzero(memory[0], rows[i].secret ? sizeof(memory[0]) : 0);
    }
}

static bool tell_apps(const struct conf *conf,
                      void (*each)(const struct conf_value_info *info, void *arg), void *arg)
{
    struct conf *none = conf_default();
    const struct conf_app *defaults = none ? app_make(none, "default", NULL) : NULL;

    for (size_t i = 0; defaults && i < conf->app_count; i++) {
        char prefix[CONF_NAME_MAX + 16];

        snprintf(prefix, sizeof(prefix), "apps.%s.", conf->apps[i].name);
        tell_rows(prefix, app_rows, app_row_count, &conf->apps[i], defaults, conf->apps[i].origins,
                  each, arg);
    }
    conf_free(none);
    return defaults != NULL;
}

bool conf_values(const struct conf *conf,
                 void (*each)(const struct conf_value_info *info, void *arg), void *arg)
{
    struct conf *defaults = conf_default();

    if (!defaults)
        return false;
    tell_rows("", option_rows, option_row_count, conf, defaults, conf->origins, each, arg);
    for (size_t i = 0; i < conf->provider_count; i++) {
        const struct conf_provider *provider = &conf->providers[i];
        char prefix[CONF_NAME_MAX + 16];

        snprintf(prefix, sizeof(prefix), "providers.%s.", provider->name);
        tell_rows(prefix, provider_rows, provider_row_count, provider,
                  conf_provider(defaults, slice_of(provider->name)), provider->origins, each, arg);
    }
    conf_free(defaults);
    return tell_apps(conf, each, arg);
}

static void list_row(const struct option_row *row, const char *name, const char *fallback,
                     void (*each)(const struct conf_option_info *info, void *arg), void *arg)
{
    char memory[256];
    struct text range;

    text_init(&range, memory, sizeof(memory));
    option_range(row, &range);
    each(&(struct conf_option_info){.name = name,
                                    .type = option_type_name(row),
                                    .default_text = fallback,
                                    .range = range.at,
                                    .help = row->help,
                                    .reloadable = !row->restart},
         arg);
}

/* Shows the value of "default", and of the other built-in ones where it differs. */
static void list_provider_row(const struct conf *conf, const struct option_row *row,
                              void (*each)(const struct conf_option_info *info, void *arg),
                              void *arg)
{
    char name[OPTION_NAME_MAX], all_memory[2 * VALUE_MAX], memory[2][VALUE_MAX];
    struct text all, common = value_text(row, &conf->providers[0], memory[0]);

    snprintf(name, sizeof(name), "providers.NAME.%s", row->name);
    text_init(&all, all_memory, sizeof(all_memory));
    text_add_str(&all, common.at);
    for (size_t i = 1; i < conf->provider_count; i++) {
        struct text own = value_text(row, &conf->providers[i], memory[1]);

        if (strcmp(own.at, common.at) != 0)
            text_addf(&all, "%s%s: %s", all.len ? "; " : "", conf->providers[i].name, own.at);
    }
    list_row(row, name, all.at, each, arg);
}

size_t conf_options(void (*each)(const struct conf_option_info *info, void *arg), void *arg)
{
    struct conf *conf = conf_default();

    if (!conf)
        return 0;
    for (size_t i = 0; i < option_row_count; i++)
        list_row(&option_rows[i], option_rows[i].name, option_rows[i].fallback, each, arg);
    for (size_t i = 0; i < provider_row_count; i++)
        list_provider_row(conf, &provider_rows[i], each, arg);
    for (size_t i = 0; i < app_row_count; i++) {
        char name[OPTION_NAME_MAX];

        snprintf(name, sizeof(name), "apps.NAME.%s", app_rows[i].name);
        list_row(&app_rows[i], name, app_rows[i].fallback, each, arg);
    }
    conf_free(conf);
    return option_row_count + provider_row_count + app_row_count;
}
