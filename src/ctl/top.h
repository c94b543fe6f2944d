/* What `bearerctl top` shows: samples in, a screen of text out. No terminal and
 * no clock in here. */
#pragma once

#include <jansson.h>

#include "base/str.h"

#define TOP_ROWS_MAX 10000

struct top;

struct top *top_new(const char *place); /* NULL: out of memory */
void top_free(struct top *top);

/* One sample: the status, then each pool, then the end, which computes rates
 * since the sample before and sorts the busiest to the top. */
void top_status(struct top *top, const json_t *status);
void top_pool(struct top *top, const json_t *pool); /* those past TOP_ROWS_MAX are counted only */
void top_sampled(struct top *top, uint64_t now_ms);
/* What went wrong instead; NULL: all is well again. */
void top_trouble(struct top *top, const char *text);

/* Allocated text of `height` lines of at most `width` columns, with the
 * sequences that paint it over what was there; the caller frees it. */
char *top_draw(const struct top *top, unsigned width, unsigned height, bool colours,
               long long now_s);
