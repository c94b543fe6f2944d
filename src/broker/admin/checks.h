/* Checks: the diagnosis of an account, step by step, of which the API is told (POST
 * /admin/accounts/{email}/check). Each step is a line of the answer as soon as it is done.
 *
 *     accounts_check.c   the request, and what holds the account back
 *     check_token.c      the way to its token endpoint, a token, and what that says
 *     check_server.c     the way to its mail server, a login, a MAIL that is taken back:
 *                        the relay's work, which tells each step
 *     checks.c           telling, and the life of a check
 *
 * Without a token there is nothing to do at the mail server; else all steps are done,
 * so that one look shows all there is to see. */
#pragma once

#include "broker/admin/hints.h"
#include "broker/admin/request.h"
#include "broker/oauth/response.h"

struct broker;
struct http_request;

enum check_step {
    CHECK_ACCOUNT,
    CHECK_ENDPOINT_DNS,
    CHECK_ENDPOINT_TCP,
    CHECK_ENDPOINT_TLS,
    CHECK_TOKEN,
    CHECK_CLAIMS,
    CHECK_LIMITS,
    CHECK_SMTP_DNS, /* in the order of enum ipc_step */
    CHECK_SMTP_TCP,
    CHECK_SMTP_TLS,
    CHECK_SMTP_GREETING,
    CHECK_SMTP_EHLO,
    CHECK_SMTP_AUTH,
    CHECK_SMTP_MAIL,
    CHECK_STEPS
};

enum check_result { CHECKED_OK, CHECKED_WARNING, CHECKED_FAILED, CHECKED_SKIPPED, CHECKED_RESULTS };

struct check {
    struct broker *broker;
    struct admin_request *request;
    struct list_node node; /* broker->checks */
    char *id;
    uint64_t began_ms, mark_ms; /* mark: when the last step ended */
    unsigned told;              /* steps, a bit for each */
    unsigned counts[CHECKED_RESULTS];
    struct timer turn;
    void (*next)(struct check *check); /* what the turn is for */
    /* check_token.c */
    struct http_request *look;
    struct token_waiter waiter;
    enum oauth_class class_; /* of the token endpoint's answer */
    char text[OAUTH_TEXT_MAX + 160];
    const struct hint *token_fault; /* by its claims; NULL: none */
    /* check_server.c */
    bool probing, smtp_failed;
};

/* Of an account that no other check is about. NULL: memory is out. */
struct check *check_new(struct admin_request *request, const struct account *account);
/* The summary; the check is gone. */
void check_finish(struct check *check);
/* Calls `next` in a turn of the loop of its own, unless the account goes before. */
void check_go_on(struct check *check, void (*next)(struct check *check));
/* NULL: it was removed meanwhile. */
struct account *check_account(const struct check *check);

bool check_has_told(const struct check *check, enum check_step step);
/* `hint`: with a warning or a failure. */
void check_tell(struct check *check, enum check_step step, enum check_result result,
                const struct hint *hint, const char *text);
void check_tell_after(struct check *check, enum check_step step, enum check_result result,
                      uint64_t took_ms, const struct hint *hint, const char *text);
/* All that were not told, from this one on. */
void check_skip_rest(struct check *check, enum check_step from, const char *why);

/* Goes on with the token endpoint, and with the mail server; to the end. */
void check_token_endpoint(struct check *check);
void check_mail_server(struct check *check);

/* Nobody reads it any more; it is gone. */
void check_abandon(struct check *check);
/* The end of the broker: those that are under way end with what they have. */
void checks_abandon(struct broker *broker);
