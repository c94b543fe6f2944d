/* login: somebody signs in at his provider, and the account has what it needs. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/wipe.h"
#include "ctl/ask.h"
#include "ctl/browser.h"
#include "ctl/input.h"
#include "ctl/login.h"
#include "ctl/out.h"
#include "ctl/pages.h"
#include "ctl/safe.h"

#define QUESTIONS_MAX 4 /* provider, app, client_id; and one mistake */
#define WAY "POST", "/admin/logins"
#define REGISTRATION "; LOGIN.md of bearerd's documentation tells how to get one"

void login_say(const char *format, ...)
{
    char *text = NULL;
    va_list args;

    va_start(args, format);
    if (vasprintf(&text, format, args) < 0)
        text = NULL;
    va_end(args);
    safe_put(stderr, text ? text : "out of memory");
    fputc('\n', stderr);
    free(text);
}

/* --- what is asked for ----------------------------------------------------------- */

/* Options that say who asks whom. */
static const struct {
    const char *option, *key;
} said[] = {{"provider", "provider"},
            {"app", "app"},
            {"tenant", "tenant"},
            {"client-id", "client_id"},
            {"redirect-uri", "redirect_uri"}};

static int put(json_t *wish, const char *key, const char *text, const char *name)
{
    json_t *value = json_string(text);

    if (!value)
        return ctl_usage("%s is no UTF-8", name);
    return json_object_set_new(wish, key, value) == 0 ? CTL_OK : ctl_fail("out of memory");
}

static int read_secret(const struct args *args, json_t *wish)
{
    const char *path = args_value(args, "client-secret-file");
    char *text = NULL;
    size_t len = 0;
    int rc;

    if (!path)
        return CTL_OK;
    rc = input_text(path, &text, &len);
    if (rc != CTL_OK)
        return rc;
    text[strcspn(text, "\r\n")] = '\0';
    rc = *text ? put(wish, "client_secret", text, path)
               : ctl_fail("%s: its first line is empty", path);
    secret_free_len(text, len);
    return rc;
}

static int read_wish(const struct args *args, json_t *wish)
{
    int rc = CTL_OK;

    for (size_t i = 0; rc == CTL_OK && i < sizeof(said) / sizeof(*said); i++) {
        const char *value = args_value(args, said[i].option);

        if (value)
            rc = put(wish, said[i].key, value, said[i].option);
    }
    if (rc == CTL_OK && args_has(args, "device"))
        rc = put(wish, "flow", "device", "");
    return rc == CTL_OK ? read_secret(args, wish) : rc;
}

/* --- what nobody could know --------------------------------------------------------- */

static void list_choices(const json_t *choices, struct text *out)
{
    const json_t *choice;
    size_t i;

    json_array_foreach(choices, i, choice)
    {
        const char *name = json_string_value(choice);

        text_addf(out, "%s%s", i ? ", " : "", name ? name : "?");
    }
}

static int ask_client_secret(json_t *body)
{
    char *line = calloc(1, ASK_SECRET_MAX);
    int rc;

    if (!line)
        return ctl_fail("out of memory");
    rc = ask_secret("Client secret (not shown; Enter: it has none): ", "a client secret", line,
                    ASK_SECRET_MAX);
    if (rc == CTL_OK && *line)
        rc = put(body, "client_secret", line, "the client secret");
    secret_free_len(line, ASK_SECRET_MAX);
    return rc;
}

/* bearerd names the field that it misses, and what it could be. */
static int ask_field(const struct api_answer *answer, json_t *body)
{
    const char *field = get_text(answer->body, "field");
    const json_t *choices = json_object_get(answer->body, "choices");
    char line[512], memory[1024];
    struct text prompt;
    int rc;

    login_say("%s%s", get_text(answer->body, "error"),
              strcmp(field, "client_id") == 0 ? REGISTRATION : "");
    text_init(&prompt, memory, sizeof(memory));
    text_add_str(&prompt, strcmp(field, "client_id") == 0 ? "Client id"
                          : strcmp(field, "app") == 0     ? "Application"
                                                          : "Provider");
    if (json_array_size(choices)) {
        text_add_str(&prompt, " (");
        list_choices(choices, &prompt);
        text_add_str(&prompt, ")");
    }
    safe_put(stderr, memory);
    rc = ask_line(": ", field, line, sizeof(line));
    if (rc == CTL_OK && !*line)
        return ctl_fail("nothing was done");
    if (rc == CTL_OK)
        rc = put(body, field, line, field);
    if (rc == CTL_OK && strcmp(field, "client_id") == 0)
        rc = ask_client_secret(body);
    return rc;
}

