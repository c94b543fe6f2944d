#include "relay/dialogue.h"

#include <stdio.h>

#define PATIENCE_MS 1000
#define NO_SPLIT ((size_t)-1)
#define EACH_OCTET ((size_t)-2)

static void wait_for(struct client *client, size_t len)
{
    for (int i = 0; i < PATIENCE_MS / 2 && client->len < len && !client->eof; i++) {
        world_run_ms(2);
        client_read(client);
    }
}

void client_expect(struct client *client, const char *where, struct slice send, const char *expect)
{
    client_send(client, send);
    world_settle();
    client_read(client);
    wait_for(client, strlen(expect));
    check_slice(where, (struct slice){client->got, client->len}, slice_of(expect));
    client_forget(client);
}

void client_expect_eof(struct client *client, const char *where)
{
    for (int i = 0; i < PATIENCE_MS / 2 && !client->eof; i++) {
        world_run_ms(2);
        client_read(client);
    }
    check_num(where, client->eof, true);
    check_num(where, (long long)client->len, 0);
}

static void prelude_of(struct client *client, enum prelude prelude)
{
    client_expect(client, "greeting", SLICE(""), GREETING);
    if (prelude >= AFTER_EHLO)
        EXPECT(client, "EHLO c\r\n", EHLO_REPLY);
    if (prelude >= AFTER_LOGIN)
        EXPECT(client, AUTH_OPEN, LOGGED_IN);
}

void client_begin(struct client *client, enum prelude prelude)
{
    client_open(client, CONF_TLS_NONE, "192.0.2.7:1000", SLICE(""));
    prelude_of(client, prelude);
}

/* Sends a step; `split` counts octets of all steps before. */
static void send_step(struct client *client, struct slice send, size_t split)
{
    if (split == EACH_OCTET) {
        for (size_t i = 0; i < send.len; i++) {
            client_send(client, (struct slice){send.ptr + i, 1});
            world_settle();
        }
    } else if (split < send.len) {
        client_send(client, (struct slice){send.ptr, split});
        world_settle();
        client_read(client);
        client_send(client, (struct slice){send.ptr + split, send.len - split});
    } else {
        client_send(client, send);
    }
}

static void run_steps(const struct dialogue *dialogue, struct client *client, size_t split)
{
    char where[160];

    for (size_t i = 0; i < DIALOGUE_STEPS && dialogue->steps[i].expect; i++) {
        const struct step *step = &dialogue->steps[i];

        snprintf(where, sizeof(where), "%s, step %zu, split at %zd", dialogue->name, i,
                 (ssize_t)split);
        send_step(client, step->send, split);
        client_expect(client, where, SLICE(""), step->expect);
        if (split != NO_SPLIT && split != EACH_OCTET)
            split = split >= step->send.len ? split - step->send.len : NO_SPLIT;
    }
}

static void run(const struct dialogue *dialogue, size_t split)
{
    struct client client;

    world_open();
    world.trusted = !(dialogue->flags & UNTRUSTED);
    client_open(&client, dialogue->flags & STARTTLS ? CONF_TLS_STARTTLS : CONF_TLS_NONE,
                "192.0.2.7:1000", SLICE(""));
    prelude_of(&client, dialogue->prelude);
    if (dialogue->set_up)
        dialogue->set_up();
    run_steps(dialogue, &client, split);
    if (dialogue->flags & CLOSES)
        client_expect_eof(&client, dialogue->name);
    else
        check_num(dialogue->name, client.eof, false);
    if (dialogue->content)
        check_text(dialogue->name, (struct slice){world.content, world.content_len},
                   dialogue->content);
    if (dialogue->check)
        dialogue->check();
    client_close(&client);
    world_close();
}

void dialogue_check(const struct dialogue *dialogue)
{
    size_t total = 0;

    run(dialogue, NO_SPLIT);
    if (dialogue->flags & WHOLE)
        return;
    run(dialogue, EACH_OCTET);
    for (size_t i = 0; i < DIALOGUE_STEPS && dialogue->steps[i].expect; i++)
        total += dialogue->steps[i].send.len;
    for (size_t split = 1; split < total && total < 2000; split++)
        run(dialogue, split);
}

void dialogues_check(const struct dialogue *dialogues, size_t count)
{
    for (size_t i = 0; i < count; i++)
        dialogue_check(&dialogues[i]);
}
