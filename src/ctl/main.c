#include <fcntl.h>
#include <jansson.h>
#include <locale.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

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

/* Where the caller has closed one, a connection would get its number, and what is said for
 * people; or input be read from there. What we open fails instead. */
static void keep_standard_files(void)
{
    static const int wrong_way[] = {O_WRONLY, O_RDONLY, O_RDONLY};

    for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++) {
        if (fcntl(fd, F_GETFD) < 0)
            (void)!open("/dev/null", wrong_way[fd]); /* gets the lowest number, this one */
    }
}

int main(int argc, char **argv)
{
    struct reason why;
    struct args args;
    int rc;

    keep_standard_files();
    set_locale();
    json_set_alloc_funcs(wipe_malloc, wipe_free);
    rc = args_parse(&args, ctl_commands, argc, argv, &why) ? run(&args) : ctl_usage("%s", why.text);
    args_clear(&args);
    return rc;
}
