/* Everything that is read before the broker runs and at each reload: options,
 * certificates, keys. Made anew each time and never changed. */
#pragma once

#include "conf/cli.h"
#include "conf/conf.h"

#define SETUP_PATH_MAX 4096

struct setup {
    unsigned refs;
    struct conf *conf;
    char config_path[SETUP_PATH_MAX]; /* "" an empty configuration */
    char ca_path[SETUP_PATH_MAX];
    char *ca_pem, *cert_pem, *key_pem; /* NULL: none */
    size_t ca_len, cert_len, key_len;
    char *webhook_secret; /* NULL: none */
};

/* Reads and checks all of it. `notes` gets what deserves a warning. NULL and a
 * reason when something cannot serve. */
struct setup *setup_load(const struct cli *cli, struct conf_notes *notes, struct reason *why);
struct setup *setup_ref(struct setup *setup);
void setup_unref(struct setup *setup); /* the last one frees, and wipes what is secret */

/* Options that cannot change while running keep the value of `running`; each is
 * reported once through `kept`. */
void setup_keep_fixed(struct setup *setup, const struct setup *running,
                      void (*kept)(void *owner, const char *option), void *owner);