static const char *option_of(const char *field)
{
    for (size_t i = 0; i < sizeof(said) / sizeof(*said); i++) {
        if (strcmp(said[i].key, field) == 0)
            return said[i].option;
    }
    return NULL;
}

static bool can_ask(const struct api_answer *answer, const json_t *body)
{
    static const char *const fields[] = {"provider", "app", "client_id"};
    const char *field = get_text(answer->body, "field");

    for (size_t i = 0; answer->status == 400 && i < sizeof(fields) / sizeof(*fields); i++) {
        if (strcmp(fields[i], field) == 0)
            return ask_possible() && !json_object_get(body, field);
    }
    return false;
}

static int refused(struct signing *signing, const struct api_answer *answer)
{
    const char *option = option_of(get_text(answer->body, "field"));
    const json_t *choices = json_object_get(answer->body, "choices");
    const char *hint = get_text(answer->body, "hint");
    char memory[1024];
    struct text known;
    int rc = api_refused(signing->api, answer);

    text_init(&known, memory, sizeof(memory));
    list_choices(choices, &known);
    if (*hint)
        ctl_note("%s", hint);
    else if (option && known.len)
        ctl_note("--%s can be: %s", option, memory);
    else if (option && !args_value(signing->args, option))
        ctl_note("--%s names it%s", option, strcmp(option, "client-id") == 0 ? REGISTRATION : "");
    return rc;
}

/* --- one account ------------------------------------------------------------------------ */

static int begin(struct signing *signing, const char *email, json_t **login)
{
    json_t *body = json_deep_copy(signing->wish);
    struct api_answer answer = {0, NULL};
    char uri[64];
    int rc = body ? put(body, "email", email, "the address") : ctl_fail("out of memory");

    if (rc == CTL_OK && signing->listening) {
        snprintf(uri, sizeof(uri), "http://localhost:%u", signing->loopback.port);
        rc = put(body, "redirect_uri", uri, "");
    }
    for (int tries = 0; rc == CTL_OK; tries++) {
        rc = api_ask(signing->api, WAY, body, &answer);
        if (rc != CTL_OK || answer.status == 201)
            break;
        rc = tries < QUESTIONS_MAX && can_ask(&answer, body) ? ask_field(&answer, body)
                                                             : refused(signing, &answer);
        json_decref(answer.body);
        answer.body = NULL;
    }
    *login = answer.body;
    json_decref(body);
    if (rc == CTL_OK && !*login)
        rc = ctl_fail("the answer of bearerd at %s is no JSON object", api_shown(signing->api));
    return rc;
}

static void print_done(const json_t *outcome)
{
    const char *email = get_text(outcome, "email"), *name = get_text(outcome, "signed_in_as");
    const char *state = get_text(outcome, "account_state"), *warning = get_text(outcome, "warning");
    bool other = *name && strcasecmp(name, email) != 0;
    char memory[1200];
    struct text line;

    text_init(&line, memory, sizeof(memory));
    text_addf(&line, "%s: signed in%s%s, the account was %s", email, other ? " as " : "",
              other ? name : "", get_text(outcome, "action"));
    if (*state)
        text_addf(&line, " and is %s", state);
    out_line(memory);
    if (*warning)
        ctl_note("%s", warning);
    if (strcmp(state, "disabled") == 0)
        ctl_note("bearerctl accounts enable %s lets it send", email);
}

