/* smtp.office365.com as transcripts show it. Errors of the front end name the
 * host, the time and the session; those of the mailbox store a host name. */
#include "sim/profile.h"

#define FRONT " [{front}]"
#define STORE " [Hostname={store}]"

static const struct ehlo_line ehlo[] = {
    {"SIZE {size}", EHLO_ALWAYS, KNOBS},
    {"PIPELINING", EHLO_ALWAYS, KNOB_NO_PIPELINING},
    {"DSN", EHLO_ALWAYS, KNOB_NO_DSN},
    {"ENHANCEDSTATUSCODES", EHLO_ALWAYS, KNOBS},
    {"STARTTLS", EHLO_BEFORE_TLS, KNOB_NO_STARTTLS},
    {"AUTH {mechs}", EHLO_AFTER_TLS, KNOBS},
    {"8BITMIME", EHLO_ALWAYS, KNOB_NO_8BITMIME},
    {"BINARYMIME", EHLO_ALWAYS, KNOB_NO_CHUNKING},
    {"CHUNKING", EHLO_ALWAYS, KNOB_NO_CHUNKING},
    {"SMTPUTF8", EHLO_ALWAYS, KNOB_NO_SMTPUTF8},
    {NULL, EHLO_ALWAYS, KNOBS},
};

static const char *const replies[REPLIES] = {
    [REPLY_GREETING] = "220 {host} Microsoft ESMTP MAIL Service ready at {date} [{session}]",
    [REPLY_HELO] = "250 {host} Hello [{client}]",
    [REPLY_EHLO_HEAD] = "{host} Hello [{client}]",
    [REPLY_EHLO_EMPTY] = "501 5.5.4 Invalid domain name" FRONT,
    [REPLY_EHLO_STRICT] = "501 5.5.4 Invalid domain name" FRONT,
    [REPLY_STARTTLS] = "220 2.0.0 SMTP server ready",
    [REPLY_STARTTLS_AGAIN] = "503 5.5.2 Only one STARTTLS command can be issued per session" FRONT,
    [REPLY_STARTTLS_AHEAD] =
        "554 5.7.0 Error: commands were sent behind STARTTLS, closing connection" FRONT,
    [REPLY_TLS_FIRST] = "530 5.7.57 Client not authenticated to send mail." FRONT,
    [REPLY_HELO_FIRST] = "503 5.5.2 Send hello first" FRONT,
    [REPLY_AUTH_FIRST] = "530 5.7.57 Client not authenticated to send mail." FRONT,
    [REPLY_AUTH_OK] = "235 2.7.0 Authentication successful",
    [REPLY_AUTH_BAD] = "535 5.7.3 Authentication unsuccessful" FRONT,
    [REPLY_AUTH_AGAIN] = "503 5.5.2 Already authenticated" FRONT,
    [REPLY_AUTH_MECH] = "504 5.7.4 Unrecognized authentication type" FRONT,
    [REPLY_AUTH_DECODE] = "501 5.5.4 Invalid arguments" FRONT,
    [REPLY_AUTH_CANCEL] = "535 5.7.3 Authentication unsuccessful" FRONT,
    [REPLY_AUTH_TOO_LONG] = "500 5.5.6 Authentication exchange line is too long" FRONT,
    [REPLY_AUTH_RATE] = "454 4.7.0 Temporary authentication failure" FRONT,
    [REPLY_TOKEN_OVER] = "421 4.4.1 Connection timed out, the token has expired" FRONT,
    [REPLY_MAIL_OK] = "250 2.1.0 Sender OK",
    [REPLY_MAIL_AGAIN] = "503 5.5.2 Sender already specified" FRONT,
    [REPLY_MAIL_FIRST] = "503 5.5.2 Need mail command" FRONT,
    [REPLY_MAIL_ADDRESS] = "501 5.1.7 Invalid address" FRONT,
    [REPLY_RCPT_OK] = "250 2.1.5 Recipient OK",
    [REPLY_RCPT_FIRST] = "503 5.5.2 Need rcpt command" FRONT,
    [REPLY_RCPT_ADDRESS] = "501 5.1.3 Invalid address" FRONT,
    [REPLY_RCPT_UNKNOWN] = "550 5.1.10 RESOLVER.ADR.RecipientNotFound; Recipient not found by SMTP "
                           "address lookup" FRONT,
    [REPLY_RCPT_DEFER] = "450 4.7.3 Recipient is deferred, try again later" FRONT,
    [REPLY_RCPT_MAX] = "452 4.5.3 Too many recipients" FRONT,
    [REPLY_RCPT_BLOCKED] = "550 5.7.1 Message rejected due to a policy of the recipient" FRONT,
    [REPLY_DATA_GO] = "354 Start mail input; end with <CRLF>.<CRLF>",
    [REPLY_DATA_IN_BDAT] = "503 5.5.2 Send BDAT or RSET" FRONT,
    [REPLY_CHUNK_OK] = "250 2.6.0 CHUNK received OK, {octets} octets",
    [REPLY_FINAL_OK] = "250 2.0.0 OK {mid}" STORE,
    [REPLY_TOO_BIG] = "552 5.3.4 Message size exceeds fixed maximum message size" FRONT,
    [REPLY_BARE] = "550 5.6.11 SMTPSEND.BareLinefeedsAreIllegal; message contains bare linefeeds, "
                   "which cannot be sent via DATA" STORE,
    [REPLY_SEND_AS] =
        "554 5.2.252 SendAsDenied; this mailbox is not allowed to send as this sender; "
        "STOREDRV.Submission.Exception:SendAsDeniedException.MapiExceptionSendAsDenied; Failed to "
        "process message due to a permanent exception" STORE,
    [REPLY_NO_MAILBOX] =
        "430 4.2.0 STOREDRV; mailbox logon failure; failed to process the message due to a "
        "transient exception; ConnectionFailedTransientException.MapiExceptionLogonFailed" STORE,
    [REPLY_CONCURRENCY] = "432 4.3.2 Concurrent connections limit exceeded. Visit "
                          "https://aka.ms/concurrent_sending for more information." STORE,
    [REPLY_RATE] = "421 4.4.2 Message submission rate for this client has exceeded the configured "
                   "limit",
    [REPLY_QUOTA] =
        "554 5.2.0 STOREDRV.Submission.Exception:SubmissionQuotaExceededException; Failed to "
        "process message due to a permanent exception with message The message can't be submitted "
        "because the sender's submission quota was exceeded." STORE,
    [REPLY_MESSAGES_MAX] = "421 4.4.2 Connection dropped, too many messages" FRONT,
    [REPLY_RSET] = "250 2.0.0 Resetting",
    [REPLY_NOOP] = "250 2.0.0 OK",
    [REPLY_VRFY] = "252 2.1.5 Cannot VRFY user",
    [REPLY_HELP] = "214 This server supports the following commands: HELO EHLO STARTTLS RCPT DATA "
                   "RSET MAIL QUIT HELP AUTH BDAT",
    [REPLY_QUIT] = "221 2.0.0 Service closing transmission channel",
    [REPLY_IDLE] = "451 4.7.0 Timeout waiting for client input" FRONT,
    [REPLY_AGE] = "421 4.4.1 Connection timed out. Total session duration: 00:10:00.0000000",
    [REPLY_GOODBYE] = "421 4.3.2 Service not available, closing transmission channel" FRONT,
    [REPLY_SYNTAX] = "501 5.5.4 Invalid arguments" FRONT,
    [REPLY_PARAM] = "501 5.5.4 Unrecognized parameter" FRONT,
    [REPLY_UNKNOWN] = "500 5.3.3 Unrecognized command '{verb}'" FRONT,
    [REPLY_TOO_LONG] = "500 5.3.3 Line too long" FRONT,
};

const struct profile profile_m365 = {
    .name = "m365",
    .provider = "outlook",
    .mechs = "LOGIN XOAUTH2",
    .ehlo = ehlo,
    .replies = replies,
    .size_limit = 157286400,
    .dsn = true,
    .binarymime = true,
    .rcpt_max = 500,
    .connections_max = 3,
    .rate_per_minute = 30,
    .daily_quota = 10000,
    .scope = "https://outlook.office.com/SMTP.Send",
    .rotation = "rotate",
    .token_size = 1500,
};
