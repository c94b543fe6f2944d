#include "broker/token_world.h"

#include <sodium.h>
#include <stdio.h>

#include "base/log.h"
#include "broker/tell.h"
#include "broker/wipe.h"

/* --- the clock --------------------------------------------------------------- */

uint64_t now_ms, wall_offset;
static uint64_t dice;

uint64_t uv_now(const uv_loop_t *loop)
{
    (void)loop;
    return now_ms;
}

uint64_t clock_ms(void)
{
    return now_ms;
}

uint64_t clock_us(void)
{
    return now_ms * 1000;
}

uint64_t clock_wall_ms(void)
{
    return now_ms + wall_offset;
}

/* --- the endpoint -------------------------------------------------------------- */

struct http_request requests[4096];
size_t request_count, open_requests, most_open;

struct http_request *http_post(struct http *http, const char *url, struct slice body, bool fresh,
                               http_done *done, void *owner)
{
    struct http_request *request = &requests[request_count++];

    (void)http;
    assert_true(request_count < COUNT_OF(requests));
    *request = (struct http_request){.open = true, .fresh = fresh, .done = done, .owner = owner};
    slice_copy(slice_of(url), request->url, sizeof(request->url));
    slice_copy(body, request->body, sizeof(request->body));
    open_requests++;
    most_open = open_requests > most_open ? open_requests : most_open;
    return request;
}

void http_cancel(struct http_request *request)
{
    assert_true(request->open);
    request->open = false;
    open_requests--;
}

const char *respond_date = "";

void respond_with(struct http_request *request, long status, const char *body,
                  const char *retry_after)
{
    struct oauth_answer answer = {.status = status,
                                  .body = slice_of(body),
                                  .retry_after = slice_of(retry_after),
                                  .date = slice_of(respond_date),
                                  .wall_ms = clock_wall_ms()};

    assert_true(request->open);
    request->open = false;
    open_requests--;
    request->done(request->owner, status ? &answer : NULL, status ? NULL : "cannot connect");
}

/* Answers the oldest open request. */
void respond(long status, const char *body)
{
    for (size_t i = 0; i < request_count; i++) {
        if (requests[i].open) {
            respond_with(&requests[i], status, body, "");
            return;
        }
    }
    fail_msg("there is no request to answer");
}

void respond_all(long status, const char *body)
{
    size_t seen = request_count;

    for (size_t i = 0; i < seen; i++) {
        if (requests[i].open)
            respond_with(&requests[i], status, body, "");
    }
}

/* --- the store ------------------------------------------------------------------ */

struct store_save *saves[256];
size_t save_count, store_changes;

static void save_token(struct store *store, struct store_save *save)
{
    (void)store;
    saves[save_count++] = save;
}

struct store_keep *keeps[64];
struct store_fetch *fetches[64];
size_t keep_count, fetch_count;

static void keep(struct store *store, struct store_keep *keep)
{
    (void)store;
    assert_true(keep_count < COUNT_OF(keeps));
    keeps[keep_count++] = keep;
}

static void fetch(struct store *store, struct store_fetch *fetch)
{
    (void)store;
    assert_true(fetch_count < COUNT_OF(fetches));
    fetches[fetch_count++] = fetch;
}

static const struct store_ops store_ops = {.scheme = "fake", .save_token = save_token};
static const struct store_ops keeping_ops = {
    .scheme = "fake", .save_token = save_token, .keep = keep, .fetch = fetch};
static struct store store = {&store_ops};

void world_keeps_tokens(void)
{
    store.ops = &keeping_ops;
}

void finish_keep(enum store_status status)
{
    struct store_keep *first = keeps[0];

    assert_true(keep_count > 0);
    memmove(keeps, keeps + 1, --keep_count * sizeof(struct store_keep *));
    first->status = status;
    reason_set(&first->why, "as the test says");
    first->done(first);
}

void finish_fetch(const char *value, const unsigned char *binding)
{
    struct store_fetch *first = fetches[0];

    assert_true(fetch_count > 0);
    memmove(fetches, fetches + 1, --fetch_count * sizeof(struct store_fetch *));
    first->value = value ? slice_dup(slice_of(value)) : NULL;
    first->why.text[0] = '\0';
    if (binding)
        memcpy(first->binding, binding, RECORD_BINDING);
    first->done(first);
}

void finish_save(enum store_status status)
{
    struct store_save *save;

    assert_true(save_count > 0);
    save = saves[--save_count];
    save->status = status;
    reason_set(&save->why, "as the test says");
    save->done(save);
}

/* --- the relay ------------------------------------------------------------------- */

size_t told_tokens, told_states;
char told_token[64], told_text[1024];
enum account_state told_state;

void tell_introduce(struct account *account)
{
    (void)account;
}

void tell_put(const struct account *account)
{
    (void)account;
}

void tell_state(const struct account *account)
{
    told_states++;
    told_state = account_state(account);
    slice_copy(slice_of(account_worst(account)->text), told_text, sizeof(told_text));
}

