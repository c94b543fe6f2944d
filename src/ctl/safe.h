/* Text from elsewhere, made fit for a terminal.
 *
 * What the API says comes from providers and account files: it may hold escape
 * sequences that repaint the screen, or marks that turn the direction of
 * writing around. Such characters, and octets that are not UTF-8, are shown as
 * \x1b or \u202e instead. */
#pragma once

#include <stdio.h>

#include "base/str.h"

/* Allocated, terminated UTF-8 that any terminal shows as it is; NULL when
 * memory is out. */
char *safe_text(struct slice text);
/* Writes it; an empty text is written as nothing. */
void safe_put(FILE *out, const char *text);
/* Columns that a safe text takes. */
size_t safe_width(struct slice text);
/* The longest beginning of a safe text that takes at most `width` columns. */
struct slice safe_cut(struct slice text, size_t width);
