/* Where the log of both processes goes: standard error, a file, or both. */
#pragma once

#include "base/str.h"
#include "conf/conf.h"

struct log_output;

/* The descriptor to write to is log_output_fd; the relay inherits it. NULL and
 * a reason when the file cannot be opened. */
struct log_output *log_output_open(const struct conf *conf, struct reason *why);
int log_output_fd(const struct log_output *output);
/* After the last line. Writes out what is under way. */
void log_output_close(struct log_output *output);
