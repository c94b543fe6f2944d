/* Reading files: YAML and JSON, sections, comments, lists, and every refusal. */
#include <errno.h>
#include <stdio.h>
#include <unistd.h>

#include "conf/tree.h"
#include "conf_check.h"

/* --- what is accepted ------------------------------------------------------ */

struct accepted_row {
    const char *name, *text;
    const char *option, *value; /* NULL: only that it loads */
};

static const struct accepted_row accepted[] = {
    {"nothing", "", NULL, NULL},
    {"a comment", "# nothing\n", NULL, NULL},
    {"an empty document", "---\n", NULL, NULL},
    {"an empty mapping", "{}", NULL, NULL},
    {"null", "null\n", NULL, NULL},
    {"a section", "limits:\n  max_errors: 7\n", "limits.max_errors", "7"},
    {"dots instead of sections", "limits.max_errors: 7\n", "limits.max_errors", "7"},
    {"part of each", "providers:\n  gmail:\n    retry.max_attempts: 7\n",
     "providers.gmail.retry.max_attempts", "7"},
    {"an empty section", "limits:\nworkers: 3\n", "workers", "3"},
    {"null leaves the default", "workers: null\n", "workers", "0"},
    {"~ too", "workers: ~\n", "workers", "0"},
    {"nothing too", "hostname:\nworkers: 1", "hostname", ""},
    {"a text of four letters", "hostname: \"null\"\n", "hostname", "null"},
    {"comments are not looked into", "_a: {b: [c, {d: e}]}\nlimits: {_x: 1, max_errors: 7}\n",
     "limits.max_errors", "7"},
    {"a comment twice", "_a: 1\n_a: 2\n", NULL, NULL},
    {"a quoted number", "workers: \"3\"\n", "workers", "3"},
    {"a duration as a number", "drain_timeout: 5\n", "drain_timeout", "5s"},
    {"a duration as a JSON number", "{\"drain_timeout\": 5.0}", "drain_timeout", "5s"},
    {"octal", "unix_mode: 0600\n", "unix_mode", "0600"},
    {"on", "providers: {gmail: {bdat: on}}\n", "providers.gmail.bdat", "on"},
    {"listeners as mappings",
     "listeners:\n  - address: 127.0.0.1:25\n    tls: starttls\n    _why: x\n"
     "  - {address: \"[::1]:465\", tls: implicit}\n  - address: unix:/run/x\n",
     "listeners", "127.0.0.1:25 starttls, [::1]:465 implicit, unix:/run/x none"},
    {"listeners as texts", "listeners: [\"127.0.0.1:25\", \"[::1]:465 implicit\"]\n", "listeners",
     "127.0.0.1:25 none, [::1]:465 implicit"},
    {"listeners as one text", "listeners: 127.0.0.1:25\n", "listeners", "127.0.0.1:25 none"},
    {"no listener", "listeners: []\n", "listeners", ""},
    {"ranges", "trusted_clients:\n- 10.0.0.0/8\n- \"::1\"\n- unix\n", "trusted_clients",
     "10.0.0.0/8, ::1, unix"},
    {"ranges as one text", "trusted_clients: 10.0.0.0/8, unix\n", "trusted_clients",
     "10.0.0.0/8, unix"},
    {"JSON without blanks", "{\"workers\":3,\"limits\":{\"max_errors\":7}}", "limits.max_errors",
     "7"},
    {"JSON with tabs", "\t{\n\t\t\"workers\"\t:\t3\t,\n\t\"_x\":\ttrue }\n\t\n", "workers", "3"},
    {"JSON with CRLF", "{\r\n\t\"workers\": 3\r\n}\r\n", "workers", "3"},
    {"JSON escapes", "{\"spill\": {\"dir\": \"\\/var\\/t\\u006dp\"}}", "spill.dir", "/var/tmp"},
    {"JSON surrogate pairs", "{\"providers\": {\"gmail\": {\"scope\": \"\\ud83d\\uDE00\"}}}",
     "providers.gmail.scope", "\xf0\x9f\x98\x80"},
    {"JSON backslash before u", "{\"_a\": \"\\\\ud83d\\\\ude00\", \"workers\": 3}", "workers", "3"},
    {"JSON empty containers", "{\"_a\": [], \"_b\": {}, \"limits\": {}}", NULL, NULL},
    {"a mark of UTF-8", "\xef\xbb\xbfworkers: 3\n", "workers", "3"},
};

static void files_are_read(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(accepted); i++) {
        const struct accepted_row *row = &accepted[i];
        struct conf_notes notes = {NULL, 0, 0};
        struct reason why = {""};
        struct conf *conf = parse(row->text, &notes, &why);

        if (!conf)
            fail_msg("%s: %s", row->name, why.text);
        if (row->option)
            check_option(row->name, conf, row->option, row->value);
        check_num(row->name, (long long)notes.count, 0);
        conf_notes_clear(&notes);
        conf_free(conf);
    }
}

