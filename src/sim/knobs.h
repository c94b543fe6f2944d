/* Knobs: what a test turns to make the provider slow, strict or broken. There
 * is a global layer, one per application and one per user; the user's wins where
 * it is set, then the application's. */
#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/str.h"
#include "sim/knob_table.h"

/* clang-format off */
enum phase {
#define PHASE(id, name, help) PHASE_##id,
    KNOB_PHASES(PHASE)
#undef PHASE
    PHASES
};

enum knob {
#define KNOB(id, name, kind, help) KNOB_##id,
    KNOB_ROWS(KNOB)
#undef KNOB
    KNOB_REPLY,                       /* + phase */
    KNOB_FAULT = KNOB_REPLY + PHASES, /* + phase */
    KNOBS = KNOB_FAULT + PHASES
};
/* clang-format on */

struct knob_value {
    bool set;
    int64_t number;
    char *text;
    /* On which occasions a trigger works: not on the next `skip`, then on
     * `left` of them (-1: for ever), each with a chance of `percent`. */
    int64_t skip, left;
    unsigned percent;
};

struct knobs {
    struct knob_value values[KNOBS];
};

struct knob_scope {
    struct knobs *global;
    struct knobs *client; /* NULL: no application counts, or it has none */
    struct knobs *user;   /* NULL: the user has none of its own, or is not known */
};

void knobs_clear(struct knobs *knobs); /* back to "not set" */

/* The layer that counts. */
static inline struct knob_value *knob_find(struct knob_scope scope, enum knob knob)
{
    if (scope.user && scope.user->values[knob].set)
        return &scope.user->values[knob];
    if (scope.client && scope.client->values[knob].set)
        return &scope.client->values[knob];
    return &scope.global->values[knob];
}

static inline int64_t knob_number(struct knob_scope scope, enum knob knob, int64_t otherwise)
{
    const struct knob_value *value = knob_find(scope, knob);

    return value->set ? value->number : otherwise;
}

static inline const char *knob_text(struct knob_scope scope, enum knob knob, const char *otherwise)
{
    const struct knob_value *value = knob_find(scope, knob);

    return value->set ? value->text : otherwise;
}

static inline bool knob_on(struct knob_scope scope, enum knob knob)
{
    return knob_number(scope, knob, 0) != 0;
}

bool knob_is_date(const char *text); /* "2026-12-31" */

/* One occasion for a trigger: whether it works now. Counts down. */
bool knob_fires(struct knob_scope scope, enum knob knob);

/* {"knob": value, ..., "count": n, "after": n, "percent": p}; null unsets.
 * "scope" is left to the caller. All or nothing. */
bool knobs_apply(struct knobs *knobs, const json_t *settings, struct reason *why);
/* "name=value" of the command line. */
bool knobs_apply_text(struct knobs *knobs, const char *setting, struct reason *why);

json_t *knobs_show(const struct knobs *knobs); /* those that are set */
json_t *knobs_describe(void);                  /* name -> help */
void knobs_print_help(void);
