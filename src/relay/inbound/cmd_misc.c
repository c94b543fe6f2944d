/* RSET, NOOP, VRFY, EXPN, HELP, QUIT. */
#include "relay/inbound/commands.h"
#include "relay/inbound/transaction.h"

void cmd_rset(struct session *session, struct slice rest)
{
    if (!command_is_bare(session, rest))
        return;
    transaction_reset(session);
    session->mail_refused = false;
    session_say(session, ANSWER_OK);
}

void cmd_noop(struct session *session, struct slice rest)
{
    (void)rest; /* may have an argument (RFC 5321 section 4.1.1.9) */
    session_say(session, ANSWER_OK);
}

/* The provider would have to be asked, and does not say. */
void cmd_vrfy(struct session *session, struct slice rest)
{
    (void)rest;
    session_say(session, ANSWER_VRFY);
}

void cmd_expn(struct session *session, struct slice rest)
{
    (void)rest;
    session_refuse(session, ANSWER_NOT_OFFERED);
}

void cmd_help(struct session *session, struct slice rest)
{
    (void)rest;
    session_say(session, ANSWER_HELP);
}

void cmd_quit(struct session *session, struct slice rest)
{
    if (command_is_bare(session, rest))
        session_end_saying(session, ANSWER_BYE, END_QUIT);
}
