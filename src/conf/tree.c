#include "conf/tree.h"

#include <stdlib.h>
#include <yaml.h>

struct reader {
    yaml_parser_t parser;
    const char *name;
    struct reason *why;
    size_t nodes;
};

void node_free(struct node *node)
{
    while (node) {
        struct node *next = node->next;

        node_free(node->child);
        free(node->key);
        free(node->value);
        free(node);
        node = next;
    }
}

bool node_is_null(const struct node *node)
{
    static const char *const words[] = {"", "~", "null", "Null", "NULL"};

    if (node->kind != NODE_SCALAR || !node->plain)
        return false;
    for (size_t i = 0; i < sizeof(words) / sizeof(*words); i++) {
        if (strcmp(node->value, words[i]) == 0)
            return true;
    }
    return false;
}

static bool refuse(struct reader *reader, const yaml_mark_t *mark, const char *what)
{
    return reason_set(reader->why, "%s:%zu: %s", reader->name, mark->line + 1, what);
}

static bool refuse_syntax(struct reader *reader)
{
    const yaml_parser_t *parser = &reader->parser;
    /* The reader of octets has no mark of its own. */
    size_t line =
        parser->error == YAML_READER_ERROR ? parser->mark.line : parser->problem_mark.line;

    if (parser->error == YAML_MEMORY_ERROR)
        return reason_set(reader->why, "out of memory");
    if (parser->context)
        return reason_set(reader->why, "%s:%zu: not YAML: %s, %s that begins in line %zu",
                          reader->name, line + 1, parser->problem, parser->context,
                          parser->context_mark.line + 1);
    return reason_set(reader->why, "%s:%zu: not YAML: %s", reader->name, line + 1,
                      parser->problem ? parser->problem : "unreadable");
}

static bool next_event(struct reader *reader, yaml_event_t *event)
{
    return yaml_parser_parse(&reader->parser, event) || refuse_syntax(reader);
}

static const char *unwanted(const yaml_event_t *event)
{
    const yaml_char_t *anchor = NULL, *tag = NULL;

    switch (event->type) {
    case YAML_ALIAS_EVENT:
        return "aliases (*name) are not read here: write the value out";
    case YAML_SCALAR_EVENT:
        anchor = event->data.scalar.anchor;
        tag = event->data.scalar.tag;
        break;
    case YAML_SEQUENCE_START_EVENT:
        anchor = event->data.sequence_start.anchor;
        tag = event->data.sequence_start.tag;
        break;
    case YAML_MAPPING_START_EVENT:
        anchor = event->data.mapping_start.anchor;
        tag = event->data.mapping_start.tag;
        break;
    default:
        break;
    }
    return anchor ? "anchors (&name) are not read here: write the value where it is needed"
           : tag  ? "tags (!name) are not read here"
                  : NULL;
}

static char *copy_scalar(struct reader *reader, const yaml_event_t *event)
{
    struct slice text = {(const char *)event->data.scalar.value, event->data.scalar.length};
    char *copy;

    if (text.len && memchr(text.ptr, '\0', text.len)) {
        refuse(reader, &event->start_mark, "a text holds a NUL");
        return NULL;
    }
    copy = slice_dup(text);
    if (!copy)
        reason_set(reader->why, "out of memory");
    return copy;
}

static struct node *read_node(struct reader *reader, const yaml_event_t *event, unsigned depth);

/* One entry of a mapping whose key is `event`, or one item of a list. */
static struct node *read_entry(struct reader *reader, const yaml_event_t *event, bool in_map,
                               unsigned depth)
{
    struct node *node = NULL;
    yaml_event_t value;
    char *key;

    if (!in_map)
        return read_node(reader, event, depth);
    if (event->type != YAML_SCALAR_EVENT || unwanted(event)) {
        refuse(reader, &event->start_mark, "a key must be plain text");
        return NULL;
    }
    key = copy_scalar(reader, event);
    if (!key)
        return NULL;
    if (next_event(reader, &value)) {
        node = read_node(reader, &value, depth);
        yaml_event_delete(&value);
    }
    if (node) {
        node->key = key;
        node->line = (unsigned)event->start_mark.line + 1;
    } else {
        free(key);
    }
    return node;
}

