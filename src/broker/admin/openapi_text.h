/* Made by tools/embed from doc/openapi.json. */
#pragma once

#include <stddef.h>

extern const unsigned char openapi_text[];
extern const size_t openapi_len;
