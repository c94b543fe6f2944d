#include "ctl/ask.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

#include "ctl/api.h"
#include "ctl/ctl.h"
#include "ctl/safe.h"

static struct termios terminal; /* as we found it */

bool ask_possible(void)
{
    return isatty(STDIN_FILENO);
}

static void restore_and_die(int number)
{
    tcsetattr(STDIN_FILENO, TCSANOW, &terminal);
    signal(number, SIG_DFL);
    raise(number);
}

static void watch_signals(struct sigaction *before, bool ask)
{
    static const int numbers[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT};
    struct sigaction action = {.sa_handler = restore_and_die};

    sigemptyset(&action.sa_mask);
    for (size_t i = 0; i < sizeof(numbers) / sizeof(*numbers); i++) {
        if (ask)
            sigaction(numbers[i], &action, &before[i]);
        else
            sigaction(numbers[i], &before[i], NULL);
    }
}

int ask_read_line(const char *what, char *out, size_t cap)
{
    size_t len = 0;
    ssize_t got;
    char c;

    while ((got = read(STDIN_FILENO, &c, 1)) != 0 && !(got == 1 && c == '\n')) {
        if (got < 0 && errno == EINTR && !api_interrupted())
            continue;
        if (got < 0 && errno == EINTR)
            return ctl_fail("interrupted");
        if (got < 0)
            return ctl_fail("cannot read %s: %s", what, strerror(errno));
        if (!c)
            return ctl_fail("%s cannot hold a NUL", what);
        if (len + 1 == cap)
            return ctl_fail("%s has at most %zu octets", what, cap - 1);
        out[len++] = c;
    }
    if (got == 1 && len && out[len - 1] == '\r')
        len--;
    out[len] = '\0';
    return CTL_OK;
}

static int read_silently(const char *what, char *out, size_t cap)
{
    struct termios silent = terminal;
    int rc;

    silent.c_lflag &= ~(tcflag_t)(ECHO | ECHOE | ECHOK | ECHONL);
    if (tcsetattr(STDIN_FILENO, TCSAFLUSH, &silent) != 0)
        return ctl_fail("cannot hide what you type: %s", strerror(errno));
    rc = ask_read_line(what, out, cap);
    tcsetattr(STDIN_FILENO, TCSANOW, &terminal);
    fputc('\n', stderr);
    return rc;
}

int ask_secret(const char *prompt, const char *what, char *out, size_t cap)
{
    struct sigaction before[4];
    int rc;

    *out = '\0';
    if (tcgetattr(STDIN_FILENO, &terminal) != 0)
        return ctl_fail("this terminal cannot hide what you type: %s", strerror(errno));
    fputs(prompt, stderr);
    watch_signals(before, true);
    rc = read_silently(what, out, cap);
    watch_signals(before, false);
    return rc;
}

int ask_line(const char *prompt, const char *what, char *out, size_t cap)
{
    *out = '\0';
    fputs(prompt, stderr);
    return ask_read_line(what, out, cap);
}

int ask_sure(const char *question, bool yes)
{
    char answer[16];
    int rc;

    if (yes)
        return CTL_OK;
    if (!ask_possible())
        return ctl_usage("nobody is here to confirm this: add --yes");
    safe_put(stderr, question);
    rc = ask_line(" [y/N] ", "an answer", answer, sizeof(answer));
    if (rc != CTL_OK)
        return rc;
    if (strcasecmp(answer, "y") == 0 || strcasecmp(answer, "yes") == 0)
        return CTL_OK;
    return ctl_fail("nothing was done");
}
