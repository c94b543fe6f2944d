/* Everything that a client may be told, but for what a provider says and the
 * few texts with a value in them: one table, so that codes can be reviewed on
 * one screen. */
#pragma once

#include "smtp/reply.h"

/* X(name, code, enhanced..., text) */
#define ANSWERS(X)                                                                                 \
    /* accepted */                                                                                 \
    X(BYE, 221, 2, 0, 0, "Goodbye")                                                                \
    X(LOGGED_IN, 235, 2, 7, 0, "Authentication successful")                                        \
    X(STARTTLS_GO, 220, 2, 0, 0, "Ready to start TLS")                                             \
    X(OK, 250, 2, 0, 0, "OK")                                                                      \
    X(SENDER_OK, 250, 2, 1, 0, "Sender OK")                                                        \
    X(RCPT_OK, 250, 2, 1, 5, "Recipient OK")                                                       \
    X(VRFY, 252, 2, 5, 0, "Cannot verify, but will try to deliver")                                \
    X(HELP, 214, 2, 0, 0, "Log in, then send mail as RFC 5321 says")                               \
    X(SEND_DATA, 354, 0, 0, 0, "End data with <CR><LF>.<CR><LF>")                                  \
    /* the client's syntax and order */                                                            \
    X(LINE_TOO_LONG, 500, 5, 5, 2, "Line too long")                                                \
    X(BARE_NEWLINE, 500, 5, 5, 2, "Lines must end in CRLF and hold no NUL")                        \
    X(AUTH_TOO_LONG, 500, 5, 5, 6, "Authentication exchange line is too long")                     \
    X(NO_ARGUMENT, 501, 5, 5, 4, "This command takes no argument")                                 \
    X(AUTH_CANCELLED, 501, 5, 7, 0, "Authentication cancelled")                                    \
    X(AUTH_MALFORMED, 501, 5, 5, 2, "Cannot decode the response")                                  \
    X(AUTH_SYNTAX, 501, 5, 5, 4, "Syntax: AUTH mechanism [initial-response]")                      \
    X(NO_BINARYMIME, 501, 5, 5, 4, "BINARYMIME is not offered")                                    \
    X(UNKNOWN_COMMAND, 502, 5, 5, 1, "Command not recognized")                                     \
    X(NOT_OFFERED, 502, 5, 5, 1, "Command not implemented")                                        \
    X(EHLO_FIRST, 503, 5, 5, 1, "Send EHLO first")                                                 \
    X(MAIL_FIRST, 503, 5, 5, 1, "Send MAIL first")                                                 \
    X(RCPT_FIRST, 503, 5, 5, 1, "Send RCPT first")                                                 \
    X(IN_TRANSACTION, 503, 5, 5, 1, "Not during a mail transaction")                               \
    X(IN_CHUNKS, 503, 5, 5, 1, "The message was begun with BDAT")                                  \
    X(ALREADY_TLS, 503, 5, 5, 1, "TLS is already active")                                          \
    X(ALREADY_LOGGED_IN, 503, 5, 5, 1, "Already authenticated")                                    \
    X(MECHANISM, 504, 5, 5, 4, "Authentication mechanism not supported")                           \
    X(EARLY_INPUT, 554, 5, 5, 0, "Input ahead of its turn")                                        \
    X(NOT_SMTP, 554, 5, 5, 1, "This is an SMTP server")                                            \
    X(NO_RCPTS, 554, 5, 5, 1, "No valid recipients")                                               \
    X(TINY_CHUNKS, 554, 5, 5, 1, "Too many small chunks")                                          \
    /* who may send */                                                                             \
    X(TLS_FIRST, 530, 5, 7, 0, "Must issue a STARTTLS command first")                              \
    X(LOGIN_FIRST, 530, 5, 7, 0, "Authentication required")                                        \
    X(LOGIN_FAILED, 535, 5, 7, 8, "Authentication failed")                                         \
    X(NEEDS_ENCRYPTION, 538, 5, 7, 11, "Encryption required for authentication")                   \
    X(LOGIN_LATER, 454, 4, 7, 0, "Temporary authentication failure")                               \
    X(NO_TLS_NOW, 454, 4, 7, 0, "TLS is not available now")                                        \
    /* addresses and content */                                                                    \
    X(NEEDS_UTF8, 553, 5, 6, 7, "The address needs SMTPUTF8")                                      \
    X(TOO_MANY_RCPTS, 452, 4, 5, 3, "Too many recipients")                                         \
    X(TOO_BIG, 552, 5, 3, 4, "Message is too big")                                                 \
    X(BARE_CONTENT, 550, 5, 6, 11, "Message has bare CR, bare LF or NUL")                          \
    X(LONG_CONTENT, 554, 5, 6, 0, "Message has a line that is too long")                           \
    X(PROVIDER_LOST, 451, 4, 4, 2, "Connection to the provider was lost, try again")               \
    X(NO_STORAGE, 452, 4, 3, 1, "Insufficient storage, try again later")                           \
    /* the end of a connection */                                                                  \
    X(IDLE_TOO_LONG, 421, 4, 4, 2, "Timeout, closing connection")                                  \
    X(TOO_SLOW, 421, 4, 4, 2, "Message comes too slowly, closing connection")                      \
    X(SHUTTING_DOWN, 421, 4, 3, 2, "Service is shutting down, try again")                          \
    X(TOO_BUSY, 421, 4, 3, 2, "Too many connections, try again later")                             \
    X(TOO_MANY_FROM_YOU, 421, 4, 7, 0, "Too many connections from your address")                   \
    X(TOO_MANY_FAILURES, 421, 4, 7, 0, "Too many authentication failures")                         \
    X(TOO_MANY_ERRORS, 421, 4, 7, 0, "Too many errors")                                            \
    X(TOO_MANY_IDLE, 421, 4, 7, 0, "Too many commands without mail")                               \
    X(BARE_AGAIN, 421, 4, 5, 2, "Lines must end in CRLF, closing connection")                      \
    X(LOGIN_CHANGED, 421, 4, 7, 0, "The account was removed or changed, log in again")

enum answer {
#define ANSWER_NAME(name, ...) ANSWER_##name,
    ANSWERS(ANSWER_NAME)
#undef ANSWER_NAME
};

struct answer_row {
    int code;
    struct smtp_enhanced enhanced;
    const char *text;
};

extern const struct answer_row answers[];
