/* The command line and the environment. */
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "conf/cli.h"
#include "conf_check.h"

#define ARGS_MAX 8

static const char *const variables[] = {"XOAUTH2_HOST",       "XOAUTH2_PORT",
                                        "XOAUTH2_ADMIN_HOST", "XOAUTH2_ADMIN_PORT",
                                        "XOAUTH2_DRY_RUN",    "XOAUTH2_GLOBAL_CONCURRENCY"};

static int clear_environment(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(variables); i++)
        unsetenv(variables[i]);
    return 0;
}

static bool run(struct cli *cli, const char *const *args, struct reason *why)
{
    char *argv[ARGS_MAX + 2] = {(char *)"bearerd"};
    int argc = 1;

    for (; *args; args++)
        argv[argc++] = (char *)*args;
    return cli_parse(cli, argc, argv, why);
}

/* --- flags ----------------------------------------------------------------- */

struct flag_row {
    const char *args[ARGS_MAX];
    const char *option, *value; /* after cli_apply */
};

static const struct flag_row good[] = {
    {{NULL}, "listeners", "127.0.0.1:2525 none"},
    {{"--port", "25"}, "listeners", "127.0.0.1:25 none"},
    {{"--port=0"}, "listeners", "127.0.0.1:0 none"},
    {{"--host", "0.0.0.0"}, "listeners", "0.0.0.0:2525 none"},
    {{"--host", "192.0.2.1", "--port", "25"}, "listeners", "192.0.2.1:25 none"},
    {{"--host", "localhost"}, "listeners", "127.0.0.1:2525 none"},
    {{"--host", "::1"}, "listeners", "[::1]:2525 none"},
    {{"--host", "[::1]"}, "listeners", "[::1]:2525 none"},
    {{"--host", "*"}, "listeners", "*:2525 none"},
    {{"--host", "unix:/run/x"}, "listeners", "unix:/run/x none"},
    {{"--admin-host", "::1"}, "admin.host", "::1"},
    {{"--admin-port", "0"}, "admin.port", "0"},
    {{"--global-concurrency", "100"}, "limits.global_concurrency", "100"},
    {{"--dry-run"}, "dry_run", "true"},
    {{"--log-level", "DEBUG"}, "log.level", "debug"},
    {{"--workers", "4"}, "workers", "4"},
    {{"--ca-file", "/x"}, "ca_file", "/x"},
    {{"--workers", "4", "--workers=5"}, "workers", "5"},
};

static void flags_set_options(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(good); i++) {
        struct conf *conf = conf_default();
        struct reason why = {""};
        struct cli cli;

        if (!run(&cli, good[i].args, &why) || !cli_apply(&cli, conf, &why))
            fail_msg("%s: %s", good[i].args[0], why.text);
        check_option(good[i].value, conf, good[i].option, good[i].value);
        conf_free(conf);
    }
}

static void switches_are_seen(void **state)
{
    static const char *const all[] = {"--check",  "--version", "--help",      "--dry-run",
                                      "--config", "c.yaml",    "--accounts=", NULL};
    static const char *const none[] = {NULL};
    struct reason why;
    struct cli cli;

    (void)state;
    assert_true(run(&cli, all, &why));
    assert_true(cli.check && cli.version && cli.help && cli.dry_run);
    assert_string_equal(cli.config, "c.yaml");
    assert_string_equal(cli.accounts, "");
    assert_true(run(&cli, none, &why));
    assert_false(cli.check || cli.version || cli.help || cli.dry_run || cli.config || cli.accounts);
}

struct bad_row {
    const char *args[ARGS_MAX];
    const char *parts[2];
};

static const struct bad_row bad[] = {
    {{"--confg", "x"}, {"\"--confg\"", "\"--config\""}},
    {{"--admin_port=1"}, {"\"--admin_port=1\"", "\"--admin-port\""}},
    {{"--zzzzzzzzzzzzzzzzzzz"}, {"no option", "--help"}},
    {{"-x"}, {"\"-x\"", "--help"}},
    {{"--admin"}, {"no option \"--admin\"", "--help"}},
    {{"--check=yes"}, {"--check takes no value", ""}},
    {{"--port"}, {"--port needs a value", ""}},
    {{"accounts.json"}, {"\"accounts.json\" is not an option", ""}},
    {{"--port", "smtp"}, {"--port: ", "\"127.0.0.1:smtp\": must be"}},
    {{"--host", "example.org"}, {"--host: ", "\"example.org:2525\": must be"}},
    {{"--workers", "many"}, {"--workers: workers: \"many\": must be", "0 to 64"}},
    {{"--log-level", "loud"}, {"--log-level: log.level: \"loud\"", "trace"}},
};

