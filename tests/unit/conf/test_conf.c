/* The text form, what needs a restart, listing, and what only the whole tells. */
#include <stdio.h>
#include <unistd.h>

#include "conf_check.h"

/* --- round trip ------------------------------------------------------------ */

/* A valid value that is not the default one. */
static const char *other_value(const struct option_row *row, char *memory, size_t cap)
{
    struct text text;

    text_init(&text, memory, cap);
    switch (row->type) {
    case OPTION_BOOL:
        return strcmp(row->fallback, "true") == 0 ? "false" : "true";
    case OPTION_CHOICE:
        return row->words[0].value == row->words[1].value ? row->words[4].text : row->words[1].text;
    case OPTION_LISTENERS:
        return "127.0.0.1:26 none, [::1]:465 implicit, unix:/run/x starttls";
    case OPTION_RANGES:
        return "10.0.0.0/8, 2001:db8::/32";
    case OPTION_DOMAINS:
        return "a.example, b.example";
    case OPTION_MODE:
        return "0007";
    case OPTION_FACTOR:
        return "1.234";
    case OPTION_TEXT:
        return strcmp(row->form->expects, "host:port") == 0          ? "smtp.example:465"
               : strstr(row->form->expects, "an https:// URL")       ? "https://a.example/=x"
               : strcmp(row->name, "admin.host") == 0                ? "::1"
               : strcmp(row->form->expects, "a host name") == 0      ? "a.example"
               : strncmp(row->form->expects, "form fields", 11) == 0 ? "a=b&c=d"
                                                                     : "/a=b c";
    case OPTION_DURATION:
        text_addf(&text, "%llums", (unsigned long long)row->max - 1);
        return memory;
    default: /* "2": no provider's ceiling is lower */
        text_add_u64(&text, strcmp(row->name, "max_connections") == 0 ? 2 : row->max - 1);
        return memory;
    }
}

static void check_round_trip(const char *name, struct conf *conf)
{
    size_t len, again_len;
    char *text = conf_write(conf, &len), *again, *copy;
    struct reason why = {""};
    struct conf *back;

    copy = exact_copy((struct slice){text, len});
    back = conf_read((struct slice){copy, len}, &why);
    if (!back)
        fail_msg("%s: %s", name, why.text);
    again = conf_write(back, &again_len);
    check_slice(name, (struct slice){again, again_len}, (struct slice){text, len});
    check_num(name, (long long)back->provider_count, (long long)conf->provider_count);
    for (size_t i = 0; i < conf->provider_count; i++) {
        assert_string_equal(back->providers[i].name, conf->providers[i].name);
        assert_int_equal(back->providers[i].connection_ceiling,
                         conf->providers[i].connection_ceiling);
    }
    free(copy);
    free(text);
    free(again);
    conf_free(back);
}

/* What holds a secret is not for the relay. */
static void check_secret(const struct option_row *row, const char *name, const struct conf *conf)
{
    char line[160];
    size_t len;
    char *text = conf_write(conf, &len);

    snprintf(line, sizeof(line), "%s=", name);
    assert_true((strstr(text, line) == NULL) == row->secret);
    free(text);
}

static void check_row(const struct option_row *row, const char *prefix)
{
    struct conf *conf = conf_default();
    char name[128], memory[64], before[8192], after[8192];
    struct option_target target;
    struct text text;

    snprintf(name, sizeof(name), "%s%s", prefix, row->name);
    assert_true(option_find(conf, name, &target, NULL));
    text_init(&text, before, sizeof(before));
    option_format(row, target.base, &text);
    if (!option_set(row, target.base, slice_of(other_value(row, memory, sizeof(memory))), NULL))
        fail_msg("%s: %s is not valid", name, memory);
    text_init(&text, after, sizeof(after));
    option_format(row, target.base, &text);
    if (strcmp(before, after) == 0)
        fail_msg("%s: %s is not another value", name, after);
    check_round_trip(name, conf);
    check_secret(row, name, conf);
    conf_free(conf);
}

