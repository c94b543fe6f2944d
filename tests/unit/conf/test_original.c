/* The original's config.json: every key of it loads, and does what its
 * documentation says or leaves a note. */
#include <stdio.h>

#include "conf_check.h"

/* A key with a value that is not our default; `option` has then `value`. With a
 * note instead of an option nothing changes. */
struct key_row {
    const char *key, *json;
    const char *option, *value;
    const char *note;
};

static const struct key_row keys[] = {
    {"concurrency.global_concurrency_limit", "150", "limits.global_concurrency", "150", NULL},
    {"concurrency.backpressure_queue_size", "1000", NULL, NULL, "limits.memory"},
    {"concurrency.connection_backlog", "100", "backlog", "100", NULL},
    {"concurrency.max_concurrent_connections", "50", NULL, NULL, "limits.max_connections"},
    {"timeouts.oauth2_timeout", "11", "oauth.timeout", "11s", NULL},
    {"timeouts.connection_acquire_timeout", "5", "upstream.queue_wait", "5s",
     "the original never used it"},
    {"timeouts.smtp_command_timeout", "200", "timeouts.command", "200s", NULL},
    {"timeouts.smtp_data_timeout", "600", "timeouts.data", "10m", NULL},
    {"timeouts.smtp_timeout", "30", NULL, NULL, "timeouts.command"},
    {"oauth2.token_refresh_buffer_seconds", "300", "oauth.refresh_ahead", "5m", NULL},
    {"oauth2.token_cache_ttl_seconds", "60", NULL, NULL, "oauth.refresh_ahead"},
    {"oauth2.token_default_lifetime_seconds", "3500", "oauth.token_default_life", "3500s", NULL},
    {"http_pool.total_connections", "400", "oauth.connections", "400", NULL},
    {"http_pool.connections_per_host", "40", "oauth.connections_per_host", "40", NULL},
    {"http_pool.dns_cache_ttl_seconds", "200", "upstream.dns_ttl_max", "200s", NULL},
    {"http_pool.connect_timeout_seconds", "6", "oauth.connect_timeout", "6s", NULL},
    {"http_pool.max_retries", "3", NULL, NULL, "retry.max_attempts"},
    {"smtp.use_source_ip_binding", "false", "upstream.source_ip_binding", "false", NULL},
    {"smtp.validate_source_ip", "false", "upstream.source_ip_validate", "false", NULL},
    {"smtp.use_ipv6", "true", "upstream.use_ipv6", "true", NULL},
    {"smtp.server_hostname", "\"xoauth2-proxy\"", "hostname", "xoauth2-proxy", NULL},
    {"smtp.max_message_size", "26214400", "limits.max_message_size", "25M", NULL},
    {"smtp.max_recipients", "500", "limits.max_recipients", "500", NULL},
    {"smtp.max_line_length", "1000", NULL, NULL, "limits.max_line_length"},
    {"logging.level", "\"WARNING\"", "log.level", "warn", NULL},
    {"logging.format", "\"%(asctime)s - %(message)s\"", NULL, NULL, "log.format is text or json"},
    {"logging.format", "\"json\"", "log.format", "json", NULL},
    {"logging.log_file_override", "null", "log.file", "", NULL},
    {"logging.log_file_override", "\"/var/log/b.log\"", "log.file", "/var/log/b.log", NULL},
    {"logging.console_output", "true", "log.console", "true", NULL},
    {"logging.log_rotation", "{\"when\": \"midnight\"}", NULL, NULL, "logrotate"},
    {"logging.max_log_size_mb", "100", NULL, NULL, "logrotate"},
    {"backpressure_queue_size", "1000", NULL, NULL, "limits.memory"},
    {"oauth2_timeout", "10", NULL, NULL, "oauth.timeout"},
};

#define FOLLOWS "follow what the account's mail needed"

