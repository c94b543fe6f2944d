/* Where bearerd's API is, and as whom we ask. */
#pragma once

#include "ctl/args.h"

struct place {
    char *url;        /* for curl: scheme, host, port, perhaps a prefix; no slash at its end */
    char *socket;     /* path of the unix socket, or NULL */
    char *shown;      /* as messages name it */
    const char *from; /* who named it: "--url", "BEARERD_URL", ...; NULL: we searched */
    bool https;
    bool loopback; /* this machine: a socket, or a loopback address */
    char *token;   /* NULL: none */
    const char *token_from;
    const char *ca_file; /* NULL: the system's */
};

/* From the options and the environment. Says itself what is wrong. */
int place_find(struct place *place, const struct args *args);
void place_clear(struct place *place);

/* http://HOST[:PORT][/PREFIX], https://..., unix:/PATH. Fills url, socket,
 * shown, https and loopback. */
bool place_parse(struct place *place, const char *text, struct reason *why);
