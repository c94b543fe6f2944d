/* api-token create, list, revoke. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "ctl/out.h"
#include "ctl/simple.h"
#include "ctl/table.h"

/* A new file only: a token that is in use must not vanish. */
static int write_token(const char *path, const char *token)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    bool good;

    if (fd < 0)
        return ctl_fail("cannot make %s: %s; revoke the token, nobody has it", path,
                        strerror(errno));
    good = dprintf(fd, "%s\n", token) > 0 && fsync(fd) == 0;
    good = close(fd) == 0 && good;
    if (!good)
        return ctl_fail("cannot write %s: %s; revoke the token", path, strerror(errno));
    ctl_note("the token is in %s", path);
    return CTL_OK;
}

static int give_token(const struct args *args, const json_t *answer)
{
    const char *token = get_text(answer, "token"), *path = args_value(args, "output");

    if (args_has(args, "json"))
        return out_json(answer);
    if (!*token)
        return ctl_fail("bearerd sent no token");
    if (path)
        return write_token(path, token);
    out_line(token);
    ctl_note("it is shown this once; bearerctl uses it with --token-file or BEARERD_TOKEN");
    return out_flush();
}

/* Before the token is made: a file that cannot be written loses it. */
static int check_output(const struct args *args)
{
    const char *path = args_value(args, "output");

    if (path && access(path, F_OK) == 0)
        return ctl_fail("%s is there already: another token may be in use in it", path);
    return CTL_OK;
}

int cmd_api_token_create(const struct args *args)
{
    const char *scope = args_value(args, "scope");
    json_t *body =
        json_pack("{s:s, s:s}", "name", args_word(args, 0), "scope", scope ? scope : "read");
    json_t *answer = NULL;
    struct api *api = NULL;
    int rc = body ? check_output(args) : ctl_usage("api-token create: NAME is no UTF-8");

    if (rc == CTL_OK)
        rc = api_open(&api, args);
    if (rc == CTL_OK)
        rc = api_call(api, "POST", "/admin/api-tokens", body, &answer);
    if (rc == CTL_OK)
        rc = give_token(args, answer);
    json_decref(body);
    json_decref(answer);
    api_close(api);
    return rc;
}

static void print(const struct args *args, const json_t *answer)
{
    static const struct table_column columns[] = {
        {"NAME", false, 12}, {"SCOPE", false, 0}, {"CREATED", false, 0}, {"LAST USED", false, 0}};
    struct table *table = table_start(columns, sizeof(columns) / sizeof(*columns));
    const json_t *tokens = json_object_get(answer, "tokens"), *token;
    long long now = (long long)time(NULL);
    size_t index;

    (void)args;
    json_array_foreach(tokens, index, token)
    {
        char used[32];

        out_since(used, sizeof(used), get_text(token, "last_used"), now);
        table_cell(table, get_text(token, "name"), PLAIN);
        table_cell(table, get_text(token, "scope"), PLAIN);
        table_cell(table, get_text(token, "created_at"), PLAIN);
        if (*used)
            table_cellf(table, "%s ago", used);
        else
            table_cell(table, "never", PLAIN);
    }
    table_end(table);
    if (!json_array_size(tokens))
        puts("there are no tokens");
}

int cmd_api_token_list(const struct args *args)
{
    return simple_call(args, "GET", "/admin/api-tokens", NULL, print);
}

int cmd_api_token_revoke(const struct args *args)
{
    char memory[API_PATH_MAX];
    struct text path;

    text_init(&path, memory, sizeof(memory));
    text_add_str(&path, "/admin/api-tokens/");
    path_add(&path, args_word(args, 0));
    return simple_call(args, "DELETE", path.at, NULL, NULL);
}