/* Below providers.gmail; options there too. */
static const struct key_row provider_keys[] = {
    {"oauth_token_url", "\"https://t.example/token\"", "token_url", "https://t.example/token",
     NULL},
    {"smtp_endpoint", "\"smtp.example:465\"", "smtp_endpoint", "smtp.example:465", NULL},
    {"max_concurrent_messages", "12", "max_concurrent_messages", "12", NULL},
    {"connection_pool.max_connections_per_account", "5", "max_connections", "5", NULL},
    {"connection_pool.max_connections_per_account", "40", "max_connections", "10", "40 is more"},
    {"connection_pool.max_messages_per_connection", "40", "max_messages_per_connection", "40",
     NULL},
    {"connection_pool.connection_max_age_seconds", "240", "connection_max_age", "4m", NULL},
    {"connection_pool.connection_idle_timeout_seconds", "30", "connection_idle", "30s", NULL},
    {"connection_pool.connection_acquire_timeout_seconds", "5", NULL, NULL, "upstream.queue_wait"},
    {"connection_pool.idle_connection_reuse_timeout", "120", NULL, NULL, "upstream.probe_after"},
    {"connection_pool.adaptive_prewarm_enabled", "false", "prewarm.enabled", "false", NULL},
    {"connection_pool.prewarm_min_connections", "2", "prewarm.min_connections", "2", NULL},
    {"connection_pool.prewarm_max_connections", "9", "prewarm.max_connections", "9", NULL},
    {"connection_pool.prewarm_min_message_threshold", "50", "prewarm.min_messages", "50", NULL},
    {"connection_pool.prewarm_messages_per_connection", "11", "prewarm.messages_per_connection",
     "11", NULL},
    {"connection_pool.prewarm_concurrent_tasks", "90", "prewarm.concurrency", "90", NULL},
    {"connection_pool.prewarm_percentage", "50", NULL, NULL, FOLLOWS},
    {"connection_pool.periodic_rewarm_enabled", "false", NULL, NULL, FOLLOWS},
    {"connection_pool.periodic_rewarm_interval_seconds", "300", NULL, NULL, FOLLOWS},
    {"connection_pool.rewarm_concurrent_tasks", "50", NULL, NULL, FOLLOWS},
    {"rate_limiting.enabled", "false", "rate_limits", "false", NULL},
    {"rate_limiting.messages_per_hour", "10000", "messages_per_hour", "10000", NULL},
    {"rate_limiting.messages_per_minute_per_connection", "25", NULL, NULL, "messages_per_minute"},
    {"rate_limiting.burst_size", "50", NULL, NULL, "messages_per_minute"},
    {"retry.max_attempts", "0", "retry.max_attempts", "0", NULL},
    {"retry.backoff_factor", "1.5", "retry.backoff", "1.5", NULL},
    {"retry.max_delay_seconds", "31", "retry.max_delay", "31s", NULL},
    {"retry.jitter_enabled", "true", NULL, NULL, "always jittered"},
    {"circuit_breaker.enabled", "false", "breaker.enabled", "false", NULL},
    {"circuit_breaker.failure_threshold", "6", "breaker.failure_threshold", "6", NULL},
    {"circuit_breaker.recovery_timeout_seconds", "30", "breaker.recovery_timeout", "30s", NULL},
    {"circuit_breaker.half_open_max_calls", "2", "breaker.half_open_max_calls", "2", NULL},
};

/* "a.b" and "1" become {"a": {"b": 1}}. */
static void add_nested(struct text *out, const char *path, const char *json)
{
    unsigned depth = 1;

    text_add_char(out, '{');
    for (const char *dot; (dot = strchr(path, '.')); path = dot + 1, depth++)
        text_addf(out, "\"%.*s\": {", (int)(dot - path), path);
    text_addf(out, "\"%s\": %s", path, json);
    while (depth--)
        text_add_char(out, '}');
}

static void check_unchanged(const char *row, const struct conf *conf)
{
    struct conf *fresh = conf_default();
    size_t len, fresh_len;
    char *text = conf_write(conf, &len), *fresh_text = conf_write(fresh, &fresh_len);

    if (strcmp(text, fresh_text) != 0)
        fail_msg("%s: changed an option", row);
    free(text);
    free(fresh_text);
    conf_free(fresh);
}

static void check_key(const struct key_row *row, const char *where, const char *option_prefix)
{
    struct conf_notes notes = {NULL, 0, 0};
    char memory[512], path[128], option[128];
    struct conf *conf;
    struct text text;

    snprintf(path, sizeof(path), "%s%s", where, row->key);
    text_init(&text, memory, sizeof(memory));
    add_nested(&text, path, row->json);
    conf = parse_ok(memory, &notes);
    if (row->option) {
        snprintf(option, sizeof(option), "%s%s", option_prefix, row->option);
        check_option(path, conf, option, row->value);
    } else {
        check_unchanged(path, conf);
    }
    check_num(path, (long long)notes.count, row->note != NULL);
    if (row->note && (!has_note(&notes, row->note) || !has_note(&notes, "file:1: ")))
        fail_msg("%s: note is \"%s\"", path, notes.lines[0]);
    conf_notes_clear(&notes);
    conf_free(conf);
}

