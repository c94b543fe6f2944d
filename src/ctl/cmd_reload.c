#include "ctl/simple.h"

int cmd_reload(const struct args *args)
{
    const char *path = args_has(args, "no-wait") ? "/admin/reload" : "/admin/reload?wait=true";

    return simple_call(args, "POST", path, NULL, NULL);
}
