#include <jansson.h>
#include <locale.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/wipe.h"
#include "ctl/args.h"

/* Widths of characters come from the locale. Servers often have none. */
static void set_locale(void)
{
    if (!setlocale(LC_CTYPE, "") || MB_CUR_MAX == 1)
        setlocale(LC_CTYPE, "C.UTF-8");
}

static int run(const struct args *args)
{
    if (args->version) {
        puts("bearerctl " BEARERD_VERSION);
        return CTL_OK;
    }
    if (args->help)
        return args->command ? help_command(args->command) : help_list();
    if (args->command)
        return args->command->run(args);
    help_list();
    return CTL_USAGE;
}

int main(int argc, char **argv)
{
    struct reason why;
    struct args args;
    int rc;

    set_locale();
    json_set_alloc_funcs(wipe_malloc, wipe_free);
    rc = args_parse(&args, ctl_commands, argc, argv, &why) ? run(&args) : ctl_usage("%s", why.text);
    args_clear(&args);
    return rc;
}
