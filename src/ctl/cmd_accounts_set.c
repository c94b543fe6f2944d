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

static int add_secret(json_t *patch, const char *key, const char *prompt)
{
    char *line = calloc(1, ASK_SECRET_MAX);
    int rc;

    if (!line)
        return ctl_fail("out of memory");
    rc = ask_possible() ? ask_secret(prompt, key, line, ASK_SECRET_MAX)
                        : ask_read_line(key, line, ASK_SECRET_MAX);
    if (rc == CTL_OK && !*line)
        rc = ctl_fail("an empty %s changes nothing", key);
    if (rc == CTL_OK && json_object_set_new(patch, key, json_string(line)) != 0)
        rc = ctl_fail("%s is no UTF-8", key);
    secret_free_len(line, ASK_SECRET_MAX);
    return rc;
}

static int make_patch(const struct args *args, json_t **patch)
{
    const char *from = args_value(args, "from");
    int rc = from ? input_object(from, patch) : CTL_OK;

    if (!from)
        *patch = json_object();
    if (rc == CTL_OK)
        rc = fields_apply(args, *patch, true);
    if (rc == CTL_OK && args_has(args, "new-refresh-token"))
        rc = add_secret(*patch, "refresh_token", "Refresh token (not shown): ");
    if (rc == CTL_OK && args_has(args, "new-client-secret"))
        rc = add_secret(*patch, "client_secret", "Client secret (not shown): ");
    if (rc == CTL_OK && json_object_size(*patch) == 0)
        rc = ctl_usage("accounts set: nothing to change; see bearerctl help accounts set");
    return rc;
}

static int print_set(const struct args *args, const json_t *answer)
{
    if (args_has(args, "json"))
        return out_json(answer);
    out_line(get_text(answer, "message"));
    return out_flush();
}

int cmd_accounts_set(const struct args *args)
{
    json_t *patch = NULL, *answer = NULL;
    char memory[API_PATH_MAX];
    struct text path;
    struct api *api;
    int rc = api_open(&api, args);

    text_init(&path, memory, sizeof(memory));
    account_path(&path, args_word(args, 0), "");
    if (rc == CTL_OK)
        rc = make_patch(args, &patch);
    if (rc == CTL_OK)
        rc = api_call(api, "PATCH", path.at, patch, &answer);
    if (rc == CTL_OK)
        rc = print_set(args, answer);
    json_decref(patch);
    json_decref(answer);
    api_close(api);
    return rc;
}
