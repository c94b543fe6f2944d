/* The configuration: one immutable struct, filled from one option table.
 *
 * conf_load reads YAML (of which the original's config.json is a subset) into
 * a fresh struct; a reload makes a new one and never changes the old. The
 * relay gets the same options as text (conf_write) and fills its own struct
 * with conf_read, so the table is the only place that knows an option's type,
 * range and default.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/log.h"
#include "base/str.h"

#define CONF_LISTENERS_MAX 16
#define CONF_TRUSTED_MAX 64
#define CONF_PROVIDERS_MAX 40
#define CONF_APPS_MAX 1000
#define CONF_NAME_MAX 64   /* provider names, host names of options */
#define CONF_TEXT_MAX 1024 /* paths and URLs */
#define CONF_ROWS_MAX 96   /* options of the whole, of a provider, of an application */

enum conf_tls { CONF_TLS_NONE, CONF_TLS_STARTTLS, CONF_TLS_IMPLICIT };
enum conf_upstream_tls { CONF_UPSTREAM_BY_PORT, CONF_UPSTREAM_STARTTLS, CONF_UPSTREAM_IMPLICIT };
enum conf_bare_newlines { CONF_NEWLINES_REJECT, CONF_NEWLINES_NORMALIZE };
enum conf_auto { CONF_AUTO, CONF_ON, CONF_OFF };
enum conf_grant {
    CONF_GRANT_AUTO,
    CONF_GRANT_REFRESH_TOKEN,
    CONF_GRANT_CLIENT_CREDENTIALS,
    CONF_GRANT_SERVICE_ACCOUNT
};
enum conf_assertion { CONF_ASSERTION_PS256, CONF_ASSERTION_RS256 };
enum conf_mechanism { CONF_MECH_AUTO, CONF_MECH_XOAUTH2, CONF_MECH_OAUTHBEARER };

/* Where a value comes from. A provider's value may be inherited, and has the origin
 * of what it was inherited from. */
enum conf_origin_kind { CONF_DEFAULT, CONF_FILE, CONF_FLAG, CONF_ENVIRONMENT, CONF_ORIGINS };

extern const char *const conf_origin_names[CONF_ORIGINS]; /* "default"... */

struct conf_origin {
    enum conf_origin_kind kind;
    unsigned line; /* of the file */
};

struct conf_listener {
    char address[128]; /* as net_address_parse takes it */
    enum conf_tls tls;
};

/* What an account may send and how it is held back; 0 is no limit. A provider's are
 * its accounts' unless their records say otherwise. */
struct conf_limits {
    uint32_t messages_per_minute, messages_per_hour, messages_per_day;
    uint32_t recipients_per_day, recipients_per_message;
    /* Of all accounts of a group together. */
    uint32_t group_messages_per_minute, group_messages_per_hour, group_messages_per_day;
    uint32_t group_recipients_per_day;
    uint32_t connections_start; /* 0: as many as there may be */
    uint32_t breaker_failures, breaker_trials;
    uint64_t breaker_recovery_ms;
    bool rates_on, breaker_on; /* false: as if all of them were 0 */
};

/* Connections that are opened ahead of mail. */
struct conf_prewarm {
    bool enabled;
    uint32_t min_connections, max_connections;
    uint32_t min_messages;            /* of the last hour; with fewer there are none */
    uint32_t messages_per_connection; /* that a minute must have for each; 0: any */
    uint32_t concurrency;             /* being set up at once at one server */
};

bool conf_limits_same(const struct conf_limits *a, const struct conf_limits *b);
bool conf_prewarm_same(const struct conf_prewarm *a, const struct conf_prewarm *b);

/* What a provider's accounts share; an account record may override some. */
struct conf_provider {
    char name[CONF_NAME_MAX];
    char token_url[CONF_TEXT_MAX];
    char smtp_endpoint[CONF_TEXT_MAX]; /* host:port */
    char scope[CONF_TEXT_MAX];         /* sent with refresh; "" none */
    char app_scope[CONF_TEXT_MAX];     /* sent with grants that have no user; "" as scope */
    /* For who signs somebody in: bearerctl login. */
    char authorize_url[CONF_TEXT_MAX], device_url[CONF_TEXT_MAX];
    char authorize_scope[CONF_TEXT_MAX]; /* "" as scope */
    char authorize_extra[CONF_TEXT_MAX]; /* encoded: "a=b&c=d" */
    char domains[CONF_TEXT_MAX];         /* of its mailboxes: "gmail.com, googlemail.com" */
    enum conf_upstream_tls tls;
    enum conf_mechanism mechanism;
    enum conf_auto bdat; /* auto: where CHUNKING is offered and not demoted */
    uint32_t max_concurrent_messages;
    uint32_t max_connections;    /* per account; clamped to the provider's ceiling */
    uint32_t connection_ceiling; /* of the name and of smtp_endpoint; 0 none known */
    struct conf_limits limits;
    struct conf_prewarm prewarm;
    uint32_t max_messages_per_connection;
    uint64_t connection_max_age_ms;
    uint64_t connection_idle_ms;
    uint64_t refresh_ahead_ms; /* before a token's expiry */
    uint64_t retry_max_delay_ms;
    uint32_t retry_max_attempts;
    double retry_backoff;
    struct conf_origin origins[CONF_ROWS_MAX]; /* by row of the table */
};

