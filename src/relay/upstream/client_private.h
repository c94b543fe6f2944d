/* Shared by client.c (a connection's life) and client_setup.c (how it comes to be); nobody
 * else includes it. */
#pragma once

#include "relay/upstream/client.h"

/* client.c */
extern const struct conn_handler client_handler;
/* Everything that holds the connection lets go. Its memory stays until the loop's next
 * turn, because callbacks under way may still look at it. */
void client_let_go(struct client *client);
bool client_write_line(struct client *client, const char *line);

/* client_setup.c: of a client in a state before CLIENT_IDLE. */
void setup_secured(struct client *client);
/* False: none was due. */
bool setup_reply(struct client *client, struct smtp_reply *reply);
