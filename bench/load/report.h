/* What came of the load: a line for people, JSON for programs. */
#pragma once

#include <stdio.h>

#include "load/load.h"

void report_line(const struct load *load, FILE *out);
void report_json(const struct load *load, FILE *out);
