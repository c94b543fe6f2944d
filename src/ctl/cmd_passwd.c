#include <errno.h>
#include <sodium.h>
#include <stdio.h>
#include <string.h>

#include "ctl/api.h"
#include "ctl/ask.h"
#include "ctl/out.h"

/* What AUTH PLAIN has room for, with plenty to spare. */
#define PASSWORD_MAX 1024

/* The cost of one check: 64 MiB and two passes, some 50 ms. bearerd checks off
 * its event loops and remembers successes, so that honest clients hardly
 * notice; strangers can make it check at will, and a costlier setting would
 * make that the cheaper attack. Argon2id with these numbers is what libsodium
 * calls interactive, and more than OWASP's minimum (19 MiB, two passes). */
#define COST_OPERATIONS crypto_pwhash_OPSLIMIT_INTERACTIVE
#define COST_MEMORY crypto_pwhash_MEMLIMIT_INTERACTIVE

static int ask_twice(char *out, size_t cap)
{
    char again[PASSWORD_MAX] = "";
    int rc = ask_secret("Password: ", "a password", out, cap);

    if (rc == CTL_OK && *out)
        rc = ask_secret("Again: ", "a password", again, sizeof(again));
    if (rc == CTL_OK && *out && strcmp(out, again) != 0)
        rc = ctl_fail("these are two different passwords");
    sodium_memzero(again, sizeof(again));
    return rc;
}

static int hash_password(char hash[crypto_pwhash_STRBYTES])
{
    char password[PASSWORD_MAX] = "";
    int rc = ask_possible() ? ask_twice(password, sizeof(password))
                            : ask_read_line("a password", password, sizeof(password));

    if (rc == CTL_OK && !*password)
        rc = ctl_fail("an empty password protects nothing");
    if (rc == CTL_OK &&
        crypto_pwhash_str(hash, password, strlen(password), COST_OPERATIONS, COST_MEMORY) != 0)
        rc = ctl_fail("out of memory");
    sodium_memzero(password, sizeof(password));
    return rc;
}

static int store(const struct args *args, const char *hash)
{
    json_t *patch = json_pack("{s:s?}", "password_hash", hash), *answer = NULL;
    char memory[API_PATH_MAX];
    struct text path;
    struct api *api;
    int rc = api_open(&api, args);

    text_init(&path, memory, sizeof(memory));
    text_add_str(&path, "/admin/accounts/");
    path_add(&path, args_word(args, 0));
    if (rc == CTL_OK)
        rc = api_call(api, "PATCH", path.at, patch, &answer);
    json_decref(patch);
    json_decref(answer);
    api_close(api);
    return rc;
}

static int print_hash(const char *hash)
{
    puts(hash);
    return out_flush();
}

static int take_away(const struct args *args, const char *address)
{
    int rc = address ? store(args, NULL) : ctl_usage("passwd: --remove needs an ADDRESS");

    if (rc == CTL_OK)
        ctl_note("%s has no password any more: only trusted_clients may use it", address);
    return rc;
}

int cmd_passwd(const struct args *args)
{
    char hash[crypto_pwhash_STRBYTES] = "";
    const char *address = args_word(args, 0);
    int rc;

    /* Whoever gave a password instead must not see it again in a log. */
    if (address && !strchr(address, '@'))
        return ctl_usage("passwd takes an e-mail address only: a password would be seen by others "
                         "in the list of processes");
    if (args_has(args, "remove"))
        return take_away(args, address);
    if (sodium_init() < 0)
        return ctl_fail("libsodium does not start");
    rc = hash_password(hash);
    if (rc == CTL_OK)
        rc = address ? store(args, hash) : print_hash(hash);
    if (rc == CTL_OK && address)
        ctl_note("the password of %s is set", address);
    sodium_memzero(hash, sizeof(hash));
    return rc;
}
