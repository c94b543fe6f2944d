/* One thing measured by itself, in a loop, in one thread. */
#pragma once

#include <stddef.h>
#include <stdint.h>

struct micro {
    const char *name;
    void (*run)(uint64_t rounds);
    size_t octets;         /* that one round works on; 0: only time matters */
    const char *reference; /* the row to compare with, or NULL */
    double goal_ns;        /* at most so much a round; 0: no goal */
};

/* Each ends with a row without a name. */
extern const struct micro micro_base[];   /* base.c: log, clock, codecs, buffers, timers */
extern const struct micro micro_wire[];   /* wire.c: the SMTP library */
extern const struct micro micro_relay[];  /* relay.c: the relay's tables */
extern const struct micro micro_pool[];   /* pool.c: connections of an account, limits */
extern const struct micro micro_broker[]; /* broker.c: the broker's tables */

void micro_base_prepare(void);
void micro_wire_prepare(void);
void micro_relay_prepare(void);
void micro_pool_prepare(void);
void micro_broker_prepare(void);

/* The compiler must believe that the value, and all memory, is looked at. */
static inline void keep(const void *value)
{
    __asm__ volatile("" : : "r"(value) : "memory");
}

static inline void keep_number(uint64_t value)
{
    __asm__ volatile("" : : "r"(value));
}

/* Mail as people write it: `len` octets of CRLF lines, every `dotted`th of
 * which starts with a dot (0: none). */
void micro_fill_mail(char *out, size_t len, unsigned dotted);
