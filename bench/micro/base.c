#include <fcntl.h>
#include <string.h>

#include "base/chain.h"
#include "base/clock.h"
#include "base/codec.h"
#include "base/log.h"
#include "micro/micro.h"
#include "net/timer.h"

#define BLOCK 16384
#define TOKEN 1024
#define MESSAGE 2048
#define TIMERS 1024

static char block_in[BLOCK], block_out[BLOCK];
static char plain[TOKEN], base64[BASE64_LEN(TOKEN) + 1], decoded[TOKEN];
static struct chunk_pool pool;
static struct timers wheel;
static struct timer timers_set[TIMERS];

void micro_fill_mail(char *out, size_t len, unsigned dotted)
{
    static const char line[] = "The quick brown fox jumps over the lazy dog, again and again.\r\n";
    size_t each = sizeof(line) - 1;

    for (size_t at = 0, number = 0; at < len; at += each, number++) {
        memcpy(out + at, line, len - at < each ? len - at : each);
        if (dotted && number % dotted == 0)
            out[at] = '.';
    }
}

static void run_empty(uint64_t rounds)
{
    while (rounds--)
        keep(NULL);
}

/* The arguments are those of a real line; the level decides. */
static void log_line(enum log_level level, uint64_t number)
{
    log_event(level, "transaction", log_s("account", "user@example.test"),
              log_s("sender", "user@example.test"), log_u("rcpts", 1), log_u("size", number),
              log_s("outcome", "accepted"), log_s("reply", "250 2.0.0 OK 1700000000 abc - gsmtp"));
}

static void run_log_off(uint64_t rounds)
{
    while (rounds--) {
        log_line(LOG_DEBUG, rounds);
        keep(NULL);
    }
}

static void run_log_on(uint64_t rounds)
{
    while (rounds--)
        log_line(LOG_INFO, rounds);
}

static void run_clock(uint64_t rounds)
{
    while (rounds--)
        keep_number(clock_us());
}

static void run_memcpy(uint64_t rounds)
{
    while (rounds--) {
        memcpy(block_out, block_in, BLOCK);
        keep(block_out);
    }
}

static void run_base64_encode(uint64_t rounds)
{
    while (rounds--) {
        base64_encode(plain, TOKEN, base64);
        keep(base64);
    }
}

static void run_base64_decode(uint64_t rounds)
{
    while (rounds--) {
        keep_number(
            (uint64_t)base64_decode((struct slice){base64, BASE64_LEN(TOKEN)}, decoded, TOKEN));
        keep(decoded);
    }
}

/* What an output queue does for one small message. */
static void run_chain(uint64_t rounds)
{
    struct chain chain;

    chain_init(&chain, &pool);
    while (rounds--) {
        chain_add(&chain, block_in, 64);
        chain_add(&chain, block_in, MESSAGE);
        chain_consume(&chain, 64 + MESSAGE);
    }
    chain_clear(&chain);
}

static void run_timer_move(uint64_t rounds)
{
    while (rounds--)
        timer_set(&wheel, &timers_set[rounds % TIMERS], 1000 + rounds % 1000, 300000);
}

static void run_timer_cycle(uint64_t rounds)
{
    while (rounds--) {
        struct timer *timer = &timers_set[rounds % TIMERS];

        timer_cancel(&wheel, timer);
        timer_set(&wheel, timer, 1000, 30 + rounds % 5000);
    }
}

static void ignore_timer(struct timer *timer)
{
    (void)timer;
}

void micro_base_prepare(void)
{
    micro_fill_mail(block_in, BLOCK, 16);
    for (size_t i = 0; i < TOKEN; i++)
        plain[i] = (char)(i * 7);
    chunk_pool_init(&pool, 16);
    timers_init(&wheel, 1000);
    for (size_t i = 0; i < TIMERS; i++)
        timer_init(&timers_set[i], ignore_timer);
    log_set_level(LOG_INFO);
    log_start(open("/dev/null", O_WRONLY | O_CLOEXEC), "micro", LOG_KEY_VALUE);
}

const struct micro micro_base[] = {
    {.name = "empty loop", .run = run_empty},
    {.name = "log_event, level off", .run = run_log_off, .reference = "empty loop", .goal_ns = 2},
    {.name = "log_event, the same call on", .run = run_log_on},
    {.name = "clock_us", .run = run_clock},
    {.name = "timer_set, moved further away", .run = run_timer_move},
    {.name = "timer_cancel + timer_set", .run = run_timer_cycle},
    {.name = "chain: add 64 + 2048 octets, consume", .run = run_chain},
    {.name = "memcpy, 16 KiB", .run = run_memcpy, .octets = BLOCK},
    {.name = "base64_encode, 1 KiB",
     .run = run_base64_encode,
     .octets = TOKEN,
     .reference = "memcpy, 16 KiB"},
    {.name = "base64_decode, 1 KiB",
     .run = run_base64_decode,
     .octets = TOKEN,
     .reference = "memcpy, 16 KiB"},
    {0},
};
