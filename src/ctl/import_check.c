#include "ctl/import_check.h"

#include <stdlib.h>
#include <uthash.h>

#include "ctl/out.h"

struct name {
    UT_hash_handle hh;
    unsigned long long number;
    char text[]; /* lower case */
};

struct import_check {
    struct name *emails, *ids;
};

struct import_check *import_check_new(void)
{
    return calloc(1, sizeof(struct import_check));
}

static void free_names(struct name *names)
{
    struct name *name, *next;

    HASH_ITER (hh, names, name, next) {
        HASH_DEL(names, name);
        free(name);
    }
}

void import_check_free(struct import_check *check)
{
    if (!check)
        return;
    free_names(check->emails);
    free_names(check->ids);
    free(check);
}

/* False: it was there already, in the record of that number. */
static bool remember(struct name **names, const char *text, unsigned long long *number)
{
    size_t len = strlen(text);
    struct name *name = calloc(1, sizeof(*name) + len + 1), *found;

    if (!name)
        return true;
    memcpy(name->text, text, len + 1);
    ascii_lower_in_place(name->text);
    name->number = *number;
    HASH_FIND(hh, *names, name->text, len, found);
    if (found) {
        *number = found->number;
        free(name);
        return false;
    }
    HASH_ADD(hh, *names, text, len, name);
    return true;
}

/* It gets its tokens without a refresh token of its own. */
static bool has_other_grant(const json_t *record)
{
    static const char *const keys[] = {"app", "grant", "private_key", "service_account", NULL};

    for (size_t i = 0; keys[i]; i++) {
        if (json_object_get(record, keys[i]))
            return true;
    }
    return json_object_get(record, "tenant") && !json_object_get(record, "refresh_token");
}

static bool has_all(const json_t *record, struct reason *why)
{
    static const char *const required[] = {"email", "provider", "client_id", "refresh_token", NULL};

    if (has_other_grant(record))
        return true; /* bearerd knows what that needs */
    for (size_t i = 0; required[i]; i++) {
        const json_t *value = json_object_get(record, required[i]);

        if (!value)
            return reason_set(why, "%s is missing", required[i]);
        if (!json_is_string(value) || !*json_string_value(value))
            return reason_set(why, "%s must be a text that is not empty", required[i]);
    }
    if (strcasecmp(get_text(record, "provider"), "gmail") == 0 &&
        !*get_text(record, "client_secret"))
        return reason_set(why, "client_secret is missing; gmail wants one");
    return true;
}

static bool is_address(const char *email)
{
    const char *at = strrchr(email, '@');

    return at && at > email && at[1] && !strpbrk(email, " \t\r\n<>");
}

bool import_check_record(struct import_check *check, const json_t *record,
                         unsigned long long number, struct reason *why)
{
    const char *email = get_text(record, "email"), *id = get_text(record, "account_id");
    unsigned long long other = number;

    if (!has_all(record, why))
        return false;
    if (!is_address(email))
        return reason_set(why, "email is \"%.100s\", which is no address", email);
    if (!remember(&check->emails, email, &other))
        return reason_set(why, "record %llu has this address already", other);
    if (*id && !remember(&check->ids, id, &other))
        return reason_set(why, "record %llu has the account_id \"%.100s\" already", other, id);
    return true;
}
