#include "broker/oauth/verify.h"

#include <stdlib.h>
#include <uthash.h>

#include "base/clock.h"
#include "broker/oauth/grant.h"
#include "broker/oauth/http.h"
#include "broker/oauth/policy.h"
#include "broker/wipe.h"

struct verify_host {
    UT_hash_handle hh;
    struct verifier *verifier;
    struct list lists[VERIFY_PHASES]; /* verify.node, by phase */
    size_t limit;                     /* at once, now */
    size_t successes;                 /* since the limit was changed */
    uint64_t paused_until;            /* ms */
    struct timer timer;               /* the pause's end, and work outside of callbacks */
    struct host_clock *clock;
    char *origin;
};

struct verifier {
    struct loop *loop;
    struct http *http;
    struct clocks *clocks;
    const struct conf *conf;
    struct verify_host *hosts;
};

static void pump(struct verify_host *host);

static size_t count_of(const struct verify_host *host, enum verify_phase phase)
{
    return host->lists[phase].count;
}

static struct verify *first_of(const struct verify_host *host, enum verify_phase phase)
{
    struct list_node *node = list_first(&host->lists[phase]);

    return node ? container_of(node, struct verify, node) : NULL;
}

/* `again`: before those that were not tried yet. */
static void move(struct verify *verify, enum verify_phase phase, bool again)
{
    struct verify_host *host = verify->host;

    if (verify->phase != VERIFY_NONE)
        list_remove(&host->lists[verify->phase], &verify->node);
    verify->phase = phase;
    if (phase == VERIFY_NONE)
        verify->host = NULL;
    else if (again)
        list_push_head(&host->lists[phase], &verify->node);
    else
        list_push_tail(&host->lists[phase], &verify->node);
}

struct verifier *verifier_new(struct loop *loop, struct http *http, struct clocks *clocks)
{
    struct verifier *verifier = calloc(1, sizeof(*verifier));

    if (verifier)
        *verifier = (struct verifier){.loop = loop, .http = http, .clocks = clocks};
    return verifier;
}

void verifier_configure(struct verifier *verifier, const struct conf *conf)
{
    struct verify_host *host, *next;

    verifier->conf = conf;
    HASH_ITER (hh, verifier->hosts, host, next) {
        host->limit = conf->oauth_verify_concurrency;
        host->successes = 0;
    }
}

static void free_host(struct verify_host *host)
{
    loop_timer_cancel(host->verifier->loop, &host->timer);
    HASH_DEL(host->verifier->hosts, host);
    free(host->origin);
    free(host);
}

static void drop_all(struct verify_host *host)
{
    for (int phase = VERIFY_WAITING; phase < VERIFY_PHASES; phase++) {
        struct verify *verify;

        while ((verify = first_of(host, (enum verify_phase)phase)))
            verify_cancel(verify);
    }
}

void verifier_free(struct verifier *verifier)
{
    struct verify_host *host, *next;

    if (!verifier)
        return;
    HASH_ITER (hh, verifier->hosts, host, next) {
        drop_all(host);
        free_host(host);
    }
    free(verifier);
}

/* Answers are given from the timer, so that `done` is never called inside of
 * verify_begin. */
static void end_with(struct verify *verify, enum oauth_class class_, const char *text)
{
    struct verify_host *host = verify->host;

    verify->class_ = class_;
    if (verify->text != text)
        slice_copy(slice_of(text), verify->text, sizeof(verify->text));
    move(verify, VERIFY_ENDED, false);
    loop_timer_set(host->verifier->loop, &host->timer, 0);
}

/* Those for which the pause is too long hear so now. */
static void end_impatient(struct verify_host *host)
{
    list_foreach_safe (&host->lists[VERIFY_WAITING], node) {
        struct verify *verify = container_of(node, struct verify, node);

        if (verify->give_up_ms < host->paused_until)
            end_with(verify, OAUTH_THROTTLED,
                     verify->text[0] ? verify->text
                                     : "the token endpoint wants fewer requests; try again later");
    }
}

static void take_throttle(struct verify *verify, const struct oauth_response *response)
{
    struct verify_host *host = verify->host;
    struct loop *loop = host->verifier->loop;
    uint64_t pause = response->retry_after_ms ? response->retry_after_ms : POLICY_THROTTLE_MS;
    uint64_t until = loop_now(loop) + pause;

    /* Of requests that were on their way together, the first one counts. */
    if (loop_now(loop) >= host->paused_until) {
        host->limit = host->limit > 1 ? host->limit / 2 : 1;
        host->successes = 0;
    }
    if (until > host->paused_until)
        host->paused_until = until;
    slice_copy(slice_of(response->text), verify->text, sizeof(verify->text));
    move(verify, VERIFY_WAITING, true);
    end_impatient(host);
    loop_timer_set(loop, &host->timer, count_of(host, VERIFY_ENDED) ? 0 : pause);
}

static void take_success(struct verify *verify, struct oauth_response *response)
{
    struct verify_host *host = verify->host;
    const struct conf *conf = host->verifier->conf;

    verify->grant.value = response->access_token;
    verify->grant.life_ms =
        response->expires_ms ? response->expires_ms : conf->token_default_life_ms;
    verify->grant.came_ms = loop_now(host->verifier->loop);
    response->access_token = NULL;
    if (response->refresh_token && verify->record->grant == GRANT_REFRESH_TOKEN &&
        strcmp(response->refresh_token, verify->record->refresh_token) != 0) {
        verify->refresh_token = response->refresh_token;
        response->refresh_token = NULL;
    }
    /* Those that were on their way before a throttle say nothing of its end. */
    if (loop_now(host->verifier->loop) >= host->paused_until &&
        host->limit < conf->oauth_verify_concurrency && ++host->successes >= host->limit) {
        host->limit++;
        host->successes = 0;
    }
    end_with(verify, OAUTH_OK, "");
}

