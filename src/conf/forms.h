/* What texts must look like. Syntax only: this folder opens no socket and
 * resolves no name. */
#pragma once

#include "conf/options.h"

extern const struct option_form form_any, form_path, form_url, form_endpoint, form_host, form_admin,
    form_socket, form_provider, form_tenant, form_secret, form_pairs, form_day, form_webhook;

/* "192.0.2.1:25", "[2001:db8::1]:25", "*:25", "unix:/path" */
bool form_is_listener(const char *value);
/* "192.0.2.0/24", "::1", "unix" */
bool form_is_range(const char *value);
/* A domain of mailboxes. */
bool form_is_domain(const char *value);
/* Letters, digits, '-' and '_'. */
bool form_is_provider_name(const char *value);
