/* The table of commands: help, doc/bearerctl.1 and the completions of shells
 * follow from it. */
#include <stddef.h>

#include "ctl/ctl.h"
#include "ctl/fields.h"

#define STATES "active|throttled|parked|needs_consent|misconfigured|blocked|disabled"
#define LEVELS "error|warn|info|debug|trace"

#define END_OF_OPTIONS                                                                             \
    {                                                                                              \
        NULL, 0, NULL, NULL, NULL                                                                  \
    }

#define FIELD_OPTION(option, value, words, key, number, help) {option, 0, value, words, help},

#define YES_OPTION                                                                                 \
    {                                                                                              \
        "yes", 'y', NULL, NULL, "Do not ask."                                                      \
    }

#define FILTER_OPTIONS                                                                             \
    {"state", 0, "STATE", STATES, "Accounts in this state."},                                      \
        {"provider", 0, "NAME", NULL, "Accounts of this provider."},                               \
    {                                                                                              \
        "domain", 0, "DOMAIN", NULL, "Accounts whose address ends in @DOMAIN."                     \
    }

const struct ctl_option ctl_connection_options[] = {
    {"url", 0, "URL", NULL,
     "Where bearerd's admin API is: http://HOST:PORT, https://HOST:PORT or unix:/PATH."},
    {"token-file", 0, "FILE", NULL, "File that holds an API token, alone in its line."},
    {"ca-file", 0, "FILE", NULL, "Authorities that may sign the certificate of an https:// URL."},
    {"timeout", 0, "SECONDS", NULL, "Give up when nothing comes for so long; 120 by default."},
    END_OF_OPTIONS,
};

const struct ctl_option ctl_json_options[] = {
    {"json", 0, NULL, NULL, "Print the API's own JSON, for programs."},
    END_OF_OPTIONS,
};

static const struct ctl_option list_options[] = {FILTER_OPTIONS, END_OF_OPTIONS};
static const struct ctl_option add_options[] = {
    RECORD_FIELDS(FIELD_OPTION){"from", 0, "FILE", NULL,
                                "Read the record, secrets included, from this file; \"-\" is "
                                "standard input."},
    {"no-verify", 0, NULL, NULL, "Do not try the refresh token at the provider first."},
    {"overwrite", 0, NULL, NULL, "Replace the account if it is there already."},
    END_OF_OPTIONS};
static const struct ctl_option set_options[] = {
    RECORD_FIELDS(FIELD_OPTION){"new-refresh-token", 0, NULL, NULL, "Ask for a new refresh token."},
    {"new-client-secret", 0, NULL, NULL, "Ask for a new client secret."},
    {"from", 0, "FILE", NULL,
     "Read keys to change from this JSON file; null removes a key. \"-\" is standard input."},
    END_OF_OPTIONS};
static const struct ctl_option import_options[] = {
    {"verify", 0, NULL, NULL, "Try each refresh token at its provider first."},
    {"no-verify", 0, NULL, NULL, "Do not; this is the default."},
    {"overwrite", 0, NULL, NULL, "Replace accounts that are there already."},
    {"dry-run", 0, NULL, NULL, "Only check the file; send nothing."},
    END_OF_OPTIONS};
static const struct ctl_option export_options[] = {
    {"secrets", 0, NULL, NULL, "With refresh tokens, client secrets and password hashes."},
    {"format", 0, "FORMAT", "json|ndjson",
     "json: a list, as accounts.json is; ndjson: a record a line. The default is json."},
    {"output", 'o', "FILE", NULL,
     "Write this file, readable by its owner only; it appears when it is complete."},
    END_OF_OPTIONS};
static const struct ctl_option verify_options[] = {
    {"all", 0, NULL, NULL, "All accounts."},
    FILTER_OPTIONS,
    {"smtp", 0, NULL, NULL, "Log in at the SMTP server too, not only at the token endpoint."},
    END_OF_OPTIONS};
static const struct ctl_option disable_options[] = {
    {"reason", 0, "TEXT", NULL, "What clients and accounts show say about it."}, END_OF_OPTIONS};