static void every_option_survives_the_text_form(void **state)
{
    (void)state;
    for (size_t i = 0; i < option_row_count; i++)
        check_row(&option_rows[i], "");
    for (size_t i = 0; i < provider_row_count; i++) {
        check_row(&provider_rows[i], "providers.outlook.");
        check_row(&provider_rows[i], "providers.new-one.");
    }
}

static void durations_survive_to_the_millisecond(void **state)
{
    static const uint64_t values[] = {1, 999, 1000, 1001, 59999, 60000, 3599999, 3600000, 86400000};
    struct conf *conf = conf_default();

    (void)state;
    for (size_t i = 0; i < COUNT_OF(values); i++) {
        conf->bdat_demotion_ms = values[i];
        check_round_trip("upstream.bdat_demotion", conf);
    }
    conf_free(conf);
}

/* Whoever wrote the text. */
static void ceilings_hold_in_the_text_form(void **state)
{
    struct conf *conf = conf_read(SLICE("providers.outlook.max_connections=50\n"
                                        "providers.x.smtp_endpoint=smtp.office365.com:587\n"
                                        "providers.x.max_connections=50\n"),
                                  NULL);

    (void)state;
    check_option("by name", conf, "providers.outlook.max_connections", "3");
    check_option("by server", conf, "providers.x.max_connections", "3");
    conf_free(conf);
}

static void broken_text_is_refused(void **state)
{
    static const char *const texts[] = {"workers",
                                        "workers=ten\n",
                                        "nothing=1\n",
                                        "providers.gmail=1\n",
                                        "providers.gmail.nothing=1\n",
                                        "providers.a b.tls=auto\n",
                                        "=\n"};

    (void)state;
    for (size_t i = 0; i < COUNT_OF(texts); i++) {
        struct reason why = {""};

        assert_null(conf_read(slice_of(texts[i]), &why));
        assert_true(why.text[0]);
    }
}

/* --- restart --------------------------------------------------------------- */

static void restart_is_told_by_name(void **state)
{
    (void)state;
    for (size_t i = 0; i < option_row_count; i++) {
        const struct option_row *row = &option_rows[i];
        struct conf *from = conf_default(), *to = conf_default();
        const char *name;
        char memory[64];

        assert_null(conf_needs_restart(from, to));
        assert_true(option_set(row, to, slice_of(other_value(row, memory, sizeof(memory))), NULL));
        name = conf_needs_restart(from, to);
        check_text(row->name, slice_of(name), row->restart ? row->name : "");
        conf_free(from);
        conf_free(to);
    }
}

static void providers_need_no_restart(void **state)
{
    struct conf *from = conf_default(), *to = conf_default();

    (void)state;
    assert_true(conf_set(to, "providers.new.max_connections", "4", NULL));
    assert_null(conf_needs_restart(from, to));
    conf_free(from);
    conf_free(to);
}

/* --- setting and listing --------------------------------------------------- */

static void options_are_set_by_name(void **state)
{
    struct conf *conf = conf_default();
    struct reason why;

    (void)state;
    assert_true(conf_set(conf, "log.level", "debug", &why));
    assert_int_equal(conf->log_level, LOG_DEBUG);
    assert_true(conf_set(conf, "global.logging.level", "ERROR", &why));
    assert_int_equal(conf->log_level, LOG_ERROR);
    assert_true(
        conf_set(conf, "providers.gmail.connection_pool.max_connections_per_account", "4", &why));
    check_option("gmail", conf, "providers.gmail.max_connections", "4");
    assert_false(conf_set(conf, "log.levle", "debug", &why));
    assert_string_equal(why.text, "there is no option \"log.levle\"; did you mean \"log.level\"?");
    assert_false(conf_set(conf, "log.level", "loud", &why));
    assert_non_null(strstr(why.text, "log.level: \"loud\": must be one of"));
    assert_false(conf_set(conf, "powermta_relay", "1", &why));
    assert_false(conf_set(conf, "providers.gmail", "1", &why));
    assert_false(conf_set(conf, "providers..tls", "auto", &why));
    conf_free(conf);
}

struct listing {
    size_t count;
    bool ranges, outlook;
};