/* --- what is refused ------------------------------------------------------- */

struct refused_row {
    const char *text;
    const char *parts[5]; /* of the reason */
};

static const struct refused_row refused[] = {
    /* unknown keys: line, key, value and the nearest known one */
    {"workers: 1\nlimits:\n  max_conections: 5\n",
     {"file:3: ", "unknown key \"limits.max_conections\"", "\"5\"", "\"limits.max_connections\""}},
    {"limit:\n  max_errors: 5\n", {"file:1: ", "unknown key \"limit\"", "\"limits\""}},
    {"worker: 5\n", {"file:1: ", "unknown key \"worker\"", "\"5\"", "\"workers\""}},
    {"max_errors: 5\n", {"unknown key \"max_errors\"", "\"limits.max_errors\""}},
    {"provider: {}\n", {"unknown key \"provider\"", "\"providers\""}},
    {"zzzzzzzzzzzzzzzzzzzzzzzzzzz: 5\n", {"file:1: unknown key \"zzzz", "(value \"5\")"}},
    {"global: {smpt: {max_recipients: 1}}\n",
     {"unknown key \"global.smpt\"", "{...}", "\"global.smtp\""}},
    {"providers:\n  gmail:\n    max_conections: 5\n",
     {"file:3: ", "unknown key \"providers.gmail.max_conections\"", "\"5\"",
      "\"providers.gmail.max_connections\""}},
    {"providers: {gmail: {connection_pool: {max_messages_per_conection: 5}}}\n",
     {"\"providers.gmail.connection_pool.max_messages_per_connection\""}},
    {"listeners:\n- adress: 127.0.0.1:25\n",
     {"file:2: ", "unknown key \"adress\"", "\"127.0.0.1:25\"", "\"address\""}},
    /* wrong types and ranges: what is allowed */
    {"workers: ten\n", {"file:1: workers: \"ten\": must be a whole number, 0 to 64"}},
    {"\nworkers: 2000\n", {"file:2: workers: \"2000\": must be a whole number, 0 to 64"}},
    {"workers: -1\n", {"file:1: workers: \"-1\": must be"}},
    {"workers: [1]\n", {"file:1: workers: \"[...]\": must be a whole number"}},
    {"workers: {a: 1}\n", {"file:1: workers: \"{...}\": must be a whole number"}},
    {"drain_timeout: 2h\n", {"drain_timeout: \"2h\": must be a duration", "500ms", "0s to 1h"}},
    {"limits: {memory: lots}\n", {"limits.memory: \"lots\": must be a size", "1M to 1024G"}},
    {"dry_run: maybe\n", {"dry_run: \"maybe\": must be true or false"}},
    {"log: {level: loud}\n", {"\"loud\": must be one of error, warn, info, debug, trace"}},
    {"hostname: a b\n", {"hostname: \"a b\": must be a host name"}},
    {"hostname: \"a\\u0001b\"\n", {"file:1: hostname"}},
    {"hostname: \"a\\0b\"\n", {"file:1: a text holds a NUL"}},
    {"limits: 5\n", {"file:1: limits: \"5\": must be a section"}},
    {"limits: [5]\n", {"file:1: limits: \"[...]\": must be a section"}},
    {"providers: 5\n", {"file:1: providers: \"5\": must be a section"}},
    {"providers:\n  gmail: 5\n", {"file:2: providers.gmail: \"5\": must be a section"}},
    {"providers: {a b: {}}\n", {"file:1: providers: \"a b\" cannot be a provider"}},
    {"listeners: [5]\n", {"file:1: listeners: \"5\": must be", "IPv4:PORT"}},
    {"listeners:\n- tls: none\n", {"file:2: listeners: this one has no address"}},
    {"listeners: [[1]]\n", {"file:1: listeners: an item must be text"}},
    {"listeners: [{address: [1]}]\n", {"file:1: listeners: address must be text"}},
    {"trusted_clients:\n- 10.0.0.0/8\n- 10.0.0.0/99\n",
     {"file:3: trusted_clients: \"10.0.0.0/99\""}},
    {"trusted_clients: [{a: 1}]\n", {"trusted_clients: an item must be text"}},
    {"a value\n", {"file:1: \"a value\": a configuration must be keys with values"}},
    {"- 1\n", {"file:1: \"[...]\": a configuration must be keys"}},
    /* twice */
    {"workers: 1\nworkers: 2\n", {"file:2: workers: \"2\"", "line 1 already"}},
    {"limits: {}\nlimits: {}\n", {"file:2: limits:", "line 1 already"}},
    {"limits: {max_errors: 1}\nlimits.max_errors: 2\n",
     {"file:2: limits.max_errors: \"2\"", "line 1 already"}},
    {"hostname: a\nglobal: {smtp: {server_hostname: b}}\n",
     {"file:2: global.smtp.server_hostname: \"b\": hostname was set in line 1 already"}},
    {"providers:\n  gmail: {}\n  gmail: {}\n", {"file:3: providers.gmail stood in line 2 already"}},
    {"providers:\n  gmail:\n    token_url: https://a\n    oauth_token_url: https://b\n",
     {"file:4: providers.gmail.oauth_token_url", "line 3 already"}},
    /* not what we read */
    {"workers: &a 1\n", {"file:1: anchors"}},
    {"_a: &a 1\n", {"file:1: anchors"}},
    {"workers: *a\n", {"file:1: aliases"}},
    {"workers: !!int 1\n", {"file:1: tags"}},
    {"? [a]\n: 1\n", {"file:1: a key must be plain text"}},
    {"---\nworkers: 1\n---\nworkers: 2\n", {"file:3: a second document"}},
    {"workers: [1\n", {"file:2: not YAML"}},
    {"\tworkers: 1\n", {"file:1: not YAML"}},
    {"workers: 'a\n", {"not YAML"}},
    {"{\"a\": \"\\ud83d\"}", {"file:1: not YAML"}},
    {"workers: \xff\n", {"file:1: not YAML"}},
    {"workers: \x01\n", {"file:1: not YAML"}},
    {"_a: [[[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]]]\n", {"file:1: nested too deeply"}},
};

