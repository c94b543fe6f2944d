#include "check.h"

#include "smtp/address.h"

#define A64 "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define L63 "lllllllllllllllllllllllllllllllllllllllllllllllllllllllllllllll"
/* 64 + "@" + 189: as long as an address can be, with labels of 63, 63 and 61 */
#define D189                                                                                       \
    L63 "." L63 "."                                                                                \
        "lllllllllllllllllllllllllllllllllllllllllllllllllllllllllllll"

static const struct {
    const char *text;
    const char *mailbox, *local, *domain; /* mailbox NULL: refused */
    const char *rest;
    enum path_kind kind; /* PATH_REVERSE where not said */
    bool utf8;
} rows[] = {
    /* plain */
    {"<a@b.example>", "a@b.example", "a", "b.example", ""},
    {"<a@b.example> SIZE=1", "a@b.example", "a", "b.example", " SIZE=1"},
    {"<a@b>x", "a@b", "a", "b", "x", .kind = PATH_FORWARD},
    {"<first.last+tag@sub.b-c.example>", "first.last+tag@sub.b-c.example", "first.last+tag",
     "sub.b-c.example", "", .kind = PATH_FORWARD},
    {"<!#$%&'*+-/=?^_`{|}~@b>", "!#$%&'*+-/=?^_`{|}~@b", "!#$%&'*+-/=?^_`{|}~", "b", ""},
    {"<a@1.2.3>", "a@1.2.3", "a", "1.2.3", ""},
    {"<a@my_host.b>", "a@my_host.b", "a", "my_host.b", ""},
    /* null and postmaster */
    {"<>", "", "", "", ""},
    {"<> BODY=7BIT", "", "", "", " BODY=7BIT"},
    {"<>", NULL, .kind = PATH_FORWARD},
    {"<postmaster>", "postmaster", "postmaster", "", "", .kind = PATH_FORWARD},
    {"<PostMaster>", "PostMaster", "PostMaster", "", "", .kind = PATH_FORWARD},
    {"postmaster", "postmaster", "postmaster", "", "", .kind = PATH_FORWARD},
    {"<postmaster>", NULL},
    {"<root>", NULL, .kind = PATH_FORWARD},
    /* what clients send */
    {"  <a@b>", "a@b", "a", "b", ""},
    {"a@b", "a@b", "a", "b", ""},
    {"a@b SIZE=1", "a@b", "a", "b", " SIZE=1"},
    {"<a..b.@c>", "a..b.@c", "a..b.", "c", "", .kind = PATH_FORWARD},
    {"<.a@c>", ".a@c", ".a", "c", "", .kind = PATH_FORWARD},
    /* routes */
    {"<@x:a@b>", "a@b", "a", "b", "", .kind = PATH_FORWARD},
    {"<@x.y,@z:a@b>", "a@b", "a", "b", ""},
    {"<@x,@y>", NULL},
    {"<@x,@y:>", NULL},
    {"<@x,,@y:a@b>", NULL},
    {"<@x,:a@b>", NULL},
    {"<@x@y:a@b>", NULL},
    {"<@:a@b>", NULL},
    {"@x:a@b", NULL},
    {"<@x:<a@b>>", NULL},
    /* quoted */
    {"<\"a b\"@c>", "\"a b\"@c", "\"a b\"", "c", ""},
    {"<\"a@b>\\\"\\\\\"@c>", "\"a@b>\\\"\\\\\"@c", "\"a@b>\\\"\\\\\"", "c", ""},
    {"\"a b\"@c SIZE=1", "\"a b\"@c", "\"a b\"", "c", " SIZE=1"},
    {"<\"\"@c>", "\"\"@c", "\"\"", "c", ""},
    {"<\"a@c>", NULL},
    {"<\"a\\", NULL},
    {"<\"a\\\001\"@c>", NULL},
    {"<\"a\"b@c>", NULL},
    {"<\"a\tb\"@c>", NULL},
    /* literals */
    {"<a@[192.0.2.1]>", "a@[192.0.2.1]", "a", "[192.0.2.1]", "", .kind = PATH_FORWARD},
    {"<a@[IPv6:2001:db8::1]>", "a@[IPv6:2001:db8::1]", "a", "[IPv6:2001:db8::1]", "",
     .kind = PATH_FORWARD},
    {"<a@[ipv6:::ffff:192.0.2.1]>", "a@[ipv6:::ffff:192.0.2.1]", "a", "[ipv6:::ffff:192.0.2.1]", "",
     .kind = PATH_FORWARD},
    {"<a@[x-tag:any!thing]>", "a@[x-tag:any!thing]", "a", "[x-tag:any!thing]", "",
     .kind = PATH_FORWARD},
    {"<a@[192.0.2.256]>", NULL, .kind = PATH_FORWARD},
    {"<a@[192.0.2]>", NULL, .kind = PATH_FORWARD},
    {"<a@[IPv6:1::2::3]>", NULL, .kind = PATH_FORWARD},
    {"<a@[IPv6:]>", NULL, .kind = PATH_FORWARD},
    {"<a@[]>", NULL, .kind = PATH_FORWARD},
    {"<a@[x:]>", NULL, .kind = PATH_FORWARD},
    {"<a@[:x]>", NULL, .kind = PATH_FORWARD},
    {"<a@[192.0.2.1>", NULL, .kind = PATH_FORWARD},
    {"<a@[192.0.2.1].b>", NULL, .kind = PATH_FORWARD},
    {"<a@[1 2]>", NULL, .kind = PATH_FORWARD},
    /* UTF-8 */
    {"<\xc3\xa4@b>", "\xc3\xa4@b", "\xc3\xa4", "b", "", .utf8 = true},
    {"<a@\xe4\xbe\x8b.example>", "a@\xe4\xbe\x8b.example", "a", "\xe4\xbe\x8b.example", "",
     .utf8 = true},
    {"<\"\xf0\x9f\x93\xa7 x\"@b>", "\"\xf0\x9f\x93\xa7 x\"@b", "\"\xf0\x9f\x93\xa7 x\"", "b", "",
     .utf8 = true},
    {"<\xe4@b>", NULL},             /* Latin-1 */
    {"<\xc0\xbc@b>", NULL},         /* overlong */
    {"<\xe0\x80\xbc@b>", NULL},     /* overlong */
    {"<\xed\xa0\x80@b>", NULL},     /* surrogate */
    {"<\xf4\x90\x80\x80@b>", NULL}, /* above U+10FFFF */
    {"<\xc2\x85@b>", NULL},         /* C1 control */
    {"<a@\xc3>", NULL},
    {"<\"a\\\xc3\xa4\"@b>", NULL},
    /* lengths */
    {"<" A64 "@b>", A64 "@b", A64, "b", ""},
    {"<" A64 "a@b>", NULL},
    {"<a@" L63 ">", "a@" L63, "a", L63, ""},
    {"<a@" L63 "l>", NULL},
    {"<" A64 "@" D189 ">", A64 "@" D189, A64, D189, ""},
    {"<" A64 "@" D189 "l>", NULL},
    {"<a@" L63 "." L63 "." L63 "." L63 ">", NULL},
    {"<a@" L63 "." L63 "." L63 "." L63 "." L63 ">", NULL},
    /* nonsense */
    {"", NULL},
    {" ", NULL},
    {"<", NULL},
    {">", NULL},
    {"<a", NULL},
    {"<a@", NULL},
    {"<a@b", NULL},
    {"<@b>", NULL},
    {"<a@>", NULL},
    {"<a@b@c>", NULL},
    {"<a@b.>", NULL},
    {"<a@.b>", NULL},
    {"<a@b..c>", NULL},
    {"<a@-b>", NULL},
    {"<a@b->", NULL},
    {"<a b@c>", NULL},
    {"< a@c>", NULL},
    {"<a@c >", NULL},
    {"<<a@c>>", NULL},
    {"<a,b@c>", NULL},
    {"<a(b)@c>", NULL},
    {"<a@c\r>", NULL},
    {"<a\n@c>", NULL},
    {"<a@c\x7f>", NULL},
    {"a@b>", NULL},
    {"a@b\r", NULL},
    {"\t<a@b>", NULL},
};