static void see_option(const struct conf_option_info *info, void *arg)
{
    struct listing *listing = arg;
    size_t len = strlen(info->help);

    listing->count++;
    assert_true(*info->name && *info->type && len > 0);
    if (info->help[len - 1] != '.')
        fail_msg("%s: its help is not a sentence", info->name);
    listing->ranges |= strcmp(info->name, "workers") == 0 && strcmp(info->range, "0 to 64") == 0;
    listing->outlook |=
        strcmp(info->name, "providers.NAME.max_connections") == 0 &&
        strcmp(info->default_text, "10; outlook: 3; outlook-china: 3; outlook-us: 3") == 0;
}

static void options_are_listed(void **state)
{
    struct listing listing = {0, false, false};
    size_t told = conf_options(see_option, &listing);

    (void)state;
    assert_int_equal(told, listing.count);
    assert_int_equal(listing.count, option_row_count + provider_row_count + app_row_count);
    assert_true(listing.ranges && listing.outlook);
}

/* --- origins ----------------------------------------------------------------- */

struct wanted_origin {
    const char *name, *value, *fallback;
    enum conf_origin_kind kind;
    unsigned line;
    size_t seen;
};

static struct wanted_origin origins[] = {
    {"backlog", "1024", "1024", CONF_DEFAULT, 0, 0},
    {"hostname", "a.example", "", CONF_FILE, 1, 0},
    {"upstream.queue_wait", "20s", "30s", CONF_FILE, 4, 0},
    {"log.level", "debug", "info", CONF_FLAG, 0, 0},
    {"workers", "3", "0", CONF_ENVIRONMENT, 0, 0},
    {"listeners", "127.0.0.1:26 none", "127.0.0.1:2525 none", CONF_FILE, 14, 0},
    {"apps.contoso.client_secret", "(set)", "", CONF_FILE, 17, 0},
    {"apps.contoso.assertion", "PS256", "PS256", CONF_DEFAULT, 0, 0},
    /* From oauth.refresh_ahead, from "default", its own, and built in. */
    {"providers.gmail.refresh_ahead", "7m", "10m", CONF_FILE, 6, 0},
    {"providers.mine.max_connections", "4", "10", CONF_FILE, 9, 0},
    {"providers.mine.refresh_ahead", "2m", "10m", CONF_FILE, 11, 0},
    {"providers.outlook.max_connections", "2", "3", CONF_FILE, 13, 0},
    {"providers.outlook.token_url", "https://login.microsoftonline.com/common/oauth2/v2.0/token",
     "https://login.microsoftonline.com/common/oauth2/v2.0/token", CONF_DEFAULT, 0, 0},
};

static void see_value(const struct conf_value_info *info, void *arg)
{
    ++*(size_t *)arg;
    for (size_t i = 0; i < COUNT_OF(origins); i++) {
        struct wanted_origin *wanted = &origins[i];

        if (strcmp(wanted->name, info->name) != 0)
            continue;
        check_text(info->name, slice_of(info->value), wanted->value);
        check_text(info->name, slice_of(info->default_text), wanted->fallback);
        check_num(info->name, info->origin.kind, wanted->kind);
        check_num(info->name, info->origin.line, wanted->line);
        wanted->seen++;
    }
}

static void values_tell_their_origin(void **state)
{
    struct conf *conf = parse_ok("hostname: a.example\n"
                                 "log: {level: warn}\n"
                                 "upstream:\n"
                                 "  queue_wait: 20s\n"
                                 "oauth:\n"
                                 "  refresh_ahead: 7m\n"
                                 "providers:\n"
                                 "  default:\n"
                                 "    max_connections: 4\n"
                                 "  mine:\n"
                                 "    refresh_ahead: 2m\n"
                                 "  outlook:\n"
                                 "    max_connections: 2\n"
                                 "listeners: [\"127.0.0.1:26\"]\n"
                                 "apps:\n"
                                 "  Contoso:\n"
                                 "    client_secret: hush\n",
                                 NULL);
    size_t count = 0;

    (void)state;
    assert_true(conf_set(conf, "log.level", "debug", NULL));
    assert_true(conf_set_from(conf, "workers", "3", CONF_ENVIRONMENT, NULL));
    assert_true(conf_values(conf, see_value, &count));
    assert_int_equal(count, option_row_count + 9 * provider_row_count + app_row_count);
    for (size_t i = 0; i < COUNT_OF(origins); i++)
        check_num(origins[i].name, (long long)origins[i].seen, 1);
    conf_free(conf);
}

