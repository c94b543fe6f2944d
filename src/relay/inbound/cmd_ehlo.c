/* EHLO and HELO (RFC 5321 section 4.1.1.1). */
#include "relay/inbound/auth.h"
#include "relay/inbound/commands.h"
#include "relay/inbound/transaction.h"

/* Either starts from nothing but the login. */
static bool take_name(struct session *session, struct slice rest)
{
    struct slice name;
    struct reason why;

    if (!smtp_parse_helo(rest, &name, &why)) {
        session_refuse_text(session, 501, (struct smtp_enhanced){5, 5, 4}, why.text);
        return false;
    }
    transaction_reset(session);
    session->mail_refused = false;
    session->greeted = true;
    session_rest(session);
    return true;
}

static void add_offers(struct session *session, struct text *list)
{
    const struct conf *conf = session_conf(session);

    text_add_str(list, "\nPIPELINING\n8BITMIME\nSMTPUTF8\nENHANCEDSTATUSCODES\nCHUNKING");
    text_addf(list, "\nSIZE %llu", (unsigned long long)conf->max_message_size);
    text_addf(list, "\nLIMITS RCPTMAX=%u", conf->max_recipients); /* RFC 9422 */
    if (session_offers_tls(session))
        text_add_str(list, "\nSTARTTLS");
    if (auth_allowed(session))
        text_add_str(list, "\nAUTH PLAIN LOGIN");
}

void cmd_ehlo(struct session *session, struct slice rest)
{
    char memory[768];
    struct text list;

    if (!take_name(session, rest))
        return;
    text_init(&list, memory, sizeof(memory));
    text_add_str(&list, session->worker->settings->hostname);
    add_offers(session, &list);
    session_reply(session, 250, (struct smtp_enhanced){0}, (struct slice){list.at, list.len});
}

void cmd_helo(struct session *session, struct slice rest)
{
    if (take_name(session, rest))
        session_reply(session, 250, (struct smtp_enhanced){0},
                      slice_of(session->worker->settings->hostname));
}
