/* A world for tests of tokens: clock, endpoint, store and relay are in the
 * test's hands; registry, tokens and gates are the real ones. */
#pragma once

#include "check.h"

#include "base/clock.h"
#include "broker/oauth/http.h"
#include "broker/registry.h"

struct http_request {
    bool open, fresh;
    char url[128], body[2048];
    http_done *done;
    void *owner;
};

/* What was asked of the endpoint, in order; and how many at once. */
extern struct http_request requests[4096];
extern size_t request_count, open_requests, most_open;
/* What the store was asked to save and has not answered. */
extern struct store_save *saves[256];
extern size_t save_count, store_changes;
/* A store that keeps access tokens, from here on; what it was asked and has not answered. */
extern struct store_keep *keeps[64];
extern struct store_fetch *fetches[64];
extern size_t keep_count, fetch_count;
void world_keeps_tokens(void);
/* What the relay heard. */
extern size_t told_tokens, told_states;
extern char told_token[64], told_text[1024];
extern enum account_state told_state;

extern uint64_t now_ms, wall_offset;
extern struct loop world_loop;
extern struct tokens tokens;
extern struct registry registry;
extern struct conf *conf;

#define GOOD "{\"access_token\":\"at\",\"expires_in\":3600}"
#define ROTATED "{\"access_token\":\"at\",\"expires_in\":3600,\"refresh_token\":\"rt2\"}"
#define DEAD "{\"error\":\"invalid_grant\",\"error_description\":\"revoked\"}"
#define APP "{\"error\":\"invalid_client\",\"error_description\":\"secret\"}"

int world_set_up(void **state);
int world_tear_down(void **state);
#define TEST(name) cmocka_unit_test_setup_teardown(name, world_set_up, world_tear_down)
/* Once, before the tests. */
bool world_start(void);

/* Status 0: there is no connection. */
void respond_with(struct http_request *request, long status, const char *body,
                  const char *retry_after);
/* The Date of answers from now on; "": none. */
extern const char *respond_date;
void respond(long status, const char *body); /* to the oldest open request */
void respond_all(long status, const char *body);
void finish_save(enum store_status status); /* the newest */
void finish_keep(enum store_status status); /* the oldest */
void finish_fetch(const char *value, const unsigned char *binding);

/* The account file has this now. */
void apply(const char *json_text);
/* Accounts u0, u1... of one application at Microsoft, with more fields. */
void apply_accounts(size_t count, const char *more);
struct account *account_named(const char *id);
/* A record as the store gives it: of "u0" and so on, with more fields. */
struct account_record *make_record(const char *id, const char *more);
/* Time passes; what is due happens, in order. */
void pass(uint64_t ms);
