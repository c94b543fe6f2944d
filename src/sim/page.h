/* The few pages that a browser sees: plain HTML, with ids on what a script may
 * want to click. */
#pragma once

#include <stdio.h>

#include "sim/sim.h"

struct page {
    FILE *out;
    char *text;
    size_t len;
};

void page_begin(struct page *page, const char *title);
void page_end(struct page *page, struct http_reply *reply); /* the reply takes it over */
void page_text(struct page *page, const char *text);        /* escaped */
void page_hidden(struct page *page, const char *name, const char *value);
/* A choice of mailboxes of the profile, #user; `preferred` may be "". */
void page_users(struct page *page, struct sim *sim, const struct profile *profile,
                const char *preferred);
void page_buttons(struct page *page); /* #allow and #deny: "action" is allow or deny */
/* A page that only tells something, in #error or #message. */
void page_say(struct http_reply *reply, const char *title, const char *id, const char *text);
