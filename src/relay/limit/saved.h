/* What an account has sent, as text that outlives the process:
 *
 *     m0:3,12:1h60:4d900:120,1800:7r900:150f1,3
 *
 * For each limit its letter and pairs of age in seconds and number; `f` are the
 * messages and recipients in flight. Ages are cut off, so that read back nothing is
 * older than it was.
 */
#pragma once

#include "base/str.h"
#include "relay/limit/limits.h"

#define SAVED_MAX 8192 /* of any text */
#define SAVED_NOTHING UINT64_MAX

void limits_save(struct limits *limits, uint64_t now, struct text *out);

/* So many messages or recipients may have been sent since the last text. */
uint64_t limits_unsaved_most(const struct limits *limits, enum limit which);
/* Adds what was saved `elapsed` ms ago. `lost`: so long ago (ms) the process ended
 * without having saved all; what it may have sent since the text counts too, and
 * what flew then ended then. SAVED_NOTHING: nothing was lost, and what flew may have
 * ended just now. False: it is no such text, and some of it may have been added. */
bool limits_restore(struct limits *limits, uint64_t now, struct slice text, uint64_t elapsed,
                    uint64_t lost);
