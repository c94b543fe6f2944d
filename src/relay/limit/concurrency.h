/* How many connections of an account may work at once: begins low, grows while
 * all of them are at work and the provider is as fast as usual, is halved when the
 * provider says that they are too many, and stays below that level for a while. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct concurrency {
    uint32_t start, ceiling;
    double level;
    uint32_t hurt; /* so many were too many; 0: never */
    uint64_t hurt_until;
    uint64_t cut_at;     /* what began before says nothing of the level since */
    uint64_t rest_until; /* one connection was too many */
    uint64_t usual_ms;   /* about the median time of a message */
};

/* Anew, or with other bounds: a level that was learned is kept. `start` 0: the
 * ceiling. */
void concurrency_set(struct concurrency *concurrency, uint32_t start, uint32_t ceiling);

uint32_t concurrency_level(const struct concurrency *concurrency, uint64_t now);
/* How long no message may begin; 0: one may. */
uint64_t concurrency_wait(const struct concurrency *concurrency, uint64_t now);

/* A message that began then was accepted now. `full`: everything was at work. */
void concurrency_served(struct concurrency *concurrency, uint64_t now, uint64_t began, bool full);
/* A message that began then was refused as one too many of `busy`. With one it
 * rests for a while. */
void concurrency_refused(struct concurrency *concurrency, uint64_t now, uint64_t began,
                         uint32_t busy, uint64_t rest_ms);
