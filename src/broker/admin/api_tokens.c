#include "broker/admin/api_tokens.h"

#include <errno.h>
#include <jansson.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "base/codec.h"
#include "broker/json_error.h"
#include "broker/store/file_io.h"
#include "broker/wipe.h"

#define LOCK_WAIT_MS 5000
#define FILE_MAX (1u << 20)
#define RANDOM_BYTES 32
#define HASH_NAME "blake2b:"
#define HASH_DIGITS ((size_t)2 * API_TOKEN_HASH_BYTES)

static const char *const scope_words[] = {"read", "write"};

void api_tokens_clear(struct api_tokens *tokens)
{
    free(tokens->items);
    *tokens = (struct api_tokens){NULL, 0};
}

bool api_token_name_ok(const char *name)
{
    size_t len = strlen(name);

    if (!len || len > API_TOKEN_NAME_MAX)
        return false;
    for (; *name; name++) {
        char c = ascii_lower(*name);

        if (!(c >= 'a' && c <= 'z') && !(c >= '0' && c <= '9') && !strchr("-_.@", c))
            return false;
    }
    return true;
}

struct api_token *api_tokens_by_name(struct api_tokens *tokens, const char *name)
{
    for (size_t i = 0; i < tokens->count; i++) {
        if (strcmp(tokens->items[i].name, name) == 0)
            return &tokens->items[i];
    }
    return NULL;
}

static void hash_token(struct slice text, unsigned char *hash)
{
    crypto_generichash(hash, API_TOKEN_HASH_BYTES, (const unsigned char *)text.ptr, text.len, NULL,
                       0);
}

struct api_token *api_tokens_find(struct api_tokens *tokens, struct slice text)
{
    unsigned char hash[API_TOKEN_HASH_BYTES];
    struct api_token *found = NULL;

    hash_token(text, hash);
    for (size_t i = 0; i < tokens->count; i++) {
        if (sodium_memcmp(tokens->items[i].hash, hash, sizeof(hash)) == 0)
            found = &tokens->items[i];
    }
    return found;
}

void api_tokens_take_uses(struct api_tokens *tokens, const struct api_tokens *from)
{
    for (size_t i = 0; i < tokens->count; i++) {
        for (size_t j = 0; j < from->count; j++) {
            if (memcmp(tokens->items[i].hash, from->items[j].hash, API_TOKEN_HASH_BYTES) == 0)
                tokens->items[i].last_used_ms = from->items[j].last_used_ms;
        }
    }
}

/* --- reading ---------------------------------------------------------------- */

static bool read_hash(const char *text, unsigned char *hash)
{
    size_t len = 0;

    return text && strncmp(text, HASH_NAME, strlen(HASH_NAME)) == 0 &&
           strlen(text) == strlen(HASH_NAME) + HASH_DIGITS &&
           sodium_hex2bin(hash, API_TOKEN_HASH_BYTES, text + strlen(HASH_NAME), HASH_DIGITS, NULL,
                          &len, NULL) == 0 &&
           len == API_TOKEN_HASH_BYTES;
}

static bool read_token(struct api_tokens *tokens, const json_t *object, const char *name,
                       size_t number, struct reason *why)
{
    struct api_token token = {.write = false};
    const char *label = json_string_value(json_object_get(object, "name"));
    const char *scope = json_string_value(json_object_get(object, "scope"));
    const char *created = json_string_value(json_object_get(object, "created_at"));

    if (!label || !api_token_name_ok(label))
        return reason_set(why,
                          "%s: token %zu: name: must be 1 to %d letters, digits, '-', '_', '.' "
                          "or '@'",
                          name, number, API_TOKEN_NAME_MAX);
    if (api_tokens_by_name(tokens, label))
        return reason_set(why, "%s: token %zu: name: \"%s\" is there twice", name, number, label);
    if (!scope || (strcmp(scope, "read") != 0 && strcmp(scope, "write") != 0))
        return reason_set(why, "%s: token %zu: scope: must be read or write", name, number);
    if (!read_hash(json_string_value(json_object_get(object, "hash")), token.hash))
        return reason_set(why, "%s: token %zu: hash: must be " HASH_NAME "%zu hexadecimal digits",
                          name, number, HASH_DIGITS);
    token.write = strcmp(scope, "write") == 0;
    slice_copy(slice_of(label), token.name, sizeof(token.name));
    slice_copy(slice_of(created ? created : ""), token.created_at, sizeof(token.created_at));
    tokens->items[tokens->count++] = token;
    return true;
}

static bool read_tokens(struct api_tokens *tokens, const json_t *root, const char *name,
                        struct reason *why)
{
    const json_t *list = json_object_get(root, "tokens");
    size_t count = json_array_size(list);

    if (!json_is_array(list))
        return reason_set(why, "%s: must be an object with an array \"tokens\"", name);
    if (count > API_TOKENS_MAX)
        return reason_set(why, "%s: tokens: %zu are too many; the most is %d", name, count,
                          API_TOKENS_MAX);
    tokens->items = calloc(count + 1, sizeof(*tokens->items)); /* one may be added */
    if (!tokens->items)
        return reason_set(why, "out of memory");
    for (size_t i = 0; i < count; i++) {
        if (!read_token(tokens, json_array_get(list, i), name, i + 1, why))
            return false;
    }
    return true;
}

bool api_tokens_parse(struct api_tokens *tokens, struct slice text, const char *name,
                      struct reason *why)
{
    json_error_t error;
    json_t *root;
    bool ok;

