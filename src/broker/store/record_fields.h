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
    char id[IPC_ID_MAX + 1];
    char login[IPC_ID_MAX + 1];
    char provider[CONF_NAME_MAX];
    char host[256];
    char token_url[CONF_TEXT_MAX];
    struct form extra;
};

/* Reads what the object has into the draft; the rest stays as it is. */
bool record_read_fields(struct record_draft *draft, const json_t *object, const char *where,
                        struct problems *problems, struct reason *why);
/* Whether a record may have the key. */
bool record_knows(const char *key);
bool record_has_required(const struct account_record *record, struct reason *why);
