/* Keys of the original's config.json: what each is here. */
#pragma once

#include <stddef.h>

/* With an option the key sets it; with a note the note is written; with
 * neither the key is a comment. Below a key without an option anything may
 * stand. */
struct original_key {
    const char *name, *option, *note;
};

extern const struct original_key original_keys[];
extern const struct original_key original_provider_keys[]; /* below "providers.NAME." */
extern const size_t original_key_count, original_provider_key_count;
