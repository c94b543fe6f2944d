#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/wipe.h"
#include "ctl/api.h"
#include "ctl/out.h"
#include "ctl/progress.h"
#include "ctl/safe.h"

#define VERDICT_WIDTH 12
#define EMAIL_WIDTH 36
#define CURES_MAX 64 /* more than the table has for one kind of failure; the rest is not shown */

struct verifying {
    bool json, steps, colours;
    struct progress progress;
    unsigned long long ok, failed;
    bool ended;    /* the summary came: nothing is missing */
    json_t *cures; /* of many accounts: the cure, [its cause, how many want it] */
};

static void print_steps(const json_t *steps)
{
    const json_t *step;
    size_t index;

    json_array_foreach(steps, index, step)
    {
        const char *name = get_text(step, "step"), *text = get_text(step, "text");
        bool good = get_bool(step, "ok");

        out_field(*name ? name : "?", *text ? text : good ? "ok" : "failed", good ? GOOD : BAD);
    }
}

static void print_padded(const char *text, size_t width)
{
    char *safe = safe_text(slice_of(text));
    size_t used = safe ? safe_width(slice_of(safe)) : 0;

    fputs(safe ? safe : "?", stdout);
    for (; used < width; used++)
        putchar(' ');
    putchar(' ');
    free(safe);
}

/* Below the table, each once: what is amiss is mostly amiss for many. */
static void remember_cure(struct verifying *verifying, const json_t *result)
{
    const char *cause = get_text(result, "cause"), *cure = get_text(result, "cure");
    json_t *known = json_object_get(verifying->cures, cure);

    if (known)
        json_array_set_new(known, 1,
                           json_integer(json_integer_value(json_array_get(known, 1)) + 1));
    else if (*cure && json_object_size(verifying->cures) < CURES_MAX)
        json_object_set_new(verifying->cures, cure, json_pack("[s, i]", cause, 1));
}

static void print_cures(const struct verifying *verifying)
{
    const char *cure;
    json_t *value;

    json_object_foreach(verifying->cures, cure, value)
    {
        const char *cause = json_string_value(json_array_get(value, 0));

        printf("%lld with cause ", (long long)json_integer_value(json_array_get(value, 1)));
        out_line(cause ? cause : "");
        out_field("what to do", cure, BOLD);
    }
}

static void print_cure(const json_t *result)
{
    if (!*get_text(result, "cure"))
        return;
    out_field("cause", get_text(result, "cause"), PLAIN);
    out_field("what to do", get_text(result, "cure"), BOLD);
}

static void print_result(const struct verifying *verifying, const json_t *result)
{
    bool good = get_bool(result, "success");
    const char *verdict = get_text(result, "verdict"), *error = get_text(result, "error");

    fputs(out_begin(verifying->colours, good ? GOOD : BAD), stdout);
    print_padded(*verdict ? verdict : good ? "ok" : "failed", VERDICT_WIDTH);
    fputs(out_end(verifying->colours, GOOD), stdout);
    print_padded(get_text(result, "email"), EMAIL_WIDTH);
    out_line(*error ? error : "");
    if (verifying->steps) {
        print_steps(json_object_get(result, "steps"));
        print_cure(result);
    }
}

static void on_result(struct verifying *verifying, const json_t *result)
{
    if (get_bool(result, "success"))
        verifying->ok++;
    else
        verifying->failed++;
    verifying->progress.done++;
    verifying->progress.failed = verifying->failed;
    if (verifying->json)
        return;
    progress_hide(&verifying->progress);
    print_result(verifying, result);
    if (!verifying->steps)
        remember_cure(verifying, result);
}

static bool on_line(void *owner, struct slice raw, json_t *value)
{
    struct verifying *verifying = owner;
    const json_t *progress = json_object_get(value, "progress");

    (void)raw;
    if (progress) {
        verifying->progress.total = (uint64_t)get_number(progress, "total");
    } else if (json_object_get(value, "summary")) {
        verifying->ended = true;
    } else {
        on_result(verifying, value);
    }
    if (verifying->json && !progress) {
        progress_hide(&verifying->progress);
        json_dumpf(value, stdout, JSON_COMPACT | (isatty(STDOUT_FILENO) ? JSON_ENSURE_ASCII : 0));
        putchar('\n');
    }
    fflush(stdout);
    progress_show(&verifying->progress);
    return !ferror(stdout);
}

static bool add_filter(const struct args *args, json_t *body, const char *name)
{
    const char *value = args_value(args, name);

    if (value)
        json_object_set_new(body, name, json_string(value));
    return value != NULL;
}

/* Exactly one way of saying which accounts. */
static int choose(const struct args *args, json_t *body)
{
    bool all = args_has(args, "all"), filtered = false;
    json_t *emails;

    filtered |= add_filter(args, body, "state");
    filtered |= add_filter(args, body, "provider");
    filtered |= add_filter(args, body, "domain");
    if ((args->count > 0) + all + filtered != 1)
        return ctl_usage("accounts verify: name accounts, or --all, or which of them by --state, "
                         "--provider, --domain");
    if (all)
        json_object_set_new(body, "all", json_true());
    if (!args->count)
        return CTL_OK;
    emails = json_array();
    for (int i = 0; i < args->count; i++)
        json_array_append_new(emails, json_string(args->words[i]));
    json_object_set_new(body, "emails", emails);
    return CTL_OK;
}

static int outcome(const struct verifying *verifying, int rc)
{
    if (rc != CTL_OK)
        return rc;
    if (!verifying->ended)
        return ctl_fail("the answer ended before all accounts were done");
    if (!verifying->json)
        print_cures(verifying);
    if (!verifying->json && verifying->ok + verifying->failed != 1)
        printf("%llu ok, %llu failed\n", verifying->ok, verifying->failed);
    if (out_flush() != CTL_OK)
        return CTL_FAILED;
    if (!verifying->failed)
        return CTL_OK;
    return verifying->ok ? CTL_PARTLY : CTL_FAILED;
}

static int run_verify(struct api *api, const struct args *args, const json_t *body)
{
    struct verifying verifying = {.json = args_has(args, "json"),
                                  .steps = args->count == 1,
                                  .colours = out_colours(STDOUT_FILENO),
                                  .cures = json_object()};
    char *text = json_dumps(body, JSON_COMPACT);
    int rc;

    if (!text) {
        json_decref(verifying.cures);
        return ctl_usage("accounts verify: an argument is no UTF-8");
    }
    progress_start(&verifying.progress, "verify", (uint64_t)args->count);
    rc = api_stream(api, "POST", "/admin/accounts/verify", "application/json", slice_of(text),
                    on_line, &verifying);
    progress_hide(&verifying.progress);
    wipe_free(text);
    rc = outcome(&verifying, rc);
    json_decref(verifying.cures);
    return rc;
}

int cmd_accounts_verify(const struct args *args)
{
    json_t *body = json_pack("{s:b}", "smtp", args_has(args, "smtp"));
    struct api *api = NULL;
    int rc = body ? choose(args, body) : ctl_fail("out of memory");

    if (rc == CTL_OK)
        rc = api_open(&api, args);
    if (rc == CTL_OK)
        rc = run_verify(api, args, body);
    json_decref(body);
    api_close(api);
    return rc;
}
