/* While somebody signs in: his browser may come to our loopback address, he may paste the
 * address where it ended on another machine, or bearerd polls for a device. */
#include "ctl/login.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/wipe.h"
#include "ctl/ask.h"
#include "ctl/browser.h"
#include "ctl/out.h"
#include "ctl/safe.h"

#define TERMINAL_LINE_MAX 4095 /* what Linux lets somebody type in a line (termios(3)) */
#define LOOK_MS 2000           /* whether bearerd still waits: its time ends */
#define SOON_MS 200            /* once it has what it needs */
#define DEVICE_MS 500          /* it polls for itself */

static void pause_ms(long ms)
{
    struct timespec time = {ms / 1000, ms % 1000 * 1000000};

    nanosleep(&time, NULL); /* a signal ends it early, which is right */
}

static int interrupted(void)
{
    return ctl_fail("interrupted");
}

static void path_of(const json_t *login, struct text *path)
{
    text_add_str(path, "/admin/logins/");
    path_add(path, get_text(login, "id"));
}

/* `now` becomes NULL when bearerd is asked too often, by whoever else is at this address: that
 * is no reason to lose what somebody is typing elsewhere. */
static int look(struct signing *signing, const json_t *login, json_t **now)
{
    char memory[API_PATH_MAX];
    struct api_answer answer;
    struct text path;
    int rc;

    *now = NULL;
    text_init(&path, memory, sizeof(memory));
    path_of(login, &path);
    rc = api_ask(signing->api, "GET", path.at, NULL, &answer);
    if (rc == CTL_OK && answer.status == 200 && answer.body) {
        *now = answer.body;
        return CTL_OK;
    }
    if (rc == CTL_OK && answer.status != 429)
        rc = api_refused(signing->api, &answer);
    json_decref(answer.body);
    return rc;
}

static bool is_over(const json_t *login)
{
    return login && strcmp(get_text(login, "state"), "pending") != 0;
}

/* Until it is over. */
static int follow(struct signing *signing, const json_t *login, long every_ms, json_t **outcome)
{
    for (;;) {
        int rc = look(signing, login, outcome);

        if (rc != CTL_OK || is_over(*outcome))
            return rc;
        json_decref(*outcome);
        *outcome = NULL;
        pause_ms(every_ms);
        if (api_interrupted())
            return interrupted();
    }
}

/* Sets `taken`; it is not when bearerd says that this is no answer to the login. */
static int hand_over(struct signing *signing, const json_t *login, const char *address, bool *taken)
{
    json_t *body = json_pack("{s:s}", "redirect_url", address);
    struct api_answer answer = {0, NULL};
    char memory[API_PATH_MAX];
    struct text path;
    int rc;

    *taken = false;
    if (!body) {
        login_say("This is no text in UTF-8.");
        return CTL_OK;
    }
    text_init(&path, memory, sizeof(memory));
    path_of(login, &path);
    rc = api_ask(signing->api, "POST", path.at, body, &answer);
    if (rc == CTL_OK && answer.status == 400)
        login_say("Not taken: %s", get_text(answer.body, "error"));
    else if (rc == CTL_OK && answer.status != 202 && answer.status != 409)
        rc = api_refused(signing->api, &answer);
    else if (rc == CTL_OK) /* 409: it was over before, as the next look tells */
        *taken = true;
    json_decref(answer.body);
    json_decref(body);
    return rc;
}

/* --- lines --- */

/* The next line of what was typed, if it is complete; false: none. */
static bool take_line(struct signing *signing, char *out)
{
    char *end = memchr(signing->typed, '\n', signing->typed_len);
    size_t len = end ? (size_t)(end - signing->typed) : signing->typed_len, used;

    if (!end && !(signing->input_over && len))
        return false;
    used = len + (end != NULL);
    memcpy(out, signing->typed, len);
    out[len] = '\0';
    memmove(signing->typed, signing->typed + used, signing->typed_len - used);
    signing->typed_len -= used;
    explicit_bzero(signing->typed + signing->typed_len, used);
    return true;
}

static void read_input(struct signing *signing)
{
    size_t room = sizeof(signing->typed) - 1 - signing->typed_len;
    ssize_t got = read(STDIN_FILENO, signing->typed + signing->typed_len, room);

    if (got > 0) {
        signing->typed_len += (size_t)got;
    } else if (got == 0 || errno != EINTR) {
        signing->input_over = true;
    }
    /* Longer than any address: nothing that we could use. */
    if (signing->typed_len == sizeof(signing->typed) - 1 &&
        !memchr(signing->typed, '\n', signing->typed_len)) {
        login_say("That line is too long.");
        signing->typed_len = 0;
    }
}

static bool is_blank(const char *line)
{
    return line[strspn(line, " \t\r")] == '\0';
}

/* "skip": this account is left as it is. */
static bool is_skip(const struct signing *signing, const char *line)
{
    return signing->many && strcmp(line, "skip") == 0;
}

/* Half an address would be taken for a wrong one. */
static bool was_cut(const char *line)
{
    if (strlen(line) < TERMINAL_LINE_MAX || !ask_possible())
        return false;
    login_say("The terminal has cut this line. Paste only what is between \"code=\" and the next "
              "\"&\", or pipe the address into bearerctl.");
    return true;
}

