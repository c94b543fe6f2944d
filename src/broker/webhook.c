#include "broker/webhook.h"

#include <sodium.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/codec.h"
#include "base/log.h"
#include "broker/oauth/clocks.h"
#include "broker/oauth/http.h"
#include "broker/oauth/policy.h"

#define RETRY_MS 1000
#define RETRY_MAX_MS 300000
#define TEXT_MAX 200

struct event {
    struct list_node node; /* webhook.queue */
    uint64_t give_up_ms;   /* loop time */
    char *body;
    char id[WEBHOOK_ID_CHARS + 1];
};

static void on_timer(struct timer *timer);

void webhook_init(struct webhook *webhook, struct loop *loop, struct http *http)
{
    *webhook = (struct webhook){.loop = loop, .http = http};
    list_init(&webhook->queue);
    timer_init(&webhook->timer, on_timer);
}

static struct event *first(const struct webhook *webhook)
{
    struct list_node *node = list_first(&webhook->queue);

    return node ? container_of(node, struct event, node) : NULL;
}

static void free_event(struct webhook *webhook, struct event *event)
{
    list_remove(&webhook->queue, &event->node);
    free(event->body);
    free(event);
}

static void drop_all(struct webhook *webhook)
{
    struct event *event;

    while ((event = first(webhook))) {
        webhook->stats.dropped++;
        free_event(webhook, event);
    }
}

void webhook_clear(struct webhook *webhook)
{
    loop_timer_cancel(webhook->loop, &webhook->timer);
    if (webhook->request)
        http_cancel(webhook->request);
    webhook->request = NULL;
    if (webhook->queue.count)
        log_event(LOG_WARN, "events_lost", log_u("events", webhook->queue.count),
                  log_s("text", "they were not delivered before the end"));
    drop_all(webhook);
}

void webhook_sign(const char *secret, uint64_t seconds, struct slice body,
                  char out[WEBHOOK_SIGNATURE_MAX])
{
    crypto_auth_hmacsha256_state state;
    unsigned char digest[crypto_auth_hmacsha256_BYTES];
    char hex[2 * sizeof(digest) + 1];
    struct text text;

    text_init(&text, out, WEBHOOK_SIGNATURE_MAX);
    text_add_u64(&text, seconds);
    text_add_char(&text, '.');
    crypto_auth_hmacsha256_init(&state, (const unsigned char *)secret, strlen(secret));
    crypto_auth_hmacsha256_update(&state, (const unsigned char *)out, text.len);
    crypto_auth_hmacsha256_update(&state, (const unsigned char *)body.ptr, body.len);
    crypto_auth_hmacsha256_final(&state, digest);
    explicit_bzero(&state, sizeof(state));
    hex_encode(digest, sizeof(digest), hex);
    text_init(&text, out, WEBHOOK_SIGNATURE_MAX);
    text_addf(&text, "t=%llu,v1=%s", (unsigned long long)seconds, hex);
}

/* --- what became of a try --------------------------------------------------------- */

static void log_trouble(const struct webhook *webhook, const char *event, const char *why)
{
    log_event(LOG_WARN, event, log_sl("receiver", url_origin(webhook->conf->webhook_url)),
              log_u("waiting", webhook->queue.count), log_s("text", why));
}

static void sent(struct webhook *webhook, struct event *event)
{
    if (webhook->failures)
        log_event(LOG_INFO, "webhook_up",
                  log_sl("receiver", url_origin(webhook->conf->webhook_url)),
                  log_u("waiting", webhook->queue.count - 1),
                  log_u("failed", webhook->stats.failed), log_u("dropped", webhook->stats.dropped));
    webhook->failures = 0;
    webhook->dropping = false;
    webhook->stats.sent++;
    free_event(webhook, event);
}

/* It would say the same again. The log hears of it once in a row. */
static void refused(struct webhook *webhook, struct event *event, const char *why)
{
    if (!webhook->failures++)
        log_trouble(webhook, "webhook_refused", why);
    webhook->stats.failed++;
    free_event(webhook, event);
}

/* Half of each wait is by chance: other hosts may have the same receiver. */
static uint64_t next_delay(const struct webhook *webhook, uint64_t told_ms)
{
    uint64_t delay = RETRY_MS;

    for (unsigned i = 1; i < webhook->failures && delay < RETRY_MAX_MS; i++)
        delay *= 2;
    if (delay > RETRY_MAX_MS)
        delay = RETRY_MAX_MS;
    delay = policy_between(delay / 2, delay, randombytes_random());
    return told_ms > delay ? told_ms : delay;
}

static void drop_overdue(struct webhook *webhook)
{
    uint64_t now = loop_now(webhook->loop);
    struct event *event;

    while ((event = first(webhook)) && now >= event->give_up_ms) {
        webhook->stats.failed++;
        free_event(webhook, event);
    }
}

