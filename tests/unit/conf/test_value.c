/* Each type of value: what it accepts, what it refuses, how it is written. */
#include <stdio.h>

#include "check.h"
#include "conf/options.h"

struct value_row {
    const char *name, *value;
    const char *written; /* NULL: refused */
};

static const struct value_row rows[] = {
    /* durations: plain numbers are seconds */
    {"drain_timeout", "0", "0s"},
    {"drain_timeout", "1", "1s"},
    {"drain_timeout", "90", "90s"},
    {"drain_timeout", "120", "2m"},
    {"drain_timeout", "0.5", "500ms"},
    {"drain_timeout", "500ms", "500ms"},
    {"drain_timeout", "30s", "30s"},
    {"drain_timeout", "30 s", "30s"},
    {"drain_timeout", "5m", "5m"},
    {"drain_timeout", "5M", "5m"},
    {"drain_timeout", "1h", "1h"},
    {"drain_timeout", "0.5m", "30s"},
    {"drain_timeout", " 7s ", "7s"},
    {"upstream.bdat_demotion", "2d", "2d"},
    {"drain_timeout", "2h", NULL},
    {"drain_timeout", "0.0005", NULL},
    {"drain_timeout", "-1", NULL},
    {"drain_timeout", "+1", NULL},
    {"drain_timeout", "s", NULL},
    {"drain_timeout", ".5", NULL},
    {"drain_timeout", "5.", NULL},
    {"drain_timeout", "1.2.3", NULL},
    {"drain_timeout", "5 minutes", NULL},
    {"drain_timeout", "5m30s", NULL},
    {"drain_timeout", "", NULL},
    {"drain_timeout", "99999999999999999999", NULL},
    {"drain_timeout", "18446744073709551615", NULL},
    {"drain_timeout", "18446744073709551615h", NULL},
    {"timeouts.command", "0", NULL},
    {"timeouts.command", "1ms", "1ms"},
    /* sizes */
    {"limits.max_message_size", "52428800", "50M"},
    {"limits.max_message_size", "1000", "1000"},
    {"limits.max_message_size", "1k", "1K"},
    {"limits.max_message_size", "1.5K", "1536"},
    {"limits.max_message_size", "1G", "1G"},
    {"limits.max_message_size", "2G", NULL},
    {"limits.max_message_size", "0", NULL},
    {"limits.max_message_size", "1T", NULL},
    {"limits.max_message_size", "1MB", NULL},
    {"limits.max_message_size", "0x10", NULL},
    {"limits.max_message_size", "1.0001K", NULL},
    {"limits.max_message_size", "17179869185G", NULL},
    /* numbers */
    {"workers", "0", "0"},
    {"workers", "64", "64"},
    {"workers", "007", "7"},
    {"workers", "65", NULL},
    {"workers", "4294967297", NULL},
    {"workers", "1.0", NULL},
    {"workers", "1e3", NULL},
    {"workers", "1K", NULL},
    {"workers", "four", NULL},
    /* modes */
    {"unix_mode", "0600", "0600"},
    {"unix_mode", "666", "0666"},
    {"unix_mode", "0", "0000"},
    {"unix_mode", "0999", NULL},
    {"unix_mode", "1777", NULL},
    {"unix_mode", "0000000600", NULL},
    {"unix_mode", "rw", NULL},
    /* switches */
    {"dry_run", "true", "true"},
    {"dry_run", "Yes", "true"},
    {"dry_run", "on", "true"},
    {"dry_run", "FALSE", "false"},
    {"dry_run", "no", "false"},
    {"dry_run", "off", "false"},
    {"dry_run", "1", NULL},
    {"dry_run", "maybe", NULL},
    {"dry_run", "", NULL},
    /* choices, with what others call them */
    {"log.level", "INFO", "info"},
    {"log.level", "WARNING", "warn"},
    {"log.level", "CRITICAL", "error"},
    {"log.level", "trace", "trace"},
    {"log.level", "loud", NULL},
    {"log.format", "json", "json"},
    {"log.format", "key-value", "text"},
    {"limits.bare_newlines", "normalize", "normalize"},
    {"limits.bare_newlines", "normalise", NULL},
    {"providers.gmail.bdat", "on", "on"},
    {"providers.gmail.bdat", "false", "off"},
    {"providers.gmail.tls", "implicit", "implicit"},
    {"providers.gmail.tls", "none", NULL},
    {"providers.gmail.mechanism", "OAUTHBEARER", "oauthbearer"},
    /* factors */
    {"providers.gmail.retry.backoff", "2", "2.0"},
    {"providers.gmail.retry.backoff", "2.0", "2.0"},
    {"providers.gmail.retry.backoff", "1.125", "1.125"},
    {"providers.gmail.retry.backoff", "100", "100.0"},
    {"providers.gmail.retry.backoff", "1.10", "1.1"},
    {"providers.gmail.retry.backoff", "0.9", NULL},
    {"providers.gmail.retry.backoff", "1.0001", NULL},
    {"providers.gmail.retry.backoff", "2s", NULL},
    /* texts */
    {"hostname", "mail.example.org", "mail.example.org"},
    {"hostname", "xoauth2-proxy", "xoauth2-proxy"},
    {"hostname", "[192.0.2.1]", "[192.0.2.1]"},
    {"hostname", "", ""},
    {"hostname", "mail example", NULL},
    {"hostname", "mail..example", NULL},
    {"hostname", ".example", NULL},
    {"hostname", "-x", NULL},
    {"hostname", "a\r\nb", NULL},
    {"spill.dir", "/tmp", "/tmp"},
    {"spill.dir", "", NULL},
    {"spill.dir", "/tmp\n/x", NULL},
    {"admin.host", "127.0.0.1", "127.0.0.1"},
    {"admin.host", "::1", "::1"},
    {"admin.host", "localhost", "localhost"},
    {"admin.host", "unix:/run/x", "unix:/run/x"},
    {"admin.host", "example.org", NULL},
    {"providers.gmail.smtp_endpoint", "smtp.example.org:465", "smtp.example.org:465"},
    {"providers.gmail.smtp_endpoint", "[::1]:465", "[::1]:465"},
    {"providers.gmail.smtp_endpoint", "127.0.0.1:465", "127.0.0.1:465"},
    {"providers.gmail.smtp_endpoint", "", ""},
    {"providers.gmail.smtp_endpoint", "smtp.example.org", NULL},
    {"providers.gmail.smtp_endpoint", "smtp.example.org:0", NULL},
    {"providers.gmail.smtp_endpoint", "smtp.example.org:65536", NULL},
    {"providers.gmail.smtp_endpoint", "smtp.example.org:smtp", NULL},
    {"providers.gmail.smtp_endpoint", ":25", NULL},
    {"providers.gmail.smtp_endpoint", "[example]:25", NULL},
    {"providers.gmail.smtp_endpoint", "https://oauth2.example/token", NULL},
    {"providers.gmail.token_url", "https://x.example/token?a=b", "https://x.example/token?a=b"},
    {"providers.gmail.token_url", "HTTPS://x.example", "HTTPS://x.example"},
    {"providers.gmail.token_url", "http://x.example/token", NULL},
    {"providers.gmail.token_url", "https://", NULL},
    {"providers.gmail.token_url", "https:///token", NULL},
    {"providers.gmail.token_url", "https://x.example/a b", NULL},
    {"providers.gmail.scope", "a b", "a b"},
    /* lists */
    {"listeners", "127.0.0.1:25", "127.0.0.1:25 none"},
    {"listeners", "127.0.0.1:0", "127.0.0.1:0 none"},
    {"listeners", "[::1]:465 implicit, unix:/run/smtp STARTTLS",
     "[::1]:465 implicit, unix:/run/smtp starttls"},
    {"listeners", "*:25", "*:25 none"},
    {"listeners", "", ""},
    {"listeners", "localhost:25", NULL},
    {"listeners", "127.0.0.1", NULL},
    {"listeners", "::1:25", NULL},
    {"listeners", "127.0.0.1:25 tls", NULL},
    {"listeners", "127.0.0.1:25,", "127.0.0.1:25 none"},
    {"listeners", "127.0.0.1:25,,127.0.0.1:26", NULL},
    {"listeners", "unix:relative", NULL},
    {"trusted_clients", "10.0.0.0/8,::/0, unix", "10.0.0.0/8, ::/0, unix"},
    {"trusted_clients", "192.0.2.1", "192.0.2.1"},
    {"trusted_clients", "10.0.0.0/33", NULL},
    {"trusted_clients", "::1/129", NULL},
    {"trusted_clients", "10.0.0.0/", NULL},
    {"trusted_clients", "10.0.0.0/8/8", NULL},
    {"trusted_clients", "example.org", NULL},
};

