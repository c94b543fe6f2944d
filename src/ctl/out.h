/* Standard output, for people or for programs. */
#pragma once

#include <jansson.h>
#include <stdio.h>

#include "base/str.h"

enum colour { PLAIN, BOLD, DIM, GOOD, WARN, BAD };

/* Columns of the terminal on `fd`; 0: it is none, nothing needs to be cut. */
unsigned out_width(int fd);
/* Colours: on a terminal that has them, without NO_COLOR (no-color.org). */
bool out_colours(int fd);
/* The sequences around coloured text; "" without colours. */
const char *out_begin(bool colours, enum colour colour);
const char *out_end(bool colours, enum colour colour);

/* Prints JSON as programs want it; on a terminal all that is not ASCII as
 * escapes. Returns an exit code. */
int out_json(const json_t *value);
/* The same without a newline, within a larger text that the caller writes. */
void out_json_part(const json_t *value);
/* Makes sure that it is written: a full disk is a failure. */
int out_flush(void);

/* "label: value" lines, aligned. A value of NULL or "" prints nothing. */
void out_field(const char *label, const char *value, enum colour colour);
void out_fieldf(const char *label, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* The same with a number, right-aligned, behind a label of any length. */
void out_counter(const char *label, const char *count);
void out_heading(const char *text);
/* A text from elsewhere, and a newline. */
void out_line(const char *text);

/* "45s", "12m", "3h 5m", "4d 2h". */
void out_duration(char *out, size_t cap, long long seconds);
/* Seconds since 1970 of an ISO 8601 UTC time as the API writes it, or -1. */
long long out_time(const char *iso);
/* How long ago, or how long until, in out_duration's form; "" without a time. */
void out_since(char *out, size_t cap, const char *iso, long long now);
void out_until(char *out, size_t cap, const char *iso, long long now);
/* 1234567 as "1,234,567". */
void out_count(char *out, size_t cap, long long value);

/* What an account's state means, at a glance. */
enum colour out_state_colour(const char *state);

/* Values of members, whatever the API sent: "" and 0 where they are absent or of
 * another type. */
const char *get_text(const json_t *object, const char *key);
long long get_number(const json_t *object, const char *key);
bool get_bool(const json_t *object, const char *key);
