/* What the files that read a configuration share: load.c (keys, sections, providers,
 * applications) and load_value.c (the value of one option). */
#pragma once

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

/* Sets the reason, with file and line; returns false. */
bool load_refuse(struct loader *loader, unsigned line, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* What a value looks like in a message; of an application, where it may be a secret, not
 * at all. */
const char *load_shown(const struct node *node);
const char *load_shown_at(const struct level *level, const struct node *node);

/* Reads a node into the option; `path` is the key as the file has it. */
bool load_value(struct loader *loader, struct level *level, const struct node *node,
                const char *path, const struct option_row *row);
