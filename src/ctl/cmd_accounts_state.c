/* accounts enable, accounts disable. */
#include <stdio.h>
#include <string.h>

#include "ctl/account.h"
#include "ctl/api.h"
#include "ctl/out.h"

static int change(struct api *api, const struct args *args, const char *address, const char *action)
{
    const char *reason = args_value(args, "reason");
    json_t *body = reason ? json_pack("{s:s}", "reason", reason) : json_object(), *answer = NULL;
    char memory[API_PATH_MAX];
    struct text path;
    int rc;

    text_init(&path, memory, sizeof(memory));
    account_path(&path, address, action);
    rc = body ? api_call(api, "POST", path.at, body, &answer) : ctl_usage("--reason is no UTF-8");
    if (rc == CTL_OK && args_has(args, "json"))
        rc = out_json(answer);
    else if (rc == CTL_OK)
        out_line(get_text(answer, "message"));
    json_decref(body);
    json_decref(answer);
    return rc;
}

/* An account that is not there does not stop the others; an API that is not
 * there does. */
static int change_all(const struct args *args, const char *action)
{
    struct api *api;
    int rc = api_open(&api, args), failed = 0, one = CTL_OK;

    if (rc != CTL_OK)
        return rc;
    for (int i = 0; i < args->count && (one == CTL_OK || one == CTL_FAILED); i++) {
        one = change(api, args, args->words[i], action);
        failed += one != CTL_OK;
        if (api_interrupted())
            break;
    }
    api_close(api);
    if (!failed)
        return out_flush();
    if (one != CTL_OK && one != CTL_FAILED)
        return one;
    return failed == args->count ? CTL_FAILED : CTL_PARTLY;
}

int cmd_accounts_enable(const struct args *args)
{
    return change_all(args, "/resume");
}

int cmd_accounts_disable(const struct args *args)
{
    return change_all(args, "/pause");
}
