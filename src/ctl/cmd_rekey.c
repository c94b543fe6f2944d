#include "ctl/simple.h"

int cmd_rekey(const struct args *args)
{
    return simple_call(args, "POST", "/admin/rekey", NULL, NULL);
}