static bool read_children(struct reader *reader, struct node *parent, unsigned depth)
{
    struct node **tail = &parent->child;
    yaml_event_t event;

    for (;;) {
        bool end;

        if (!next_event(reader, &event))
            return false;
        end = event.type == YAML_MAPPING_END_EVENT || event.type == YAML_SEQUENCE_END_EVENT;
        if (!end)
            *tail = read_entry(reader, &event, parent->kind == NODE_MAP, depth);
        yaml_event_delete(&event);
        if (end)
            return true;
        if (!*tail)
            return false;
        tail = &(*tail)->next;
    }
}

static bool fill_node(struct reader *reader, const yaml_event_t *event, struct node *node,
                      unsigned depth)
{
    const char *fault = unwanted(event);

    if (fault)
        return refuse(reader, &event->start_mark, fault);
    if (depth > TREE_DEPTH_MAX || ++reader->nodes > TREE_NODES_MAX)
        return refuse(reader, &event->start_mark,
                      depth > TREE_DEPTH_MAX ? "nested too deeply" : "too many values");
    if (event->type == YAML_SCALAR_EVENT) {
        node->plain = event->data.scalar.style == YAML_PLAIN_SCALAR_STYLE;
        node->value = copy_scalar(reader, event);
        return node->value != NULL;
    }
    node->kind = event->type == YAML_MAPPING_START_EVENT ? NODE_MAP : NODE_LIST;
    return read_children(reader, node, depth + 1);
}

/* `event` begins the node; its owner deletes it. */
static struct node *read_node(struct reader *reader, const yaml_event_t *event, unsigned depth)
{
    struct node *node = calloc(1, sizeof(*node));

    if (!node) {
        reason_set(reader->why, "out of memory");
        return NULL;
    }
    node->line = (unsigned)event->start_mark.line + 1;
    if (fill_node(reader, event, node, depth))
        return node;
    node_free(node);
    return NULL;
}

static struct node *empty_map(struct reader *reader)
{
    struct node *node = calloc(1, sizeof(*node));

    if (node) {
        node->kind = NODE_MAP;
        node->line = 1;
    } else {
        reason_set(reader->why, "out of memory");
    }
    return node;
}

/* Between documents: their start and end, and that of the stream. */
static bool next_outside(struct reader *reader, yaml_event_type_t *type)
{
    yaml_event_t event;

    if (!next_event(reader, &event))
        return false;
    *type = event.type;
    if (*type == YAML_DOCUMENT_START_EVENT && reader->nodes)
        refuse(reader, &event.start_mark, "a second document: a configuration is one");
    yaml_event_delete(&event);
    return true;
}

/* Two events are on either side of a document: it and the stream begin or end. */
static bool next_two_outside(struct reader *reader, yaml_event_type_t *type)
{
    if (!next_outside(reader, type))
        return false;
    return next_outside(reader, type);
}

static struct node *read_document(struct reader *reader)
{
    yaml_event_type_t type;
    struct node *root = NULL;
    yaml_event_t event;

    if (!next_two_outside(reader, &type))
        return NULL;
    if (type == YAML_STREAM_END_EVENT)
        return empty_map(reader);
    if (next_event(reader, &event)) {
        root = read_node(reader, &event, 0);
        yaml_event_delete(&event);
    }
    if (root && next_two_outside(reader, &type) && type == YAML_STREAM_END_EVENT)
        return root;
    node_free(root);
    return NULL;
}

static struct node *read_text(struct reader *reader, struct slice text)
{
    struct node *root;

    if (!yaml_parser_initialize(&reader->parser)) {
        reason_set(reader->why, "out of memory");
        return NULL;
    }
    yaml_parser_set_encoding(&reader->parser, YAML_UTF8_ENCODING);
    yaml_parser_set_input_string(&reader->parser, (const unsigned char *)text.ptr, text.len);
    root = read_document(reader);
    yaml_parser_delete(&reader->parser);
    return root;
}

struct node *tree_read(struct slice text, const char *name, struct reason *why)
{
    struct reader reader = {.name = name, .why = why};
    struct node *root;
    char *json;

    if (text.len > TREE_BYTES_MAX) {
        reason_set(why, "%s: larger than 1 MiB", name);
        return NULL;
    }
    if (!tree_looks_like_json(text))
        return read_text(&reader, text.ptr ? text : SLICE(""));
    json = tree_from_json(text, &text.len);
    if (!json) {
        reason_set(why, "out of memory");
        return NULL;
    }
    text.ptr = json;
    root = read_text(&reader, text);
    free(json);
    return root;
}