static void faults_are_named(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(bad); i++) {
        struct conf *conf = conf_default();
        struct reason why = {""};
        struct cli cli;

        if (run(&cli, bad[i].args, &why) && cli_apply(&cli, conf, &why))
            fail_msg("%s: accepted", bad[i].args[0]);
        if (!strstr(why.text, bad[i].parts[0]) || !strstr(why.text, bad[i].parts[1]))
            fail_msg("%s: %s", bad[i].args[0], why.text);
        conf_free(conf);
    }
}

static void flags_win_over_the_file(void **state)
{
    static const char *const args[] = {"--port", "26", "--workers", "5", NULL};
    struct conf *conf =
        parse_ok("workers: 3\nbacklog: 7\nlisteners: [\"[::1]:25\", \"*:465\"]\n", NULL);
    struct reason why;
    struct cli cli;

    (void)state;
    assert_true(run(&cli, args, &why) && cli_apply(&cli, conf, &why));
    check_option("flag", conf, "workers", "5");
    check_option("file", conf, "backlog", "7");
    check_option("flag", conf, "listeners", "127.0.0.1:26 none");
    conf_free(conf);
}

/* --- environment ----------------------------------------------------------- */

static void environment_is_below_flags(void **state)
{
    static const char *const args[] = {"--admin-port", "9191", NULL};
    struct conf *conf = conf_default();
    struct reason why;
    struct cli cli;

    (void)state;
    setenv("XOAUTH2_HOST", "0.0.0.0", 1);
    setenv("XOAUTH2_PORT", "587", 1);
    setenv("XOAUTH2_ADMIN_HOST", "::1", 1);
    setenv("XOAUTH2_ADMIN_PORT", "9999", 1);
    setenv("XOAUTH2_GLOBAL_CONCURRENCY", "", 1);
    setenv("XOAUTH2_DRY_RUN", "1", 1);
    assert_true(run(&cli, args, &why) && cli_apply(&cli, conf, &why));
    check_option("host, port", conf, "listeners", "0.0.0.0:587 none");
    check_option("admin host", conf, "admin.host", "::1");
    check_option("flag wins", conf, "admin.port", "9191");
    check_option("empty is not there", conf, "limits.global_concurrency", "0");
    check_option("switch", conf, "dry_run", "true");
    assert_true(cli.dry_run);
    conf_free(conf);
}

static void environment_is_named(void **state)
{
    static const char *const none[] = {NULL};
    struct conf *conf = conf_default();
    struct reason why;
    struct cli cli;

    (void)state;
    setenv("XOAUTH2_ADMIN_PORT", "many", 1);
    assert_true(run(&cli, none, &why));
    assert_false(cli_apply(&cli, conf, &why));
    assert_non_null(strstr(why.text, "XOAUTH2_ADMIN_PORT: admin.port: \"many\""));
    unsetenv("XOAUTH2_ADMIN_PORT");
    setenv("XOAUTH2_DRY_RUN", "false", 1);
    assert_true(run(&cli, none, &why));
    assert_true(cli_apply(&cli, conf, &why));
    assert_false(cli.dry_run || conf->dry_run);
    conf_free(conf);
}

/* --- files ----------------------------------------------------------------- */

static void touch(const char *path)
{
    int fd = open(path, O_CREAT | O_WRONLY, 0600);

    assert_true(fd >= 0);
    close(fd);
}

static void files_are_searched(void **state)
{
    char dir[] = "/tmp/test_cli_XXXXXX", path[256];
    struct cli cli = {0};
    struct reason why;

    (void)state;
    assert_non_null(mkdtemp(dir));
    assert_int_equal(chdir(dir), 0);
    setenv("HOME", dir, 1);
    if (access("/etc/bearerd/bearerd.yaml", F_OK) != 0) {
        assert_true(cli_find_config(&cli, path, sizeof(path), &why));
        assert_string_equal(path, "");
    }
    touch("config.json");
    assert_true(cli_find_config(&cli, path, sizeof(path), &why));
    assert_string_equal(path, "./config.json");
    touch("bearerd.yaml");
    assert_true(cli_find_config(&cli, path, sizeof(path), &why));
    assert_string_equal(path, "./bearerd.yaml");
    cli.config = "other.yaml";
    assert_false(cli_find_config(&cli, path, sizeof(path), &why));
    assert_non_null(strstr(why.text, "--config other.yaml: No such file"));
    cli.config = "config.json";
    assert_true(cli_find_config(&cli, path, sizeof(path), &why));
    assert_string_equal(path, "config.json");
    assert_int_equal(unlink("config.json") | unlink("bearerd.yaml"), 0);
    assert_int_equal(chdir("/") | rmdir(dir), 0);
}