static void faults_are_named(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(refused); i++) {
        const struct refused_row *row = &refused[i];
        struct conf_notes notes = {NULL, 0, 0};
        struct reason why = {""};
        struct conf *conf = parse(row->text, &notes, &why);

        if (conf)
            fail_msg("accepted: %s", row->text);
        for (size_t j = 0; j < COUNT_OF(row->parts) && row->parts[j]; j++) {
            if (!strstr(why.text, row->parts[j]))
                fail_msg("%s: \"%s\" is not in \"%s\"", row->text, row->parts[j], why.text);
        }
        conf_notes_clear(&notes);
    }
}

/* --- bounds ---------------------------------------------------------------- */

static void size_is_bounded(void **state)
{
    char *text = malloc(TREE_BYTES_MAX + 1);
    struct reason why;
    struct conf *conf;

    (void)state;
    memset(text, '#', TREE_BYTES_MAX + 1);
    conf = conf_parse((struct slice){text, TREE_BYTES_MAX}, "file", NULL, &why);
    assert_non_null(conf);
    conf_free(conf);
    assert_null(conf_parse((struct slice){text, TREE_BYTES_MAX + 1}, "file", NULL, &why));
    assert_non_null(strstr(why.text, "1 MiB"));
    free(text);
}

static void values_are_bounded(void **state)
{
    size_t cap = 3 * TREE_NODES_MAX + 64;
    char *memory = malloc(cap);
    struct reason why;
    struct text text;

    (void)state;
    text_init(&text, memory, cap);
    text_add_str(&text, "_a: [");
    for (int i = 0; i < TREE_NODES_MAX; i++)
        text_add_str(&text, "1,");
    text_add_str(&text, "]\n");
    assert_null(parse(memory, NULL, &why));
    assert_non_null(strstr(why.text, "too many values"));
    free(memory);
}

/* --- providers ------------------------------------------------------------- */

static void providers_inherit_from_default(void **state)
{
    /* "default" comes last in the file, and still is the base of the others. */
    struct conf *conf = parse_ok("providers:\n"
                                 "  zoho: {smtp_endpoint: smtp.zoho.example:465}\n"
                                 "  Acme: {max_connections: 4}\n"
                                 "  default: {max_connections: 7, scope: s}\n",
                                 NULL);

    (void)state;
    check_option("acme", conf, "providers.acme.max_connections", "4");
    check_option("acme", conf, "providers.acme.scope", "s");
    check_option("zoho", conf, "providers.zoho.max_connections", "7");
    check_option("gmail", conf, "providers.gmail.max_connections", "10");
    check_option("gmail", conf, "providers.gmail.scope", "");
    assert_int_equal(conf->provider_count, 9); /* acme, and the built-in ones */
    for (size_t i = 1; i < conf->provider_count; i++)
        assert_true(strcmp(conf->providers[i - 1].name, conf->providers[i].name) < 0);
    assert_string_equal(conf_provider(conf, SLICE("ACME"))->name, "acme");
    assert_string_equal(conf_provider(conf, SLICE("nobody"))->name, "default");
    assert_string_equal(conf_provider(conf, SLICE(""))->name, "default");
    conf_free(conf);
}

