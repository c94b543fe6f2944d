/* smtp.gmail.com as transcripts show it. Errors are nearly always multiline,
 * with the enhanced code on each line and a support URL on the last. */
#include "sim/profile.h"

#define HELP "https://support.google.com/a/answer/3221692 {id} - gsmtp"
#define MORE " For more information, go to\n"

static const struct ehlo_line ehlo[] = {
    {"SIZE {size}", EHLO_ALWAYS, KNOBS},
    {"8BITMIME", EHLO_ALWAYS, KNOB_NO_8BITMIME},
    {"STARTTLS", EHLO_BEFORE_TLS, KNOB_NO_STARTTLS},
    {"AUTH {mechs}", EHLO_AFTER_TLS, KNOBS},
    {"ENHANCEDSTATUSCODES", EHLO_ALWAYS, KNOBS},
    {"PIPELINING", EHLO_ALWAYS, KNOB_NO_PIPELINING},
    {"CHUNKING", EHLO_ALWAYS, KNOB_NO_CHUNKING},
    {"SMTPUTF8", EHLO_ALWAYS, KNOB_NO_SMTPUTF8},
    {NULL, EHLO_ALWAYS, KNOBS},
};

static const char *const replies[REPLIES] = {
    [REPLY_GREETING] = "220 smtp.gmail.com ESMTP {id} - gsmtp",
    [REPLY_HELO] = "250 smtp.gmail.com at your service",
    [REPLY_EHLO_HEAD] = "smtp.gmail.com at your service, [{client}]",
    [REPLY_EHLO_EMPTY] = "501-5.5.4 Empty HELO/EHLO argument not allowed, closing connection." MORE
                         "501 5.5.4  https://support.google.com/mail/?p=helo {id} - gsmtp",
    [REPLY_EHLO_STRICT] = "421-4.7.0 Try again later, closing connection. (EHLO)" MORE
                          "421 4.7.0  https://support.google.com/a/answer/3221692 {id} - gsmtp",
    [REPLY_STARTTLS] = "220 2.0.0 Ready to start TLS",
    [REPLY_STARTTLS_AGAIN] = "503-5.5.1 TLS is already active." MORE "503 5.5.1  " HELP,
    [REPLY_STARTTLS_AHEAD] =
        "525 5.7.10 Pipelining after STARTTLS is not allowed, closing connection. {id} - gsmtp",
    [REPLY_TLS_FIRST] = "530-5.7.0 Must issue a STARTTLS command first." MORE "530 5.7.0  " HELP,
    [REPLY_HELO_FIRST] = "503-5.5.1 EHLO/HELO first." MORE "503 5.5.1  " HELP,
    [REPLY_AUTH_FIRST] = "530-5.7.0 Authentication Required." MORE
                         "530 5.7.0  https://support.google.com/mail/?p=WantAuthError {id} - gsmtp",
    [REPLY_AUTH_OK] = "235 2.7.0 Accepted",
    [REPLY_AUTH_BAD] = "535-5.7.8 Username and Password not accepted." MORE
                       "535 5.7.8  https://support.google.com/mail/?p=BadCredentials {id} - gsmtp",
    [REPLY_AUTH_AGAIN] = "503 5.7.0 No identity changes permitted {id} - gsmtp",
    [REPLY_AUTH_MECH] = "504 5.7.4 Unrecognized Authentication Type {id} - gsmtp",
    [REPLY_AUTH_DECODE] = "501-5.5.2 Cannot Decode response." MORE
                          "501 5.5.2  https://support.google.com/mail/?p=BadResponse {id} - gsmtp",
    [REPLY_AUTH_CANCEL] = "501 5.7.0 Authentication canceled {id} - gsmtp",
    [REPLY_AUTH_TOO_LONG] =
        "555-5.5.2 Syntax error, command line too long." MORE "555 5.5.2  " HELP,
    [REPLY_AUTH_RATE] = "454-4.7.0 Too many login attempts, please try again later. For more\n"
                        "454-4.7.0 information, go to\n"
                        "454 4.7.0  https://support.google.com/mail/answer/7126229 {id} - gsmtp",
    [REPLY_TOKEN_OVER] = "421 4.7.0 Connection expired, try reconnecting {id} - gsmtp",
    [REPLY_MAIL_OK] = "250 2.1.0 OK {id} - gsmtp",
    [REPLY_MAIL_AGAIN] = "503-5.5.1 Sender already given." MORE "503 5.5.1  " HELP,
    [REPLY_MAIL_FIRST] = "503-5.5.1 MAIL first." MORE "503 5.5.1  " HELP,
    [REPLY_MAIL_ADDRESS] = "553-5.1.7 The sender address is not a valid RFC 5321 address." MORE
                           "553 5.1.7  https://support.google.com/mail/?p=BadSender {id} - gsmtp",
    [REPLY_RCPT_OK] = "250 2.1.5 OK {id} - gsmtp",
    [REPLY_RCPT_FIRST] = "503-5.5.1 RCPT first." MORE "503 5.5.1  " HELP,
    [REPLY_RCPT_ADDRESS] = "553-5.1.3 The recipient address is not a valid RFC 5321 address." MORE
                           "553 5.1.3  https://support.google.com/mail/?p=BadRcpt {id} - gsmtp",
    [REPLY_RCPT_UNKNOWN] =
        "550-5.1.1 The email account that you tried to reach does not exist. Please try\n"
        "550-5.1.1 double-checking the recipient's email address for typos or\n"
        "550-5.1.1 unnecessary spaces." MORE
        "550 5.1.1  https://support.google.com/mail/?p=NoSuchUser {id} - gsmtp",
    [REPLY_RCPT_DEFER] =
        "450-4.2.1 The user you are trying to contact is receiving mail too quickly.\n"
        "450-4.2.1 Please resend your message at a later time." MORE
        "450 4.2.1  https://support.google.com/mail/?p=ReceivingRate {id} - gsmtp",
    [REPLY_RCPT_MAX] =
        "452-4.5.3 Your message has too many recipients. For more information regarding\n"
        "452-4.5.3 Google's sending limits, visit:\n"
        "452 4.5.3  https://support.google.com/mail/?p=TooManyRecipients {id} - gsmtp",
    [REPLY_RCPT_BLOCKED] =
        "550-5.7.1 The user or domain that you are sending to (or from) has a policy that\n"
        "550-5.7.1 prohibited the mail that you sent." MORE
        "550 5.7.1  https://support.google.com/a/answer/172179 {id} - gsmtp",
    [REPLY_DATA_GO] = "354 Go ahead {id} - gsmtp",
    [REPLY_DATA_IN_BDAT] = "503-5.5.1 DATA may not be mixed with BDAT." MORE "503 5.5.1  " HELP,
    [REPLY_CHUNK_OK] = "250 2.0.0 OK {octets} octets received {id} - gsmtp",
    [REPLY_FINAL_OK] = "250 2.0.0 OK  {time} {id} - gsmtp",
    [REPLY_TOO_BIG] = "552-5.3.4 Your message exceeded Google's message size limits." MORE
                      "552 5.3.4  https://support.google.com/mail/?p=MaxSizeError {id} - gsmtp",
    [REPLY_BARE] = "550 5.6.11 Message contains bare line breaks or NUL octets {id} - gsmtp",
    [REPLY_SEND_AS] = "550 5.7.1 You are not allowed to send as this address {id} - gsmtp",
    [REPLY_NO_MAILBOX] = "550 5.7.0 Mail Sending denied {id} - gsmtp",
    [REPLY_CONCURRENCY] =
        "421-4.7.0 Too many connections for this account, try again later." MORE "421 4.7.0  " HELP,
    [REPLY_RATE] =
        "421-4.7.28 Gmail has detected an unusual rate of mail from your account." MORE
        "421 4.7.28  https://support.google.com/mail/?p=UnsolicitedRateLimitError {id} - gsmtp",
    [REPLY_QUOTA] = "550-5.4.5 Daily user sending limit exceeded. For more information on Gmail\n"
                    "550-5.4.5 sending limits go to\n"
                    "550 5.4.5  https://support.google.com/a/answer/166852 {id} - gsmtp",
    [REPLY_MESSAGES_MAX] = "421 4.7.0 Try again later, closing connection. {id} - gsmtp",
    [REPLY_RSET] = "250 2.1.5 Flushed {id} - gsmtp",
    [REPLY_NOOP] = "250 2.0.0 OK {id} - gsmtp",
    [REPLY_VRFY] = "252 2.1.5 Send some mail, I'll try my best {id} - gsmtp",
    [REPLY_HELP] = "214 2.0.0  https://www.google.com/search?btnI&q=RFC+5321 {id} - gsmtp",
    [REPLY_QUIT] = "221 2.0.0 closing connection {id} - gsmtp",
    [REPLY_IDLE] = "451 4.4.2 Timeout - closing connection. {id} - gsmtp",
    [REPLY_AGE] = "421 4.7.0 Connection expired, try reconnecting {id} - gsmtp",
    [REPLY_GOODBYE] = "421 4.7.0 Try again later, closing connection. {id} - gsmtp",
    [REPLY_SYNTAX] = "555-5.5.2 Syntax error." MORE "555 5.5.2  " HELP,
    [REPLY_PARAM] = "555-5.5.4 Unsupported option." MORE "555 5.5.4  " HELP,
    [REPLY_UNKNOWN] = "502-5.5.1 Unrecognized command." MORE "502 5.5.1  " HELP,
    [REPLY_TOO_LONG] = "555-5.5.2 Syntax error, command line too long." MORE "555 5.5.2  " HELP,
};

const struct profile profile_gmail = {
    .name = "gmail",
    .provider = "gmail",
    .mechs = "LOGIN PLAIN XOAUTH2 PLAIN-CLIENTTOKEN OAUTHBEARER XOAUTH",
    .ehlo = ehlo,
    .replies = replies,
    .size_limit = 35882577,
    .challenge = true,
    .quota_at_mail = true,
    .inline_max = 1024,
    .rcpt_max = 100,
    .connections_max = 10,
    .daily_quota = 2000,
    .scope = "https://mail.google.com/",
    .rotation = "keep",
    .token_size = 220,
    .needs_secret = true,
};