static int take_typed(struct signing *signing, const json_t *login, bool *taken)
{
    char line[CALLBACK_HEAD_MAX];
    int rc = CTL_OK;

    while (rc == CTL_OK && !*taken && take_line(signing, line)) {
        if (is_skip(signing, line))
            rc = ctl_fail("%s is left as it is", get_text(login, "email"));
        else if (!is_blank(line) && !was_cut(line))
            rc = hand_over(signing, login, line, taken);
    }
    explicit_bzero(line, sizeof(line));
    return rc;
}

/* --- the browser --- */

static int take_visit(struct signing *signing, const json_t *login, const struct pollfd *polls,
                      size_t count, bool *taken)
{
    char target[CALLBACK_HEAD_MAX], address[CALLBACK_HEAD_MAX + 64];
    int rc = CTL_OK;

    if (loopback_step(&signing->loopback, polls, count, get_text(login, "oauth_state"), target)) {
        snprintf(address, sizeof(address), "%s%s", get_text(login, "redirect_uri"), target);
        rc = hand_over(signing, login, address, taken);
        explicit_bzero(address, sizeof(address));
    }
    explicit_bzero(target, sizeof(target));
    return rc;
}

static int take_what_came(struct signing *signing, const json_t *login, const struct pollfd *polls,
                          size_t count, bool *taken)
{
    int rc;

    if (polls[count].revents)
        read_input(signing);
    rc = take_typed(signing, login, taken);
    return rc == CTL_OK && !*taken && signing->listening
               ? take_visit(signing, login, polls, count, taken)
               : rc;
}

/* One wait for whatever comes first. `over`: bearerd waits no longer; it is asked in time also
 * when strangers at the loopback address never let us rest. */
static int wait_once(struct signing *signing, const json_t *login, bool *taken, bool *over)
{
    struct pollfd polls[LOOPBACK_POLLS + 1];
    size_t count = signing->listening ? loopback_polls(&signing->loopback, polls) : 0;
    json_t *now = NULL;
    int rc = CTL_OK, ready;

    polls[count] = (struct pollfd){.fd = signing->input_over ? -1 : STDIN_FILENO, .events = POLLIN};
    ready = poll(polls, count + 1, LOOK_MS);
    if (api_interrupted())
        return interrupted();
    if (ready > 0)
        rc = take_what_came(signing, login, polls, count, taken);
    if (rc != CTL_OK || *taken)
        return rc;
    if (signing->input_over && !signing->listening)
        return ctl_fail("standard input has ended, and nothing else can bring the address");
    if (ready > 0 && clock_ms() < signing->looked_ms + LOOK_MS)
        return CTL_OK;
    signing->looked_ms = clock_ms();
    rc = look(signing, login, &now);
    *over = rc == CTL_OK && is_over(now);
    json_decref(now);
    return rc;
}

/* On a line of its own and never cut, for it is clicked on or copied. */
static void show_address(const char *address)
{
    fputs("\n  ", stderr);
    safe_put(stderr, address);
    fputs("\n\n", stderr);
}

static void explain_browser(const struct signing *signing, const json_t *login, bool opened)
{
    const char *where = opened ? "Your browser should show this page now"
                               : "Open this page in a browser, on this or any other machine";

    login_say("Sign in as %s at %s. %s:", get_text(login, "email"), get_text(login, "provider"),
              where);
    show_address(get_text(login, "authorize_url"));
    if (signing->listening)
        login_say("If the browser runs on this machine, that is all. Else it ends on a page that "
                  "it cannot show, at %s:",
                  get_text(login, "redirect_uri"));
    login_say("Paste the whole address of %s here and press Enter.%s",
              signing->listening ? "that page" : "the page where the browser ends",
              signing->many ? " Or type skip." : "");
}

static int wait_browser(struct signing *signing, const json_t *login, json_t **outcome)
{
    const char *url = get_text(login, "authorize_url");
    bool opened = signing->open_browser && browser_open(url), taken = false, over = false;
    int rc = CTL_OK;

    explain_browser(signing, login, opened);
    rc = take_typed(signing, login, &taken);
    while (rc == CTL_OK && !taken && !over)
        rc = wait_once(signing, login, &taken, &over);
    return rc == CTL_OK ? follow(signing, login, SOON_MS, outcome) : rc;
}

/* --- the device --- */

static int wait_device(struct signing *signing, const json_t *login, json_t **outcome)
{
    const char *uri = get_text(login, "verification_uri");
    const char *complete = get_text(login, "verification_uri_complete");
    const char *best = *complete ? complete : uri;

    login_say("Sign in as %s at %s: open", get_text(login, "email"), get_text(login, "provider"));
    show_address(uri);
    login_say("on any device, and type the code  %s", get_text(login, "user_code"));
    if (*complete)
        login_say("(or open %s, which has it already)", complete);
    if (signing->open_browser && browser_open(best))
        login_say("Your browser should show that page now.");
    login_say("Waiting until that is done...");
    return follow(signing, login, DEVICE_MS, outcome);
}

/* Else it would wait at bearerd until its time is over. */
static void give_up(struct signing *signing, const json_t *login)
{
    char memory[API_PATH_MAX];
    struct text path;

    text_init(&path, memory, sizeof(memory));
    path_of(login, &path);
    if (api_tidy(signing->api, "DELETE", path.at) && api_interrupted())
        ctl_note("the login was given up");
}

int login_wait(struct signing *signing, const json_t *login, json_t **outcome)
{
    int rc = signing->device ? wait_device(signing, login, outcome)
                             : wait_browser(signing, login, outcome);

    if (rc == CTL_FAILED)
        give_up(signing, login);
    return rc;
}
