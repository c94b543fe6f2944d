/* What jansson says of a text that it cannot read. */
#pragma once

#include <jansson.h>
#include <string.h>

/* How much of error->text may be shown: behind it the text itself is quoted, which
 * may be a secret. For "%.*s". */
static inline int json_error_len(const json_error_t *error)
{
    const char *near = strstr(error->text, " near '");

    return (int)(near ? (size_t)(near - error->text) : strlen(error->text));
}
