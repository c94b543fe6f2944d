/* The keys of a record: one table of names, types and checks. For record.c, and for
 * who makes records. */
#pragma once

#include "broker/form.h"
#include "broker/store/record.h"
#include "ipc/ipc.h"

/* A record that is being read. Its texts are the object's, the configuration's, or
 * the ones below. */
struct record_draft {
    struct account_record record;
    struct account_terms terms;
    char id[IPC_ID_MAX + 1];
    char login[IPC_ID_MAX + 1];
    char provider[CONF_NAME_MAX];
    char host[256];
    char token_url[CONF_TEXT_MAX];
    struct form extra;
    /* What the fields of a record are made of. */
    uint32_t wanted_grant; /* 0: not named; else enum record_grant + 1 */
    uint32_t assertion;
    const char *private_key, *certificate, *secret_expires;
    const json_t *service_account;
    const struct conf_app *app;
    const char *own_endpoint, *own_token_url; /* of a record with an application */
    json_t *app_service_account;              /* owned */
};

/* Reads what the object has into the draft; the rest stays as it is. */
bool record_read_fields(struct record_draft *draft, const json_t *object, const char *where,
                        struct problems *problems, struct reason *why);
/* Whether a record may have the key. */
bool record_knows(const char *key);
bool record_has_required(const struct record_draft *draft, struct reason *why);
