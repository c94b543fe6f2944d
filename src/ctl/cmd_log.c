#include <stdio.h>

#include "ctl/out.h"
#include "ctl/simple.h"

static void print(const struct args *args, const json_t *answer)
{
    const char *level = get_text(answer, "level");

    out_line(*level ? level : args_word(args, 0) ? args_word(args, 0) : "?");
}

int cmd_log(const struct args *args)
{
    const char *level = args_word(args, 0);

    if (!level)
        return simple_call(args, "GET", "/admin/log", NULL, print);
    return simple_call(args, "PUT", "/admin/log", json_pack("{s:s}", "level", level), print);
}
