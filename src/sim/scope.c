#include "sim/scope.h"

#include <stdio.h>

#include "base/str.h"

#define GRAPH "https://graph.microsoft.com"

/* All of them stand for Exchange Online, of one cloud or another. */
static const char *const mail_resources[] = {
    "https://outlook.office.com",   "https://outlook.office365.com",
    "https://outlook.office365.us", "https://outlook-dod.office365.us",
    "https://partner.outlook.cn",   NULL};
static const char *const other_resources[] = {GRAPH, "https://graph.windows.net",
                                              "https://management.azure.com", NULL};
static const char *const permissions[] = {"SMTP.Send",
                                          "IMAP.AccessAsUser.All",
                                          "POP.AccessAsUser.All",
                                          "EWS.AccessAsUser.All",
                                          "Mail.Send",
                                          "Mail.ReadWrite",
                                          "Mail.Read",
                                          "User.Read",
                                          "SMTP.SendAsApp",
                                          NULL};

static bool is_one_of(const char *const *words, struct slice text)
{
    while (*words && !slice_equal_nocase(slice_of(*words), text))
        words++;
    return *words != NULL;
}

bool scope_is_resource_for_mail(const char *audience)
{
    struct slice text = slice_of(audience);

    if (text.len && text.ptr[text.len - 1] == '/')
        text.len--;
    return is_one_of(mail_resources, text);
}

static void add_word(char *list, size_t cap, struct slice word)
{
    size_t len = strlen(list);

    snprintf(list + len, cap - len, "%s%.*s", len ? " " : "", (int)word.len, word.ptr);
}

static void set_bad(struct scope *scope, struct slice word, bool foreign)
{
    if (*scope->bad)
        return;
    slice_copy(word, scope->bad, sizeof(scope->bad));
    scope->foreign = foreign;
}

static bool take_openid(struct scope *scope, struct slice word)
{
    if (slice_equal(word, SLICE("offline_access")))
        scope->offline = true;
    else if (slice_equal(word, SLICE("openid")))
        scope->openid = true;
    else
        return slice_equal(word, SLICE("profile")) || slice_equal(word, SLICE("email"));
    return true;
}

/* "https://outlook.office.com/SMTP.Send" is a resource and a permission; a
 * permission alone is one of Graph, whatever else has one of that name. */
static void take_microsoft(struct scope *scope, struct slice word)
{
    const char *slash = memrchr(word.ptr, '/', word.len);
    struct slice resource = slice_of(GRAPH), permission = word;

    if (slash) {
        resource = (struct slice){word.ptr, (size_t)(slash - word.ptr)};
        permission = (struct slice){slash + 1, word.len - resource.len - 1};
        if (resource.len && slash[-1] == '/')
            resource.len--;
    }
    if (!is_one_of(mail_resources, resource) && !is_one_of(other_resources, resource)) {
        set_bad(scope, resource, true);
        return;
    }
    if (*scope->audience && !slice_equal_nocase(slice_of(scope->audience), resource))
        scope->mixed = true;
    slice_copy(resource, scope->audience, sizeof(scope->audience));
    if (slice_equal(permission, SLICE(".default")))
        scope->whole = true;
    else if (slash && !is_one_of(permissions, permission))
        set_bad(scope, word, false);
    add_word(scope->granted, sizeof(scope->granted), word);
    add_word(scope->permissions, sizeof(scope->permissions),
             scope->whole ? SLICE("SMTP.Send") : permission);
}

static void take_google(struct scope *scope, struct slice word)
{
    if (!slice_starts_nocase(word, SLICE("https://"))) {
        set_bad(scope, word, false);
        return;
    }
    add_word(scope->granted, sizeof(scope->granted), word);
    if (slice_equal(word, SLICE("https://mail.google.com/")))
        scope->smtp = true;
}

static void judge_microsoft(struct scope *scope)
{
    struct slice permission;

    if (!*scope->audience)
        slice_copy(SLICE(GRAPH), scope->audience, sizeof(scope->audience));
    for (const char *at = scope->permissions; *at;
         at += permission.len + (at[permission.len] == ' ')) {
        permission = (struct slice){at, strcspn(at, " ")};
        if (slice_equal_nocase(permission, SLICE("SMTP.Send")))
            scope->smtp = scope_is_resource_for_mail(scope->audience);
    }
}

void scope_read(const struct profile *profile, const char *text, struct scope *out)
{
    struct slice word;

    *out = (struct scope){.smtp = false};
    for (const char *at = text ? text : profile->scope; *at; at += word.len) {
        at += strspn(at, " ");
        word = (struct slice){at, strcspn(at, " ")};
        if (!word.len || take_openid(out, word))
            continue;
        if (profile == &profile_m365)
            take_microsoft(out, word);
        else
            take_google(out, word);
    }
    if (profile == &profile_m365)
        judge_microsoft(out);
}
