#include "conf/originals.h"

#define FOLLOWS                                                                                    \
    "connections ahead follow what the account's mail needed, once a minute; see prewarm"

/* The original documented some of these without using them; they have here
 * what the documentation says. */
const struct original_key original_keys[] = {
    {"global.description", NULL, NULL},
    {"global.concurrency.global_concurrency_limit", "limits.global_concurrency", NULL},
    {"global.concurrency.backpressure_queue_size", NULL,
     "limits.memory bounds what clients may send ahead"},
    {"global.concurrency.connection_backlog", "backlog", NULL},
    {"global.concurrency.max_concurrent_connections", NULL, "set limits.max_connections"},
    {"global.timeouts.oauth2_timeout", "oauth.timeout", NULL},
    {"global.timeouts.connection_acquire_timeout", "upstream.queue_wait",
     "the original never used it; here a message waits so long for a connection of its account, "
     "and upstream.queue_wait is its name"},
    {"global.timeouts.smtp_command_timeout", "timeouts.command", NULL},
    {"global.timeouts.smtp_data_timeout", "timeouts.data", NULL},
    {"global.timeouts.smtp_timeout", NULL, "set timeouts.command and upstream.command_timeout"},
    {"global.oauth2.token_refresh_buffer_seconds", "oauth.refresh_ahead", NULL},
    {"global.oauth2.token_cache_ttl_seconds", NULL,
     "a token is kept as long as its endpoint says; see oauth.refresh_ahead"},
    {"global.oauth2.token_default_lifetime_seconds", "oauth.token_default_life", NULL},
    {"global.http_pool.total_connections", "oauth.connections", NULL},
    {"global.http_pool.connections_per_host", "oauth.connections_per_host", NULL},
    {"global.http_pool.dns_cache_ttl_seconds", "upstream.dns_ttl_max", NULL},
    {"global.http_pool.connect_timeout_seconds", "oauth.connect_timeout", NULL},
    {"global.http_pool.max_retries", NULL, "set providers.NAME.retry.max_attempts"},
    {"global.smtp.server_hostname", "hostname", NULL},
    {"global.smtp.max_message_size", "limits.max_message_size", NULL},
    {"global.smtp.max_recipients", "limits.max_recipients", NULL},
    {"global.smtp.max_line_length", NULL,
     "it was meant for command lines, whose limit is fixed; limits.max_line_length is for lines of "
     "content"},
    {"global.smtp.use_source_ip_binding", "upstream.source_ip_binding", NULL},
    {"global.smtp.validate_source_ip", "upstream.source_ip_validate", NULL},
    {"global.smtp.use_ipv6", "upstream.use_ipv6", NULL},
    {"global.logging.level", "log.level", NULL},
    {"global.logging.format", "log.format", NULL},
    {"global.logging.log_file_override", "log.file", NULL},
    {"global.logging.console_output", "log.console", NULL},
    {"global.logging.log_rotation", NULL, "rotate log.file with logrotate and SIGHUP"},
    {"global.logging.max_log_size_mb", NULL, "rotate log.file with logrotate and SIGHUP"},
    {"global.backpressure_queue_size", NULL, "limits.memory bounds what clients may send ahead"},
    {"global.oauth2_timeout", NULL, "set oauth.timeout"},
    {"powermta_relay", NULL, "it was for another program; bearerd relays by itself"},
    {"accounts", NULL,
     "accounts are in a place of their own, which --accounts or store.location names"},
};

const struct original_key original_provider_keys[] = {
    {"description", NULL, NULL},
    {"oauth_token_url", "token_url", NULL},
    {"connection_pool.max_connections_per_account", "max_connections", NULL},
    {"connection_pool.max_messages_per_connection", "max_messages_per_connection", NULL},
    {"connection_pool.connection_max_age_seconds", "connection_max_age", NULL},
    {"connection_pool.connection_idle_timeout_seconds", "connection_idle", NULL},
    {"connection_pool.connection_acquire_timeout_seconds", NULL,
     "set upstream.queue_wait, which is for all providers"},
    {"connection_pool.idle_connection_reuse_timeout", NULL,
     "an idle connection is watched all the time; see connection_idle and upstream.probe_after"},
    {"connection_pool.adaptive_prewarm_enabled", "prewarm.enabled", NULL},
    {"connection_pool.prewarm_min_connections", "prewarm.min_connections", NULL},
    {"connection_pool.prewarm_max_connections", "prewarm.max_connections", NULL},
    {"connection_pool.prewarm_min_message_threshold", "prewarm.min_messages", NULL},
    {"connection_pool.prewarm_messages_per_connection", "prewarm.messages_per_connection", NULL},
    {"connection_pool.prewarm_concurrent_tasks", "prewarm.concurrency", NULL},
    {"connection_pool.prewarm_percentage", NULL, FOLLOWS},
    {"connection_pool.periodic_rewarm_enabled", NULL, FOLLOWS},
    {"connection_pool.periodic_rewarm_interval_seconds", NULL, FOLLOWS},
    {"connection_pool.rewarm_concurrent_tasks", NULL, FOLLOWS},
    {"rate_limiting.enabled", "rate_limits", NULL},
    {"rate_limiting.messages_per_hour", "messages_per_hour", NULL},
    {"rate_limiting.messages_per_minute_per_connection", NULL,
     "limits are an account's, over how many connections it may send; set messages_per_minute"},
    {"rate_limiting.burst_size", NULL,
     "no minute, hour or day holds more than its limit, and within it there is no other; set "
     "messages_per_minute to have bursts cut"},
    {"retry.backoff_factor", "retry.backoff", NULL},
    {"retry.max_delay_seconds", "retry.max_delay", NULL},
    {"retry.jitter_enabled", NULL, "waits are always jittered"},
    {"circuit_breaker.enabled", "breaker.enabled", NULL},
    {"circuit_breaker.failure_threshold", "breaker.failure_threshold", NULL},
    {"circuit_breaker.recovery_timeout_seconds", "breaker.recovery_timeout", NULL},
    {"circuit_breaker.half_open_max_calls", "breaker.half_open_max_calls", NULL},
};

const size_t original_key_count = sizeof(original_keys) / sizeof(*original_keys);
const size_t original_provider_key_count =
    sizeof(original_provider_keys) / sizeof(*original_provider_keys);
