#include "sim/random.h"

#include <unistd.h>

#include "base/clock.h"

static uint64_t state = 1;

/* splitmix64: one multiplication chain, good enough for tokens of a test. */
uint64_t random_next(void)
{
    uint64_t z = state += 0x9e3779b97f4a7c15u;

    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return z ^ z >> 31;
}

void random_seed(uint64_t seed)
{
    state = seed ? seed : clock_wall_ms() << 20 ^ clock_us() ^ (uint64_t)getpid() << 40;
}

uint64_t random_below(uint64_t limit)
{
    return random_next() % limit;
}

static void fill(char *out, size_t len, const char *alphabet, unsigned bits)
{
    uint64_t word = 0;

    for (size_t i = 0; i < len; i++) {
        if (i % 10 == 0)
            word = random_next();
        out[i] = alphabet[word & ((1u << bits) - 1)];
        word >>= bits;
    }
    out[len] = '\0';
}

void random_text(char *out, size_t len)
{
    fill(out, len, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_", 6);
}

void random_hex(char *out, size_t len)
{
    fill(out, len, "0123456789ABCDEF", 4);
}
