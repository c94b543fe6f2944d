/* The content that all messages share, in both forms that it travels in. */
#pragma once

#include "base/str.h"

struct message {
    struct slice content; /* for BDAT */
    struct slice dotted;  /* for DATA, with the end of data */
    char *memory;
};

/* Exactly `size` octets: header fields and lines of text as mail has them. */
bool message_make(struct message *message, size_t size, struct reason *why);
void message_clear(struct message *message);
