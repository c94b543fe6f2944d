/* All knobs: identifier, name, kind, help. The one place that lists them; the
 * enum, the control endpoint and --help are made from it.
 *
 * A PHASE row stands for two knobs: reply_<phase> and fault_<phase>. */
#pragma once

#define KNOB_PHASES(PHASE)                                                                         \
    PHASE(CONNECT, "connect", "the greeting")                                                      \
    PHASE(EHLO, "ehlo", "EHLO or HELO")                                                            \
    PHASE(STARTTLS, "starttls", "STARTTLS")                                                        \
    PHASE(AUTH, "auth", "AUTH, when its verdict is due")                                           \
    PHASE(MAIL, "mail", "MAIL")                                                                    \
    PHASE(RCPT, "rcpt", "RCPT")                                                                    \
    PHASE(DATA, "data", "DATA")                                                                    \
    PHASE(BDAT, "bdat", "a BDAT command line; its octets are still taken")                         \
    PHASE(BODY, "body", "content, once body_after octets have come")                               \
    PHASE(FINAL, "final", "the end of data, nothing stored")                                       \
    PHASE(STORED, "stored", "the end of data, the message being stored")                           \
    PHASE(RSET, "rset", "RSET")                                                                    \
    PHASE(NOOP, "noop", "NOOP")                                                                    \
    PHASE(QUIT, "quit", "QUIT")

