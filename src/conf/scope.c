/* Names: from a dotted name to its row. */
#include "conf/options.h"

const struct option_scope scope_top = {option_rows, original_keys, &option_row_count,
                                       &original_key_count};
const struct option_scope scope_provider = {provider_rows, original_provider_keys,
                                            &provider_row_count, &original_provider_key_count};

static const size_t no_originals = 0;
const struct option_scope scope_app = {app_rows, original_keys, &app_row_count, &no_originals};

const struct option_row *scope_option(const struct option_scope *scope, const char *name)
{
    for (size_t i = 0; i < *scope->row_count; i++) {
        if (strcmp(scope->rows[i].name, name) == 0)
            return &scope->rows[i];
    }
    return NULL;
}

const struct original_key *scope_original(const struct option_scope *scope, const char *name)
{
    for (size_t i = 0; i < *scope->key_count; i++) {
        if (strcmp(scope->keys[i].name, name) == 0)
            return &scope->keys[i];
    }
    return NULL;
}

/* Options first, then keys of the original; NULL behind the last. */
static const char *name_at(const struct option_scope *scope, size_t i)
{
    if (i < *scope->row_count)
        return scope->rows[i].name;
    i -= *scope->row_count;
    return i < *scope->key_count ? scope->keys[i].name : NULL;
}

bool scope_is_section(const struct option_scope *scope, const char *name)
{
    size_t len = strlen(name);
    const char *known;

    for (size_t i = 0; (known = name_at(scope, i)); i++) {
        if (strncmp(known, name, len) == 0 && known[len] == '.')
            return true;
    }
    return false;
}

/* --- the nearest name ------------------------------------------------------ */

#define CANDIDATES_MAX (4 * OPTION_ROWS_MAX)

struct candidates {
    char sections[CANDIDATES_MAX][OPTION_NAME_MAX];
    const char *names[CANDIDATES_MAX + 1];
    size_t count;
};

static void add_candidate(struct candidates *all, struct slice name)
{
    if (all->count == CANDIDATES_MAX)
        return;
    slice_copy(name, all->sections[all->count], OPTION_NAME_MAX);
    all->names[all->count] = all->sections[all->count];
    all->names[++all->count] = NULL;
}

/* A name and the sections that it stands in. */
static void add_with_sections(struct candidates *all, const char *name)
{
    add_candidate(all, slice_of(name));
    for (const char *dot = strchr(name, '.'); dot; dot = strchr(dot + 1, '.')) {
        struct slice section = {name, (size_t)(dot - name)};

        if (!all->count || strncmp(all->names[all->count - 1], name, section.len) != 0 ||
            all->names[all->count - 1][section.len])
            add_candidate(all, section);
    }
}

/* By the part behind the last dot: what stands in the wrong section. */
static const char *nearest_by_last_part(const struct option_scope *scope, const char *name)
{
    const char *lasts[CANDIDATES_MAX + 1] = {NULL}, *known, *nearest;
    const char *dot = strrchr(name, '.');

    for (size_t i = 0; i < CANDIDATES_MAX && (known = name_at(scope, i)); i++)
        lasts[i] = strrchr(known, '.') ? strrchr(known, '.') + 1 : known;
    nearest = nearest_name(dot ? dot + 1 : name, lasts);
    for (size_t i = 0; nearest && (known = name_at(scope, i)); i++) {
        if (lasts[i] == nearest)
            return known;
    }
    return NULL;
}

bool scope_nearest(const struct option_scope *scope, const char *name, char *out, size_t cap)
{
    struct candidates all = {.count = 0};
    const char *known, *nearest;

    for (size_t i = 0; (known = name_at(scope, i)); i++)
        add_with_sections(&all, known);
    if (scope == &scope_top) {
        add_candidate(&all, SLICE("providers"));
        add_candidate(&all, SLICE("apps"));
    }
    nearest = nearest_name(name, all.names);
    if (!nearest)
        nearest = nearest_by_last_part(scope, name);
    return nearest && slice_copy(slice_of(nearest), out, cap);
}

/* --- targets --------------------------------------------------------------- */

static const struct option_row *find_by_any_name(const struct option_scope *scope, const char *name)
{
    const struct original_key *key = scope_original(scope, name);

    return scope_option(scope, key && key->option ? key->option : name);
}

/* `rest` is NAME.OPTION. */
static bool find_in(const struct option_scope *scope, struct conf *conf, const char *rest,
                    struct option_target *target, struct reason *why)
{
    char name[CONF_NAME_MAX];
    const char *dot = strchr(rest, '.');

    if (!dot || !slice_copy((struct slice){rest, (size_t)(dot - rest)}, name, sizeof(name)))
        return false;
    target->row = find_by_any_name(scope, dot + 1);
    if (!target->row)
        return false;
    if (scope == &scope_app)
        target->base = app_make(conf, name, why);
    else
        target->base = provider_make(conf, name, why);
    return target->base != NULL;
}

bool option_find(struct conf *conf, const char *name, struct option_target *target,
                 struct reason *why)
{
    char nearest[OPTION_NAME_MAX];

    reason_set(why, "there is no option \"%.64s\"", name);
    if (strncmp(name, "providers.", 10) == 0)
        return find_in(&scope_provider, conf, name + 10, target, why);
    if (strncmp(name, "apps.", 5) == 0)
        return find_in(&scope_app, conf, name + 5, target, why);
    target->row = find_by_any_name(&scope_top, name);
    target->base = conf;
    if (!target->row && scope_nearest(&scope_top, name, nearest, sizeof(nearest)))
        reason_set(why, "there is no option \"%.64s\"; did you mean \"%s\"?", name, nearest);
    return target->row != NULL;
}
