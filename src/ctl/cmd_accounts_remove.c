#include <stdio.h>
#include <string.h>

#include "ctl/account.h"
#include "ctl/api.h"
#include "ctl/ask.h"
#include "ctl/out.h"
#include "ctl/table.h"

static int print_message(const struct args *args, const json_t *answer)
{
    if (args_has(args, "json"))
        return out_json(answer);
    out_line(get_text(answer, "message"));
    return out_flush();
}

static int remove_one(struct api *api, const struct args *args, const char *address)
{
    char memory[API_PATH_MAX];
    json_t *answer = NULL;
    struct text path;
    int rc;

    text_init(&path, memory, sizeof(memory));
    account_path(&path, address, "");
    rc = api_call(api, "DELETE", path.at, NULL, &answer);
    if (rc == CTL_OK)
        rc = print_message(args, answer);
    json_decref(answer);
    return rc;
}

static int remove_named(struct api *api, const struct args *args)
{
    int failed = 0, rc = CTL_OK;

    for (int i = 0; i < args->count && (rc == CTL_OK || rc == CTL_FAILED); i++) {
        rc = remove_one(api, args, args->words[i]);
        failed += rc != CTL_OK;
        if (api_interrupted())
            break;
    }
    if (!failed || (rc != CTL_OK && rc != CTL_FAILED))
        return rc;
    return failed == args->count ? CTL_FAILED : CTL_PARTLY;
}

static void print_invalid(const json_t *list)
{
    static const struct table_column columns[] = {{"EMAIL", false, 16}, {"WHY", false, 10}};
    struct table *table = table_start(columns, 2);
    const json_t *one;
    size_t index;

    json_array_foreach(list, index, one)
    {
        table_cell(table, get_text(one, "email"), PLAIN);
        table_cell(table, get_text(one, "error"), PLAIN);
    }
    table_end(table);
}

/* 404 is the original's word for "there are none", which is no failure. */
static int ask_invalid(struct api *api, const char *path, struct api_answer *answer)
{
    int rc = api_ask(api, "DELETE", path, NULL, answer);

    if (rc == CTL_OK && answer->status != 200 && !(answer->status == 404 && answer->body))
        rc = api_refused(api, answer);
    else if (rc == CTL_OK && !answer->body)
        rc = ctl_fail("the answer of bearerd at %s is no JSON object", api_shown(api));
    return rc;
}

static int show_invalid(struct api *api, const struct args *args, bool *any)
{
    struct api_answer answer;
    int rc = ask_invalid(api, "/admin/accounts/invalid?dry_run=true", &answer);

    *any = rc == CTL_OK && answer.status == 200;
    if (*any && !args_has(args, "json"))
        print_invalid(json_object_get(answer.body, "would_delete"));
    else if (rc == CTL_OK && args_has(args, "json") && (!*any || args_has(args, "dry-run")))
        rc = out_json(answer.body);
    else if (rc == CTL_OK && !*any)
        puts("no account is invalid");
    json_decref(answer.body);
    return rc;
}

static int delete_invalid(struct api *api, const struct args *args)
{
    struct api_answer answer;
    int rc = ask_invalid(api, "/admin/accounts/invalid", &answer);

    if (rc == CTL_OK)
        rc = print_message(args, answer.body);
    json_decref(answer.body);
    return rc;
}

static int remove_invalid(struct api *api, const struct args *args)
{
    bool any;
    int rc = show_invalid(api, args, &any);

    if (rc != CTL_OK || !any || args_has(args, "dry-run"))
        return rc == CTL_OK ? out_flush() : rc;
    fflush(stdout);
    rc = ask_sure("Remove these accounts?", args_has(args, "yes"));
    return rc == CTL_OK ? delete_invalid(api, args) : rc;
}

static int count_all(struct api *api, long long *count)
{
    json_t *answer = NULL;
    int rc = api_call(api, "GET", "/admin/accounts?limit=1", NULL, &answer);

    *count = get_number(answer, "total_accounts");
    json_decref(answer);
    return rc;
}

static int remove_all(struct api *api, const struct args *args)
{
    json_t *answer = NULL;
    char question[256], shown[48];
    long long count;
    int rc = count_all(api, &count);

    if (rc != CTL_OK)
        return rc;
    out_count(shown, sizeof(shown), count);
    snprintf(question, sizeof(question), "Remove ALL %s accounts of bearerd at %.80s?", shown,
             api_shown(api));
    rc = ask_sure(question, args_has(args, "yes"));
    if (rc == CTL_OK)
        rc = api_call(api, "DELETE", "/admin/accounts?confirm=true", NULL, &answer);
    if (rc == CTL_OK)
        rc = print_message(args, answer);
    json_decref(answer);
    return rc;
}

int cmd_accounts_remove(const struct args *args)
{
    bool invalid = args_has(args, "invalid"), all = args_has(args, "all");
    struct api *api;
    int rc;

    if ((args->count > 0) + invalid + all != 1)
        return ctl_usage("accounts remove: name accounts, or --invalid, or --all");
    if (args_has(args, "dry-run") && !invalid)
        return ctl_usage("accounts remove: --dry-run is for --invalid");
    rc = api_open(&api, args);
    if (rc != CTL_OK)
        return rc;
    rc = all       ? remove_all(api, args)
         : invalid ? remove_invalid(api, args)
                   : remove_named(api, args);
    api_close(api);
    return rc;
}
