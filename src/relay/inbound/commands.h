/* The commands of a session: one table, one handler each. */
#pragma once

#include "relay/inbound/session_private.h"
#include "smtp/command.h"

#define COMMAND_LINE_MAX 2048 /* octets with CRLF */

/* A command line. */
void command_run(struct session *session, struct slice line);

typedef void command_handler(struct session *session, struct slice rest);

command_handler cmd_ehlo, cmd_helo;
command_handler cmd_starttls;
command_handler cmd_auth;
command_handler cmd_mail, cmd_rcpt;
command_handler cmd_data;
command_handler cmd_bdat;
command_handler cmd_rset, cmd_noop, cmd_vrfy, cmd_expn, cmd_help, cmd_quit;

/* "DATA now", "HELP me": commands that take no argument refuse one. */
bool command_is_bare(struct session *session, struct slice rest);
/* Why this command cannot come in this state; the answer of its refusal. */
enum answer command_refusal(const struct session *session);
