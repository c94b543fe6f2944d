/* The value of one option, as a file has it. */
#include <stdarg.h>
#include <stdio.h>

#include "conf/load_private.h"

bool load_refuse(struct loader *loader, unsigned line, const char *format, ...)
{
    char words[sizeof(loader->why->text)];
    va_list args;

    va_start(args, format);
    vsnprintf(words, sizeof(words), format, args);
    va_end(args);
    return reason_set(loader->why, "%s:%u: %s", loader->name, line, words);
}

/* What a value looks like in a message. */
const char *load_shown(const struct node *node)
{
    return node->kind == NODE_SCALAR ? node->value : node->kind == NODE_MAP ? "{...}" : "[...]";
}

/* Among an application's values are secrets, and a key with a misspelt name may be of
 * one. */
const char *load_shown_at(const struct level *level, const struct node *node)
{
    return level->scope == &scope_app ? "(not shown)" : load_shown(node);
}

static bool refuse_kind(struct loader *loader, const struct level *level, const struct node *node,
                        const char *path, const struct option_row *row)
{
    char memory[256];
    struct text expects;

    text_init(&expects, memory, sizeof(memory));
    option_expects(row, &expects);
    return load_refuse(loader, node->line, "%s%s: \"%s\": must be %s", level->prefix, path,
                       load_shown(node), memory);
}

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
            return load_refuse(loader, field->line, "listeners: %.40s must be text", field->key);
        if (strcmp(field->key, "address") == 0)
            address = field->value;
        else if (strcmp(field->key, "tls") == 0)
            tls = field->value;
        else
            return load_refuse(
                loader, field->line,
                "unknown key \"%.40s\" (value \"%.40s\") of a listener; did you mean "
                "\"%s\"?",
                field->key, field->value, nearest ? nearest : "address");
    }
    if (!address)
        return load_refuse(loader, node->line, "listeners: this one has no address");
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
        return load_refuse(loader, node->line, "%s%s: an item must be text", level->prefix,
                           row->name);
    }
    return option_list_add(row, level->base, (struct slice){item.at, item.len}, &detail) ||
           load_refuse(loader, node->line, "%s%s: %s", level->prefix, row->name, detail.text);
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
           load_refuse(loader, node->line, "%s%s: %s", level->prefix, path, detail.text);
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
            return load_refuse(loader, field->line, "%s%s: the value of \"%.40s\" must be text",
                               level->prefix, path, field->key);
        option_form_add(&form, field->key, field->value);
    }
    if (form.cut)
        return load_refuse(loader, node->line, "%s%s: the fields are too long together",
                           level->prefix, path);
    return store_value(loader, level, node, path, row, (struct slice){form.at, form.len});
}

/* The original's name and ours would set the same. */
static bool check_once(struct loader *loader, struct level *level, const struct node *node,
                       const char *path, const struct option_row *row)
{
    unsigned *line = &level->lines[row - level->scope->rows];

    if (*line)
        return load_refuse(loader, node->line, "%s%s: \"%.40s\": %s was set in line %u already",
                           level->prefix, path, load_shown_at(level, node), row->name, *line);
    *line = node->line;
    return true;
}

bool load_value(struct loader *loader, struct level *level, const struct node *node,
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