static void every_key_loads_alone(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(keys); i++)
        check_key(&keys[i], "global.", "");
    for (size_t i = 0; i < COUNT_OF(provider_keys); i++)
        check_key(&provider_keys[i], "providers.gmail.", "providers.gmail.");
}

/* The tables above are what the code knows, no less. */
static void no_key_is_forgotten(void **state)
{
    (void)state;
    for (size_t i = 0; i < original_key_count; i++) {
        const char *name = original_keys[i].name;
        bool found = !original_keys[i].note && !original_keys[i].option;

        for (size_t j = 0; j < COUNT_OF(keys); j++)
            found |= strncmp(name, "global.", 7) == 0 && strcmp(name + 7, keys[j].key) == 0;
        if (!found && strcmp(name, "powermta_relay") != 0 && strcmp(name, "accounts") != 0)
            fail_msg("%s is not tested", name);
    }
    for (size_t i = 0; i < original_provider_key_count; i++) {
        const struct original_key *key = &original_provider_keys[i];
        bool found = !key->note && !key->option;

        for (size_t j = 0; j < COUNT_OF(provider_keys); j++)
            found |= strcmp(key->name, provider_keys[j].key) == 0;
        if (!found)
            fail_msg("%s is not tested", key->name);
    }
}

/* An option's name that does not exist would make its key a silent failure. */
static void options_of_keys_exist(void **state)
{
    (void)state;
    for (size_t i = 0; i < original_key_count; i++)
        assert_true(!original_keys[i].option || scope_option(&scope_top, original_keys[i].option));
    for (size_t i = 0; i < original_provider_key_count; i++)
        assert_true(!original_provider_keys[i].option ||
                    scope_option(&scope_provider, original_provider_keys[i].option));
}

/* A file with three providers as the original's samples have them. */
static const char sample[] =
    "{\n"
    "  \"_comment\": \"\xe2\x89\x88 settings\",\n"
    "  \"_documentation\": {\"hot_reload\": \"SIGHUP\", \"list\": [1, 2]},\n"
    "  \"global\": {\n"
    "    \"_description\": \"all accounts\",\n"
    "    \"concurrency\": {\"global_concurrency_limit\": 100, \"_doc\": \"x\"},\n"
    "    \"logging\": {\"level\": \"INFO\", \"log_file_override\": null}\n"
    "  },\n"
    "  \"providers\": {\n"
    "    \"_description\": \"defaults\",\n"
    "    \"gmail\": {\n"
    "      \"description\": \"Gmail\",\n"
    "      \"connection_pool\": {\"max_connections_per_account\": 40, \"prewarm_percentage\": "
    "50},\n"
    "      \"rate_limiting\": {\"burst_size\": 50}\n"
    "    },\n"
    "    \"outlook\": {\n"
    "      \"connection_pool\": {\"max_connections_per_account\": 30, \"prewarm_percentage\": "
    "50},\n"
    "      \"rate_limiting\": {\"burst_size\": 50}\n"
    "    },\n"
    "    \"default\": {\n"
    "      \"connection_pool\": {\"max_connections_per_account\": 30},\n"
    "      \"rate_limiting\": {\"burst_size\": 50}\n"
    "    }\n"
    "  },\n"
    "  \"powermta_relay\": {\"max_workers\": 4, \"num_smtp_workers\": [1]},\n"
    "  \"accounts\": [{\"email\": \"a@example.org\"}],\n"
    "  \"_usage_notes\": {\"1\": \"x\"}\n"
    "}\n";

static void a_whole_file_loads(void **state)
{
    struct conf_notes notes = {NULL, 0, 0};
    struct conf *conf = parse_ok(sample, &notes);

    (void)state;
    check_option("sample", conf, "limits.global_concurrency", "100");
    check_option("sample", conf, "providers.gmail.max_connections", "10");
    check_option("sample", conf, "providers.outlook.max_connections", "3");
    check_option("sample", conf, "providers.default.max_connections", "30");
    /* One note for a key, however many providers have it. */
    assert_true(has_note(&notes, "file:13,17: providers.*.connection_pool.prewarm_percentage"));
    assert_true(has_note(&notes, "file:14,18,22: providers.*.rate_limiting.burst_size"));
    assert_true(has_note(&notes, "file:25: powermta_relay has no effect"));
    assert_true(has_note(&notes, "file:26: accounts has no effect"));
    assert_int_equal(notes.count, 6);
    conf_notes_clear(&notes);
    conf_free(conf);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_key_loads_alone),
        cmocka_unit_test(no_key_is_forgotten),
        cmocka_unit_test(options_of_keys_exist),
        cmocka_unit_test(a_whole_file_loads),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