static void check_refused(size_t i, struct slice text, struct slice start,
                          const struct address *out, const struct reason *why)
{
    assert_ptr_equal(text.ptr, start.ptr);
    assert_int_equal(text.len, start.len);
    assert_int_equal(out->mailbox.len, 0);
    if (!why->text[0])
        fail_msg("%s: refused without a reason", rows[i].text);
}

static void test_paths(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        size_t len = strlen(rows[i].text);
        char *exact = exact_copy((struct slice){rows[i].text, len});
        struct slice text = {exact, len}, start = text;
        struct address out;
        struct reason why = {""};

        check_num(rows[i].text, address_parse_path(&text, rows[i].kind, &out, &why),
                  rows[i].mailbox != NULL);
        if (rows[i].mailbox) {
            check_text(rows[i].text, out.mailbox, rows[i].mailbox);
            check_text(rows[i].text, out.local, rows[i].local);
            check_text(rows[i].text, out.domain, rows[i].domain);
            check_text(rows[i].text, text, rows[i].rest);
            check_num(rows[i].text, out.utf8, rows[i].utf8);
        } else {
            check_refused(i, text, start, &out, &why);
        }
        free(exact);
    }
}

/* No prefix of a path may be read beyond its end, nor crash. */
static void test_prefixes(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        for (size_t len = 0; len < strlen(rows[i].text); len++) {
            char *exact = exact_copy((struct slice){rows[i].text, len});
            struct slice text = {exact, len};
            struct address out;

            if (address_parse_path(&text, rows[i].kind, &out, NULL))
                assert_ptr_equal(text.ptr + text.len, exact + len);
            free(exact);
        }
    }
}

