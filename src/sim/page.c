#include "sim/page.h"

#include <stdlib.h>

#define USERS_SHOWN 200

void page_begin(struct page *page, const char *title)
{
    page->text = NULL;
    page->out = open_memstream(&page->text, &page->len);
    fputs("<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>", page->out);
    page_text(page, title);
    fputs("</title><style>body{font:16px sans-serif;max-width:32em;margin:3em auto}"
          "button,select,input{font:inherit;margin:.5em .5em .5em 0;padding:.3em .8em}"
          "</style></head><body>\n<h1>",
          page->out);
    page_text(page, title);
    fputs("</h1>\n", page->out);
}

void page_end(struct page *page, struct http_reply *reply)
{
    fputs("</body></html>\n", page->out);
    fclose(page->out);
    reply->body = page->text;
    reply->type = "text/html; charset=utf-8";
}

void page_text(struct page *page, const char *text)
{
    for (; *text; text++) {
        if (*text == '<')
            fputs("&lt;", page->out);
        else if (*text == '>')
            fputs("&gt;", page->out);
        else if (*text == '&')
            fputs("&amp;", page->out);
        else if (*text == '"')
            fputs("&quot;", page->out);
        else
            fputc(*text, page->out);
    }
}

void page_hidden(struct page *page, const char *name, const char *value)
{
    fprintf(page->out, "<input type=\"hidden\" name=\"%s\" value=\"", name);
    page_text(page, value);
    fputs("\">\n", page->out);
}

static void add_user(struct page *page, const char *email, const char *preferred)
{
    fputs("<option", page->out);
    if (strcmp(email, preferred) == 0)
        fputs(" selected", page->out);
    fputs(">", page->out);
    page_text(page, email);
    fputs("</option>\n", page->out);
}

void page_users(struct page *page, struct sim *sim, const struct profile *profile,
                const char *preferred)
{
    struct account *account, *next;
    unsigned count = 0;

    fputs("<label>Mailbox <select id=\"user\" name=\"user\">\n", page->out);
    HASH_ITER (hh, sim->accounts.by_email, account, next) {
        bool wanted = strcmp(account->email, preferred) == 0;

        if (account->profile == profile && (count++ < USERS_SHOWN || wanted))
            add_user(page, account->email, preferred);
    }
    fputs("</select></label>\n", page->out);
}

void page_buttons(struct page *page)
{
    fputs("<p><button id=\"allow\" name=\"action\" value=\"allow\">Allow</button>\n"
          "<button id=\"deny\" name=\"action\" value=\"deny\">Deny</button></p>\n",
          page->out);
}

void page_say(struct http_reply *reply, const char *title, const char *id, const char *text)
{
    struct page page;

    page_begin(&page, title);
    fprintf(page.out, "<p id=\"%s\">", id);
    page_text(&page, text);
    fputs("</p>\n", page.out);
    page_end(&page, reply);
}
