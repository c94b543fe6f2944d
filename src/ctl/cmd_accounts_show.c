#include "ctl/account.h"
#include "ctl/api.h"
#include "ctl/out.h"

int cmd_accounts_show(const struct args *args)
{
    char memory[API_PATH_MAX];
    json_t *answer = NULL;
    struct text path;
    struct api *api;
    int rc = api_open(&api, args);

    text_init(&path, memory, sizeof(memory));
    account_path(&path, args_word(args, 0), "");
    if (rc == CTL_OK)
        rc = api_call(api, "GET", path.at, NULL, &answer);
    if (rc == CTL_OK && args_has(args, "json"))
        rc = out_json(answer);
    else if (rc == CTL_OK) {
        account_print(json_object_get(answer, "account"));
        rc = out_flush();
    }
    json_decref(answer);
    api_close(api);
    return rc;
}
