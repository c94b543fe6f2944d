/* Names of what fault_<phase> may be; what they do is in faults.c. */
#pragma once

#include <stdbool.h>

bool fault_known(const char *spec); /* "name" or "name:argument" */
