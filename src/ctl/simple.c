#include "ctl/simple.h"

#include "ctl/out.h"

static void print_message(const struct args *args, const json_t *answer)
{
    const char *message = get_text(answer, "message");

    (void)args;
    out_line(*message ? message : "done");
}

int simple_call(const struct args *args, const char *method, const char *path, json_t *body,
                simple_print *print)
{
    json_t *answer = NULL;
    struct api *api;
    int rc = api_open(&api, args);

    if (rc == CTL_OK)
        rc = api_call(api, method, path, body, &answer);
    if (rc == CTL_OK && args_has(args, "json")) {
        rc = out_json(answer);
    } else if (rc == CTL_OK) {
        (print ? print : print_message)(args, answer);
        rc = out_flush();
    }
    json_decref(answer);
    json_decref(body);
    api_close(api);
    return rc;
}
