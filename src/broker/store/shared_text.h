/* Texts that many records have in common, kept once and counted. They are no
 * secrets. For all threads. */
#pragma once

/* A copy of the text that lasts until it was dropped as often as it was asked for.
 * NULL: memory is out. */
const char *shared_text(const char *text);
void shared_text_drop(const char *text);