static void take_response(struct verify *verify, struct oauth_response *response)
{
    oauth_response_mask(response, verify->record->refresh_token);
    oauth_response_mask(response, verify->record->client_secret);
    switch (response->class_) {
    case OAUTH_OK:
        take_success(verify, response);
        break;
    case OAUTH_THROTTLED:
        take_throttle(verify, response);
        break;
    default:
        end_with(verify, response->class_, response->text);
        break;
    }
}

static void on_answer(void *owner, const struct oauth_answer *answer, const char *why)
{
    struct verify *verify = owner;
    struct verify_host *host = verify->host;
    struct oauth_response response;

    verify->request = NULL;
    if (answer) {
        host_clock_sample(host->clock, answer->date, answer->wall_ms);
        oauth_response_read(&response, answer);
    } else {
        oauth_response_failed(&response, why);
    }
    if ((!answer || response.clock) && !verify->tried) {
        verify->tried = true; /* the connection may have been the trouble, or was our clock */
        move(verify, VERIFY_WAITING, true);
    } else {
        take_response(verify, &response);
    }
    oauth_response_clear(&response);
    pump(host);
}

static void start(struct verify *verify)
{
    struct verify_host *host = verify->host;
    const struct account_record *record = verify->record;
    struct form form;

    form_init(&form);
    if (grant_write(&form, record, record->refresh_token,
                    host_clock_now(host->clock, clock_wall_ms())))
        verify->request =
            http_post(host->verifier->http, record->token_url, (struct slice){form.at, form.len},
                      verify->tried, on_answer, verify);
    form_clear(&form);
    if (verify->request)
        move(verify, VERIFY_RUNNING, false);
    else
        end_with(verify, OAUTH_TRANSIENT,
                 "the request could not be made, for lack of memory or because the key does not "
                 "sign");
}

static void pump(struct verify_host *host)
{
    struct verify *verify;

    while (loop_now(host->verifier->loop) >= host->paused_until &&
           count_of(host, VERIFY_RUNNING) < host->limit &&
           (verify = first_of(host, VERIFY_WAITING)))
        start(verify);
}

/* A host without work is forgotten, unless it has asked for a pause. */
static bool is_idle(const struct verify_host *host)
{
    return !count_of(host, VERIFY_WAITING) && !count_of(host, VERIFY_RUNNING) &&
           !count_of(host, VERIFY_ENDED) && loop_now(host->verifier->loop) >= host->paused_until;
}

static void on_timer(struct timer *timer)
{
    struct verify_host *host = container_of(timer, struct verify_host, timer);
    struct loop *loop = host->verifier->loop;
    size_t count = count_of(host, VERIFY_ENDED);
    struct verify *verify;

    pump(host);
    /* A callback may begin new ones; those wait for the next turn. */
    while (count-- && (verify = first_of(host, VERIFY_ENDED))) {
        move(verify, VERIFY_NONE, false);
        verify->done(verify);
    }
    if (is_idle(host))
        free_host(host);
    else if (count_of(host, VERIFY_ENDED))
        loop_timer_set(loop, timer, 0);
    else if (loop_now(loop) < host->paused_until)
        loop_timer_set(loop, timer, host->paused_until - loop_now(loop));
}

static struct verify_host *find_or_make(struct verifier *verifier, const char *url)
{
    struct slice origin = url_origin(url);
    struct verify_host *host;

    HASH_FIND(hh, verifier->hosts, origin.ptr, origin.len, host);
    if (host)
        return host;
    host = calloc(1, sizeof(*host));
    if (!host || !(host->origin = slice_dup(origin))) {
        free(host);
        return NULL;
    }
    host->verifier = verifier;
    host->clock = clocks_of(verifier->clocks, url);
    host->limit = verifier->conf->oauth_verify_concurrency;
    for (size_t i = 0; i < VERIFY_PHASES; i++)
        list_init(&host->lists[i]);
    timer_init(&host->timer, on_timer);
    HASH_ADD_KEYPTR(hh, verifier->hosts, host->origin, origin.len, host);
    return host;
}

bool verify_begin(struct verifier *verifier, struct verify *verify)
{
    struct verify_host *host = find_or_make(verifier, verify->record->token_url);

    if (!host)
        return false;
    verify->host = host;
    verify->phase = VERIFY_NONE;
    verify->request = NULL;
    verify->tried = false;
    verify->text[0] = '\0';
    verify->grant = (struct token_grant){NULL, 0, 0};
    verify->refresh_token = NULL;
    move(verify, VERIFY_WAITING, false);
    if (loop_now(verifier->loop) < host->paused_until)
        end_impatient(host);
    pump(host);
    return true;
}

void verify_cancel(struct verify *verify)
{
    struct verify_host *host = verify->host;

    if (!host)
        return;
    if (verify->request)
        http_cancel(verify->request);
    verify->request = NULL;
    move(verify, VERIFY_NONE, false);
    loop_timer_set(host->verifier->loop, &host->timer, 0); /* another one's turn, or the end */
}