static void failed(struct webhook *webhook, const char *why, uint64_t told_ms)
{
    if (!webhook->failures++)
        log_trouble(webhook, "webhook_down", why);
    drop_overdue(webhook);
    loop_timer_set(webhook->loop, &webhook->timer, next_delay(webhook, told_ms));
}

static uint64_t retry_after(const struct oauth_answer *answer)
{
    uint64_t seconds;

    if (!slice_to_u64(slice_trim(answer->retry_after), &seconds))
        return 0;
    return seconds * 1000 < RETRY_MAX_MS ? seconds * 1000 : RETRY_MAX_MS;
}

static bool is_passing(long status)
{
    return status >= 500 || status == 429 || status == 408;
}

static void on_answer(void *owner, const struct oauth_answer *answer, const char *why)
{
    struct webhook *webhook = owner;
    char text[TEXT_MAX];
    struct text status;

    webhook->request = NULL;
    text_init(&status, text, sizeof(text));
    if (answer)
        text_addf(&status, "the receiver answered %ld%s", answer->status,
                  answer->status >= 300 && answer->status < 400 ? ", and no redirect is followed"
                                                                : "");
    if (!answer)
        failed(webhook, why, 0);
    else if (is_passing(answer->status))
        failed(webhook, text, retry_after(answer));
    else if (answer->status >= 200 && answer->status < 300)
        sent(webhook, first(webhook));
    else
        refused(webhook, first(webhook), text);
    if (!timer_active(&webhook->timer))
        loop_timer_set(webhook->loop, &webhook->timer, 0);
}

/* --- sending ---------------------------------------------------------------------- */

static void send_first(struct webhook *webhook)
{
    const struct event *event = first(webhook);
    struct slice body = slice_of(event->body);
    char signature[WEBHOOK_SIGNATURE_MAX], lines[2][WEBHOOK_SIGNATURE_MAX + 32];
    const char *const headers[] = {"Content-Type: application/json", lines[0], lines[1],
                                   /* Without it curl would wait for a go-ahead. */
                                   "Expect:", NULL};
    struct http_call call = {.url = webhook->conf->webhook_url,
                             .body = body,
                             .headers = headers,
                             .fresh = webhook->failures > 0,
                             .plain = true,
                             .status_only = true};
    struct text text;

    webhook_sign(webhook->secret, clock_wall_ms() / 1000, body, signature);
    text_init(&text, lines[0], sizeof(lines[0]));
    text_addf(&text, "Bearerd-Event: %s", event->id);
    text_init(&text, lines[1], sizeof(lines[1]));
    text_addf(&text, "Bearerd-Signature: %s", signature);
    webhook->request = http_send(webhook->http, &call, on_answer, webhook);
    if (!webhook->request)
        failed(webhook, "out of memory", 0);
}

static void on_timer(struct timer *timer)
{
    struct webhook *webhook = container_of(timer, struct webhook, timer);

    if (webhook->request)
        return;
    drop_overdue(webhook);
    if (!webhook_is_on(webhook))
        drop_all(webhook);
    else if (!list_empty(&webhook->queue))
        send_first(webhook);
}

void webhook_configure(struct webhook *webhook, const struct conf *conf, const char *secret)
{
    webhook->conf = conf;
    webhook->secret = secret ? secret : "";
    /* A receiver that is another one now, or was set right, need not wait. */
    if (!webhook->request && !list_empty(&webhook->queue))
        loop_timer_set(webhook->loop, &webhook->timer, 0);
}

/* The one that is on its way stays. */
static void make_room(struct webhook *webhook)
{
    while (webhook->queue.count >= webhook->conf->webhook_queue) {
        struct event *event = first(webhook);

        if (webhook->request && webhook->queue.count == 1)
            return;
        if (webhook->request)
            event = container_of(event->node.next, struct event, node);
        if (!webhook->dropping)
            log_trouble(webhook, "events_dropped",
                        "more wait than events.queue: the oldest make way; the metrics count them");
        webhook->dropping = true;
        webhook->stats.dropped++;
        free_event(webhook, event);
    }
}

void webhook_add(struct webhook *webhook, const char id[WEBHOOK_ID_CHARS + 1], char *body)
{
    struct event *event = calloc(1, sizeof(*event));

    if (!event || !body || !webhook_is_on(webhook)) {
        webhook->stats.dropped++;
        free(event);
        free(body);
        return;
    }
    make_room(webhook);
    slice_copy(slice_of(id), event->id, sizeof(event->id));
    event->body = body;
    event->give_up_ms = loop_now(webhook->loop) + webhook->conf->webhook_retry_ms;
    list_push_tail(&webhook->queue, &event->node);
    if (!webhook->request && !timer_active(&webhook->timer))
        loop_timer_set(webhook->loop, &webhook->timer, 0);
}
