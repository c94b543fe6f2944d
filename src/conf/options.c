#include "conf/options.h"

#include "conf/forms.h"

/* The type of a field is checked where its row is compiled. */
#define FIELD(owner, field, wanted)                                                                \
    (offsetof(struct owner, field) +                                                               \
     0 * sizeof(char[__builtin_types_compatible_p(__typeof__(((struct owner *)0)->field), wanted)  \
                         ? 1                                                                       \
                         : -1]))

#define BOOL(owner, field) .type = OPTION_BOOL, .offset = FIELD(owner, field, bool)
#define U32(owner, field, low, high)                                                               \
    .type = OPTION_U32, .offset = FIELD(owner, field, uint32_t), .min = (low), .max = (high)
#define MODE(owner, field, high)                                                                   \
    .type = OPTION_MODE, .offset = FIELD(owner, field, uint32_t), .max = (high)
#define SIZE(owner, field, low, high)                                                              \
    .type = OPTION_SIZE, .offset = FIELD(owner, field, uint64_t), .min = (low), .max = (high)
#define DURATION(owner, field, low, high)                                                          \
    .type = OPTION_DURATION, .offset = FIELD(owner, field, uint64_t), .min = (low), .max = (high)
#define FACTOR(owner, field, low, high)                                                            \
    .type = OPTION_FACTOR, .offset = FIELD(owner, field, double), .min = (low), .max = (high)
#define CHOICE(owner, field, enumeration, table)                                                   \
    .type = OPTION_CHOICE, .offset = FIELD(owner, field, enumeration), .words = (table)
#define TEXT(owner, field, shape)                                                                  \
    .type = OPTION_TEXT, .offset = offsetof(struct owner, field), .form = &(shape),                \
    .max = sizeof(((struct owner *)0)->field) - 1

#define RESTART .restart = true
#define MS 1ull
#define SECONDS 1000ull
#define MINUTES (60 * SECONDS)
#define HOURS (60 * MINUTES)
#define DAYS (24 * HOURS)
#define KIB 1024ull
#define MIB (1024 * KIB)
#define GIB (1024 * MIB)

/* CHOICE reads and writes an int. */
_Static_assert(sizeof(enum conf_tls) == sizeof(int) && sizeof(enum log_level) == sizeof(int),
               "enumerations are as large as int");

static const struct option_word level_words[] = {
    {"error", LOG_ERROR}, {"critical", LOG_ERROR}, {"fatal", LOG_ERROR},
    {"warn", LOG_WARN},   {"warning", LOG_WARN},   {"info", LOG_INFO},
    {"debug", LOG_DEBUG}, {"trace", LOG_TRACE},    {NULL, 0}};
static const struct option_word format_words[] = {
    {"text", LOG_KEY_VALUE},   {"key-value", LOG_KEY_VALUE}, {"keyvalue", LOG_KEY_VALUE},
    {"logfmt", LOG_KEY_VALUE}, {"json", LOG_JSON},           {NULL, 0}};
static const struct option_word newline_words[] = {
    {"reject", CONF_NEWLINES_REJECT}, {"normalize", CONF_NEWLINES_NORMALIZE}, {NULL, 0}};
static const struct option_word auto_words[] = {
    {"auto", CONF_AUTO}, {"on", CONF_ON},     {"true", CONF_ON}, {"yes", CONF_ON},
    {"off", CONF_OFF},   {"false", CONF_OFF}, {"no", CONF_OFF},  {NULL, 0}};
static const struct option_word mechanism_words[] = {{"auto", CONF_MECH_AUTO},
                                                     {"xoauth2", CONF_MECH_XOAUTH2},
                                                     {"oauthbearer", CONF_MECH_OAUTHBEARER},
                                                     {NULL, 0}};
static const struct option_word grant_words[] = {
    {"auto", CONF_GRANT_AUTO},
    {"refresh_token", CONF_GRANT_REFRESH_TOKEN},
    {"client_credentials", CONF_GRANT_CLIENT_CREDENTIALS},
    {"service_account", CONF_GRANT_SERVICE_ACCOUNT},
    {NULL, 0}};
