/* Reading a configuration file: from the tree of its keys to the struct.
 *
 * Order matters in one place: providers come behind the rest, "default" first among
 * them, so that a provider inherits what the file says and its own values win.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "conf/options.h"
#include "conf/tree.h"

/* Each of them in each provider. */
#define HITS_MAX 1024

/* Where an unread key of the original stood; the same key of several providers
 * makes one note. */
struct hit {
    const struct original_key *key;
    unsigned line;
    bool in_provider;
};

/* One mapping of options being read: the file itself, a provider's part or an
 * application's. */
struct level {
    const struct option_scope *scope;
    void *base;                      /* what the options are set in */
    const char *prefix;              /* in messages: "", "providers.NAME." or "apps.NAME." */
    unsigned lines[OPTION_ROWS_MAX]; /* where each option was set, by row */
};

struct loader {
    struct conf *conf;
    const char *name;
    struct conf_notes *notes;
    struct reason *why;
    const struct node *providers, *apps;
    struct hit hits[HITS_MAX];
    size_t hit_count;
};

/* --- messages -------------------------------------------------------------- */

static bool refuse(struct loader *loader, unsigned line, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

static bool refuse(struct loader *loader, unsigned line, const char *format, ...)
{
    char words[sizeof(loader->why->text)];
    va_list args;

    va_start(args, format);
    vsnprintf(words, sizeof(words), format, args);
    va_end(args);
    return reason_set(loader->why, "%s:%u: %s", loader->name, line, words);
}

/* What a value looks like in a message. */
static const char *shown(const struct node *node)
{
    return node->kind == NODE_SCALAR ? node->value : node->kind == NODE_MAP ? "{...}" : "[...]";
}

/* Among an application's values are secrets, and a key with a misspelt name may be of
 * one. */
static const char *shown_at(const struct level *level, const struct node *node)
{
    return level->scope == &scope_app ? "(not shown)" : shown(node);
}

static bool refuse_unknown(struct loader *loader, const struct level *level,
                           const struct node *node, const char *path)
{
    char nearest[OPTION_NAME_MAX];

    if (scope_nearest(level->scope, path, nearest, sizeof(nearest)))
        return refuse(loader, node->line,
                      "unknown key \"%s%.64s\" (value \"%.40s\"); did you mean "
                      "\"%s%s\"?",
                      level->prefix, path, shown_at(level, node), level->prefix, nearest);
    return refuse(loader, node->line, "unknown key \"%s%.64s\" (value \"%.40s\")", level->prefix,
                  path, shown_at(level, node));
}

static bool refuse_kind(struct loader *loader, const struct level *level, const struct node *node,
                        const char *path, const struct option_row *row)
{
    char memory[256];
    struct text expects;

    text_init(&expects, memory, sizeof(memory));
    option_expects(row, &expects);
    return refuse(loader, node->line, "%s%s: \"%s\": must be %s", level->prefix, path, shown(node),
                  memory);
}

/* --- keys of the original -------------------------------------------------- */

static void remember_hit(struct loader *loader, const struct level *level,
                         const struct original_key *key, unsigned line)
{
    if (key->note && loader->hit_count < HITS_MAX)
        loader->hits[loader->hit_count++] =
            (struct hit){key, line, level->scope == &scope_provider};
}

static int by_line(const void *a, const void *b)
{
    const struct hit *left = a, *right = b;

    return (left->line > right->line) - (left->line < right->line);
}

static void note_hits(struct loader *loader)
{
    qsort(loader->hits, loader->hit_count, sizeof(*loader->hits), by_line);
    for (size_t i = 0; i < loader->hit_count; i++) {
        const struct hit *hit = &loader->hits[i];
        char memory[128];
        struct text lines;

        if (!hit->key)
            continue;
        text_init(&lines, memory, sizeof(memory));
        text_add_u64(&lines, hit->line);
        for (size_t j = i + 1; j < loader->hit_count; j++) {
            if (loader->hits[j].key != hit->key)
                continue;
            text_addf(&lines, ",%u", loader->hits[j].line);
            loader->hits[j].key = NULL;
        }
        conf_note(loader->notes, "%s:%s: %s%s%s: %s", loader->name, memory,
                  hit->in_provider ? "providers.*." : "", hit->key->name,
                  hit->key->option ? "" : " has no effect", hit->key->note);
    }
}

/* The original's log format was one of Python's, which means nothing here. */
static bool is_python_format(const struct original_key *key, const struct node *node)
{
    return strcmp(key->name, "global.logging.format") == 0 && node->kind == NODE_SCALAR &&
           strstr(node->value, "%(");
}

/* --- values ---------------------------------------------------------------- */

/* A listener as a mapping becomes "ADDRESS TLS", as the text form has it. */
static bool listener_text(struct loader *loader, const struct node *node, struct text *out)
{
    static const char *const names[] = {"address", "tls", NULL};
    const char *address = NULL, *tls = "";

    for (const struct node *field = node->child; field; field = field->next) {
        const char *nearest = nearest_name(field->key, names);

        if (field->key[0] == '_')
            continue;
        if (field->kind != NODE_SCALAR)
            return refuse(loader, field->line, "listeners: %.40s must be text", field->key);
        if (strcmp(field->key, "address") == 0)
            address = field->value;
        else if (strcmp(field->key, "tls") == 0)
            tls = field->value;
        else
            return refuse(loader, field->line,
                          "unknown key \"%.40s\" (value \"%.40s\") of a listener; did you mean "
                          "\"%s\"?",
                          field->key, field->value, nearest ? nearest : "address");
    }
    if (!address)
        return refuse(loader, node->line, "listeners: this one has no address");
    text_addf(out, "%s%s%s", address, *tls ? " " : "", tls);
    return true;
}

static bool read_item(struct loader *loader, const struct level *level,
                      const struct option_row *row, const struct node *node)
{
    char memory[2 * CONF_TEXT_MAX];
    struct reason detail;
    struct text item;

    text_init(&item, memory, sizeof(memory));
    if (node->kind == NODE_MAP && row->type == OPTION_LISTENERS) {
        if (!listener_text(loader, node, &item))
            return false;
    } else if (node->kind == NODE_SCALAR) {
        text_add_str(&item, node->value);
    } else {
        return refuse(loader, node->line, "%s%s: an item must be text", level->prefix, row->name);
    }
    return option_list_add(row, level->base, (struct slice){item.at, item.len}, &detail) ||
           refuse(loader, node->line, "%s%s: %s", level->prefix, row->name, detail.text);
}

static bool read_list(struct loader *loader, const struct level *level,
                      const struct option_row *row, const struct node *node)
{
    option_list_clear(row, level->base);
    for (const struct node *item = node->child; item; item = item->next) {
        if (!read_item(loader, level, row, item))
            return false;
    }
    return true;
}

static bool store_value(struct loader *loader, const struct level *level, const struct node *node,
                        const char *path, const struct option_row *row, struct slice value)
{
    struct option_target target = {row, level->base};
    struct reason detail;

    return option_store(loader->conf, &target, value, &detail) ||
           refuse(loader, node->line, "%s%s: %s", level->prefix, path, detail.text);
}

/* Form fields as a mapping. */
static bool read_form(struct loader *loader, const struct level *level, const struct node *node,
                      const char *path, const struct option_row *row)
{
    char memory[CONF_TEXT_MAX];
    struct text form;

    text_init(&form, memory, sizeof(memory));
    for (const struct node *field = node->child; field; field = field->next) {
        if (field->kind != NODE_SCALAR)
            return refuse(loader, field->line, "%s%s: the value of \"%.40s\" must be text",
                          level->prefix, path, field->key);
        option_form_add(&form, field->key, field->value);
    }
    if (form.cut)
        return refuse(loader, node->line, "%s%s: the fields are too long together", level->prefix,
                      path);
    return store_value(loader, level, node, path, row, (struct slice){form.at, form.len});
}

/* The original's name and ours would set the same. */
static bool check_once(struct loader *loader, struct level *level, const struct node *node,
                       const char *path, const struct option_row *row)
{
    unsigned *line = &level->lines[row - level->scope->rows];

    if (*line)
        return refuse(loader, node->line, "%s%s: \"%.40s\": %s was set in line %u already",
                      level->prefix, path, shown_at(level, node), row->name, *line);
    *line = node->line;
    return true;
}

/* `path` is the key as the file has it. */
static bool read_value(struct loader *loader, struct level *level, const struct node *node,
                       const char *path, const struct option_row *row)
{
    struct option_target target = {row, level->base};
    bool ok;

    if (!check_once(loader, level, node, path, row))
        return false;
    if (node_is_null(node))
        return true;
    if (node->kind == NODE_LIST && option_is_list(row))
        ok = read_list(loader, level, row, node);
    else if (node->kind == NODE_MAP && option_is_form(row))
        ok = read_form(loader, level, node, path, row);
    else if (node->kind != NODE_SCALAR)
        ok = refuse_kind(loader, level, node, path, row);
    else
        ok = store_value(loader, level, node, path, row, slice_of(node->value));
    if (!ok)
        return false;
    option_set_origin(loader->conf, &target, (struct conf_origin){CONF_FILE, node->line});
    return true;
}

static bool read_original(struct loader *loader, struct level *level,
                          const struct original_key *key, const struct node *node)
{
    static const struct original_key python_format = {
        "global.logging.format", NULL, "a format of Python's; log.format is text or json"};

    if (is_python_format(key, node))
        key = &python_format;
    if (!node_is_null(node))
        remember_hit(loader, level, key, node->line);
    return !key->option ||
           read_value(loader, level, node, key->name, scope_option(level->scope, key->option));
}

/* --- sections -------------------------------------------------------------- */

static bool read_section(struct loader *loader, struct level *level, const struct node *map,
                         const char *path);

static bool read_key(struct loader *loader, struct level *level, const struct node *node,
                     const char *path)
{
    const struct option_row *row = scope_option(level->scope, path);
    const struct original_key *key = scope_original(level->scope, path);

    if (row)
        return read_value(loader, level, node, path, row);
    if (key)
        return read_original(loader, level, key, node);
    if (level->scope == &scope_top && strcmp(path, "providers") == 0) {
        loader->providers = node;
        return true;
    }
    if (level->scope == &scope_top && strcmp(path, "apps") == 0) {
        loader->apps = node;
        return true;
    }
    if (!scope_is_section(level->scope, path))
        return refuse_unknown(loader, level, node, path);
    if (node_is_null(node))
        return true;
    if (node->kind != NODE_MAP)
        return refuse(loader, node->line, "%s%s: \"%.40s\": must be a section with keys of its own",
                      level->prefix, path, shown(node));
    return read_section(loader, level, node, path);
}

/* Unread keys stop us at once, so those before `node` are few. */
static bool is_repeated(const struct node *map, const struct node *node, unsigned *line)
{
    for (const struct node *other = map->child; other != node; other = other->next) {
        if (strcmp(other->key, node->key) == 0) {
            *line = other->line;
            return true;
        }
    }
    return false;
}

static bool read_section(struct loader *loader, struct level *level, const struct node *map,
                         const char *path)
{
    char memory[OPTION_NAME_MAX];
    unsigned line;

    for (const struct node *node = map->child; node; node = node->next) {
        struct text full;

        if (node->key[0] == '_') /* a comment */
            continue;
        text_init(&full, memory, sizeof(memory));
        text_addf(&full, "%s%s%s", path, *path ? "." : "", node->key);
        if (full.cut)
            return refuse_unknown(loader, level, node, memory);
        if (is_repeated(map, node, &line))
            return refuse(loader, node->line, "%s%s: \"%.40s\": the key stood in line %u already",
                          level->prefix, memory, shown_at(level, node), line);
        if (!read_key(loader, level, node, memory))
            return false;
    }
    return true;
}

/* --- providers ------------------------------------------------------------- */

static bool read_provider(struct loader *loader, const struct node *node)
{
    struct reason detail;
    struct conf_provider *provider = provider_make(loader->conf, node->key, &detail);
    const struct option_row *connections = scope_option(&scope_provider, "max_connections");
    char prefix[CONF_NAME_MAX + 16];
    struct level level = {.scope = &scope_provider, .base = provider, .prefix = prefix};
    uint32_t wanted;

    if (!provider)
        return refuse(loader, node->line, "providers: %s", detail.text);
    snprintf(prefix, sizeof(prefix), "providers.%s.", provider->name);
    if (node_is_null(node))
        return true;
    if (node->kind != NODE_MAP)
        return refuse(loader, node->line, "%.*s: \"%.40s\": must be a section with keys of its own",
                      (int)strlen(prefix) - 1, prefix, shown(node));
    if (!read_section(loader, &level, node, ""))
        return false;
    wanted = provider->max_connections;
    if (provider_clamp(provider))
        conf_note(loader->notes,
                  "%s:%u: providers.%s.max_connections: %u is more than the provider allows a "
                  "mailbox; it is %u",
                  loader->name, level.lines[connections - provider_rows], provider->name, wanted,
                  provider->max_connections);
    return true;
}

static bool read_providers(struct loader *loader, bool only_default)
{
    const struct node *providers = loader->providers;
    unsigned line;

    if (!providers || node_is_null(providers))
        return true;
    if (providers->kind != NODE_MAP)
        return refuse(loader, providers->line,
                      "providers: \"%.40s\": must be a section with providers' names",
                      shown(providers));
    for (const struct node *node = providers->child; node; node = node->next) {
        if (node->key[0] == '_' || (strcmp(node->key, "default") == 0) != only_default)
            continue;
        if (is_repeated(providers, node, &line))
            return refuse(loader, node->line, "providers.%.64s stood in line %u already", node->key,
                          line);
        if (!read_provider(loader, node))
            return false;
    }
    return true;
}

/* --- applications ------------------------------------------------------------ */

static bool read_app(struct loader *loader, const struct node *node)
{
    struct reason detail;
    struct conf_app *app = app_make(loader->conf, node->key, &detail);
    char prefix[CONF_NAME_MAX + 16];
    struct level level = {.scope = &scope_app, .base = app, .prefix = prefix};

    if (!app)
        return refuse(loader, node->line, "apps: %s", detail.text);
    snprintf(prefix, sizeof(prefix), "apps.%s.", app->name);
    if (node->kind != NODE_MAP)
        return refuse(loader, node->line, "%.*s: must be a section with keys of its own",
                      (int)strlen(prefix) - 1, prefix);
    return read_section(loader, &level, node, "");
}

static bool read_apps(struct loader *loader)
{
    const struct node *apps = loader->apps;
    unsigned line;

    if (!apps || node_is_null(apps))
        return true;
    if (apps->kind != NODE_MAP)
        return refuse(loader, apps->line, "apps: must be a section with applications' names");
    for (const struct node *node = apps->child; node; node = node->next) {
        if (node->key[0] == '_')
            continue;
        if (is_repeated(apps, node, &line))
            return refuse(loader, node->line, "apps.%.64s stood in line %u already", node->key,
                          line);
        if (!read_app(loader, node))
            return false;
    }
    return true;
}

/* --- the file -------------------------------------------------------------- */

static bool read_root(struct loader *loader, const struct node *root)
{
    struct level level = {.scope = &scope_top, .base = loader->conf, .prefix = ""};

    if (node_is_null(root))
        return true;
    if (root->kind != NODE_MAP)
        return refuse(loader, root->line, "\"%.40s\": a configuration must be keys with values",
                      shown(root));
    if (!read_section(loader, &level, root, "") || !read_providers(loader, true))
        return false;
    providers_follow_default(loader->conf);
    if (!read_providers(loader, false) || !read_apps(loader))
        return false;
    note_hits(loader);
    return true;
}

struct conf *conf_parse(struct slice text, const char *name, struct conf_notes *notes,
                        struct reason *why)
{
    struct loader loader = {.name = name, .notes = notes, .why = why};
    struct node *root = tree_read(text, name, why);

    if (!root)
        return NULL;
    loader.conf = conf_default();
    if (!loader.conf) {
        reason_set(why, "out of memory");
    } else if (!read_root(&loader, root)) {
        conf_free(loader.conf);
        loader.conf = NULL;
    }
    node_free(root);
    return loader.conf;
}

/* Reads at most one octet more than is allowed, for tree_read to refuse. */
static ssize_t read_file(int fd, char *memory, size_t cap)
{
    size_t len = 0;

    while (len < cap) {
        ssize_t got = read(fd, memory + len, cap - len);

        if (got < 0 && errno != EINTR)
            return -1;
        if (got == 0)
            break;
        if (got > 0)
            len += (size_t)got;
    }
    return (ssize_t)len;
}

struct conf *conf_load(const char *path, struct conf_notes *notes, struct reason *why)
{
    char *memory = malloc(TREE_BYTES_MAX + 1);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t len = memory && fd >= 0 ? read_file(fd, memory, TREE_BYTES_MAX + 1) : -1;
    struct conf *conf = NULL;

    if (len >= 0)
        conf = conf_parse((struct slice){memory, (size_t)len}, path, notes, why);
    else
        reason_set(why, "%s: %s", path, memory ? strerror(errno) : "out of memory");
    if (fd >= 0)
        close(fd);
    free(memory);
    return conf;
}