static const struct ctl_option remove_options[] = {
    {"invalid", 0, NULL, NULL,
     "All whose credentials are dead: the provider said so, not merely failed to answer."},
    {"all", 0, NULL, NULL, "All accounts."},
    {"dry-run", 0, NULL, NULL, "With --invalid: only tell which."},
    YES_OPTION,
    END_OF_OPTIONS};
static const struct ctl_option login_options[] = {
    {"provider", 0, "NAME", NULL,
     "gmail, outlook, or a provider of bearerd's configuration; else it is known by the account or "
     "by the address's domain."},
    {"app", 0, "NAME", NULL, "The application of bearerd's configuration that asks."},
    {"client-id", 0, "ID", NULL, "The application's id at the provider, in place of --app."},
    {"client-secret-file", 0, "FILE", NULL, "File that holds its secret, alone in its line."},
    {"tenant", 0, "ID", NULL, "Microsoft's tenant."},
    {"device", 0, NULL, NULL, "By a code that is typed on another device, where there is that."},
    {"no-browser", 0, NULL, NULL, "Open none, only show the address."},
    {"redirect-uri", 0, "URI", NULL,
     "The redirect address of the application's registration, where it allows none on this "
     "machine."},
    {"all-needing-consent", 0, NULL, NULL,
     "One after the other, the accounts whose owners must sign in again."},
    END_OF_OPTIONS};
static const struct ctl_option passwd_options[] = {
    {"remove", 0, NULL, NULL, "Take the account's password away."}, END_OF_OPTIONS};
static const struct ctl_option config_options[] = {
    {"changed", 0, NULL, NULL, "Only options that are not at their default."}, END_OF_OPTIONS};
static const struct ctl_option reload_options[] = {
    {"no-wait", 0, NULL, NULL, "Do not wait until it is done."}, END_OF_OPTIONS};
static const struct ctl_option drain_options[] = {YES_OPTION, END_OF_OPTIONS};
static const struct ctl_option health_options[] = {
    {"nagios", 0, NULL, NULL,
     "One line and the exit codes of monitoring plug-ins: 0 healthy, 1 degraded, 2 not healthy "
     "or not there, 3 the check itself is wrong."},
    END_OF_OPTIONS};
static const struct ctl_option create_options[] = {
    {"scope", 0, "SCOPE", "read|write", "read may look, write may change; the default is read."},
    {"output", 'o', "FILE", NULL, "Write the token to this new file instead of showing it."},
    END_OF_OPTIONS};

#define IMPORT_HELP                                                                                \
    "Reads accounts.json in any of its shapes (a list, or an object with \"accounts\"), or "       \
    "NDJSON; \"-\" is standard input. A file is checked as a whole before the first record is "    \
    "sent. Each record that bearerd refuses is reported with its number, line and reason; the "    \
    "others go on. Existing accounts are refused unless --overwrite is given.\n"                   \
    "Nothing is verified unless --verify is given, so that moving ten thousand accounts does not " \
    "ask the providers for ten thousand tokens at once; accounts verify does it later.\n"
#define EXPORT_HELP                                                                                \
    "Prints all accounts as accounts.json has them, without secrets unless --secrets is given. "   \
    "With --secrets the file is a complete backup, which import reads; it needs root at "          \
    "bearerd's socket or a token with scope write.\n"

#define LOGIN_HELP                                                                                 \
    "Adds the account with this address, or gives the one that is there a new grant; all else of " \
    "it stays. A browser on this machine is opened if there is one, and comes back by itself. On " \
    "a machine without a screen the address to open is printed, and the address where the "        \
    "browser "                                                                                     \
    "ended is pasted back. On a terminal it asks for what it cannot know: the provider, the "      \
    "application.\n"                                                                               \
    "bearerd itself talks to the provider, also when it runs on another host: no secret of the "   \
    "application and no token comes here. Nothing is stored when somebody else than the "          \
    "mailbox's user has signed in.\n"

