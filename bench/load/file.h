#pragma once

#include "base/str.h"

/* A whole text file, terminated and allocated, or NULL and a reason. */
char *file_read(const char *path, struct reason *why);