static int tell(struct signing *signing, const json_t *outcome)
{
    bool done = strcmp(get_text(outcome, "state"), "done") == 0;
    int rc = CTL_OK;

    if (args_has(signing->args, "json"))
        rc = out_json(outcome);
    else if (done)
        print_done(outcome);
    fflush(stdout);
    if (done || rc != CTL_OK)
        return rc;
    rc = ctl_fail("%s: %s", get_text(outcome, "email"), get_text(outcome, "error"));
    ctl_note("%s", get_text(outcome, "hint"));
    return rc;
}

static int sign_in(struct signing *signing, const char *email)
{
    json_t *login = NULL, *outcome = NULL;
    int rc = begin(signing, email, &login);

    if (rc == CTL_OK)
        rc = login_wait(signing, login, &outcome);
    if (rc == CTL_OK)
        rc = tell(signing, outcome);
    json_decref(login);
    json_decref(outcome);
    return rc;
}

/* --- all that wait for it ------------------------------------------------------------------ */

static bool keep_email(void *owner, const json_t *item)
{
    json_array_append_new(owner, json_string(get_text(item, "email")));
    return true;
}

static int sign_all(struct signing *signing)
{
    json_t *emails = json_array(), *email;
    size_t i, failed = 0, count;
    int rc = pages_walk(signing->api, "/admin/accounts?state=needs_consent", "accounts", keep_email,
                        emails, NULL);

    count = json_array_size(emails);
    if (rc == CTL_OK && !count)
        login_say("No account waits for its owner to sign in.");
    json_array_foreach(emails, i, email)
    {
        fputs(i ? "\n" : "", stderr);
        login_say("--- %zu of %zu", i + 1, count);
        rc = sign_in(signing, json_string_value(email));
        failed += rc != CTL_OK;
        if ((rc != CTL_OK && rc != CTL_FAILED) || api_interrupted())
            break;
    }
    json_decref(emails);
    if (rc != CTL_OK && rc != CTL_FAILED)
        return rc;
    return !failed ? CTL_OK : failed == count ? CTL_FAILED : CTL_PARTLY;
}

/* --- the command --------------------------------------------------------------------------------
 */

static int check_args(const struct args *args)
{
    bool all = args_has(args, "all-needing-consent");

    if (all == (args->count > 0))
        return ctl_usage("login: name an address, or say --all-needing-consent");
    for (size_t i = 0; all && i < sizeof(said) / sizeof(*said); i++) {
        if (args_value(args, said[i].option))
            return ctl_usage("login: --%s is for one address: accounts that are there have theirs",
                             said[i].option);
    }
    if (args_value(args, "client-secret-file") && !args_value(args, "client-id"))
        return ctl_usage("login: --client-secret-file is for a --client-id");
    if (args_has(args, "device") && args_value(args, "redirect-uri"))
        return ctl_usage("login: --device has no redirect");
    return CTL_OK;
}

static int run(struct signing *signing, const struct args *args)
{
    int rc = CTL_OK;

    if (!signing->device && !args_value(args, "redirect-uri")) {
        rc = loopback_open(&signing->loopback);
        signing->listening = rc == CTL_OK;
    }
    if (rc == CTL_OK)
        rc = signing->many ? sign_all(signing) : sign_in(signing, args_word(args, 0));
    if (signing->listening)
        loopback_close(&signing->loopback);
    return rc == CTL_OK ? out_flush() : rc;
}

static int set_up(struct signing *signing, const struct args *args)
{
    int rc = api_open(&signing->api, args);

    if (rc != CTL_OK)
        return rc;
    signing->args = args;
    signing->wish = json_object();
    signing->device = args_has(args, "device");
    signing->many = args_has(args, "all-needing-consent");
    signing->open_browser = !args_has(args, "no-browser") && browser_possible();
    return signing->wish ? read_wish(args, signing->wish) : ctl_fail("out of memory");
}

int cmd_login(const struct args *args)
{
    struct signing *signing;
    int rc = check_args(args);

    if (rc != CTL_OK)
        return rc;
    signing = calloc(1, sizeof(*signing));
    if (!signing)
        return ctl_fail("out of memory");
    rc = set_up(signing, args);
    if (rc == CTL_OK)
        rc = run(signing, args);
    json_decref(signing->wish);
    api_close(signing->api);
    secret_free_len(signing, sizeof(*signing));
    return rc;
}
