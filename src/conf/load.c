/* Reading a configuration file: from the tree of its keys to the struct.
 *
 * Order matters in one place: providers come behind the rest, "default" first among
 * them, so that a provider inherits what the file says and its own values win.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "conf/load_private.h"

static bool refuse_unknown(struct loader *loader, const struct level *level,
                           const struct node *node, const char *path)
{
    char nearest[OPTION_NAME_MAX];

    if (scope_nearest(level->scope, path, nearest, sizeof(nearest)))
        return load_refuse(loader, node->line,
                           "unknown key \"%s%.64s\" (value \"%.40s\"); did you mean "
                           "\"%s%s\"?",
                           level->prefix, path, load_shown_at(level, node), level->prefix, nearest);
    return load_refuse(loader, node->line, "unknown key \"%s%.64s\" (value \"%.40s\")",
                       level->prefix, path, load_shown_at(level, node));
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
           load_value(loader, level, node, key->name, scope_option(level->scope, key->option));
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
        return load_value(loader, level, node, path, row);
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
        return load_refuse(loader, node->line,
                           "%s%s: \"%.40s\": must be a section with keys of its own", level->prefix,
                           path, load_shown(node));
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
            return load_refuse(loader, node->line,
                               "%s%s: \"%.40s\": the key stood in line %u already", level->prefix,
                               memory, load_shown_at(level, node), line);
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
        return load_refuse(loader, node->line, "providers: %s", detail.text);
    snprintf(prefix, sizeof(prefix), "providers.%s.", provider->name);
    if (node_is_null(node))
        return true;
    if (node->kind != NODE_MAP)
        return load_refuse(loader, node->line,
                           "%.*s: \"%.40s\": must be a section with keys of its own",
                           (int)strlen(prefix) - 1, prefix, load_shown(node));
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
        return load_refuse(loader, providers->line,
                           "providers: \"%.40s\": must be a section with providers' names",
                           load_shown(providers));
    for (const struct node *node = providers->child; node; node = node->next) {
        if (node->key[0] == '_' || (strcmp(node->key, "default") == 0) != only_default)
            continue;
        if (is_repeated(providers, node, &line))
            return load_refuse(loader, node->line, "providers.%.64s stood in line %u already",
                               node->key, line);
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
        return load_refuse(loader, node->line, "apps: %s", detail.text);
    snprintf(prefix, sizeof(prefix), "apps.%s.", app->name);
    if (node->kind != NODE_MAP)
        return load_refuse(loader, node->line, "%.*s: must be a section with keys of its own",
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
        return load_refuse(loader, apps->line, "apps: must be a section with applications' names");
    for (const struct node *node = apps->child; node; node = node->next) {
        if (node->key[0] == '_')
            continue;
        if (is_repeated(apps, node, &line))
            return load_refuse(loader, node->line, "apps.%.64s stood in line %u already", node->key,
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
        return load_refuse(loader, root->line,
                           "\"%.40s\": a configuration must be keys with values", load_shown(root));
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
