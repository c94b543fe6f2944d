#include <errno.h>
#include <signal.h>
#include <sodium.h>
#include <stdio.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

#include "ctl/ctl.h"

/* What AUTH PLAIN has room for, with plenty to spare. */
#define PASSWORD_MAX 1024

/* The cost of one check: 64 MiB and two passes, some 50 ms. bearerd checks off
 * its event loops and remembers successes, so that honest clients hardly
 * notice; strangers can make it check at will, and a costlier setting would
 * make that the cheaper attack. Argon2id with these numbers is what libsodium
 * calls interactive, and more than OWASP's minimum (19 MiB, two passes). */
#define COST_OPERATIONS crypto_pwhash_OPSLIMIT_INTERACTIVE
#define COST_MEMORY crypto_pwhash_MEMLIMIT_INTERACTIVE

static struct termios terminal; /* as we found it */

static void restore_and_die(int number)
{
    tcsetattr(STDIN_FILENO, TCSANOW, &terminal);
    signal(number, SIG_DFL);
    raise(number);
}

static void watch_signals(void (*handler)(int))
{
    static const int numbers[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT};

    for (size_t i = 0; i < sizeof(numbers) / sizeof(*numbers); i++)
        signal(numbers[i], handler);
}

/* One line without its end; "\r\n" is one too. An octet a time, so that what
 * follows the line stays in the pipe. Returns an exit code. */
static int read_line(char *out, size_t cap)
{
    size_t len = 0;
    ssize_t got;
    char c;

    while ((got = read(STDIN_FILENO, &c, 1)) != 0 && !(got == 1 && c == '\n')) {
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return ctl_fail("cannot read the password: %s", strerror(errno));
        if (!c)
            return ctl_fail("a password cannot hold a NUL");
        if (len + 1 == cap)
            return ctl_fail("a password has at most %zu octets", cap - 1);
        out[len++] = c;
    }
    if (got == 1 && len && out[len - 1] == '\r')
        len--;
    out[len] = '\0';
    return CTL_OK;
}

static int ask(const char *prompt, char *out, size_t cap)
{
    struct termios silent = terminal;
    int rc;

    fputs(prompt, stderr);
    silent.c_lflag &= ~(tcflag_t)(ECHO | ECHOE | ECHOK | ECHONL);
    if (tcsetattr(STDIN_FILENO, TCSAFLUSH, &silent) != 0)
        return ctl_fail("cannot hide what you type: %s", strerror(errno));
    rc = read_line(out, cap);
    tcsetattr(STDIN_FILENO, TCSANOW, &terminal);
    fputc('\n', stderr);
    return rc;
}

static int ask_twice(char *out, size_t cap)
{
    char again[PASSWORD_MAX];
    int rc;

    if (tcgetattr(STDIN_FILENO, &terminal) != 0)
        return ctl_fail("this terminal cannot hide what you type: %s", strerror(errno));
    watch_signals(restore_and_die);
    rc = ask("Password: ", out, cap);
    if (rc == CTL_OK && *out)
        rc = ask("Again: ", again, sizeof(again));
    watch_signals(SIG_DFL);
    if (rc == CTL_OK && *out && strcmp(out, again) != 0)
        rc = ctl_fail("these are two different passwords");
    sodium_memzero(again, sizeof(again));
    return rc;
}

static int print_hash(const char *password)
{
    char hash[crypto_pwhash_STRBYTES];

    if (!*password)
        return ctl_fail("an empty password protects nothing");
    if (crypto_pwhash_str(hash, password, strlen(password), COST_OPERATIONS, COST_MEMORY) != 0)
        return ctl_fail("out of memory");
    puts(hash);
    return fflush(stdout) == 0 ? CTL_OK : ctl_fail("cannot write: %s", strerror(errno));
}

int cmd_passwd(int argc, char **argv)
{
    char password[PASSWORD_MAX] = "";
    int rc;

    (void)argv;
    if (argc > 1)
        return ctl_usage("passwd takes no argument: others could see it in the list of processes");
    if (sodium_init() < 0)
        return ctl_fail("libsodium does not start");
    rc = isatty(STDIN_FILENO) ? ask_twice(password, sizeof(password))
                              : read_line(password, sizeof(password));
    if (rc == CTL_OK)
        rc = print_hash(password);
    sodium_memzero(password, sizeof(password));
    return rc;
}