const struct ctl_command ctl_commands[] = {
    {"accounts list", "[TEXT]", 0, 1, NULL, CTL_JSON, list_options,
     "list accounts and their states", "With TEXT, those with it in their address or id.\n",
     cmd_accounts_list},
    {"accounts show", "ADDRESS", 1, 1, NULL, CTL_JSON, NULL, "everything about one account",
     "State and its cause, the provider's own words, what to do about it, token, connections, "
     "settings. No secret is shown.\n",
     cmd_accounts_show},
    {"accounts add", "[ADDRESS]", 0, 1, NULL, CTL_JSON | CTL_SECRET, add_options, "add an account",
     "On a terminal it asks for what is missing; secrets are not shown. From a pipe it reads the "
     "refresh token and, in a second line, the client secret. With --from it reads a record and "
     "asks nothing. The refresh token is tried at the provider first. Who has none yet uses "
     "bearerctl login.\n",
     cmd_accounts_add},
    {"accounts set", "ADDRESS", 1, 1, NULL, CTL_JSON | CTL_SECRET, set_options, "change an account",
     "Changes the keys that are named and leaves the others. An empty value removes a key: "
     "--ip-address \"\". New secrets are asked for on a terminal, else read from standard input, "
     "a line each.\n",
     cmd_accounts_set},
    {"accounts import", "FILE", 1, 1, NULL, CTL_JSON | CTL_SECRET, import_options,
     "add the accounts of a file", IMPORT_HELP, cmd_accounts_import},
    {"accounts export", "", 0, 0, NULL, CTL_SECRET, export_options, "write all accounts to a file",
     EXPORT_HELP, cmd_accounts_export},
    {"accounts verify", "[ADDRESS]...", 0, -1, NULL, CTL_JSON, verify_options,
     "try accounts at their providers",
     "Asks for a token for each account, and with --smtp logs in as well. Prints a line as soon "
     "as one is done, and the causes of failures with what to do about them. Nothing is changed "
     "or removed, whatever comes out.\n",
     cmd_accounts_verify},
    {"accounts enable", "ADDRESS...", 1, -1, NULL, CTL_JSON, NULL, "let accounts send again",
     "Ends what accounts disable began.\n", cmd_accounts_enable},
    {"accounts disable", "ADDRESS...", 1, -1, NULL, CTL_JSON, disable_options,
     "keep accounts from sending",
     "Clients are told so at once, before any message is transferred. The account stays.\n",
     cmd_accounts_disable},
    {"accounts remove", "[ADDRESS]...", 0, -1, NULL, CTL_JSON, remove_options, "remove accounts",
     "Named accounts go at once. --invalid and --all ask first; where nobody can be asked they "
     "need --yes.\n",
     cmd_accounts_remove},
    {"check", "ADDRESS", 1, 1, NULL, CTL_JSON, NULL, "find out why an account does not send",
     "Goes through all that sending takes and shows each step as it is done: the account's state, "
     "the token endpoint (DNS, TCP, TLS and its certificate), a new token, what the token says of "
     "itself (never the token), the mail server (DNS, TCP from the account's own address, TLS, "
     "greeting, EHLO), the login, and a MAIL FROM that is taken back. What fails has its cause and "
     "what to do about it. Nothing is sent; the login counts as one. A login that works ends a "
     "pause that the refusal of one began. An account is checked 5 times at once, then once a "
     "minute, and anew when it was changed.\n"
     "The exit code is 0 when all is well, 5 when it works but something needs a look, 1 when a "
     "step failed.\n",
     cmd_check},
    {"login", "[ADDRESS]", 0, 1, NULL, CTL_JSON | CTL_SECRET, login_options,
     "sign in at the provider for an account", LOGIN_HELP, cmd_login},
    {"import", "FILE", 1, 1, NULL, CTL_JSON | CTL_SECRET, import_options,
     "the same as accounts import", IMPORT_HELP, cmd_accounts_import},
    {"export", "", 0, 0, NULL, CTL_SECRET, export_options, "the same as accounts export",
     EXPORT_HELP, cmd_accounts_export},
    {"passwd", "[ADDRESS]", 0, 1, NULL, CTL_SECRET, passwd_options,
     "set the password of an account, or make a hash",
     "Asks twice for a password without showing it, or reads one line where standard input is "
     "not a terminal. Only its Argon2id hash leaves this program. With ADDRESS the hash becomes "
     "that account's; without, it is printed, and that line is the value of password_hash in an "
     "account's record in accounts.json. A password is not empty and has at most 1023 octets. It "
     "is not taken as an argument, where others could see it.\n",
     cmd_passwd},
    {"pools", "[ADDRESS]", 0, 1, NULL, CTL_JSON, NULL, "connections and messages, by account", "",
     cmd_pools},
    {"tokens", "[ADDRESS]", 0, 1, NULL, CTL_JSON, NULL, "access tokens: age, expiry, failures", "",
     cmd_tokens},
    {"limits", "[ADDRESS]", 0, 1, NULL, CTL_JSON, NULL, "limits and how much of them is used", "",
     cmd_limits},
    {"addresses", "", 0, 0, NULL, CTL_JSON, NULL, "addresses of this machine to send from", "",
     cmd_addresses},
    {"config", "[OPTION]...", 0, -1, NULL, CTL_JSON, config_options,
     "options, values and where they come from", "With OPTION, those whose name begins so.\n",
     cmd_config},
    {"reload", "", 0, 0, NULL, CTL_JSON, reload_options, "read configuration and accounts again",
     "As SIGHUP does, and tells what was wrong. What was wrong changes nothing: bearerd goes on "
     "with what it has.\n",
     cmd_reload},
    {"drain", "", 0, 0, NULL, CTL_JSON, drain_options, "end bearerd without breaking a message",
     "As SIGTERM does: takes no more messages, ends when those under way are done. Asks first; "
     "where nobody can be asked it needs --yes.\n",
     cmd_drain},
    {"status", "", 0, 0, NULL, CTL_JSON, NULL, "version, accounts by state, counters", "",
     cmd_status},
    {"top", "", 0, 0, NULL, 0, NULL, "a live screen of the busiest accounts",
     "Refreshed every second; q quits.\n", cmd_top},
    {"log", "[LEVEL]", 0, 1, LEVELS, CTL_JSON, NULL, "show or change how much is logged",
     "Until the next reload or restart.\n", cmd_log},
    {"rekey", "", 0, 0, NULL, CTL_JSON, NULL, "seal the store's secrets with the newest key",
     "Needs root at bearerd's socket or a token with scope write.\n", cmd_rekey},
    {"api-token create", "NAME", 1, 1, NULL, CTL_JSON | CTL_SECRET, create_options,
     "make a token for the API",
     "It is shown this once. Needs root at bearerd's socket or a token with scope write.\n",
     cmd_api_token_create},
    {"api-token list", "", 0, 0, NULL, CTL_JSON, NULL, "list the API's tokens", "",
     cmd_api_token_list},
    {"api-token revoke", "NAME", 1, 1, NULL, CTL_JSON, NULL, "make a token worthless", "",
     cmd_api_token_revoke},
    {"health", "", 0, 0, NULL, CTL_JSON, health_options, "is it well? for monitoring",
     "Prints the state and the reasons for it. The exit code is 0 when bearerd is healthy, 5 when "
     "it works but something needs a look, 1 when it does not work (yet), 3 when it is not "
     "there.\n",
     cmd_health},
    {"completion", "SHELL", 1, 1, "bash|zsh|fish", CTL_LOCAL, NULL,
     "print the completions for a shell",
     "bash: eval \"$(bearerctl completion bash)\". zsh: bearerctl completion zsh "
     ">\"${fpath[1]}/_bearerctl\". fish: bearerctl completion fish | source.\n",
     cmd_completion},
    {"help", "[COMMAND]...", 0, 2, NULL, CTL_LOCAL, NULL, "list the commands, or explain one", "",
     cmd_help},
    {NULL, NULL, 0, 0, NULL, 0, NULL, NULL, NULL, NULL},
};