void tell_token(const struct account *account)
{
    if (!token_valid(account) || !account->token.value)
        return;
    told_tokens++;
    slice_copy(slice_of(account->token.value), told_token, sizeof(told_token));
}

void tell_remove(struct account *account)
{
    (void)account;
}

/* --- the world --------------------------------------------------------------------- */

struct loop world_loop;
struct tokens tokens;
struct registry registry;
struct conf *conf;

static void on_store_changed(struct tokens *unused)
{
    (void)unused;
    store_changes++;
}

void apply(const char *json_text)
{
    struct account_set *set = account_set_new();
    struct registry_changes changes;
    struct document document;
    struct reason why;

    if (!document_parse(&document, slice_of(json_text), "test", &why))
        fail_msg("%s", why.text);
    assert_true(account_set_read(set, &document, "test", conf));
    check_num("skipped", (long long)set->problems.skipped, 0);
    registry_apply(&registry, set, &changes);
    account_set_free(set);
    document_clear(&document);
}

void apply_accounts(size_t count, const char *more)
{
    char *memory = malloc(count * 256 + 16);
    struct text text;

    text_init(&text, memory, count * 256 + 16);
    for (size_t i = 0; i < count; i++)
        text_addf(&text,
                  "%s{\"email\":\"u%zu@x\",\"account_id\":\"u%zu\",\"provider\":\"outlook\","
                  "\"client_id\":\"c\",\"refresh_token\":\"rt\"%s}",
                  i ? "," : "[", i, i, more);
    text_add_char(&text, ']');
    apply(memory);
    free(memory);
}

struct account_record *make_record(const char *id, const char *more)
{
    struct problems problems = {NULL, 0, 0, 0, 0};
    struct account_record *record;
    struct reason why;
    json_t *object = json_pack("{s:s, s:s, s:s, s:s}", "account_id", id, "provider", "outlook",
                               "client_id", "c", "refresh_token", "rt");
    json_t *further = json_loads(more[0] ? more : "{}", 0, NULL);
    char email[64];

    snprintf(email, sizeof(email), "%s@x", id);
    json_object_set_new(object, "email", json_string(email));
    json_object_update(object, further);
    record = record_parse(object, conf, "test", &problems, &why);
    if (!record)
        fail_msg("%s", why.text);
    problems_clear(&problems);
    json_decref(further);
    json_decref(object);
    return record;
}

struct account *account_named(const char *id)
{
    struct account *account = registry_by_id(&registry, slice_of(id));

    assert_non_null(account);
    return account;
}

/* Time passes; what is due happens, in order. */
void pass(uint64_t ms)
{
    uint64_t end = now_ms + ms;

    while (now_ms < end) {
        now_ms = now_ms + 500 < end ? now_ms + 500 : end;
        timers_run(&world_loop.timers, now_ms);
    }
}

int world_set_up(void **state)
{
    struct reason why;

    (void)state;
    now_ms = 1000000;
    dice = 1;
    wall_offset = 1700000000000;
    request_count = open_requests = most_open = save_count = keep_count = fetch_count = 0;
    store.ops = &store_ops;
    told_tokens = told_states = store_changes = 0;
    respond_date = "";
    told_state = ACCOUNT_ACTIVE;
    told_token[0] = told_text[0] = '\0';
    conf = conf_default();
    assert_true(loop_init(&world_loop, &why));
    timers_init(&world_loop.timers, now_ms);
    tokens_init(&tokens, &world_loop, NULL, &store);
    tokens.conf = conf;
    tokens.store_changed = on_store_changed;
    registry_init(&registry, &world_loop);
    registry.tokens = &tokens;
    registry.conf = conf;
    return 0;
}

int world_tear_down(void **state)
{
    (void)state;
    registry_clear(&registry);
    check_num("requests left", (long long)open_requests, 0);
    while (save_count)
        finish_save(STORE_OK);
    while (keep_count)
        finish_keep(STORE_OK);
    while (fetch_count)
        finish_fetch(NULL, NULL);
    tokens_clear(&tokens);
    loop_close(&world_loop);
    conf_free(conf);
    return 0;
}

/* The same dice in each run: what is spread by chance falls where it fell before. */
static const char *dice_name(void)
{
    return "test";
}

static uint32_t dice_roll(void)
{
    dice = dice * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(dice >> 32);
}

static void dice_fill(void *octets, const size_t len)
{
    for (size_t i = 0; i < len; i++)
        ((unsigned char *)octets)[i] = (unsigned char)(dice_roll() >> 24);
}

bool world_start(void)
{
    static struct randombytes_implementation dice_implementation = {
        .implementation_name = dice_name, .random = dice_roll, .buf = dice_fill};

    json_set_alloc_funcs(wipe_malloc, wipe_free);
    log_threshold = -1; /* failures are what is tested */
    randombytes_set_implementation(&dice_implementation);
    return sodium_init() >= 0;
}
