#include "ctl/ask.h"
#include "ctl/simple.h"

int cmd_drain(const struct args *args)
{
    int rc = ask_sure("End bearerd, once its running messages are done?", args_has(args, "yes"));

    return rc == CTL_OK ? simple_call(args, "POST", "/admin/drain", NULL, NULL) : rc;
}
