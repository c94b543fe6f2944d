#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/str.h"
#include "base/wipe.h"
#include "ctl/ctl.h"
#include "ctl/safe.h"

static void say(const char *format, va_list args)
{
    char *text = NULL;

    fflush(stdout); /* in the order it happened, where both go to one place */
    fputs("bearerctl: ", stderr);
    if (vasprintf(&text, format, args) < 0)
        text = NULL;
    safe_put(stderr, text ? text : "out of memory");
    fputc('\n', stderr);
    secret_free(&text);
}

int ctl_usage(const char *format, ...)
{
    va_list args;

    va_start(args, format);
    say(format, args);
    va_end(args);
    return CTL_USAGE;
}

int ctl_fail(const char *format, ...)
{
    va_list args;

    va_start(args, format);
    say(format, args);
    va_end(args);
    return CTL_FAILED;
}

void ctl_note(const char *format, ...)
{
    va_list args;

    va_start(args, format);
    say(format, args);
    va_end(args);
}