/* An application that is registered with a provider, for all the accounts whose
 * records name it. Only the broker has these. */
struct conf_app {
    char name[CONF_NAME_MAX]; /* lower case */
    char provider[CONF_NAME_MAX];
    enum conf_grant grant;
    char client_id[256];
    char client_secret[CONF_TEXT_MAX], client_secret_file[CONF_TEXT_MAX];
    char certificate[CONF_TEXT_MAX], key[CONF_TEXT_MAX]; /* paths */
    enum conf_assertion assertion;
    char service_account[CONF_TEXT_MAX]; /* a path */
    char tenant[256];
    char scope[CONF_TEXT_MAX];
    char token_url[CONF_TEXT_MAX];
    char extra[CONF_TEXT_MAX];                 /* further form fields, encoded: "a=b&c=d" */
    char secret_expires[16];                   /* "2026-12-31"; "" not known */
    struct conf_app_files *files;              /* what the files hold, once they were read; owned */
    struct conf_origin origins[CONF_ROWS_MAX]; /* by row of the table */
};

/* Wiped when freed. NULL: it names none. */
struct conf_app_files {
    char *client_secret, *certificate, *key, *service_account;
};

struct conf {
    /* listening */
    struct conf_listener listeners[CONF_LISTENERS_MAX];
    size_t listener_count;
    uint32_t backlog;
    uint32_t unix_mode; /* permission bits of unix sockets, written in octal */
    char tls_certificate[CONF_TEXT_MAX], tls_key[CONF_TEXT_MAX];
    char trusted_clients[CONF_TRUSTED_MAX][64]; /* ranges as net_range_parse takes them */
    size_t trusted_count;
    char hostname[256]; /* greeting and EHLO answer; "" the system's name */
    /* admin */
    char admin_host[128];
    uint32_t admin_port;
    char admin_socket[CONF_TEXT_MAX]; /* "auto", "none" or a path */
    enum conf_auto admin_tls;
    bool admin_require_token;
    char admin_token_file[CONF_TEXT_MAX]; /* "" beside the accounts */
    uint32_t admin_requests_per_second;
    uint64_t admin_timeout_ms;
    /* accounts */
    char store_location[CONF_TEXT_MAX]; /* "" searched for */
    char store_key_file[CONF_TEXT_MAX]; /* "" the credential, or beside the database */
    /* processes */
    uint32_t workers; /* 0: one per CPU */
    uint64_t drain_ms;
    bool dry_run;
    uint32_t global_concurrency; /* messages being relayed at once, all accounts */
    char ca_file[CONF_TEXT_MAX];
    /* message limits */
    uint64_t max_message_size;
    uint32_t max_recipients;
    uint32_t max_line_length; /* of content, octets without CRLF */
    enum conf_bare_newlines bare_newlines;
    uint64_t memory_limit;    /* message bytes in memory, whole relay */
    uint64_t spill_threshold; /* a body larger than this goes to a file */
    char spill_dir[CONF_TEXT_MAX];
    /* client limits */
    uint32_t max_connections, max_connections_per_address;
    uint32_t max_errors, max_commands_without_mail;
    uint64_t command_timeout_ms, data_timeout_ms;
    uint32_t min_data_rate; /* octets per second */
    uint64_t auth_failure_delay_ms;
    uint32_t auth_failures_per_connection, auth_failures_per_address;
    uint64_t auth_failure_window_ms;
    bool auth_requires_tls; /* from clients that are not trusted */
    /* upstream */
    char upstream_helo[256]; /* "" the hostname */
    uint64_t connect_timeout_ms, upstream_command_ms, upstream_final_ms;
    uint64_t queue_wait_ms;
    uint32_t queue_length; /* waiting messages per account */
    uint64_t probe_after_ms;
    uint64_t live_rcpt_ms; /* how long mixed verdicts make RCPT live */
    uint64_t bdat_demotion_ms;
    uint32_t logins_per_minute; /* per account */
    uint32_t concurrent_dials;  /* per server; 0: no limit */
    uint64_t dns_ttl_max_ms;
    bool source_ip_binding, source_ip_validate, use_ipv6;
    enum conf_auto source_ip_private; /* auto: where an account names one */
    /* OAuth */
    uint64_t oauth_timeout_ms, oauth_connect_ms;
    uint32_t oauth_connections, oauth_connections_per_host, oauth_concurrency;
    uint32_t oauth_verify_concurrency; /* per token host */
    uint64_t token_default_life_ms;
    uint64_t refresh_ahead_ms; /* of providers that do not say; read the provider's */
    /* events */
    char webhook_url[CONF_TEXT_MAX]; /* "" none; may hold a secret */
    char webhook_secret_file[CONF_TEXT_MAX];
    uint64_t webhook_timeout_ms, webhook_retry_ms;
    uint32_t webhook_queue;
    /* log */
    enum log_level log_level;
    enum log_format log_format;
    char log_file[CONF_TEXT_MAX]; /* "" standard error */
    bool log_console;             /* to standard error as well as the file */
    /* providers, sorted by name; "gmail", "outlook" and "default" always exist */
    struct conf_provider providers[CONF_PROVIDERS_MAX];
    size_t provider_count;
    /* applications, sorted by name */
    struct conf_app *apps;
    size_t app_count;
    struct conf_origin origins[CONF_ROWS_MAX]; /* by row of the table; not for the relay */
};