static const struct option_word assertion_words[] = {
    {"PS256", CONF_ASSERTION_PS256}, {"RS256", CONF_ASSERTION_RS256}, {NULL, 0}};
static const struct option_word upstream_tls_words[] = {{"auto", CONF_UPSTREAM_BY_PORT},
                                                        {"starttls", CONF_UPSTREAM_STARTTLS},
                                                        {"implicit", CONF_UPSTREAM_IMPLICIT},
                                                        {NULL, 0}};

/* In the order in which the manual page shows them. */
const struct option_row option_rows[] = {
    /* listening */
    {"listeners", "Where SMTP clients connect: each item has address and tls.",
     "127.0.0.1:2525 none", RESTART, .type = OPTION_LISTENERS},
    {"backlog", "Connections that the kernel keeps waiting per listener.", "1024", RESTART,
     U32(conf, backlog, 1, 65535)},
    {"unix_mode", "Permission of unix sockets.", "0660", RESTART, MODE(conf, unix_mode, 0777)},
    {"hostname", "Our name in the greeting and in answers to EHLO. Empty: the system's.", "",
     TEXT(conf, hostname, form_host)},
    {"tls.certificate", "Certificate chain in PEM for listeners with starttls or implicit TLS.", "",
     TEXT(conf, tls_certificate, form_path)},
    {"tls.key", "Its private key in PEM.", "", TEXT(conf, tls_key, form_path)},
    {"trusted_clients",
     "Addresses, ranges and unix: clients that may use an account that has no password, may give "
     "passwords without TLS, and are bound by limits.max_connections only.",
     "127.0.0.0/8, ::1, unix", .type = OPTION_RANGES},
    {"admin.host",
     "Where the admin API listens. Other than loopback and unix:/path needs TLS and an API token.",
     "127.0.0.1", RESTART, .min = 1, TEXT(conf, admin_host, form_admin)},
    {"admin.port", "Its port; 0: none, which leaves admin.socket.", "9090", RESTART,
     U32(conf, admin_port, 0, 65535)},
    {"admin.socket",
     "A unix socket for the admin API, open to our own user and root. auto: bearerd.sock in the "
     "folder of the accounts.",
     "auto", RESTART, .min = 1, TEXT(conf, admin_socket, form_socket)},
    {"admin.tls",
     "TLS for the admin API, with tls.certificate and tls.key; auto: where others than this "
     "machine can connect.",
     "auto", RESTART, CHOICE(conf, admin_tls, enum conf_auto, auto_words)},
    {"admin.require_token",
     "An API token is needed from loopback and unix sockets, too; not by our own user and root on "
     "unix sockets.",
     "false", BOOL(conf, admin_require_token)},
    {"admin.token_file",
     "Where API tokens are kept, as hashes. Empty: api-tokens.json in the folder of the accounts.",
     "", TEXT(conf, admin_token_file, form_path)},
    {"admin.requests_per_second",
     "Requests per second and client address, on average; twice as many in a burst.", "100",
     U32(conf, admin_requests_per_second, 1, 100000)},
    {"admin.timeout", "How long a client may take for a request, and do nothing.", "30s", RESTART,
     DURATION(conf, admin_timeout_ms, 1 * SECONDS, 1 * HOURS)},
    /* accounts */
    {"store.location",
     "Where accounts are: sqlite:FILE, file:FILE for an accounts.json, or a FILE of either kind. "
     "Empty: an accounts.json where the original looks for it, else accounts.db in the state "
     "folder.",
     "", RESTART, TEXT(conf, store_location, form_path)},
    {"store.key_file",
     "The key that opens the secrets of an sqlite: store. Empty: the credential bearerd.key of the "
     "service manager, else a file beside the database, which is made.",
     "", RESTART, TEXT(conf, store_key_file, form_path)},
    /* processes */
    {"workers", "Threads that relay; 0: one per CPU.", "0", RESTART, U32(conf, workers, 0, 64)},
    {"drain_timeout", "How long running transactions may take to finish at SIGTERM.", "30s",
     DURATION(conf, drain_ms, 0, 1 * HOURS)},
    {"dry_run", "Connect and authenticate at the provider, send nothing, answer 250.", "false",
     BOOL(conf, dry_run)},
    {"ca_file",
     "Certificates in PEM that vouch for providers and token endpoints. Empty: the system's.", "",
     TEXT(conf, ca_file, form_path)},
    /* limits: of messages, of clients */
    {"limits.max_message_size", "Largest message, announced as SIZE.", "50M",
     SIZE(conf, max_message_size, 1, 1 * GIB)},
    {"limits.max_recipients", "Recipients per message.", "1000",
     U32(conf, max_recipients, 1, 100000)},
    {"limits.max_line_length", "Longest line of content in octets, without CRLF.", "100000",
     U32(conf, max_line_length, 998, 1000000)},
    {"limits.bare_newlines",
     "A bare CR, bare LF or NUL in content: the message is refused, or mended with CRLF and "
     "blanks.",
     "reject", CHOICE(conf, bare_newlines, enum conf_bare_newlines, newline_words)},
    {"limits.memory",
     "Message content held in memory by all sessions together; beyond it reading from clients "
     "waits.",
     "256M", SIZE(conf, memory_limit, 1 * MIB, 1024 * GIB)},
    {"limits.global_concurrency", "Messages being relayed at once; 0: no limit.", "0", RESTART,
     U32(conf, global_concurrency, 0, 1000000)},
    {"limits.max_connections", "Client connections at once.", "10000",
     U32(conf, max_connections, 1, 1000000)},
    {"limits.max_connections_per_address",
     "Client connections of one address, unless it is one of trusted_clients; 0: no limit.", "1000",
     U32(conf, max_connections_per_address, 0, 1000000)},
    {"limits.max_errors", "Refused commands after which a client is cut off.", "20",
     U32(conf, max_errors, 1, 1000000)},
    {"limits.max_commands_without_mail",
     "Commands other than those of a transaction in a row before a client is cut off; 0: no limit.",
     "100", U32(conf, max_commands_without_mail, 0, 1000000)},
    {"limits.min_data_rate",
     "Octets per second that a client must send of its message on average; 0: any.", "500",
     U32(conf, min_data_rate, 0, 1000000000)},
    {"spill.threshold",
     "A message larger than this is held in a temporary file once half of limits.memory is in use; "
     "any message is once all of it is.",
     "1M", SIZE(conf, spill_threshold, 0, 1024 * GIB)},
    {"spill.dir", "Where such files are. They have no name, so none is left behind.", "/var/tmp",
     .min = 1, TEXT(conf, spill_dir, form_path)},
    {"timeouts.command", "How long a client may take for its next command.", "5m",
     DURATION(conf, command_timeout_ms, 1 * MS, 1 * DAYS)},
    {"timeouts.data", "How long a client may send nothing of its message.", "5m",
     DURATION(conf, data_timeout_ms, 1 * MS, 1 * DAYS)},
    {"auth.requires_tls", "Clients outside trusted_clients must use TLS before they authenticate.",
     "true", BOOL(conf, auth_requires_tls)},
    {"auth.failure_delay", "How long the answer to a failed login is held back.", "1s",
     DURATION(conf, auth_failure_delay_ms, 0, 1 * MINUTES)},
    {"auth.failures_per_connection", "Failed logins after which a connection is closed.", "3",
     U32(conf, auth_failures_per_connection, 1, 1000)},
    {"auth.failures_per_address",
     "Failed logins of one address within auth.failure_window after which it is refused.", "20",
     U32(conf, auth_failures_per_address, 1, 1000000)},
    {"auth.failure_window", "The time over which they are counted.", "10m",
     DURATION(conf, auth_failure_window_ms, 1 * SECONDS, 1 * DAYS)},
    /* upstream */
    {"upstream.helo", "Our name in EHLO at providers. Empty: hostname, if it has a dot.", "",
     TEXT(conf, upstream_helo, form_host)},
    {"upstream.connect_timeout", "How long connecting to one address of a provider may take.",
     "30s", DURATION(conf, connect_timeout_ms, 1 * MS, 10 * MINUTES)},
    {"upstream.command_timeout", "How long a provider may take for a reply.", "2m",
     DURATION(conf, upstream_command_ms, 1 * MS, 1 * HOURS)},
    {"upstream.final_timeout",
     "How long a provider may take for the reply that says it has the message. Less than the "
     "client's patience, which RFC 5321 puts at 10 minutes.",
     "9m", DURATION(conf, upstream_final_ms, 1 * MS, 1 * HOURS)},
    {"upstream.queue_wait", "How long a message waits for a connection of its account.", "30s",
     DURATION(conf, queue_wait_ms, 0, 10 * MINUTES)},
    {"upstream.queue_length", "Messages that may wait so per account.", "1000",
     U32(conf, queue_length, 0, 1000000)},
    {"upstream.probe_after",
     "A connection idle for longer gets the envelope first and the content after the reply.", "10s",
     DURATION(conf, probe_after_ms, 0, 1 * HOURS)},
    {"upstream.live_rcpt",
     "After a mixed verdict: how long the provider itself answers a client's recipients.", "10m",
     DURATION(conf, live_rcpt_ms, 0, 1 * DAYS)},
    {"upstream.bdat_demotion", "How long DATA is used with a provider at which BDAT failed.", "1d",
     DURATION(conf, bdat_demotion_ms, 0, 30 * DAYS)},
    {"upstream.logins_per_minute", "Logins at the provider per account; 0: no limit.", "30",
     U32(conf, logins_per_minute, 0, 100000)},
    {"upstream.concurrent_dials",
     "Connections that all accounts together set up at once at one server; further ones wait their "
     "turn. 0: no limit.",
     "500", U32(conf, concurrent_dials, 0, 1000000)},
    {"upstream.dns_ttl_max", "How long a resolved address is used at most.", "5m",
     DURATION(conf, dns_ttl_max_ms, 0, 1 * DAYS)},
    {"upstream.source_ip_binding",
     "Connect from the account's ip_address where it has one. False: never, and nothing is "
     "checked.",
     "true", BOOL(conf, source_ip_binding)},
    {"upstream.source_ip_validate",
     "An account whose ip_address this host does not have, or that is in a reserved range, sends "
     "nothing until that has changed. False: connecting is tried, and fails where the kernel "
     "does not allow the address.",
     "true", BOOL(conf, source_ip_validate)},
    {"upstream.source_ip_private",
     "Private, carrier-grade NAT, unique local and loopback addresses as ip_address; auto: an "
     "account may name one, but new accounts are given public ones only; on: new accounts are "
     "given private ones, too; off: such an account sends nothing.",
     "auto", CHOICE(conf, source_ip_private, enum conf_auto, auto_words)},
    {"upstream.use_ipv6",
     "Connect to providers over IPv6 too. Without it an account whose ip_address is IPv6 sends "
     "nothing.",
     "false", BOOL(conf, use_ipv6)},
    /* OAuth */
    {"oauth.timeout", "For a whole token request.", "10s",
     DURATION(conf, oauth_timeout_ms, 1 * MS, 10 * MINUTES)},
    {"oauth.connect_timeout", "For its connection.", "5s",
     DURATION(conf, oauth_connect_ms, 1 * MS, 10 * MINUTES)},
    {"oauth.connections", "Connections to all token endpoints.", "500",
     U32(conf, oauth_connections, 1, 65535)},
    {"oauth.connections_per_host", "Connections to one token endpoint.", "100",
     U32(conf, oauth_connections_per_host, 1, 65535)},
    {"oauth.concurrency", "Token requests at once.", "100", U32(conf, oauth_concurrency, 1, 65535)},
    {"oauth.verify_concurrency",
     "Token requests at once per token host when accounts are verified before they are added.",
     "100", U32(conf, oauth_verify_concurrency, 1, 65535)},
    {"oauth.refresh_ahead",
     "How long before its expiry a token is replaced, for providers without refresh_ahead.", "10m",
     DURATION(conf, refresh_ahead_ms, 0, 1 * DAYS)},
    {"oauth.token_default_life", "Life of a token whose answer does not tell.", "1h",
     DURATION(conf, token_default_life_ms, 1 * SECONDS, 30 * DAYS)},
    /* events */
    {"events.webhook_url",
     "Where changes of accounts' states are sent: https://, or http:// to a loopback address. "
     "Empty: nowhere.",
     "", .secret = true, TEXT(conf, webhook_url, form_webhook)},
    {"events.webhook_secret_file",
     "A file with the secret that signs them, 16 octets at least. Empty: the credential "
     "bearerd.webhook of the service manager.",
     "", TEXT(conf, webhook_secret_file, form_path)},
    {"events.timeout", "How long the receiver may take to answer.", "10s",
     DURATION(conf, webhook_timeout_ms, 100 * MS, 5 * MINUTES)},
    {"events.retry_for",
     "How long an event is sent again to a receiver that fails, before it is given up.", "1h",
     DURATION(conf, webhook_retry_ms, 0, 7 * DAYS)},
    {"events.queue", "Events that wait at most; the oldest make way for new ones.", "10000",
     U32(conf, webhook_queue, 1, 1000000)},
    /* log */
    {"log.level", "The least important lines that are written.", "info",
     CHOICE(conf, log_level, enum log_level, level_words)},
    {"log.format", "Lines as key=value text or as JSON.", "text",
     CHOICE(conf, log_format, enum log_format, format_words)},
    {"log.file", "Where lines go. Empty: standard error.", "", RESTART,
     TEXT(conf, log_file, form_path)},
    {"log.console", "To standard error as well as to log.file.", "false", RESTART,
     BOOL(conf, log_console)},
};