/* --- the whole ------------------------------------------------------------- */

struct check_row {
    const char *text;
    const char *reason; /* NULL: it passes */
    const char *note;   /* NULL: none */
};

static const struct check_row checks[] = {
    {"", NULL, NULL},
    {"listeners: [{address: \"127.0.0.1:465\", tls: implicit}]\n", "tls.certificate", NULL},
    {"listeners: [{address: \"127.0.0.1:465\", tls: implicit}]\ntls: {certificate: /dev/null}\n",
     "tls.key", NULL},
    {"listeners: [{address: \"127.0.0.1:465\", tls: starttls}]\n"
     "tls: {certificate: /dev/null, key: /dev/null}\n",
     NULL, NULL},
    {"listeners: []\n", "listeners: there is none", NULL},
    {"listeners: [\"127.0.0.1:25\", \"127.0.0.1:25\"]\n", "127.0.0.1:25 is there twice", NULL},
    {"tls: {certificate: /nonexistent/c}\n", "tls.certificate: /nonexistent/c: No such", NULL},
    {"tls: {key: /nonexistent/k}\n", "tls.key: /nonexistent/k: No such", NULL},
    {"ca_file: /nonexistent/a\n", "ca_file: /nonexistent/a: No such", NULL},
    {"spill: {dir: /nonexistent}\n", "spill.dir: /nonexistent: No such", NULL},
    {"spill: {dir: /dev/null}\n", "spill.dir: /dev/null is not a directory", NULL},
    {"admin: {host: 0.0.0.0}\n", "admin.host: 0.0.0.0 has TLS, which needs tls.cert", NULL},
    {"admin: {host: 0.0.0.0, tls: off}\n", "admin.host: 0.0.0.0 can be reached", NULL},
    {"admin: {host: 0.0.0.0}\ntls: {certificate: /dev/null, key: /dev/null}\n", NULL, NULL},
    {"admin: {tls: on}\n", "admin.host: 127.0.0.1 has TLS, which needs tls.cert", NULL},
    {"admin: {host: unix:/run/x, tls: on}\n", NULL, NULL},
    {"admin: {host: 0.0.0.0, port: 0}\n", NULL, NULL},
    {"admin: {host: \"::1\"}\n", NULL, NULL},
    {"admin: {host: unix:/run/x}\n", NULL, NULL},
    {"upstream: {queue_wait: 2m}\n", NULL, "make 660 s together"},
    {"spill: {threshold: 512M}\n", NULL, "spill.threshold"},
    {"listeners: [\"*:25\"]\nauth: {requires_tls: false}\n", NULL, "*:25 takes passwords"},
    {"listeners: [\"127.0.0.1:25\", \"[::1]:25\", unix:/x]\nauth: {requires_tls: false}\n", NULL,
     NULL},
};

static void the_whole_is_checked(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(checks); i++) {
        struct conf_notes notes = {NULL, 0, 0};
        struct reason why = {""};
        struct conf *conf = parse_ok(checks[i].text, NULL);
        bool ok = conf_check(conf, &notes, &why);

        check_num(checks[i].text, ok, !checks[i].reason);
        if (!ok && !strstr(why.text, checks[i].reason))
            fail_msg("%s: %s", checks[i].text, why.text);
        check_num(checks[i].text, (long long)notes.count, checks[i].note != NULL);
        if (checks[i].note)
            assert_true(has_note(&notes, checks[i].note));
        conf_notes_clear(&notes);
        conf_free(conf);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_option_survives_the_text_form),
        cmocka_unit_test(durations_survive_to_the_millisecond),
        cmocka_unit_test(ceilings_hold_in_the_text_form),
        cmocka_unit_test(broken_text_is_refused),
        cmocka_unit_test(restart_is_told_by_name),
        cmocka_unit_test(providers_need_no_restart),
        cmocka_unit_test(options_are_set_by_name),
        cmocka_unit_test(options_are_listed),
        cmocka_unit_test(values_tell_their_origin),
        cmocka_unit_test(the_whole_is_checked),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
