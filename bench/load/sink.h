/* An SMTP server that takes everything at once and keeps nothing: the other
 * end for measuring what plain SMTP costs a client by itself. */
#pragma once

#include "base/str.h"

/* Serves until SIGTERM or SIGINT; prints "ready ADDRESS" when it listens. */
bool sink_run(const char *address, struct reason *why);
