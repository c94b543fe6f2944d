#include "ctl/browser.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define WORDS_MAX 16

static const char *setting(const char *name)
{
    const char *value = getenv(name);

    return value && *value ? value : NULL;
}

bool browser_possible(void)
{
    return setting("BROWSER") ||
           (geteuid() != 0 && (setting("DISPLAY") || setting("WAYLAND_DISPLAY")));
}

static char *next_word(char **rest)
{
    char *word = *rest + strspn(*rest, " ");
    size_t len = strcspn(word, " ");

    *rest = word + len + (word[len] != '\0');
    word[len] = '\0';
    return *word ? word : NULL;
}

/* The first of BROWSER's programs, by words; "%s" stands for the address, which is the last
 * word where there is none. `line` is cut up. */
static void split(char *line, const char *url, const char *words[WORDS_MAX + 2])
{
    size_t count = 0;
    bool placed = false;
    char *word;

    line[strcspn(line, ":")] = '\0';
    while (count < WORDS_MAX && (word = next_word(&line))) {
        bool here = strcmp(word, "%s") == 0;

        words[count++] = here ? url : word;
        placed |= here;
    }
    if (!placed)
        words[count++] = url;
    words[count] = NULL;
}

/* In the child: a session of its own, nothing on the terminal, and nothing that is bearerctl's. */
static void become(const char *const *words, int report)
{
    int null = open("/dev/null", O_RDWR), error;

    setsid();
    unsetenv("BEARERD_TOKEN");
    signal(SIGPIPE, SIG_DFL);
    dup2(null, STDIN_FILENO);
    dup2(null, STDOUT_FILENO);
    dup2(null, STDERR_FILENO);
    execvp(words[0], (char *const *)words);
    error = errno;
    (void)!write(report, &error, sizeof(error));
    _exit(127);
}

/* By a child of a child, so that nobody has to wait for it; the pipe tells of a failure and
 * closes by itself when the program has begun. */
static bool run(const char *const *words)
{
    int fds[2], error = 0;
    pid_t child;

    if (pipe2(fds, O_CLOEXEC) != 0)
        return false;
    child = fork();
    if (child == 0) {
        if (fork() == 0)
            become(words, fds[1]);
        _exit(0);
    }
    close(fds[1]);
    if (child > 0) {
        while (waitpid(child, NULL, 0) < 0 && errno == EINTR) {
        }
        while (read(fds[0], &error, sizeof(error)) < 0 && errno == EINTR) {
        }
    }
    close(fds[0]);
    return child > 0 && !error;
}

/* bearerd may be somebody else's, and what opens it may hand it to a shell: only an address of
 * the web is opened, and none with a character that could be taken for something more. */
static bool is_harmless(const char *url)
{
    static const char usual[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
                                "-._~:/?@&+,=%";

    return strncmp(url, "https://", 8) == 0 && !url[strspn(url, usual)];
}

bool browser_open(const char *url)
{
    const char *words[WORDS_MAX + 2] = {"xdg-open", url, NULL};
    char *line;
    bool ok;

    if (!is_harmless(url))
        return false;
    line = setting("BROWSER") ? strdup(setting("BROWSER")) : NULL;
    if (line)
        split(line, url, words);
    ok = words[0] != url && run(words);
    free(line);
    return ok;
}