const struct option_row provider_rows[] = {
    {"token_url", "Token endpoint.", "", TEXT(conf_provider, token_url, form_url)},
    {"smtp_endpoint", "Submission server as host:port.", "",
     TEXT(conf_provider, smtp_endpoint, form_endpoint)},
    {"scope", "Sent when a token is refreshed. Empty: none.", "",
     TEXT(conf_provider, scope, form_any)},
    {"app_scope",
     "Sent with grants that have no user: client_credentials, service_account. Empty: scope.", "",
     TEXT(conf_provider, app_scope, form_any)},
    {"authorize_url",
     "Where a browser is sent for somebody to sign in. As in token_url, a path segment common, "
     "organizations or consumers stands for the tenant.",
     "", TEXT(conf_provider, authorize_url, form_url)},
    {"device_url", "Where a code for signing in on another device is asked for. Empty: nowhere.",
     "", TEXT(conf_provider, device_url, form_url)},
    {"authorize_scope", "What is asked for when somebody signs in. Empty: scope.", "",
     TEXT(conf_provider, authorize_scope, form_any)},
    {"authorize_extra",
     "Further parameters of authorize_url, for servers that give a refresh token "
     "only when they "
     "are there: prompt=consent.",
     "", TEXT(conf_provider, authorize_extra, form_pairs)},
    {"domains",
     "Domains of the provider's mailboxes, by which bearerctl login chooses it. A domain belongs "
     "to the first provider, by name, that has it.",
     "", .type = OPTION_DOMAINS, .offset = offsetof(struct conf_provider, domains)},
    {"tls", "TLS at once or by STARTTLS; auto: at once on port 465. Never without.", "auto",
     CHOICE(conf_provider, tls, enum conf_upstream_tls, upstream_tls_words)},
    {"mechanism", "SASL mechanism; auto: XOAUTH2 where it is offered.", "auto",
     CHOICE(conf_provider, mechanism, enum conf_mechanism, mechanism_words)},
    {"bdat", "Content by BDAT; auto: where CHUNKING is offered and has not failed.", "auto",
     CHOICE(conf_provider, bdat, enum conf_auto, auto_words)},
    {"max_concurrent_messages", "Messages of an account on their way at once; further ones wait.",
     "1000", U32(conf_provider, max_concurrent_messages, 1, 1000000)},
    {"max_connections",
     "Connections of an account at once. A value above what the provider allows is lowered to "
     "that, with a note.",
     "10", U32(conf_provider, max_connections, 1, 100000)},
    {"connections_start",
     "Connections of an account at first. They become more, up to max_connections, while all are "
     "at work and the provider keeps its pace, and fewer when it says that they are too many. 0: "
     "max_connections at once.",
     "2", U32(conf_provider, limits.connections_start, 0, 100000)},
    {"rate_limits",
     "Whether the limits below hold, but for recipients_per_message. A message that would be over "
     "one of them waits up to "
     "upstream.queue_wait, and is deferred with the limit's name and the time otherwise.",
     "true", BOOL(conf_provider, limits.rates_on)},
    {"messages_per_minute", "Messages of an account in any 60 seconds; 0: no limit.", "0",
     U32(conf_provider, limits.messages_per_minute, 0, 1000000)},
    {"messages_per_hour", "The same for any hour.", "0",
     U32(conf_provider, limits.messages_per_hour, 0, 100000000)},
    {"messages_per_day", "The same for any 24 hours, restarts included.", "0",
     U32(conf_provider, limits.messages_per_day, 0, 1000000000)},
    {"recipients_per_day", "Recipients of an account's messages in any 24 hours; 0: no limit.", "0",
     U32(conf_provider, limits.recipients_per_day, 0, 1000000000)},
    {"recipients_per_message",
     "Recipients of one message, if that is less than limits.max_recipients; 0: no limit of its "
     "own.",
     "0", U32(conf_provider, limits.recipients_per_message, 0, 100000)},
    {"group.messages_per_minute",
     "Messages of all accounts of a group together in any 60 seconds; 0: no limit. Accounts with "
     "the "
     "same limit_group are a group, and those without one whose addresses have the same domain.",
     "0", U32(conf_provider, limits.group_messages_per_minute, 0, 10000000)},
    {"group.messages_per_hour", "The same for any hour.", "0",
     U32(conf_provider, limits.group_messages_per_hour, 0, 1000000000)},
    {"group.messages_per_day", "The same for any 24 hours, restarts included.", "0",
     U32(conf_provider, limits.group_messages_per_day, 0, 1000000000)},
    {"group.recipients_per_day", "Recipients of a group's messages in any 24 hours; 0: no limit.",
     "0", U32(conf_provider, limits.group_recipients_per_day, 0, 1000000000)},
    {"breaker.enabled",
     "An account whose connections fail again and again is left alone for a while, and so is a "
     "server that several accounts cannot connect to.",
     "true", BOOL(conf_provider, limits.breaker_on)},
    {"breaker.failure_threshold",
     "Failures in a row of one account, or accounts in a row that cannot connect to one server; 0: "
     "as breaker.enabled false.",
     "5", U32(conf_provider, limits.breaker_failures, 0, 1000000)},
    {"breaker.recovery_timeout", "For how long nothing is tried then.", "1m",
     DURATION(conf_provider, limits.breaker_recovery_ms, 1 * MS, 1 * DAYS)},
    {"breaker.half_open_max_calls", "How many connections at once are then tried first.", "1",
     U32(conf_provider, limits.breaker_trials, 1, 1000000)},
    {"prewarm.enabled",
     "Connections are made ready ahead of mail: as many as the account's mail had at work at once "
     "in the last two minutes, or at this time an hour ago. Never more than the account may have, "
     "with at most half of its logins_per_minute, and none for an account without mail.",
     "true", BOOL(conf_provider, prewarm.enabled)},
    {"prewarm.min_connections", "At least so many, where that is one or more.", "1",
     U32(conf_provider, prewarm.min_connections, 0, 100000)},
    {"prewarm.max_connections", "At most so many; 0: none.", "10",
     U32(conf_provider, prewarm.max_connections, 0, 100000)},
    {"prewarm.min_messages", "An account whose last hour had fewer messages gets none ahead.",
     "100", U32(conf_provider, prewarm.min_messages, 0, 100000000)},
    {"prewarm.messages_per_connection",
     "Messages that a minute must be expected to have for each of them; 0: any.", "10",
     U32(conf_provider, prewarm.messages_per_connection, 0, 1000000)},
    {"prewarm.concurrency",
     "While so many connections are being set up at a server, none is ahead of mail; 0: no limit.",
     "100", U32(conf_provider, prewarm.concurrency, 0, 1000000)},
    {"max_messages_per_connection", "Messages after which a connection is closed.", "50",
     U32(conf_provider, max_messages_per_connection, 1, 1000000)},
    {"connection_max_age", "Age at which a connection is closed.", "5m",
     DURATION(conf_provider, connection_max_age_ms, 1 * MS, 1 * DAYS)},
    {"connection_idle", "Idle time after which a connection is closed.", "1m",
     DURATION(conf_provider, connection_idle_ms, 1 * MS, 1 * DAYS)},
    {"refresh_ahead", "As oauth.refresh_ahead, for this provider.", "10m",
     DURATION(conf_provider, refresh_ahead_ms, 0, 1 * DAYS)},
    {"retry.max_attempts",
     "Token requests that follow a passing failure within seconds; later ones take their time.",
     "2", U32(conf_provider, retry_max_attempts, 0, 100)},
    {"retry.max_delay", "Longest wait between them.", "30s",
     DURATION(conf_provider, retry_max_delay_ms, 1 * MS, 1 * DAYS)},
    {"retry.backoff", "By how much each wait is longer than the last.", "2.0",
     FACTOR(conf_provider, retry_backoff, 1000, 100000)},
};