    *tokens = (struct api_tokens){NULL, 0};
    root = json_loadb(text.ptr ? text.ptr : "", text.len, JSON_REJECT_DUPLICATES, &error);
    if (!root)
        return reason_set(why, "%s:%d:%d: %.*s", name, error.line, error.column,
                          json_error_len(&error), error.text);
    ok = read_tokens(tokens, root, name, why);
    json_decref(root);
    if (!ok)
        api_tokens_clear(tokens);
    return ok;
}

bool api_tokens_load(struct api_tokens *tokens, const char *path, struct reason *why)
{
    size_t len;
    char *text;
    bool ok;

    *tokens = (struct api_tokens){calloc(1, sizeof(*tokens->items)), 0};
    if (!tokens->items)
        return reason_set(why, "out of memory");
    if (access(path, F_OK) != 0 && errno == ENOENT)
        return true;
    text = file_read(path, &len, why);
    api_tokens_clear(tokens);
    ok = text &&
         (len <= FILE_MAX || reason_set(why, "%s is larger than %u octets", path, FILE_MAX)) &&
         api_tokens_parse(tokens, (struct slice){text, len}, path, why);
    secret_free_len(text, text ? len : 0);
    return ok;
}

/* --- writing ---------------------------------------------------------------- */

static json_t *token_object(const struct api_token *token)
{
    char hash[sizeof(HASH_NAME) + HASH_DIGITS] = HASH_NAME;

    hex_encode(token->hash, sizeof(token->hash), hash + strlen(HASH_NAME));
    return json_pack("{s:s, s:s, s:s, s:s}", "name", token->name, "scope",
                     scope_words[token->write], "created_at", token->created_at, "hash", hash);
}

static bool write_tokens(const struct api_tokens *tokens, const char *path, struct reason *why)
{
    json_t *list = json_array(), *root = json_pack("{s:o}", "tokens", list);
    char *text = NULL;
    bool ok = root != NULL;

    for (size_t i = 0; ok && i < tokens->count; i++)
        ok = json_array_append_new(list, token_object(&tokens->items[i])) == 0;
    if (ok)
        text = json_dumps(root, JSON_INDENT(2));
    ok = text ? file_replace(path, slice_of(text), NULL, why) : reason_set(why, "out of memory");
    wipe_free(text);
    json_decref(root);
    return ok;
}

static void make_token(struct api_token *token, const char *name, bool write, char *made)
{
    unsigned char octets[RANDOM_BYTES];
    time_t now = time(NULL);
    struct tm when;

    randombytes_buf(octets, sizeof(octets));
    memcpy(made, API_TOKEN_PREFIX, sizeof(API_TOKEN_PREFIX));
    hex_encode(octets, sizeof(octets), made + strlen(API_TOKEN_PREFIX));
    sodium_memzero(octets, sizeof(octets));
    *token = (struct api_token){.write = write};
    slice_copy(slice_of(name), token->name, sizeof(token->name));
    gmtime_r(&now, &when);
    strftime(token->created_at, sizeof(token->created_at), "%Y-%m-%dT%H:%M:%SZ", &when);
    hash_token(slice_of(made), token->hash);
}

static enum api_tokens_status add(struct api_tokens *tokens, const char *path, const char *name,
                                  bool write, char *made, struct reason *why)
{
    if (api_tokens_by_name(tokens, name)) {
        reason_set(why, "name: there is a token \"%s\" already", name);
        return API_TOKENS_EXISTS;
    }
    if (tokens->count == API_TOKENS_MAX) {
        reason_set(why, "there are %d tokens already, which is the most", API_TOKENS_MAX);
        return API_TOKENS_FAILED;
    }
    make_token(&tokens->items[tokens->count++], name, write, made);
    return write_tokens(tokens, path, why) ? API_TOKENS_OK : API_TOKENS_FAILED;
}

static enum api_tokens_status remove_one(struct api_tokens *tokens, const char *path,
                                         const char *name, struct reason *why)
{
    struct api_token *token = api_tokens_by_name(tokens, name);

    if (!token) {
        reason_set(why, "name: there is no token \"%s\"", name);
        return API_TOKENS_GONE;
    }
    tokens->count--;
    memmove(token, token + 1, (size_t)(tokens->items + tokens->count - token) * sizeof(*token));
    return write_tokens(tokens, path, why) ? API_TOKENS_OK : API_TOKENS_FAILED;
}

/* The file's lock, with what the file holds now. -1: failed. */
static int lock_and_load(struct api_tokens *tokens, const char *path, struct reason *why)
{
    int lock = file_lock(path, LOCK_WAIT_MS, why);

    if (lock >= 0 && !api_tokens_load(tokens, path, why)) {
        close(lock);
        lock = -1;
    }
    return lock;
}

enum api_tokens_status api_tokens_add(struct api_tokens *tokens, const char *path, const char *name,
                                      bool write, char *made, struct reason *why)
{
    int lock = lock_and_load(tokens, path, why);
    enum api_tokens_status status;

    if (lock < 0)
        return API_TOKENS_FAILED;
    status = add(tokens, path, name, write, made, why);
    close(lock);
    return status;
}

enum api_tokens_status api_tokens_remove(struct api_tokens *tokens, const char *path,
                                         const char *name, struct reason *why)
{
    int lock = lock_and_load(tokens, path, why);
    enum api_tokens_status status;

    if (lock < 0)
        return API_TOKENS_FAILED;
    status = remove_one(tokens, path, name, why);
    close(lock);
    return status;
}