/* Every octet within a local part, a quoted one, a domain and a literal. */
static void test_octets(void **state)
{
    static const char *const frames[] = {"<a?b@c>", "<\"a?b\"@c>", "<a@b?c>", "<a@[x:b?c]>"};
    static const char *const extra[] = {
        "!#$%&'*+-/=?^_`{|}~.",
        " !#$%&'()*+,-./:;<=>?@[\\]^_`{|}~",
        "-_.>", /* ">" ends the path */
        "!\"#$%&'()*+,-./:;<=>?@^_`{|}~",
    };

    (void)state;
    for (size_t f = 0; f < COUNT_OF(frames); f++) {
        for (int c = 0; c < 256; c++) {
            char copy[32];
            struct slice text = {copy, strlen(frames[f])};
            struct address out;
            bool alnum = (c >= '0' && c <= '9') || ((c | 32) >= 'a' && (c | 32) <= 'z' && c < 128);
            bool wanted = alnum || (c && strchr(extra[f], c));

            memcpy(copy, frames[f], text.len);
            *(char *)memchr(copy, '?', text.len) = (char)c;
            if (address_parse_path(&text, PATH_FORWARD, &out, NULL) != wanted)
                fail_msg("frame %s, octet %d: not %d", frames[f], c, wanted);
        }
    }
}

static void test_mailbox(void **state)
{
    static const struct {
        const char *text;
        bool ok;
    } cases[] = {
        {"user@example.com", true},
        {"u.s+er@a-b.example", true},
        {"\xc3\xa4@b", true},
        {"", false},
        {"user", false},
        {"<user@example.com>", false},
        {"user@", false},
        {"@example.com", false},
        {"user@example.com ", false},
        {" user@example.com", false},
        {"a b@c", false},
        {"\"a b\"@c", false},
        {"a@b\n", false},
        {"postmaster", false},
        {"a@b,c@d", false},
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++)
        check_num(cases[i].text, address_is_mailbox(slice_of(cases[i].text)), cases[i].ok);
    assert_false(address_is_mailbox(SLICE_NONE));
    assert_false(address_is_mailbox(SLICE("a@b\0c")));
}

/* Against the definition: each scalar value above U+009F, and nothing else. */
static void test_utf8(void **state)
{
    (void)state;
    for (uint32_t point = 0; point < 0x110400; point += point < 0x900 ? 1 : 61) {
        char octets[4] = {(char)(0xf0 | point >> 18), (char)(0x80 | (point >> 12 & 63)),
                          (char)(0x80 | (point >> 6 & 63)), (char)(0x80 | (point & 63))};
        size_t len = point < 0x80 ? 1 : point < 0x800 ? 2 : point < 0x10000 ? 3 : 4;
        bool wanted = point >= 0xa0 && point < 0x110000 && (point < 0xd800 || point > 0xdfff);
        char *at = octets + 4 - len;

        if (len == 3)
            *at = (char)(0xe0 | point >> 12);
        else if (len < 3)
            *at = (char)(len == 2 ? 0xc0 | point >> 6 : point);
        assert_int_equal(address_utf8_len((struct slice){at, len}), wanted ? len : 0);
        assert_int_equal(address_utf8_len((struct slice){at, len - 1}), 0);
    }
    assert_int_equal(address_utf8_len(SLICE("\xc1\xbf")), 0);
    assert_int_equal(address_utf8_len(SLICE("\xf5\x80\x80\x80")), 0);
    assert_int_equal(address_utf8_len(SLICE("\x80")), 0);
    assert_int_equal(address_utf8_len(SLICE("\xe4\xbe@")), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_paths),  cmocka_unit_test(test_prefixes),
        cmocka_unit_test(test_octets), cmocka_unit_test(test_mailbox),
        cmocka_unit_test(test_utf8),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