const struct option_row app_rows[] = {
    {"provider",
     "The provider that it is registered with. Its secrets are sent nowhere else, and neither are "
     "the tokens of its accounts.",
     "", TEXT(conf_app, provider, form_provider)},
    {"grant",
     "How accounts get tokens through it; auto: refresh_token for accounts that have one, else "
     "service_account where the application has that, else client_credentials.",
     "auto", CHOICE(conf_app, grant, enum conf_grant, grant_words)},
    {"client_id", "The id that the provider gave it.", "", TEXT(conf_app, client_id, form_secret)},
    {"client_secret", "Its secret. Better in a file: client_secret_file.", "", .secret = true,
     TEXT(conf_app, client_secret, form_secret)},
    {"client_secret_file", "A file that holds its secret.", "",
     TEXT(conf_app, client_secret_file, form_path)},
    {"certificate",
     "A file with the certificate in PEM that is registered with the provider in place of a "
     "secret.",
     "", TEXT(conf_app, certificate, form_path)},
    {"key", "A file with the certificate's private key in PEM, RSA and not encrypted.", "",
     TEXT(conf_app, key, form_path)},
    {"assertion", "How the key signs: Microsoft recommends PS256; older servers know RS256 only.",
     "PS256", CHOICE(conf_app, assertion, enum conf_assertion, assertion_words)},
    {"service_account", "A file with the key of a Google service account in JSON.", "",
     TEXT(conf_app, service_account, form_path)},
    {"tenant", "The directory of its accounts that name none: its id or domain.", "",
     TEXT(conf_app, tenant, form_tenant)},
    {"scope", "Sent with token requests. Empty: that of the provider.", "",
     TEXT(conf_app, scope, form_any)},
    {"token_url", "Token endpoint. Empty: that of the provider.", "",
     TEXT(conf_app, token_url, form_url)},
    {"extra", "Further form fields of token requests.", "", .secret = true,
     TEXT(conf_app, extra, form_pairs)},
    {"secret_expires",
     "The day on which its secret ends; the log and the health check tell of it ahead. Of a "
     "certificate this is known.",
     "", TEXT(conf_app, secret_expires, form_day)},
};

const size_t option_row_count = sizeof(option_rows) / sizeof(*option_rows);
const size_t provider_row_count = sizeof(provider_rows) / sizeof(*provider_rows);
const size_t app_row_count = sizeof(app_rows) / sizeof(*app_rows);
_Static_assert(sizeof(option_rows) / sizeof(*option_rows) <= OPTION_ROWS_MAX, "OPTION_ROWS_MAX");
