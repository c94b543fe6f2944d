#include "broker/secret_expiry.h"

#include <stdlib.h>

#include "base/clock.h"
#include "base/date.h"
#include "base/log.h"
#include "broker/signing_key.h"

#define EVERY_MS 3600000u
#define SOON_MS 1000u
#define DAY_MS 86400000ull
#define KEY_MAX 600

enum stage { STAGE_NONE, STAGE_30_DAYS, STAGE_7_DAYS, STAGE_1_DAY, STAGE_OVER };

static enum stage stage_of(uint64_t expires_wall_ms, uint64_t wall_ms)
{
    uint64_t left = expires_wall_ms > wall_ms ? expires_wall_ms - wall_ms : 0;

    if (!left)
        return STAGE_OVER;
    if (left <= DAY_MS)
        return STAGE_1_DAY;
    if (left <= EXPIRY_SOON_MS)
        return STAGE_7_DAYS;
    return left <= EXPIRY_TOLD_MS ? STAGE_30_DAYS : STAGE_NONE;
}

/* --- gathering -------------------------------------------------------------------- */

static void free_one(struct secret_expiry *expiry, struct expiring *one)
{
    HASH_DEL(expiry->all, one);
    free(one->key);
    free(one->app);
    free(one);
}

static size_t make_key(const char *client_id, uint64_t expires_wall_ms, char key[KEY_MAX])
{
    struct text text;

    text_init(&text, key, KEY_MAX);
    text_add_u64(&text, expires_wall_ms);
    text_add_char(&text, ' ');
    text_add_str(&text, client_id);
    return text.len;
}

static struct expiring *add(struct secret_expiry *expiry, const char *client_id, const char *app,
                            uint64_t expires_wall_ms)
{
    char key[KEY_MAX];
    size_t len = make_key(client_id, expires_wall_ms, key);
    struct expiring *one;

    HASH_FIND(hh, expiry->all, key, len, one);
    if (one || HASH_COUNT(expiry->all) >= EXPIRING_MAX)
        return one;
    one = calloc(1, sizeof(*one));
    if (!one)
        return NULL;
    one->key = slice_dup((struct slice){key, len});
    one->app = slice_dup(slice_of(app));
    one->expires_wall_ms = expires_wall_ms;
    if (!one->key || !one->app) {
        free(one->key);
        free(one->app);
        free(one);
        return NULL;
    }
    one->client_id = strchr(one->key, ' ') + 1;
    HASH_ADD_KEYPTR(hh, expiry->all, one->key, len, one);
    return one;
}

static void find(struct secret_expiry *expiry, uint64_t wall_ms, const char *client_id,
                 const char *app, uint64_t expires_wall_ms, bool is_certificate, size_t accounts)
{
    struct expiring *one;

    if (!expires_wall_ms || stage_of(expires_wall_ms, wall_ms) == STAGE_NONE)
        return;
    one = add(expiry, client_id, app, expires_wall_ms);
    if (!one)
        return;
    if (!one->found)
        one->accounts = 0;
    one->found = true;
    one->is_certificate = is_certificate;
    one->accounts += accounts;
}

static uint64_t certificate_end(const struct conf_app_files *files)
{
    const struct signing_key *key;
    uint64_t expires = 0;

    if (!files || !files->key || !files->certificate)
        return 0;
    key = signing_key_get(files->key, files->certificate, "", NULL);
    if (key)
        expires = key->expires_wall_ms;
    signing_key_unref(key);
    return expires;
}

/* Those without accounts, too: they are there to be used. */
static void find_apps(struct secret_expiry *expiry, uint64_t wall_ms)
{
    const struct conf *conf = expiry->registry->conf;

    for (size_t i = 0; i < conf->app_count; i++) {
        const struct conf_app *app = &conf->apps[i];
        uint64_t expires = certificate_end(app->files);
        bool is_certificate = expires != 0;

        if (!expires && app->secret_expires[0])
            date_parse_day(app->secret_expires, &expires);
        find(expiry, wall_ms, app->client_id, app->name, expires, is_certificate, 0);
    }
}

static void find_accounts(struct secret_expiry *expiry, uint64_t wall_ms)
{
    const struct account *account;

    for (account = expiry->registry->ids; account; account = account->by_id.next) {
        const struct account_record *record = account->record;

        find(expiry, wall_ms, record->client_id, record->app, record->secret_expires_ms,
             record->key != NULL, 1);
    }
}

static int by_end(const struct expiring *a, const struct expiring *b)
{
    return (a->expires_wall_ms > b->expires_wall_ms) - (a->expires_wall_ms < b->expires_wall_ms);
}

static void gather(struct secret_expiry *expiry, uint64_t wall_ms)
{
    struct expiring *one, *next;

    for (one = expiry->all; one; one = one->hh.next)
        one->found = false;
    find_apps(expiry, wall_ms);
    find_accounts(expiry, wall_ms);
    HASH_ITER (hh, expiry->all, one, next) {
        if (!one->found)
            free_one(expiry, one);
    }
    HASH_SORT(expiry->all, by_end);
}

/* --- telling ---------------------------------------------------------------------- */

static void tell(struct expiring *one, uint64_t wall_ms)
{
    enum stage stage = stage_of(one->expires_wall_ms, wall_ms);
    char day[DATE_TEXT];

    if (stage <= (enum stage)one->told)
        return;
    one->told = stage;
    date_format(one->expires_wall_ms, day);
    day[10] = '\0';
    log_event(stage >= STAGE_1_DAY ? LOG_ERROR : LOG_WARN,
              stage == STAGE_OVER ? "secret_expired" : "secret_expires",
              log_s("kind", one->is_certificate ? "certificate" : "client_secret"),
              log_s("client_id", one->client_id), log_s("app", one->app[0] ? one->app : NULL),
              log_s("day", day), log_u("accounts", one->accounts),
              log_s("text", "make a new one at the provider and put it in place of the old one"));
}

void secret_expiry_update(struct secret_expiry *expiry, uint64_t wall_ms)
{
    gather(expiry, wall_ms);
    for (struct expiring *one = expiry->all; one; one = one->hh.next)
        tell(one, wall_ms);
}

static void on_timer(struct timer *timer)
{
    struct secret_expiry *expiry = container_of(timer, struct secret_expiry, timer);

    secret_expiry_update(expiry, clock_wall_ms());
    loop_timer_set(expiry->loop, &expiry->timer, EVERY_MS);
}

void secret_expiry_init(struct secret_expiry *expiry, struct loop *loop,
                        const struct registry *registry)
{
    *expiry = (struct secret_expiry){.registry = registry, .loop = loop};
    timer_init(&expiry->timer, on_timer);
}

void secret_expiry_soon(struct secret_expiry *expiry)
{
    loop_timer_set(expiry->loop, &expiry->timer, SOON_MS);
}

void secret_expiry_clear(struct secret_expiry *expiry)
{
    struct expiring *one, *next;

    loop_timer_cancel(expiry->loop, &expiry->timer);
    HASH_ITER (hh, expiry->all, one, next) {
        free_one(expiry, one);
    }
}

void secret_expiry_each(const struct secret_expiry *expiry, uint64_t wall_ms, uint64_t ahead_ms,
                        void (*each)(const struct expiring *one, void *arg), void *arg)
{
    for (const struct expiring *one = expiry->all; one; one = one->hh.next) {
        if (one->expires_wall_ms <= wall_ms + ahead_ms)
            each(one, arg);
    }
}