/* What the configuration says that deserves the operator's eye but does not
 * stop the start: an unread key of the original with its replacement, a value
 * above the provider's ceiling. */
struct conf_notes {
    char **lines; /* complete sentences with file and line */
    size_t count, cap;
};

void conf_notes_clear(struct conf_notes *notes);

/* The defaults. malloc'd; conf_free frees. NULL when memory is out. */
struct conf *conf_default(void);
void conf_free(struct conf *conf);

/* Reads a file over the defaults. NULL and a reason that names file, line,
 * key, value and the nearest known key, or what the value may be. */
struct conf *conf_load(const char *path, struct conf_notes *notes, struct reason *why);
/* The same from memory; `name` stands for the file in messages. */
struct conf *conf_parse(struct slice text, const char *name, struct conf_notes *notes,
                        struct reason *why);

/* One option by its dotted name, as --log-level and the like set it. */
bool conf_set(struct conf *conf, const char *name, const char *value, struct reason *why);
bool conf_set_from(struct conf *conf, const char *name, const char *value,
                   enum conf_origin_kind from, struct reason *why);
/* What no single option can tell: files that exist, listeners with TLS but
 * without a certificate, a queue_wait above the clients' patience... */
bool conf_check(const struct conf *conf, struct conf_notes *notes, struct reason *why);

/* Whether admin.host is for this machine alone, and whether the admin API has TLS
 * there. */
bool conf_admin_is_local(const struct conf *conf);
bool conf_admin_has_tls(const struct conf *conf);

/* All options but those of applications and others that hold secrets, as text for the relay,
 * and back. Returns malloc'd text. */
char *conf_write(const struct conf *conf, size_t *len);
struct conf *conf_read(struct slice text, struct reason *why);

/* The name of the first option that differs and cannot change while running,
 * or NULL when `to` can replace `from` by a reload. */
const char *conf_needs_restart(const struct conf *from, const struct conf *to);

/* Never NULL: an unknown name gets "default". */
const struct conf_provider *conf_provider(const struct conf *conf, struct slice name);

/* The provider whose mailboxes are in this domain, or NULL. */
const struct conf_provider *conf_provider_of_domain(const struct conf *conf, struct slice domain);

/* An application by its name in any case, or NULL. */
const struct conf_app *conf_app(const struct conf *conf, const char *name);
/* Reads the files that applications name. A file that is missing, empty or too large
 * makes the configuration unusable: no secret is ever guessed. */
bool conf_read_app_files(struct conf *conf, struct reason *why);

/* The connections that the server at host:port allows a mailbox, whatever its
 * provider is called here; 0: none known. */
uint32_t conf_endpoint_ceiling(struct slice endpoint);

/* Of a provider that we bring along, whatever the configuration says; else "". */
const char *conf_builtin_token_url(const char *provider);

/* Calls once per option, those of each provider and application too, with the value that
 * it has; of a secret, with "(set)". */
struct conf_value_info {
    const char *name, *value, *default_text;
    struct conf_origin origin;
    bool reloadable;
};
/* False: memory is out. */
bool conf_values(const struct conf *conf,
                 void (*each)(const struct conf_value_info *info, void *arg), void *arg);

/* Walks the option table for help, man page and checks: calls once per option
 * and returns how many there are. */
struct conf_option_info {
    const char *name, *type, *default_text, *range, *help;
    bool reloadable;
};
size_t conf_options(void (*each)(const struct conf_option_info *info, void *arg), void *arg);