static void ceilings_hold(void **state)
{
    struct conf_notes notes = {NULL, 0, 0};
    struct conf *conf = parse_ok("providers:\n"
                                 "  outlook:\n"
                                 "    max_connections: 4\n"
                                 "  gmail: {max_connections: 11}\n"
                                 "  default: {max_connections: 99}\n",
                                 &notes);

    (void)state;
    check_option("outlook", conf, "providers.outlook.max_connections", "3");
    check_option("gmail", conf, "providers.gmail.max_connections", "10");
    check_option("default", conf, "providers.default.max_connections", "99");
    assert_int_equal(notes.count, 2);
    assert_true(has_note(&notes, "file:3: providers.outlook.max_connections: 4 is more"));
    conf_notes_clear(&notes);
    assert_true(conf_set(conf, "providers.outlook.max_connections", "5", NULL));
    check_option("by conf_set", conf, "providers.outlook.max_connections", "3");
    conf_free(conf);
}

/* Another name for the same server lifts nothing. */
static void ceilings_follow_the_server(void **state)
{
    struct conf_notes notes = {NULL, 0, 0};
    struct conf *conf = parse_ok("providers:\n"
                                 "  tenant: {smtp_endpoint: \"SMTP.office365.com:587\"}\n"
                                 "  gmail: {smtp_endpoint: \"smtp-mail.outlook.com:587\"}\n"
                                 "  outlook: {smtp_endpoint: \"smtp.gmail.com:465\"}\n"
                                 "  near: {smtp_endpoint: \"smtp.gmail.com.example:465\"}\n"
                                 "  other: {smtp_endpoint: \"xsmtp.gmail.com:465\"}\n",
                                 &notes);

    (void)state;
    check_option("tenant", conf, "providers.tenant.max_connections", "3");
    check_option("gmail", conf, "providers.gmail.max_connections", "3");
    check_option("outlook", conf, "providers.outlook.max_connections", "3");
    assert_int_equal(provider_find(conf, "near")->connection_ceiling, 0);
    assert_int_equal(provider_find(conf, "other")->connection_ceiling, 0);
    assert_int_equal(conf_endpoint_ceiling(SLICE("smtp.office365.com")), 3);
    assert_int_equal(conf_endpoint_ceiling(SLICE("smtp.office365.com.:587")), 3);
    assert_int_equal(conf_endpoint_ceiling(SLICE("")), 0);
    conf_notes_clear(&notes);
    conf_free(conf);
}

/* oauth.refresh_ahead is for all, wherever it stands; a provider's own wins. */
static void refresh_ahead_reaches_providers(void **state)
{
    struct conf *conf = parse_ok("providers: {gmail: {refresh_ahead: 10m}}\n"
                                 "oauth: {refresh_ahead: 300}\n",
                                 NULL);

    (void)state;
    check_option("own", conf, "providers.gmail.refresh_ahead", "10m");
    check_option("common", conf, "providers.outlook.refresh_ahead", "5m");
    check_option("common", conf, "providers.default.refresh_ahead", "5m");
    conf_free(conf);
}

static void providers_are_bounded(void **state)
{
    char memory[1024];
    struct text text;
    struct reason why;

    (void)state;
    text_init(&text, memory, sizeof(memory));
    text_add_str(&text, "providers:\n");
    for (int i = 0; i < CONF_PROVIDERS_MAX - 2; i++)
        text_addf(&text, "  p%d:\n", i);
    assert_null(parse(memory, NULL, &why));
    assert_non_null(strstr(why.text, "there are 40 already"));
}

/* --- files ----------------------------------------------------------------- */

static void files_are_opened(void **state)
{
    char path[] = "/tmp/test_conf_XXXXXX";
    int fd = mkstemp(path);
    struct reason why;
    struct conf *conf;

    (void)state;
    assert_true(fd >= 0);
    assert_int_equal(write(fd, "workers: 3\n", 11), 11);
    close(fd);
    conf = conf_load(path, NULL, &why);
    assert_non_null(conf);
    check_option("file", conf, "workers", "3");
    conf_free(conf);
    unlink(path);
    assert_null(conf_load(path, NULL, &why));
    assert_non_null(strstr(why.text, path));
    assert_non_null(strstr(why.text, strerror(ENOENT)));
    assert_null(conf_load("/", NULL, &why));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(files_are_read),
        cmocka_unit_test(faults_are_named),
        cmocka_unit_test(size_is_bounded),
        cmocka_unit_test(values_are_bounded),
        cmocka_unit_test(providers_inherit_from_default),
        cmocka_unit_test(ceilings_hold),
        cmocka_unit_test(ceilings_follow_the_server),
        cmocka_unit_test(refresh_ahead_reaches_providers),
        cmocka_unit_test(providers_are_bounded),
        cmocka_unit_test(files_are_opened),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
