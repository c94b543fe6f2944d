/* Whether who signed in may send as the mailbox, where no identity token tells: a login at
 * its mail server, before anything is stored.
 *
 * The relay gets an account that no list has, for as long as that takes: its id and login
 * are random, it has a password that nobody knows, and it holds the new access token. */
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "broker/admin/login.h"
#include "broker/broker.h"
#include "broker/tell.h"
#include "broker/wipe.h"

#define NO_PASSWORD "*" /* no hash: whoever tries is refused */

/* The account and what it points to, but for texts of the record that it is like. */
struct trial {
    struct account account;
    struct account_record record;
    struct account_terms terms;
    char name[LOGIN_ID_MAX + 8]; /* its id and its login */
};

static struct account *make(struct login *login, const struct account_record *record)
{
    struct broker *broker = login->broker;
    struct trial *trial = calloc(1, sizeof(*trial));
    struct token *token;

    if (!trial)
        return NULL;
    trial->record = *record; /* borrowed: what it points to is copied into messages at once */
    trial->terms = *record->terms;
    snprintf(trial->name, sizeof(trial->name), "login:%s", login->id);
    trial->record.id = trial->record.login = trial->name;
    trial->record.password_hash = NO_PASSWORD;
    trial->record.terms = &trial->terms;
    trial->terms.max_connections = 1;
    trial->account.record = &trial->record;
    trial->account.registry = &broker->registry;
    trial->account.generation = ++broker->registry.generations;
    token = &trial->account.token;
    token->tokens = &broker->tokens;
    token->value = slice_dup(slice_of(login->grant.value));
    token->serial = 1;
    token->expires_ms = loop_now(&broker->loop) + login->grant.life_ms;
    token->expires_wall_ms = clock_wall_ms() + login->grant.life_ms;
    return &trial->account;
}

void login_probe_end(struct login *login)
{
    struct account *account = login->probe;

    if (!account)
        return;
    login->probe = NULL;
    if (login->broker->view)
        relay_view_forget(login->broker->view, login);
    tell_remove(account);
    secret_free(&account->token.value);
    free(container_of(account, struct trial, account));
}

static void refuse(struct login *login, const char *said, bool tried)
{
    const char *name = identity_name(&login->identity);
    char memory[LOGIN_TEXT_MAX];
    struct text text;

    text_init(&text, memory, sizeof(memory));
    if (identity_claims(&login->identity, login->email))
        text_addf(&text, "somebody has signed in who calls himself %.120s", login->email);
    else if (name[0])
        text_addf(&text, "%.120s has signed in, not %.120s", name, login->email);
    else
        text_addf(&text, "somebody else than %.120s has signed in", login->email);
    text_addf(&text,
              tried ? ", for whom the mail server refuses the token: %.300s"
                    : ", and whether that user may send for it could not be tried: %.300s",
              said);
    login_fail(login, LOGIN_WRONG_USER, memory);
}

static void on_probed(void *owner, bool ok, const char *said)
{
    struct login *login = owner;
    char memory[LOGIN_TEXT_MAX];
    struct text text;

    login_probe_end(login);
    if (!ok && identity_name(&login->identity)[0] &&
        !identity_claims(&login->identity, login->email)) {
        refuse(login, said, false);
        return;
    }
    if (!ok) { /* nobody said that it is the wrong one */
        text_init(&text, memory, sizeof(memory));
        text_addf(&text, "the mail server could not be asked whether this is %.120s: %.400s",
                  login->email, said);
        login_set_text(login->warning, memory);
    }
    login_store(login);
}

void login_probe_begin(struct login *login)
{
    const struct account_record *record = login_record(login);

    if (!record)
        return;
    login_move(login, LOGIN_CHECKING);
    login->probe = make(login, record);
    if (!login->probe ||
        !relay_view_probe_account(login->broker->view, login->probe, on_probed, login))
        login_fail(login, LOGIN_NOT_STORED, "out of memory");
}

void logins_token_rejected(struct logins *logins, struct slice id, const char *text)
{
    list_foreach_safe (&logins->list, node) {
        struct login *login = container_of(node, struct login, node);

        if (!login->probe || !slice_equal(id, slice_of(login->probe->record->id)))
            continue;
        login_probe_end(login);
        refuse(login, text, true);
        return;
    }
}