static void check_accounts(const char *given, const char *wants)
{
    struct cli cli = {.accounts = given && given[0] != '(' ? given : NULL};
    struct conf *conf = conf_default();
    char location[256];
    struct reason why = {""};
    bool by_default;

    if (given)
        assert_true(conf_set(conf, "store.location", given + (given[0] == '('), &why));
    if (!cli_find_accounts(&cli, conf, location, sizeof(location), &by_default, &why)) {
        if (!strstr(why.text, wants))
            fail_msg("%s: \"%s\" lacks \"%s\"", given ? given : "-", why.text, wants);
    } else {
        assert_string_equal(location, wants);
        assert_int_equal(by_default, !given && strstr(location, "accounts.db") != NULL);
    }
    conf_free(conf);
}

static void accounts_are_searched(void **state)
{
    char dir[] = "/tmp/test_cli_XXXXXX", wanted[256];

    (void)state;
    assert_non_null(mkdtemp(dir));
    assert_int_equal(chdir(dir), 0);
    setenv("HOME", dir, 1);
    unsetenv("STATE_DIRECTORY");
    if (access("/etc/bearerd/accounts.json", F_OK) != 0 &&
        access("/etc/xoauth2/accounts.json", F_OK) != 0 &&
        access("/usr/local/etc/xoauth2/accounts.json", F_OK) != 0) {
        snprintf(wanted, sizeof(wanted), "sqlite:%s/.local/state/bearerd/accounts.db", dir);
        check_accounts(NULL, geteuid() == 0 ? "sqlite:/var/lib/bearerd/accounts.db" : wanted);
        setenv("STATE_DIRECTORY", "/var/lib/a:/var/lib/b", 1);
        check_accounts(NULL, "sqlite:/var/lib/a/accounts.db");
        unsetenv("STATE_DIRECTORY");
        assert_int_equal(mkdir(".xoauth2", 0700), 0);
        touch(".xoauth2/accounts.json");
        snprintf(wanted, sizeof(wanted), "%s/.xoauth2/accounts.json", dir);
        check_accounts(NULL, wanted);
        assert_int_equal(unlink(".xoauth2/accounts.json") | rmdir(".xoauth2"), 0);
    }
    touch("accounts.json");
    check_accounts(NULL, "./accounts.json");
    check_accounts("", "--accounts");
    check_accounts("accounts.json", "accounts.json");
    check_accounts("file:accounts.json", "file:accounts.json");
    check_accounts("none.json", "--accounts none.json: No such file");
    check_accounts("file:none.json", "--accounts none.json: No such file");
    check_accounts("(none.json", "store.location none.json: No such file");
    check_accounts("sqlite:none", "sqlite:none");
    check_accounts("none.db", "none.db");
    assert_int_equal(unlink("accounts.json"), 0);
    assert_int_equal(chdir("/") | rmdir(dir), 0);
}

/* --- help ------------------------------------------------------------------ */

static void see_flag(const struct cli_flag_info *info, void *arg)
{
    char wanted[64];

    snprintf(wanted, sizeof(wanted), "\n  --%s ", info->name);
    if (!strstr(arg, wanted))
        fail_msg("--help does not have --%s", info->name);
    if (info->variable && !strstr(arg, info->variable))
        fail_msg("--help does not have %s", info->variable);
}

static void help_has_every_flag(void **state)
{
    char *help = NULL;
    size_t len;
    FILE *out = open_memstream(&help, &len);

    (void)state;
    cli_print_help(out);
    fclose(out);
    assert_true(cli_flags(see_flag, help) <= CLI_FLAGS_MAX);
    for (const char *line = help; *line; line += strcspn(line, "\n") + 1)
        assert_true(strcspn(line, "\n") <= 80);
    free(help);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(flags_set_options, clear_environment),
        cmocka_unit_test_setup(switches_are_seen, clear_environment),
        cmocka_unit_test_setup(faults_are_named, clear_environment),
        cmocka_unit_test_setup(flags_win_over_the_file, clear_environment),
        cmocka_unit_test_setup(environment_is_below_flags, clear_environment),
        cmocka_unit_test_setup(environment_is_named, clear_environment),
        cmocka_unit_test_setup(files_are_searched, clear_environment),
        cmocka_unit_test_setup(accounts_are_searched, clear_environment),
        cmocka_unit_test(help_has_every_flag),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