static void written(struct conf *conf, const char *name, char *memory, size_t cap)
{
    struct option_target target;
    struct text text;

    assert_true(option_find(conf, name, &target, NULL));
    text_init(&text, memory, cap);
    option_format(target.row, target.base, &text);
}

static void values_are_read_and_written(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        const struct value_row *row = &rows[i];
        struct conf *conf = conf_default();
        char row_name[1024], text[512];
        struct reason why = {""};
        bool ok = conf_set(conf, row->name, row->value, &why);

        snprintf(row_name, sizeof(row_name), "%s=%s (%s)", row->name, row->value, why.text);
        check_num(row_name, ok, row->written != NULL);
        if (ok) {
            written(conf, row->name, text, sizeof(text));
            check_text(row_name, slice_of(text), row->written);
        } else if (!strstr(why.text, row->name) || !strstr(why.text, "must be") ||
                   (!strchr(row->value, ',') && !strstr(why.text, row->value))) {
            fail_msg("%s: does not name option, value and what is allowed", row_name);
        }
        conf_free(conf);
    }
}

/* What is refused changes nothing, lists apart. */
static void refused_values_leave_the_old_one(void **state)
{
    struct conf *conf = conf_default();
    struct reason why;

    (void)state;
    assert_false(conf_set(conf, "drain_timeout", "2h", &why));
    assert_int_equal(conf->drain_ms, 30000);
    assert_false(conf_set(conf, "hostname", "a b", &why));
    assert_string_equal(conf->hostname, "");
    conf_free(conf);
}

