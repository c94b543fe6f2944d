/* Somebody signs in at a provider, so that an account gets its refresh token: in a browser
 * (authorization code with PKCE) or by a code on another device (RFC 8628).
 *
 *     NEW -> BEGINNING -.                      .-> CHECKING -.
 *      |   (device)     |                      | (who is it?) |
 *      '--> WAITING <---' --> EXCHANGING ------+-------------+--> STORING -> DONE
 *           for the person    for tokens
 *     any -> FAILED
 *
 * Only login_move changes the state. The application's secret, the PKCE verifier, the device
 * code and all tokens stay in here; who drives the login (bearerctl, perhaps on another
 * host) hands over no more than the address to which the browser was sent.
 *
 * Before anything is stored it is known that the person may send as the mailbox: the
 * identity token names him, or else a login at the mail server is tried. An account that is
 * there keeps everything but its grant.
 */
#pragma once

#include <jansson.h>

#include "broker/account.h"
#include "broker/admin/intake.h"
#include "broker/oauth/device.h"
#include "broker/oauth/identity.h"
#include "broker/oauth/pkce.h"
#include "broker/store/store.h"

#define LOGIN_EMAIL_MAX 254
#define LOGIN_ID_MAX 33
#define LOGIN_URL_MAX 8192
#define LOGIN_TEXT_MAX 700

struct admin_request;
struct broker;
struct change;
struct http_request;

enum login_flow { LOGIN_BROWSER, LOGIN_DEVICE };

enum login_state {
    LOGIN_NEW,
    LOGIN_BEGINNING, /* the device endpoint is asked for a code */
    LOGIN_WAITING,
    LOGIN_EXCHANGING,
    LOGIN_CHECKING,
    LOGIN_STORING,
    LOGIN_DONE,
    LOGIN_FAILED,
    LOGIN_STATES
};

enum login_fault {
    LOGIN_NO_FAULT,
    LOGIN_DECLINED,
    LOGIN_EXPIRED,
    LOGIN_REPLACED,
    LOGIN_NOT_ALLOWED, /* the provider's answer in place of a code */
    LOGIN_CODE_REFUSED,
    LOGIN_APPLICATION,
    LOGIN_ENDPOINT, /* no answer, or one of its own troubles */
    LOGIN_NO_REFRESH_TOKEN,
    LOGIN_NO_PERMISSION,
    LOGIN_WRONG_USER,
    LOGIN_NOT_STORED,
    LOGIN_FAULTS
};

struct login {
    struct broker *broker;
    struct list_node node; /* logins.list */
    enum login_state state;
    enum login_flow flow;
    char id[LOGIN_ID_MAX];
    char email[LOGIN_EMAIL_MAX + 1], provider[CONF_NAME_MAX];
    /* The account is there and stays as it is but for its refresh token: its id. Else "",
     * and what will be stored, with the same checked. */
    char account_id[IPC_ID_MAX + 1];
    json_t *object;
    struct account_record *record;
    struct store_place place; /* what the tokens are for; owned */
    char scope[CONF_TEXT_MAX];
    /* The browser. */
    char redirect_uri[512], csrf[PKCE_TEXT_MAX], verifier[PKCE_TEXT_MAX];
    char *authorize_url;
    char *code; /* while it is exchanged; a secret */
    /* The device. */
    char device_url[CONF_TEXT_MAX];
    struct device_grant device;
    struct admin_request *request; /* who waits for the code */
    /* Under way. */
    struct http_request *http;
    bool tried;        /* once without an answer */
    struct timer poll; /* the next one */
    struct timer end;  /* of waiting, and of being remembered */
    uint64_t ends_wall_ms;
    struct token_grant grant;
    char *refresh_token;
    struct identity identity;
    struct account *probe; /* CHECKING: see login_probe.c */
    struct intake *intake; /* STORING: of these, one */
    struct change *change;
    /* What came of it. */
    enum login_fault fault;
    char error[LOGIN_TEXT_MAX]; /* printable */
    char warning[LOGIN_TEXT_MAX];
    const char *cause, *hint; /* literals */
    bool added;
};

struct logins {
    struct list list; /* login.node, oldest first */
};

/* What is asked for; NULL: not said. */
struct login_wish {
    const char *email, *provider, *app, *tenant, *client_id, *client_secret, *redirect_uri;
    enum login_flow flow;
};

/* Why none can begin: `field` is what to name, and `choices` what it can be; NULL: none is
 * known. The choices are the caller's. */
struct login_refusal {
    unsigned status;
    char field[64]; /* "" none */
    json_t *choices;
    struct reason why;
};

void logins_init(struct logins *logins);
/* With the broker, behind the store. */
void logins_clear(struct logins *logins);
struct login *logins_find(const struct logins *logins, const char *id);

/* Begins one; another one of the same mailbox that waits ends with that. NULL and why. A
 * browser's waits already; `request`, of a device's, is replied to later. login_begin.c. */
struct login *login_begin(struct broker *broker, const struct login_wish *wish,
                          struct admin_request *request, struct login_refusal *refusal);
/* The browser was sent to this address, or somebody has pasted its code. False and a reason:
 * it is nothing for this login, which goes on waiting. */
bool login_take_redirect(struct login *login, struct slice text, struct reason *why);
/* False: it is being stored, and cannot be stopped. Else it is gone. */
bool login_cancel(struct login *login);

/* login_routes.c: answers who waits for a device's code; the request is NULL then. */
void login_reply(struct login *login);

static inline bool login_over(const struct login *login)
{
    return login->state == LOGIN_DONE || login->state == LOGIN_FAILED;
}

extern const char *const login_state_names[LOGIN_STATES];

/* --- between the files of a login --- */

void login_move(struct login *login, enum login_state state);
void login_fail(struct login *login, enum login_fault fault, const char *error);
/* What the relay, the provider and the person say, cut to size perhaps within a character: made
 * good for JSON and the log. */
void login_set_text(char text[LOGIN_TEXT_MAX], const char *words);
void login_free(struct login *login);
void login_init_timers(struct login *login);
/* The record whose client and place count; NULL: the account is gone or has others, and the
 * login failed. */
const struct account_record *login_record(struct login *login);
/* The key of the record that sends what the person gives elsewhere than to the provider, and
 * why that is refused; NULL: none. login_place.c. */
const char *login_place_check(const struct conf_provider *provider,
                              const struct account_record *record, struct reason *why);
bool login_place_keep(struct login *login, const struct account_record *record);
void login_place_clear(struct login *login);
/* Microsoft's older endpoint for personal mailboxes, which the original used. */
bool login_place_is_live(const struct account_record *record);
/* Asks the device endpoint for a code; the token endpoint for tokens. login_tokens.c. */
void login_ask_device(struct login *login);
void login_exchange(struct login *login);
/* Tries a login at the mail server with the new token, and goes on. login_probe.c. */
void login_probe_begin(struct login *login);
void login_probe_end(struct login *login);
void login_store(struct login *login);

/* From the relay: a token of an account that nobody has. login_probe.c. */
void logins_token_rejected(struct logins *logins, struct slice id, const char *text);
