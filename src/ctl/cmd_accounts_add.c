/* accounts add: flags for what is no secret; secrets
 * come from a terminal, standard input or a file. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/wipe.h"
#include "ctl/account.h"
#include "ctl/api.h"
#include "ctl/ask.h"
#include "ctl/fields.h"
#include "ctl/input.h"
#include "ctl/out.h"

static bool lacks(const json_t *record, const char *key)
{
    return !*get_text(record, key);
}

static int put_text(json_t *record, const char *key, const char *text)
{
    json_t *value;

    if (!*text)
        return CTL_OK;
    value = json_string(text);
    if (!value)
        return ctl_fail("%s is no UTF-8", key);
    return json_object_set_new(record, key, value) == 0 ? CTL_OK : ctl_fail("out of memory");
}

/* What people have at these domains; a suggestion only. */
static const char *provider_of(const char *email)
{
    static const char *const outlook[] = {"outlook.", "hotmail.", "live.", "msn.", NULL};
    const char *at = strrchr(email, '@');

    for (size_t i = 0; at && outlook[i]; i++) {
        if (strncasecmp(at + 1, outlook[i], strlen(outlook[i])) == 0)
            return "outlook";
    }
    return at && strcasecmp(at + 1, "gmail.com") == 0 ? "gmail" : "";
}

static int ask_text(json_t *record, const char *key, const char *prompt, const char *otherwise)
{
    char line[1024], question[1200];
    int rc;

    if (!lacks(record, key))
        return CTL_OK;
    snprintf(question, sizeof(question), *otherwise ? "%s [%s]: " : "%s: ", prompt, otherwise);
    rc = ask_line(question, key, line, sizeof(line));
    return rc == CTL_OK ? put_text(record, key, *line ? line : otherwise) : rc;
}

static int ask_hidden(json_t *record, const char *key, const char *prompt)
{
    char *line;
    int rc;

    if (!lacks(record, key))
        return CTL_OK;
    line = calloc(1, ASK_SECRET_MAX);
    if (!line)
        return ctl_fail("out of memory");
    rc = ask_secret(prompt, key, line, ASK_SECRET_MAX);
    if (rc == CTL_OK)
        rc = put_text(record, key, line);
    secret_free_len(line, ASK_SECRET_MAX);
    return rc;
}

static int ask_all(json_t *record)
{
    int rc = ask_text(record, "email", "E-mail address", "");

    if (rc == CTL_OK)
        rc = ask_text(record, "provider", "Provider (gmail, outlook, or one of your own)",
                      provider_of(get_text(record, "email")));
    if (rc == CTL_OK)
        rc = ask_text(record, "client_id", "Client id of the application", "");
    if (rc == CTL_OK)
        rc = ask_hidden(record, "client_secret", "Client secret (not shown; empty: none): ");
    if (rc == CTL_OK)
        rc = ask_hidden(record, "refresh_token", "Refresh token (not shown): ");
    return rc;
}

/* From a pipe: a JSON object, or the refresh token and then, if there is one,
 * the client secret, a line each. */
static int read_lines(json_t *record)
{
    static const char *const keys[] = {"refresh_token", "client_secret"};
    char *line = calloc(1, ASK_SECRET_MAX);
    int rc = CTL_OK;

    if (!line)
        return ctl_fail("out of memory");
    for (size_t i = 0; i < 2 && rc == CTL_OK; i++) {
        if (!lacks(record, keys[i]))
            continue;
        rc = ask_read_line(keys[i], line, ASK_SECRET_MAX);
        if (rc == CTL_OK && *line == '{')
            rc = ctl_usage("a record on standard input needs --from -");
        if (rc == CTL_OK)
            rc = put_text(record, keys[i], line);
    }
    secret_free_len(line, ASK_SECRET_MAX);
    return rc;
}

static int make_record(const struct args *args, json_t **record)
{
    const char *from = args_value(args, "from"), *email = args_word(args, 0);
    int rc = from ? input_object(from, record) : CTL_OK;

    if (!from)
        *record = json_object();
    if (rc == CTL_OK && email)
        rc = put_text(*record, "email", email);
    if (rc == CTL_OK)
        rc = fields_apply(args, *record, false);
    if (rc == CTL_OK && !from)
        rc = ask_possible() ? ask_all(*record) : read_lines(*record);
    return rc;
}

static int print_added(const struct args *args, const json_t *answer)
{
    if (args_has(args, "json"))
        return out_json(answer);
    out_line(get_text(answer, "message"));
    account_print(json_object_get(answer, "account"));
    return out_flush();
}

int cmd_accounts_add(const struct args *args)
{
    json_t *record = NULL, *answer = NULL;
    struct api *api;
    int rc = api_open(&api, args);

    if (rc == CTL_OK)
        rc = make_record(args, &record);
    if (rc == CTL_OK) {
        json_object_set_new(record, "verify", json_boolean(!args_has(args, "no-verify")));
        json_object_set_new(record, "overwrite", json_boolean(args_has(args, "overwrite")));
        rc = api_call(api, "POST", "/admin/accounts", record, &answer);
    }
    if (rc == CTL_OK)
        rc = print_added(args, answer);
    json_decref(record);
    json_decref(answer);
    api_close(api);
    return rc;
}
