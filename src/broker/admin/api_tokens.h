/* API tokens: the file that keeps them, and finding the one a client shows.
 *
 * A token is "brd_" and 32 random octets in hexadecimal, so its hash needs no
 * salt and no slowness: who could guess one of 2^256 needs no dictionary, and
 * BLAKE2b is as one-way as it takes. The file holds hashes only.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/str.h"

#define API_TOKENS_MAX 1000
#define API_TOKEN_NAME_MAX 64
#define API_TOKEN_HASH_BYTES 32
#define API_TOKEN_PREFIX "brd_"
#define API_TOKEN_TEXT_MAX (sizeof(API_TOKEN_PREFIX) + 64)

struct api_token {
    char name[API_TOKEN_NAME_MAX + 1];
    char created_at[32]; /* as ISO 8601 */
    bool write;
    unsigned char hash[API_TOKEN_HASH_BYTES];
    uint64_t last_used_ms; /* wall; 0: not since we started */
};

struct api_tokens {
    struct api_token *items;
    size_t count;
};

void api_tokens_clear(struct api_tokens *tokens);
/* The file's text. `name` stands for it in reasons. */
bool api_tokens_parse(struct api_tokens *tokens, struct slice text, const char *name,
                      struct reason *why);
/* A file that does not exist holds none. */
bool api_tokens_load(struct api_tokens *tokens, const char *path, struct reason *why);
/* What remembers when it was used goes on doing so. */
void api_tokens_take_uses(struct api_tokens *tokens, const struct api_tokens *from);

/* Looks at all of them, whichever it is, so that time tells nothing. */
struct api_token *api_tokens_find(struct api_tokens *tokens, struct slice text);
struct api_token *api_tokens_by_name(struct api_tokens *tokens, const char *name);
bool api_token_name_ok(const char *name);

enum api_tokens_status { API_TOKENS_OK, API_TOKENS_EXISTS, API_TOKENS_GONE, API_TOKENS_FAILED };

/* Changes the file under its lock, and reads it into `tokens`, which must be
 * empty. They block: for a thread that may. `made` holds API_TOKEN_TEXT_MAX
 * octets and is the caller's to wipe. */
enum api_tokens_status api_tokens_add(struct api_tokens *tokens, const char *path, const char *name,
                                      bool write, char *made, struct reason *why);
enum api_tokens_status api_tokens_remove(struct api_tokens *tokens, const char *path,
                                         const char *name, struct reason *why);
