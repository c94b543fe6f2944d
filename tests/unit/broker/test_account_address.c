/* Accounts whose address may not be used are held, and let go by themselves. */
#include "broker/token_world.h"

#define ON(text) "\"ip_address\":\"" text "\""

static void address(enum netlink_kind kind, const char *text)
{
    struct netlink_event event = {.kind = kind};

    assert_true(ip_parse(text, &event.place.address));
    event.place.prefix = 32;
    event.place.index = 2;
    assert_true(addresses_take(&registry.addresses, &event));
}

/* The kernel has told of these two. */
static void know(void)
{
    registry_configure(&registry, conf);
    addresses_dump_begin(&registry.addresses);
    address(NETLINK_ADDRESS, "8.8.8.1");
    address(NETLINK_ADDRESS, "8.8.8.2");
    addresses_dump_end(&registry.addresses);
}

static void have(const char *first, const char *second)
{
    char text[1024];
    const char *form = "[{\"email\":\"u0@x\",\"account_id\":\"u0\",\"provider\":\"outlook\","
                       "\"client_id\":\"c\",\"refresh_token\":\"rt\",%s},"
                       "{\"email\":\"u1@x\",\"account_id\":\"u1\",\"provider\":\"outlook\","
                       "\"client_id\":\"c\",\"refresh_token\":\"rt\",%s}]";
    struct text builder;

    text_init(&builder, text, sizeof(text));
    text_addf(&builder, form, first, second);
    apply(text);
}

static void check_state(const char *id, enum account_state wanted)
{
    check_num(id, account_state(account_named(id)), wanted);
}

static void test_loaded(void **state)
{
    const struct hold *hold;

    (void)state;
    know();
    have(ON("8.8.8.1"), ON("8.8.8.9"));
    check_state("u0", ACCOUNT_ACTIVE);
    check_state("u1", ACCOUNT_MISCONFIGURED);
    hold = account_worst(account_named("u1"));
    check_num("by", account_named("u1")->worst, HOLD_ADDRESS);
    check_num("until it is lifted", (long long)hold->until_wall_ms, 0);
    assert_non_null(strstr(hold->text, "8.8.8.9 is not an address of this host"));
}

static void test_changed(void **state)
{
    (void)state;
    know();
    have(ON("8.8.8.1"), ON("8.8.8.9"));
    have(ON("10.0.0.1"), ON("8.8.8.2"));
    check_state("u0", ACCOUNT_MISCONFIGURED);
    check_state("u1", ACCOUNT_ACTIVE);
    have(ON(""), ON("192.0.2.1"));
    check_state("u0", ACCOUNT_ACTIVE);
    assert_non_null(strstr(account_worst(account_named("u1"))->text, "TEST-NET-1"));
}

static void test_host_changes(void **state)
{
    size_t told;

    (void)state;
    know();
    have(ON("8.8.8.1"), ON("8.8.8.2"));
    told = told_states;
    address(NETLINK_GONE, "8.8.8.1");
    check_state("u0", ACCOUNT_MISCONFIGURED);
    check_state("u1", ACCOUNT_ACTIVE);
    check_num("the relay heard of one", (long long)(told_states - told), 1);
    check_num("state", told_state, ACCOUNT_MISCONFIGURED);
    assert_non_null(strstr(told_text, "8.8.8.1"));
    address(NETLINK_ADDRESS, "8.8.8.1");
    check_state("u0", ACCOUNT_ACTIVE);
    check_num("state", told_state, ACCOUNT_ACTIVE);
}

/* Another hold neither ends this one nor is ended by it. */
static void test_beside_other_holds(void **state)
{
    struct account *account;

    (void)state;
    know();
    have(ON("8.8.8.1"), ON("8.8.8.2"));
    account = account_named("u0");
    account_hold(account, HOLD_TOKEN, ACCOUNT_NEEDS_CONSENT, 0, "consent");
    address(NETLINK_GONE, "8.8.8.1");
    check_state("u0", ACCOUNT_MISCONFIGURED);
    account_hold(account, HOLD_TOKEN, ACCOUNT_ACTIVE, 0, NULL);
    check_state("u0", ACCOUNT_MISCONFIGURED);
    account_hold(account, HOLD_PROVIDER, ACCOUNT_BLOCKED, 0, "blocked");
    address(NETLINK_ADDRESS, "8.8.8.1");
    check_state("u0", ACCOUNT_BLOCKED);
}

static void test_removed(void **state)
{
    (void)state;
    know();
    have(ON("8.8.8.1"), ON("8.8.8.1"));
    apply("[]");
    address(NETLINK_GONE, "8.8.8.1");
    check_num("accounts", (long long)registry_count(&registry), 0);
}

static void test_options(void **state)
{
    uint64_t generation;

    (void)state;
    know();
    address(NETLINK_ADDRESS, "10.0.0.1");
    have(ON("10.0.0.1"), ON("8.8.8.9"));
    check_state("u0", ACCOUNT_ACTIVE);
    conf->source_ip_private = CONF_OFF;
    registry_configure(&registry, conf);
    check_state("u0", ACCOUNT_MISCONFIGURED);
    generation = account_named("u0")->generation;
    conf->source_ip_validate = false;
    registry_configure(&registry, conf);
    check_state("u0", ACCOUNT_ACTIVE);
    check_state("u1", ACCOUNT_ACTIVE);
    check_num("its connections stay", (long long)account_named("u0")->generation,
              (long long)generation);
    conf->source_ip_validate = true;
    conf->source_ip_binding = false;
    registry_configure(&registry, conf);
    check_state("u1", ACCOUNT_ACTIVE);
    assert_true(account_named("u0")->generation > generation);
    conf->source_ip_binding = true;
    registry_configure(&registry, conf);
    check_state("u1", ACCOUNT_MISCONFIGURED);
}

static void test_since(void **state)
{
    struct account *account;
    uint64_t went, came;

    (void)state;
    know();
    have(ON("8.8.8.1"), ON("8.8.8.2"));
    account = account_named("u0");
    check_num("never in another", (long long)account_since(account), 0);
    pass(5000);
    went = clock_wall_ms();
    address(NETLINK_GONE, "8.8.8.1");
    check_num("went", (long long)account_since(account), (long long)went);
    pass(5000);
    account_hold(account, HOLD_ADDRESS, ACCOUNT_MISCONFIGURED, 0, "another text");
    check_num("the state is the same", (long long)account_since(account), (long long)went);
    came = clock_wall_ms();
    address(NETLINK_ADDRESS, "8.8.8.1");
    check_num("came", (long long)account_since(account), (long long)came);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_loaded),       TEST(test_changed),
        TEST(test_host_changes), TEST(test_beside_other_holds),
        TEST(test_removed),      TEST(test_options),
        TEST(test_since),
    };

    if (!world_start())
        return 1;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
