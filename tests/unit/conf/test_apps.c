/* Applications: their section, what excludes what, their files, and that their secrets
 * are shown to nobody. */
#include <stdio.h>
#include <unistd.h>

#include "conf_check.h"

#define HEAD "apps:\n  Contoso:\n    provider: outlook\n    client_id: cid\n"

static const struct conf_app *app_of(const struct conf *conf)
{
    const struct conf_app *app = conf_app(conf, "CONTOSO");

    assert_non_null(app);
    return app;
}

static void sections_are_read(void **state)
{
    struct conf *conf = parse_ok(HEAD "    client_secret: hush\n"
                                      "    tenant: contoso.example\n"
                                      "    assertion: RS256\n"
                                      "    grant: client_credentials\n"
                                      "    extra: {resource: \"a b&c\", x: \"\"}\n"
                                      "    secret_expires: 2027-02-28\n"
                                      "  able: {provider: gmail, service_account: /k.json}\n"
                                      "  _note: {}\n",
                                 NULL);
    const struct conf_app *app = app_of(conf);

    (void)state;
    check_num("apps", (long long)conf->app_count, 2);
    assert_string_equal(conf->apps[0].name, "able"); /* sorted */
    assert_string_equal(app->client_secret, "hush");
    assert_string_equal(app->tenant, "contoso.example");
    assert_string_equal(app->extra, "resource=a%20b%26c&x=");
    check_num("assertion", app->assertion, CONF_ASSERTION_RS256);
    check_num("grant", app->grant, CONF_GRANT_CLIENT_CREDENTIALS);
    assert_null(conf_app(conf, "nobody"));
    conf_free(conf);
}

/* Each: what is wrong, and words of the reason. */
static const struct {
    const char *text, *words;
} bad[] = {
    {"apps: 7\n", "apps: must be a section"},
    {"apps: {a: 7}\n", "apps.a: must be a section"},
    {"apps: {\"a b\": {}}\n", "cannot be an application"},
    {"apps: {a: {client_id: x}, a: {}}\n", "stood in line"},
    {HEAD "    tennant: x\n", "did you mean \"apps.contoso.tenant\"?"},
    {HEAD "    grant: password\n", "one of auto, refresh_token"},
    {HEAD "    secret_expires: 2027-02-29\n", "a day such as"},
    {HEAD "    secret_expires: soon\n", "a day such as"},
    {HEAD "    token_url: http://x/\n", "https://"},
    {HEAD "    extra: [a]\n", "as a mapping"},
    {HEAD "    extra: {a: {b: c}}\n", "must be text"},
};

static void faults_are_named(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(bad); i++) {
        struct reason why;

        if (parse(bad[i].text, NULL, &why))
            fail_msg("%s is taken", bad[i].text);
        if (!strstr(why.text, bad[i].words))
            fail_msg("%s: \"%s\" lacks \"%s\"", bad[i].text, why.text, bad[i].words);
    }
}

static void secrets_are_not_in_messages(void **state)
{
    static const char *const texts[] = {
        HEAD "    client_secret: \"TOP SECRET\"\n",
        HEAD "    client_secret: x\n    client_secret: TOPSECRET\n",
        HEAD "    client_secert: TOPSECRET\n",
        HEAD "    client_secret: [TOPSECRET]\n",
        HEAD "    extra: \"TOP SECRET\"\n",
        "apps: {a: TOPSECRET}\n",
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(texts); i++) {
        struct reason why;

        assert_null(parse(texts[i], NULL, &why));
        if (strstr(why.text, "SECRET"))
            fail_msg("%s", why.text);
    }
}

static void the_relay_hears_nothing_of_them(void **state)
{
    struct conf *conf = parse_ok(HEAD "    client_secret: hush\n", NULL);
    size_t len;
    char *text = conf_write(conf, &len);

    (void)state;
    assert_null(strstr(text, "apps"));
    assert_null(strstr(text, "hush"));
    free(text);
    conf_free(conf);
}

