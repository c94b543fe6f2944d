/* Questions to the person at the terminal. Answers that may be secrets are the
 * caller's to wipe. Functions that return an exit code say what went wrong. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#define ASK_SECRET_MAX 8192 /* refresh tokens of Microsoft have some 2,000 octets */

/* Is there somebody to ask: is standard input a terminal? */
bool ask_possible(void);
/* A line, shown or not shown while it is typed. `what` names it in messages:
 * "a password". */
int ask_line(const char *prompt, const char *what, char *out, size_t cap);
int ask_secret(const char *prompt, const char *what, char *out, size_t cap);
/* One line of standard input without its end ("\r\n" is one too), an octet a
 * time, so that what follows stays in the pipe. */
int ask_read_line(const char *what, char *out, size_t cap);
/* "Really? [y/N]": CTL_OK for yes. With `yes` (--yes) it does not ask; where
 * nobody can be asked, it says that --yes is needed. */
int ask_sure(const char *question, bool yes);
