#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "ctl/api.h"
#include "ctl/out.h"
#include "ctl/top.h"

#define REFRESH_MS 1000
/* With many accounts a sample takes long: never more than a quarter of the time. */
#define REST_FACTOR 3
#define PAGES_MAX (TOP_ROWS_MAX / 1000)

static struct termios terminal; /* as we found it */

/* Keys one by one and unseen; an own screen, so that the old one is back later. */
static bool enter_screen(void)
{
    struct termios keys;

    if (tcgetattr(STDIN_FILENO, &terminal) != 0)
        return false;
    keys = terminal;
    keys.c_lflag &= ~(tcflag_t)(ICANON | ECHO);
    keys.c_cc[VSUSP] = keys.c_cc[VQUIT] = _POSIX_VDISABLE; /* they would leave it like this */
    if (tcsetattr(STDIN_FILENO, TCSANOW, &keys) != 0)
        return false;
    fputs("\033[?1049h\033[?25l\033[2J", stdout);
    return true;
}

static void leave_screen(void)
{
    fputs("\033[?25h\033[?1049l", stdout);
    fflush(stdout);
    tcsetattr(STDIN_FILENO, TCSANOW, &terminal);
}

/* True: enough. The end of the terminal is enough too. */
static bool read_keys(void)
{
    char keys[64];
    ssize_t got = read(STDIN_FILENO, keys, sizeof(keys));

    return got <= 0 || memchr(keys, 'q', (size_t)got) || memchr(keys, 'Q', (size_t)got) ||
           memchr(keys, 4, (size_t)got);
}

/* Waits for a key, a signal or the time. */
static bool rest(uint64_t until)
{
    for (;;) {
        struct pollfd stdin_fd = {.fd = STDIN_FILENO, .events = POLLIN};
        uint64_t now = clock_ms();

        if (api_interrupted())
            return true;
        if (now >= until)
            return false;
        if (poll(&stdin_fd, 1, (int)(until - now)) > 0 && read_keys())
            return true;
    }
}

/* A request that a key cuts short is made again with the next sample. */
static int ask(struct api *api, struct top *top, const char *path, struct api_answer *answer)
{
    struct reason why;
    int rc = api_poll(api, path, STDIN_FILENO, answer, &why);

    if (rc != CTL_OK && why.text[0])
        top_trouble(top, why.text);
    if (rc != CTL_OK)
        json_decref(answer->body);
    return rc;
}

static int sample_pools(struct api *api, struct top *top)
{
    char memory[API_PATH_MAX], cursor[1024] = "";
    struct api_answer answer;

    for (int page = 0; page < PAGES_MAX; page++) {
        const json_t *pool;
        struct text path;
        size_t index;
        int rc;

        text_init(&path, memory, sizeof(memory));
        text_add_str(&path, "/admin/pools?limit=1000");
        path_query(&path, "after", *cursor ? cursor : NULL);
        rc = ask(api, top, path.at, &answer);
        if (rc != CTL_OK)
            return rc;
        json_array_foreach(json_object_get(answer.body, "pools"), index, pool) top_pool(top, pool);
        slice_copy(slice_of(get_text(answer.body, "next")), cursor, sizeof(cursor));
        json_decref(answer.body);
        if (!*cursor)
            break;
    }
    return CTL_OK;
}

static int sample(struct api *api, struct top *top)
{
    struct api_answer answer;
    int rc = ask(api, top, "/admin/status", &answer);

    if (rc != CTL_OK)
        return rc;
    top_status(top, answer.body);
    json_decref(answer.body);
    rc = sample_pools(api, top);
    if (rc == CTL_OK)
        top_trouble(top, NULL);
    top_sampled(top, clock_ms());
    return rc;
}

static void show(const struct top *top)
{
    struct winsize size = {.ws_row = 24, .ws_col = 80};
    char *screen;

    if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) != 0 || !size.ws_row || !size.ws_col)
        size = (struct winsize){.ws_row = 24, .ws_col = 80};
    screen =
        top_draw(top, size.ws_col, size.ws_row, out_colours(STDOUT_FILENO), (long long)time(NULL));
    if (screen)
        fputs(screen, stdout);
    fflush(stdout);
    free(screen);
}

static void run(struct api *api, struct top *top)
{
    uint64_t started, took;

    do {
        started = clock_ms();
        sample(api, top);
        show(top);
        took = clock_ms() - started;
    } while (!ferror(stdout) &&
             !rest(started + (took * (REST_FACTOR + 1) > REFRESH_MS ? took * (REST_FACTOR + 1)
                                                                    : REFRESH_MS)));
}

/* Before the screen is taken: whoever may not look is told so in the usual way. */
static int first_look(struct api *api)
{
    json_t *status = NULL;
    int rc = api_call(api, "GET", "/admin/status", NULL, &status);

    json_decref(status);
    return rc;
}

int cmd_top(const struct args *args)
{
    struct top *top = NULL;
    struct api *api;
    int rc;

    if (!isatty(STDIN_FILENO) || !isatty(STDOUT_FILENO))
        return ctl_usage("top needs a terminal; status --json and pools --json are for programs");
    rc = api_open(&api, args);
    if (rc == CTL_OK)
        rc = first_look(api);
    if (rc == CTL_OK && !(top = top_new(api_shown(api))))
        rc = ctl_fail("out of memory");
    if (rc == CTL_OK && !enter_screen())
        rc = ctl_fail("this terminal cannot be used");
    if (rc == CTL_OK) {
        run(api, top);
        leave_screen();
    }
    top_free(top);
    api_close(api);
    return rc;
}