/* What no option alone can tell. */
static const struct {
    const char *text, *words; /* NULL: it passes */
} checks[] = {
    {HEAD "    client_secret: x\n", NULL},
    {HEAD, NULL},
    {"apps: {a: {client_id: x, client_secret: y}}\n", "apps.a.provider: is missing"},
    {"apps: {a: {client_id: x, provider: zzz}}\n", "apps.a.provider: \"zzz\" is not known"},
    {"apps: {a: {client_id: x, provider: default}}\n", "apps.a.token_url: is missing"},
    {"apps: {a: {provider: gmail}}\n", "apps.a.client_id: is missing"},
    {"apps: {a: {provider: gmail, service_account: /x}}\n", NULL},
    {"apps: {a: {provider: gmail, grant: service_account}}\n", "apps.a.service_account"},
    {"apps: {a: {provider: gmail, service_account: /x, client_secret: y}}\n", "needs no secret"},
    {HEAD "    client_secret: x\n    client_secret_file: /y\n", "name one"},
    {HEAD "    client_secret: x\n    key: /y\n", "by one of them"},
    {HEAD "    certificate: /y\n", "apps.contoso.key: is missing"},
    {HEAD "    certificate: /y\n    key: /z\n", NULL},
};

static void contradictions_are_named(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(checks); i++) {
        struct conf *conf = parse_ok(checks[i].text, NULL);
        struct reason why = {""};
        bool ok = conf_check(conf, NULL, &why);

        if (ok != (checks[i].words == NULL) || (!ok && !strstr(why.text, checks[i].words)))
            fail_msg("%s: \"%s\"", checks[i].text, why.text);
        conf_free(conf);
    }
}

static void files_are_read(void **state)
{
    char path[] = "/tmp/test_apps_XXXXXX", text[256];
    int fd = mkstemp(path);
    struct reason why;
    struct conf *conf;

    (void)state;
    assert_true(fd >= 0);
    snprintf(text, sizeof(text), HEAD "    client_secret_file: %s\n", path);
    conf = parse_ok(text, NULL);
    assert_false(conf_read_app_files(conf, &why)); /* empty */
    assert_non_null(strstr(why.text, "client_secret_file"));
    assert_int_equal(write(fd, "hush\r\n", 6), 6);
    assert_true(conf_read_app_files(conf, &why));
    assert_string_equal(app_of(conf)->files->client_secret, "hush");
    assert_int_equal(write(fd, "more", 4), 4);
    assert_false(conf_read_app_files(conf, &why)); /* two lines */
    assert_null(strstr(why.text, "hush"));
    close(fd);
    unlink(path);
    assert_false(conf_read_app_files(conf, &why));
    assert_non_null(strstr(why.text, "No such file"));
    conf_free(conf);
}

static void providers_have_domains(void **state)
{
    struct conf *conf = parse_ok("providers:\n"
                                 "  mine: {domains: [Mine.example, other.example]}\n"
                                 "  zz: {domains: \"mine.example, zz.example\"}\n",
                                 NULL);
    struct reason why;

    (void)state;
    assert_string_equal(conf_provider_of_domain(conf, SLICE("gmail.com"))->name, "gmail");
    assert_string_equal(conf_provider_of_domain(conf, SLICE("GOOGLEMAIL.com"))->name, "gmail");
    assert_string_equal(conf_provider_of_domain(conf, SLICE("msn.com"))->name, "outlook");
    assert_string_equal(conf_provider_of_domain(conf, SLICE("mine.example"))->name, "mine");
    assert_string_equal(conf_provider_of_domain(conf, SLICE("zz.example"))->name, "zz");
    assert_null(conf_provider_of_domain(conf, SLICE("example")));
    assert_null(conf_provider_of_domain(conf, SLICE("")));
    assert_null(conf_provider_of_domain(conf, SLICE("mail.com")));
    conf_free(conf);
    assert_null(parse("providers: {mine: {domains: [nodot]}}\n", NULL, &why));
    assert_non_null(strstr(why.text, "providers.mine.domains"));
    assert_null(parse("providers: {mine: {domains: [\"a b.c\"]}}\n", NULL, &why));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sections_are_read),
        cmocka_unit_test(faults_are_named),
        cmocka_unit_test(secrets_are_not_in_messages),
        cmocka_unit_test(the_relay_hears_nothing_of_them),
        cmocka_unit_test(contradictions_are_named),
        cmocka_unit_test(files_are_read),
        cmocka_unit_test(providers_have_domains),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