static void texts_fit_or_are_refused(void **state)
{
    struct conf *conf = conf_default();
    char path[CONF_TEXT_MAX + 1];
    struct reason why;

    (void)state;
    memset(path, 'a', CONF_TEXT_MAX);
    path[CONF_TEXT_MAX] = '\0';
    assert_false(conf_set(conf, "ca_file", path, &why));
    path[CONF_TEXT_MAX - 1] = '\0';
    assert_true(conf_set(conf, "ca_file", path, &why));
    assert_string_equal(conf->ca_file, path);
    conf_free(conf);
}

static void lists_are_bounded(void **state)
{
    struct conf *conf = conf_default();
    char many[1024] = "";
    struct reason why;
    struct text text;

    (void)state;
    text_init(&text, many, sizeof(many));
    for (int i = 0; i < CONF_LISTENERS_MAX; i++)
        text_addf(&text, "%s127.0.0.1:%d", i ? "," : "", 1000 + i);
    assert_true(conf_set(conf, "listeners", many, &why));
    assert_int_equal(conf->listener_count, CONF_LISTENERS_MAX);
    text_add_str(&text, ",127.0.0.1:2000");
    assert_false(conf_set(conf, "listeners", many, &why));
    assert_non_null(strstr(why.text, "\"127.0.0.1:2000\": must be left out, the list is full"));
    text_init(&text, many, sizeof(many));
    for (int i = 0; i <= CONF_TRUSTED_MAX; i++)
        text_addf(&text, "%s10.0.0.%d", i ? "," : "", i);
    assert_false(conf_set(conf, "trusted_clients", many, &why));
    conf_free(conf);
}

/* A default that its own row refuses would be silently zero. */
static void every_default_is_valid(void **state)
{
    struct conf *conf = conf_default();
    char text[512];
    struct text out;

    (void)state;
    for (size_t i = 0; i < option_row_count; i++) {
        assert_true(option_set(&option_rows[i], conf, slice_of(option_rows[i].fallback), NULL));
        text_init(&out, text, sizeof(text));
        option_format(&option_rows[i], conf, &out);
        check_text(option_rows[i].name, slice_of(text), option_rows[i].fallback);
    }
    for (size_t i = 0; i < provider_row_count; i++)
        assert_true(option_set(&provider_rows[i], &conf->providers[0],
                               slice_of(provider_rows[i].fallback), NULL));
    conf_free(conf);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(values_are_read_and_written),
        cmocka_unit_test(refused_values_leave_the_old_one),
        cmocka_unit_test(texts_fit_or_are_refused),
        cmocka_unit_test(lists_are_bounded),
        cmocka_unit_test(every_default_is_valid),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