#define KNOB_ROWS(KNOB)                                                                            \
    KNOB(LATENCY_MS, "latency_ms", NUMBER,                                                         \
         "round trip: replies to a flight leave so long after it came; the greeting one more "     \
         "(TCP), TLS one more")                                                                    \
    KNOB(FINAL_DELAY_MS, "final_delay_ms", NUMBER, "extra time before the reply to end of data")   \
    KNOB(AUTH_DELAY_MS, "auth_delay_ms", NUMBER, "extra time before the verdict on AUTH")          \
    KNOB(WRITE_SPLIT, "write_split", NUMBER, "replies leave in pieces of so many octets")          \
    KNOB(WRITE_PAUSE_MS, "write_pause_ms", NUMBER, "time between such pieces (5)")                 \
    KNOB(NO_STARTTLS, "no_starttls", NUMBER, "1: STARTTLS is neither offered nor known")           \
    KNOB(NO_PIPELINING, "no_pipelining", NUMBER, "1: not offered; pipelining is an error then")    \
    KNOB(NO_CHUNKING, "no_chunking", NUMBER, "1: CHUNKING is neither offered nor known")           \
    KNOB(NO_8BITMIME, "no_8bitmime", NUMBER, "1: 8BITMIME is not offered")                         \
    KNOB(NO_SMTPUTF8, "no_smtputf8", NUMBER, "1: SMTPUTF8 is not offered")                         \
    KNOB(NO_DSN, "no_dsn", NUMBER, "1: DSN is neither offered nor known")                          \
    KNOB(SIZE_LIMIT, "size_limit", NUMBER, "SIZE in octets instead of the profile's")              \
    KNOB(EHLO_STRICT, "ehlo_strict", NUMBER, "1: 421 for EHLO localhost, bare IPs and junk")       \
    KNOB(AUTH_MECHS, "auth_mechs", TEXT, "mechanisms instead of the profile's")                    \
    KNOB(AUTH_INLINE_MAX, "auth_inline_max", NUMBER,                                               \
         "longest AUTH line with its CRLF; 0: any (gmail: 1024)")                                  \
    KNOB(AUTH_FAILURE, "auth_failure", FAILURE, "challenge (334 first; gmail) or direct (m365)")   \
    KNOB(AUTH_334_STATUS, "auth_334_status", TEXT, "status in the 334 challenge (400)")            \
    KNOB(TOKEN_AS_PASSWORD, "token_as_password", NUMBER,                                           \
         "1: PLAIN takes an access token as password: for an MTA without OAuth2")                  \
    KNOB(REJECT_AUTH, "reject_auth", NUMBER, "1: good tokens fail like bad ones")                  \
    KNOB(TOKEN_BOUND, "token_bound", NUMBER, "1: a session ends with 421 when its token expires")  \
    KNOB(REAL_LIMITS, "real_limits", NUMBER,                                                       \
         "1: connections_max, rate_per_minute and daily_quota as the profile's provider has them") \
    KNOB(CONCURRENT_MAX, "concurrent_max", NUMBER,                                                 \
         "432 at end of data while the user has more transactions open")                           \
    KNOB(CONNECTIONS_MAX, "connections_max", NUMBER,                                               \
         "432 at end of data while the user has more connections")                                 \
    KNOB(RATE_PER_MINUTE, "rate_per_minute", NUMBER,                                               \
         "421 and close at MAIL above so many in 60 s")                                            \
    KNOB(LOGINS_PER_MINUTE, "logins_per_minute", NUMBER, "454 to AUTH above so many in 60 s")      \
    KNOB(DAILY_QUOTA, "daily_quota", NUMBER, "the user's messages in all; then the quota error")   \
    KNOB(QUOTA_AT, "quota_at", QUOTA, "where that error comes: mail (gmail) or final (m365)")      \
    KNOB(RCPT_MAX, "rcpt_max", NUMBER, "452 above so many recipients (gmail 100, m365 500)")       \
    KNOB(RCPT_REJECT, "rcpt_reject", TEXT,                                                         \
         "pattern=reply|pattern=reply: replies to RCPT by address, with * and ?")                  \
    KNOB(MESSAGES_MAX, "messages_max", NUMBER, "421 at MAIL above so many on one connection")      \
    KNOB(SEND_AS, "send_as", NUMBER, "1: 5.2.252 at end of data unless MAIL FROM is the user")     \
    KNOB(REJECT_BARE, "reject_bare", NUMBER, "1: 550 5.6.11 to content with a bare CR, LF or NUL") \
    KNOB(IDLE_CLOSE_MS, "idle_close_ms", NUMBER, "451 and close after so long without input")      \
    KNOB(AGE_CLOSE_MS, "age_close_ms", NUMBER, "421 and close at this age")                        \
    KNOB(GOODBYE_AFTER, "goodbye_after", NUMBER,                                                   \
         "after so many messages a 421 is queued behind the reply, and close")                     \
    KNOB(GOODBYE_MS, "goodbye_ms", NUMBER, "time between that reply and the 421 (0)")              \
    KNOB(BODY_AFTER, "body_after", NUMBER, "octets of content before the body phase (1)")          \
    KNOB(TOKEN_ERROR, "token_error", ERROR, "the token endpoint fails; names: see GET /knobs")     \
    KNOB(TOKEN_DELAY_MS, "token_delay_ms", NUMBER, "time before the token endpoint answers")       \
    KNOB(TOKEN_CHUNKED, "token_chunked", NUMBER, "1: chunked instead of Content-Length")           \
    KNOB(TOKEN_EXPIRES_IN, "token_expires_in", NUMBER,                                             \
         "seconds; 0: gmail 3599, m365 random 3600 to 5400")                                       \
    KNOB(TOKEN_SIZE, "token_size", NUMBER,                                                         \
         "octets of an access token (gmail 220, m365 1500 and never below some 700)")              \
    KNOB(TOKEN_AUDIENCE, "token_audience", TEXT,                                                   \
         "m365: aud of access tokens; https://graph.microsoft.com makes AUTH fail")                \
    KNOB(TOKEN_ROTATION, "token_rotation", ROTATION,                                               \
         "keep (gmail), rotate (m365: the old one stays good), revoke (the old one is consumed; "  \
         "using it again revokes the grant)")                                                      \
    KNOB(TOKEN_LIVES_S, "token_lives_s", NUMBER,                                                   \
         "seconds that a token really lives, whatever expires_in says")                            \
    KNOB(TOKEN_DEAD, "token_dead", NUMBER, "1: tokens are given out that nothing accepts")         \
    KNOB(TOKEN_RETRY_AFTER, "token_retry_after", NUMBER,                                           \
         "seconds in Retry-After, of a 403, 429 or 503 (429: 60)")                                 \
    KNOB(TOKEN_RETRY_DATE, "token_retry_date", NUMBER, "1: Retry-After is a date")                 \
    KNOB(TOKEN_NO_SCOPE_CHECK, "token_no_scope_check", NUMBER,                                     \
         "1: m365 takes requests without scope")                                                   \
    KNOB(REFRESH_EXPIRES_IN, "refresh_expires_in", NUMBER,                                         \
         "seconds that refresh tokens live; refresh_token_expires_in tells")                       \
    KNOB(SECRET_EXPIRES, "secret_expires", DATE,                                                   \
         "the day from which client secrets are refused as expired: 2026-12-31")                   \
    KNOB(CLOCK_SKEW_S, "clock_skew_s", SIGNED,                                                     \
         "the HTTPS port's clock is so many seconds ahead: Date, iat, exp and checks (global)")    \
    KNOB(CODE_EXPIRES_IN, "code_expires_in", NUMBER,                                               \
         "seconds that an authorization code lives (600)")                                         \
    KNOB(PKCE_OPTIONAL, "pkce_optional", NUMBER, "1: /authorize works without code_challenge")     \
    KNOB(AUTHORIZE_AUTO, "authorize_auto", TEXT,                                                   \
         "the address of a user who allows at once, without a page")                               \
    KNOB(AUTHORIZE_ERROR, "authorize_error", AUTHORIZE, "/authorize fails; names: see GET /knobs") \
    KNOB(DEVICE_AUTO, "device_auto", TEXT, "the address of a user who allows each device at once") \
    KNOB(DEVICE_EXPIRES_IN, "device_expires_in", NUMBER, "seconds that a device code lives (900)") \
    KNOB(DEVICE_INTERVAL, "device_interval", NUMBER,                                               \
         "seconds between polls (5); sooner ones get slow_down; 0: no such check")                 \
    KNOB(DEVICE_POLLS, "device_polls", POLLS,                                                      \
         "answers to the first polls: words of pending, slow_down, declined, expired, bad")
