#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "ctl/account.h"
#include "ctl/api.h"
#include "ctl/out.h"
#include "ctl/safe.h"

#define RESULT_WIDTH 8
#define STEP_WIDTH 14
#define INDENT 25 /* of what belongs to a step */

struct checking {
    bool json, colours;
    unsigned failed, warnings;
    bool ended; /* the summary came */
};

static enum colour colour_of(const char *result)
{
    if (strcmp(result, "ok") == 0)
        return GOOD;
    if (strcmp(result, "failed") == 0)
        return BAD;
    return strcmp(result, "warning") == 0 ? WARN : DIM;
}

/* What went wrong is to be found with one look. */
static const char *shown(const char *result)
{
    return strcmp(result, "failed") == 0 ? "FAILED" : result;
}

static void put_padded(const char *text, size_t width)
{
    char *safe = safe_text(slice_of(text));
    size_t used = safe ? safe_width(slice_of(safe)) : 0;

    fputs(safe ? safe : "?", stdout);
    for (; used <= width; used++)
        putchar(' ');
    free(safe);
}

/* "cause" and "what to do" stand below the step that they belong to. */
static void put_note(const struct checking *checking, const char *label, const char *text,
                     enum colour colour)
{
    if (!*text)
        return;
    printf("%*s%s: %s", INDENT, "", label, out_begin(checking->colours, colour));
    safe_put(stdout, text);
    printf("%s\n", out_end(checking->colours, colour));
}

static void print_step(const struct checking *checking, const json_t *step)
{
    const char *result = get_text(step, "result"), *detail = get_text(step, "detail");
    enum colour colour = colour_of(result);
    char took[48] = "";

    fputs(out_begin(checking->colours, colour), stdout);
    put_padded(shown(result), RESULT_WIDTH);
    fputs(out_end(checking->colours, colour), stdout);
    put_padded(get_text(step, "step"), STEP_WIDTH);
    safe_put(stdout, detail);
    if (get_number(step, "ms") > 0)
        snprintf(took, sizeof(took), " (%lld ms)", get_number(step, "ms"));
    printf("%s\n", took);
    put_note(checking, "cause", get_text(step, "cause"), PLAIN);
    put_note(checking, "what to do", get_text(step, "cure"), BOLD);
}

static void print_summary(const struct checking *checking, const json_t *summary)
{
    const char *state = get_text(summary, "state");

    if (checking->failed)
        printf("%u failed", checking->failed);
    else if (checking->warnings)
        fputs("it works", stdout);
    else
        fputs("all is well", stdout);
    if (checking->warnings)
        printf(", %u to look at", checking->warnings);
    if (*state) {
        fputs("; the account is ", stdout);
        safe_put(stdout, state);
    }
    putchar('\n');
}

static bool on_line(void *owner, struct slice raw, json_t *value)
{
    struct checking *checking = owner;
    const json_t *summary = json_object_get(value, "summary");
    const char *result = get_text(value, "result");

    (void)raw;
    checking->failed += strcmp(result, "failed") == 0;
    checking->warnings += strcmp(result, "warning") == 0;
    checking->ended = checking->ended || summary;
    if (checking->json) {
        json_dumpf(value, stdout, JSON_COMPACT | (isatty(STDOUT_FILENO) ? JSON_ENSURE_ASCII : 0));
        putchar('\n');
    } else if (summary) {
        print_summary(checking, summary);
    } else {
        print_step(checking, value);
    }
    fflush(stdout);
    return !ferror(stdout);
}

static int outcome(const struct checking *checking, int rc)
{
    if (rc != CTL_OK)
        return rc;
    if (!checking->ended)
        return ctl_fail("the answer ended before all steps were done");
    if (out_flush() != CTL_OK || checking->failed)
        return CTL_FAILED;
    return checking->warnings ? CTL_PARTLY : CTL_OK;
}

int cmd_check(const struct args *args)
{
    struct checking checking = {.json = args_has(args, "json"),
                                .colours = out_colours(STDOUT_FILENO)};
    char memory[API_PATH_MAX];
    struct text path;
    struct api *api;
    int rc = api_open(&api, args);

    if (rc != CTL_OK)
        return rc;
    text_init(&path, memory, sizeof(memory));
    account_path(&path, args->words[0], "/check");
    rc = api_stream(api, "POST", path.at, NULL, SLICE(""), on_line, &checking);
    api_close(api);
    return outcome(&checking, rc);
}
