/* The keys of an account's record that options of `accounts add` and `accounts
 * set` stand for. Secrets are none of them: they never stand on a command line. */
#pragma once

#include <jansson.h>

#include "ctl/args.h"

/* X(option, value, words, key, number, help) */
#define RECORD_FIELDS(X)                                                                           \
    X("provider", "NAME", NULL, "provider", false,                                                 \
      "gmail, outlook, or a provider of bearerd's configuration.")                                 \
    X("client-id", "ID", NULL, "client_id", false, "The application that the token is for.")       \
    X("account-id", "ID", NULL, "account_id", false, "What names the account in the store.")       \
    X("vmta-name", "NAME", NULL, "vmta_name", false, "PowerMTA's name for it.")                    \
    X("ip-address", "ADDRESS", NULL, "ip_address", false,                                          \
      "Connect to the provider from this address of the machine.")                                 \
    X("oauth-endpoint", "HOST:PORT", NULL, "oauth_endpoint", false, "The provider's SMTP server.") \
    X("oauth-token-url", "URL", NULL, "oauth_token_url", false, "The provider's token endpoint.")  \
    X("sasl-user", "USER", NULL, "sasl_user", false,                                               \
      "Log in at the provider as this user instead of the address.")                               \
    X("scope", "SCOPE", NULL, "scope", false, "OAuth2 scope, where the provider wants one.")       \
    X("tenant", "ID", NULL, "tenant", false, "Microsoft's tenant.")                                \
    X("tls", "MODE", "auto|starttls|implicit", "tls", false, "How TLS begins at the provider.")    \
    X("mechanism", "NAME", "auto|xoauth2|oauthbearer", "mechanism", false,                         \
      "How to log in at the provider.")                                                            \
    X("bdat", "MODE", "auto|on|off", "bdat", false, "Whether content goes out by BDAT.")           \
    X("max-concurrent-messages", "N", NULL, "max_concurrent_messages", true,                       \
      "Messages under way at the same time.")                                                      \
    X("max-connections", "N", NULL, "connection_settings.max_connections_per_account", true,       \
      "Connections to the provider at the same time.")

/* Sets what the options say. An empty value removes the key: it becomes null
 * where `nulls`, as a merge patch wants it. Says itself what is wrong. */
int fields_apply(const struct args *args, json_t *record, bool nulls);
