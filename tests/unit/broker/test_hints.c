/* The table of causes and cures: each row can be met, and what providers really say
 * (PROVIDERS.md sections 1 to 6) meets the right one. */
#include "check.h"

#include <stdio.h>

#include "broker/admin/hints.h"

static enum account_state state_of(const struct hint *row)
{
    return row->state == HINT_ANY_STATE ? ACCOUNT_ACTIVE : row->state;
}

/* Each alternative of each pattern, alone: an earlier row must not take it. */
static void test_each_row_can_be_met(void **state)
{
    (void)state;
    for (size_t i = 0; i < hint_row_count; i++) {
        const struct hint *row = &hint_rows[i];
        const char *pattern = row->pattern ? row->pattern : "nothing of that kind";

        for (unsigned source = 1; source <= HINT_SERVER; source <<= 1) {
            const char *at = pattern;

            if (!(row->sources & source) || (!row->pattern && source != (row->sources & source)))
                continue;
            for (;;) {
                size_t len = strcspn(at, "|");
                char text[200];
                const struct hint *met;

                snprintf(text, sizeof(text), "behind %.*s and so on", (int)len, at);
                met = hint_for((enum hint_source)source, state_of(row),
                               row->provider ? row->provider : "other", text);
                /* The last row is for what no other row is for. */
                if (met != row && i + 1 < hint_row_count)
                    fail_msg("row %zu (%s), source %u, \"%s\": row %zu (%s) takes it", i,
                             row->cause, source, text, (size_t)(met - hint_rows), met->cause);
                if (!at[len])
                    break;
                at += len + 1;
            }
        }
    }
}

static void test_rows_are_sound(void **state)
{
    (void)state;
    for (size_t i = 0; i < hint_row_count; i++) {
        const struct hint *row = &hint_rows[i];

        assert_true(row->sources != 0);
        assert_true(row->cause[0] && row->text[0]);
        if (row->text[strlen(row->text) - 1] != '.')
            fail_msg("%s: the cure is no sentence", row->cause);
        if (strchr(row->text, '\n') || strchr(row->text, '\t'))
            fail_msg("%s: a control character", row->cause);
    }
    check_text("the last", slice_of(hint_rows[hint_row_count - 1].cause), "unknown");
}

static const struct {
    enum hint_source source;
    enum account_state state;
    const char *provider, *text, *cause;
} said[] = {
    /* Section 1. */
    {HINT_SERVER, ACCOUNT_ACTIVE, "gmail",
     "421 4.7.0 Try again later, closing connection. (EHLO) ip7-2 - gsmtp", "ehlo_name"},
    {HINT_SERVER, ACCOUNT_ACTIVE, "gmail",
     "501 5.5.4 Empty HELO/EHLO argument not allowed, closing connection.", "ehlo_name"},
    /* Sections 2 and 4: logins. */
    {HINT_SERVER, ACCOUNT_MISCONFIGURED, "gmail",
     "535 5.7.8 Username and Password not accepted. For more information, go to "
     "https://support.google.com/mail/?p=BadCredentials x - gsmtp",
     "token_refused"},
    {HINT_SERVER, ACCOUNT_MISCONFIGURED, "gmail", "501 5.5.2 Cannot Decode response q9-20 - gsmtp",
     "sasl_user_wrong"},
    {HINT_SERVER, ACCOUNT_MISCONFIGURED, "gmail",
     "555 5.5.2 Syntax error, command line too long. x - gsmtp", "login_malformed"},
    {HINT_SERVER, ACCOUNT_MISCONFIGURED, "outlook",
     "500 5.5.6 Authentication exchange line is too long", "login_malformed"},
    {HINT_SERVER, ACCOUNT_MISCONFIGURED, "gmail", "534 5.7.14 Please log in via your web browser",
     "web_login"},
    {HINT_SERVER, ACCOUNT_MISCONFIGURED, "gmail",
     "534 5.7.9 Application-specific password required", "web_login"},
    {HINT_SERVER, ACCOUNT_MISCONFIGURED, "gmail", "504 5.7.4 Unrecognized Authentication Type",
     "mechanism_missing"},
    {HINT_SERVER, ACCOUNT_THROTTLED, "gmail",
     "454 4.7.0 Too many login attempts, please try again later.", "too_many_logins"},
    {HINT_SERVER, ACCOUNT_ACTIVE, "gmail",
     "454 4.7.0 Cannot authenticate due to temporary system problem", "login_later"},
    {HINT_SERVER, ACCOUNT_ACTIVE, "outlook", "454 4.7.0 Temporary authentication failure",
     "login_later"},
    {HINT_SERVER, ACCOUNT_MISCONFIGURED, "outlook",
     "535 5.7.3 Authentication unsuccessful [AM0PR04CA0001.eurprd04.prod.outlook.com "
     "2026-11-26T04:40:00.000Z 08DE2A6028D26C22]",
     "token_refused"},
    {HINT_ENDPOINT, ACCOUNT_MISCONFIGURED, "outlook-us",
     "the provider refuses a fresh access token: 535 5.7.3 Authentication unsuccessful; next try "
     "in 9 s",
     "token_refused"},
    {HINT_SERVER, ACCOUNT_MISCONFIGURED, "outlook",
     "535 5.7.139 Authentication unsuccessful, SmtpClientAuthentication is disabled for the "
     "Tenant. Visit https://aka.ms/smtp_auth_disabled for more information.",
     "smtp_auth_disabled"},
    {HINT_SERVER, ACCOUNT_MISCONFIGURED, "outlook",
     "535 5.7.139 Authentication unsuccessful, user is locked by your organization's security "
     "defaults policy",
     "smtp_auth_disabled"},
    {HINT_SERVER, ACCOUNT_MISCONFIGURED, "outlook",
     "550 5.7.30 Basic authentication is not supported for Client Submission", "basic_auth"},
    {HINT_SERVER, ACCOUNT_ACTIVE, "outlook",
     "530 5.7.57 Client not authenticated to send mail. Error: 535 5.7.139 no",
     "smtp_auth_disabled"},
    {HINT_SERVER, ACCOUNT_ACTIVE, "outlook", "530 5.7.57 Client not authenticated to send mail",
     "login_lost"},
    {HINT_SERVER, ACCOUNT_ACTIVE, "gmail", "530 5.7.0 Authentication Required.", "login_lost"},
    {HINT_SERVER, ACCOUNT_MISCONFIGURED, "outlook", "535 5.7.142 Token will expire soon",
     "token_ending"},
    {HINT_SERVER, ACCOUNT_MISCONFIGURED, "outlook", "501 5.5.127 Token will expire soon",
     "token_ending"},
    {HINT_SERVER, ACCOUNT_MISCONFIGURED, "outlook", "535 5.7.143 Expired token", "token_ending"},
    {HINT_SERVER, ACCOUNT_MISCONFIGURED, "outlook", "535 5.7.144 Invalid API permissions",
     "permission_missing"},
    {HINT_SERVER, ACCOUNT_MISCONFIGURED, "outlook", "550 5.7.240 app not allowed",
     "application_not_allowed"},
    {HINT_SERVER, ACCOUNT_MISCONFIGURED, "outlook", "501 5.5.123 malformed", "login_malformed"},
    /* Section 4: sending. */
    {HINT_SERVER, ACCOUNT_THROTTLED, "outlook",
     "421 4.4.2 Message submission rate for this client has exceeded the configured limit",
     "too_fast"},
    {HINT_SERVER, ACCOUNT_THROTTLED, "outlook",
     "432 4.3.2 Concurrent connections limit exceeded. Visit https://aka.ms/concurrent_sending",
     "too_many_connections"},
    {HINT_SERVER, ACCOUNT_THROTTLED, "outlook",
     "432 4.3.2 STOREDRV.ClientSubmit; sender thread limit exceeded", "too_many_connections"},
    {HINT_SERVER, ACCOUNT_PARKED, "outlook",
     "554 5.2.0 STOREDRV.Submission.Exception:SubmissionQuotaExceededException; Failed", "quota"},
    {HINT_SERVER, ACCOUNT_PARKED, "outlook",
     "550 5.1.90 Your message can't be sent because you've reached your daily limit", "quota"},
    {HINT_SERVER, ACCOUNT_PARKED, "gmail", "550 5.4.5 Daily user sending limit exceeded.", "quota"},
    {HINT_SERVER, ACCOUNT_PARKED, "gmail", "550 5.4.5 Daily SMTP relay limit exceeded for user",
     "quota"},
    {HINT_SERVER, ACCOUNT_PARKED, "gmail", "550 5.7.1 Daily SMTP relay limit exceeded for customer",
     "quota"},
    {HINT_SERVER, ACCOUNT_PARKED, "outlook",
     "554 5.2.2 mailbox full; STOREDRV.Submission.Exception:QuotaExceededException",
     "mailbox_full"},
    {HINT_SERVER, ACCOUNT_MISCONFIGURED, "outlook",
     "430 4.2.0 STOREDRV; mailbox logon failure; ConnectionFailedTransientException."
     "MapiExceptionLogonFailed",
     "mailbox_permission"},
    {HINT_SERVER, ACCOUNT_ACTIVE, "outlook",
     "554 5.2.252 SendAsDenied; a@x not allowed to send as b@y; STOREDRV.Submission",
     "send_as_denied"},
    {HINT_SERVER, ACCOUNT_ACTIVE, "outlook",
     "550 5.7.60 SMTP; Client does not have permissions to send as this sender", "send_as_denied"},
    {HINT_SERVER, ACCOUNT_ACTIVE, "outlook", "550 5.7.512 Access denied, message must be RFC 5322",
     "from_invalid"},
    {HINT_SERVER, ACCOUNT_BLOCKED, "outlook", "550 5.2.252 SMTP AUTH throttled", "error_throttled"},
    {HINT_SERVER, ACCOUNT_BLOCKED, "outlook", "550 5.2.251 mailbox full too often",
     "error_throttled"},
    {HINT_SERVER, ACCOUNT_BLOCKED, "outlook", "550 5.1.8 Access denied, bad outbound sender",
     "sender_blocked"},
    {HINT_SERVER, ACCOUNT_BLOCKED, "outlook", "550 5.7.501 Access denied, spam abuse detected",
     "sender_blocked"},
    {HINT_SERVER, ACCOUNT_BLOCKED, "outlook",
     "550 5.7.705 Access denied, tenant has exceeded threshold", "tenant_blocked"},
    {HINT_SERVER, ACCOUNT_BLOCKED, "outlook",
     "554 5.2.0 STOREDRV.Submission.Exception:OutboundSpamException; WASCL UserAction verdict is "
     "not None. Actual verdict is Suspend",
     "spam_suspected"},
    {HINT_SERVER, ACCOUNT_PARKED, "outlook",
     "554 5.2.0 STOREDRV.Submission.Exception:X; Actual verdict is RefuseQuota", "quota"},
    {HINT_SERVER, ACCOUNT_BLOCKED, "gmail", "550 5.7.0 Mail Sending denied x - gsmtp",
     "sending_denied"},
    {HINT_SERVER, ACCOUNT_ACTIVE, "gmail", "550 5.7.0 Mail relay denied [192.0.2.1]",
     "relay_denied"},
    {HINT_SERVER, ACCOUNT_ACTIVE, "gmail", "550 5.7.1 Invalid credentials for relay [192.0.2.1]",
     "relay_denied"},
    {HINT_SERVER, ACCOUNT_ACTIVE, "gmail",
     "421 4.7.28 Gmail has detected an unusual rate of mail from your account.", "rate_unusual"},
    {HINT_SERVER, ACCOUNT_ACTIVE, "gmail", "452 4.5.3 Your message has too many recipients",
     "too_many_recipients"},
    {HINT_SERVER, ACCOUNT_ACTIVE, "gmail", "550 5.5.3 Too many recipients for this sender",
     "too_many_recipients"},
    {HINT_SERVER, ACCOUNT_ACTIVE, "gmail", "550 5.1.1 The email account does not exist",
     "recipient_unknown"},
    {HINT_SERVER, ACCOUNT_ACTIVE, "outlook", "550 5.1.10 RESOLVER.ADR.RecipientNotFound",
     "recipient_unknown"},
    {HINT_SERVER, ACCOUNT_ACTIVE, "gmail", "552 5.3.4 Your message exceeded the size limits",
     "message_too_big"},
    {HINT_SERVER, ACCOUNT_ACTIVE, "gmail", "552 5.7.0 This message was blocked",
     "attachment_refused"},
    {HINT_SERVER, ACCOUNT_ACTIVE, "outlook", "550 5.6.11 SMTPSEND.BareLinefeedsAreIllegal",
     "bare_newlines"},
    {HINT_SERVER, ACCOUNT_ACTIVE, "gmail", "554 5.6.0 Mail message is malformed",
     "message_malformed"},
    {HINT_SERVER, ACCOUNT_ACTIVE, "gmail", "550 5.7.1 The message is likely unsolicited mail",
     "content_refused"},
    /* Section 4.3: the end of connections; transient troubles. */
    {HINT_SERVER, ACCOUNT_ACTIVE, "gmail", "451 4.4.2 Timeout - closing connection. x - gsmtp",
     "connection_old"},
    {HINT_SERVER, ACCOUNT_ACTIVE, "outlook", "451 4.7.0 Timeout waiting for client input",
     "connection_old"},
    {HINT_SERVER, ACCOUNT_ACTIVE, "gmail", "421 4.7.0 Connection expired, try reconnecting",
     "connection_old"},
    {HINT_SERVER, ACCOUNT_ACTIVE, "outlook",
     "451 4.7.0 Temporary server error. Please try again later. PRX4", "server_trouble"},
    {HINT_SERVER, ACCOUNT_ACTIVE, "gmail", "421 4.4.5 Server busy", "server_trouble"},
    {HINT_SERVER, ACCOUNT_ACTIVE, "outlook", "421 4.3.2 Service not active", "server_trouble"},
    {HINT_SERVER, ACCOUNT_ACTIVE, "gmail", "450 4.2.1 receiving mail too quickly",
     "server_trouble"},
    /* The default by what it led to. */
    {HINT_SERVER, ACCOUNT_MISCONFIGURED, "zoho", "535 Authentication failed", "login_refused"},
    {HINT_SERVER, ACCOUNT_THROTTLED, "zoho", "something", "throttled"},
    {HINT_SERVER, ACCOUNT_BLOCKED, "zoho", "something", "sender_blocked"},
    {HINT_SERVER, ACCOUNT_ACTIVE, "zoho", "", "unknown"},
    /* Section 3: token endpoints, where the text's word is not the number's. */
    {HINT_ENDPOINT, ACCOUNT_NEEDS_CONSENT, "gmail",
     "invalid_grant: Token has been expired or revoked.", "grant_dead"},
    {HINT_ENDPOINT, ACCOUNT_NEEDS_CONSENT, "gmail",
     "invalid_grant: reauth related error (invalid_rapt)", "session_control"},
    {HINT_ENDPOINT, ACCOUNT_MISCONFIGURED, "gmail", "deleted_client: The OAuth client was deleted.",
     "application_unknown"},
    {HINT_ENDPOINT, ACCOUNT_MISCONFIGURED, "gmail", "invalid_client: Unauthorized",
     "client_refused"},
    {HINT_ENDPOINT, ACCOUNT_MISCONFIGURED, "gmail",
     "unauthorized_client: Client is unauthorized to retrieve access tokens using this method, or "
     "client not authorized for any of the scopes requested.",
     "delegation_missing"},
    {HINT_ENDPOINT, ACCOUNT_MISCONFIGURED, "gmail", "unauthorized_client: Unauthorized",
     "client_mismatch"},
    {HINT_ENDPOINT, ACCOUNT_NEEDS_CONSENT, "gmail", "admin_policy_enforced: Access denied",
     "admin_policy"},
    {HINT_ENDPOINT, ACCOUNT_THROTTLED, "gmail",
     "HTTP 403: Error 403 403. User Rate Limit Exceeded. Rate of requests for user exceed",
     "endpoint_throttles"},
    {HINT_ENDPOINT, ACCOUNT_THROTTLED, "outlook", "HTTP 429: Too Many Requests",
     "endpoint_throttles"},
    {HINT_ENDPOINT, ACCOUNT_THROTTLED, "outlook",
     "invalid_grant: AADSTS50196: The server terminated an operation because it encountered a loop",
     "asked_too_often"},
    {HINT_ENDPOINT, ACCOUNT_THROTTLED, "gmail", "HTTP 503: Service Unavailable",
     "endpoint_trouble"},
    {HINT_ENDPOINT, ACCOUNT_THROTTLED, "gmail", "HTTP 200: Sign in to continue", "answer_unusable"},
    {HINT_ENDPOINT, ACCOUNT_THROTTLED, "gmail",
     "no access token: Could not resolve host: oauth2.googleapis.test", "name_not_found"},
    {HINT_ENDPOINT, ACCOUNT_THROTTLED, "gmail", "no access token: Connection timed out", "timeout"},
    {HINT_ENDPOINT, ACCOUNT_THROTTLED, "gmail",
     "no access token: SSL certificate problem: certificate has expired", "certificate_expired"},
    {HINT_ENDPOINT, ACCOUNT_THROTTLED, "gmail",
     "invalid_grant: Invalid JWT: Token must be a short-lived token (60 minutes)", "clock_differs"},
    {HINT_ENDPOINT, ACCOUNT_MISCONFIGURED, "outlook",
     "invalid_client: AADSTS7000218: The request body must contain", "secret_missing"},
    {HINT_ENDPOINT, ACCOUNT_NEEDS_CONSENT, "outlook", "invalid_grant: AADSTS70008: expired",
     "grant_expired"},
    /* A number is met as a whole. */
    {HINT_ENDPOINT, ACCOUNT_NEEDS_CONSENT, "outlook", "invalid_grant: AADSTS700081: other",
     "grant_dead"},
    {HINT_SERVER, ACCOUNT_ACTIVE, "outlook", "550 5.7.133 RESOLVER.RST.SenderNotAuthenticated",
     "unknown"},
};

static void test_what_providers_say(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(said); i++) {
        const struct hint *hint =
            hint_for(said[i].source, said[i].state, said[i].provider, said[i].text);

        if (strcmp(hint->cause, said[i].cause) != 0)
            fail_msg("\"%s\": %s, not %s", said[i].text, hint->cause, said[i].cause);
    }
}

/* The way to a server, in the words of OpenSSL, libcurl and the C library. */
static void test_the_way_there(void **state)
{
    static const struct {
        const char *text, *cause;
    } rows[] = {
        {"cannot find the address of smtp.x: Domain name not found", "name_not_found"},
        {"Could not resolve host: x", "name_not_found"},
        {"cannot connect to 192.0.2.1:587: Connection refused", "refused"},
        {"Failed to connect to localhost port 1 after 0 ms: Couldn't connect to server", "refused"},
        {"cannot connect to 192.0.2.1:587: Connection timed out", "timeout"},
        {"cannot connect to 192.0.2.1:587: No route to host", "unreachable"},
        {"cannot connect from 192.0.2.9 to 192.0.2.1:587: Cannot assign requested address",
         "address_missing"},
        {"cannot connect from 192.0.2.9 to [::1]:587: one is IPv4 and the other IPv6",
         "address_family"},
        {"TLS: certificate verify failed (certificate has expired) (handshake)",
         "certificate_expired"},
        {"TLS: certificate verify failed (hostname mismatch)", "certificate_name"},
        {"TLS: certificate verify failed (self-signed certificate)", "certificate_self_signed"},
        {"TLS: certificate verify failed (self-signed certificate in certificate chain)",
         "certificate_untrusted"},
        {"SSL certificate problem: unable to get local issuer certificate",
         "certificate_untrusted"},
        {"SSL: no alternative certificate subject name matches target host name 'x'",
         "certificate_name"},
        {"TLS: wrong version number (handshake)", "tls_not_spoken"},
        {"the server does not offer STARTTLS; no credential was sent", "starttls_missing"},
        {"no answer in time (handshake)", "timeout"},
        {"closed by the provider (handshake)", "connection_lost"},
        {"something new", "not_reached"},
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++)
        check_text(rows[i].text,
                   slice_of(hint_for(HINT_CONNECT, ACCOUNT_ACTIVE, "gmail", rows[i].text)->cause),
                   rows[i].cause);
}

static void test_of_an_account(void **state)
{
    struct account_record record = {.provider = "outlook", .scope = "https://outlook.office.com/x"};
    struct account account = {.record = &record, .worst = HOLD_PROVIDER};

    (void)state;
    account.holds[HOLD_PROVIDER] =
        (struct hold){ACCOUNT_MISCONFIGURED, 0, 0, "535 5.7.3 Authentication unsuccessful"};
    check_text("cause", slice_of(hint_find(&account)->cause), "token_refused");
    /* What was asked for tells more than the refusal. */
    record.scope = "https://graph.microsoft.com/.default";
    check_text("cause", slice_of(hint_find(&account)->cause), "audience_graph");
    account.worst = HOLD_OPERATOR;
    account.holds[HOLD_OPERATOR] = (struct hold){ACCOUNT_DISABLED, 0, 0, "holiday"};
    check_text("cause", slice_of(hint_find(&account)->cause), "disabled");
    account.worst = HOLD_ADDRESS;
    account.holds[HOLD_ADDRESS] = (struct hold){
        ACCOUNT_MISCONFIGURED, 0, 0,
        "ip_address 192.0.2.9 is not an address of this host: add it to an interface"};
    check_text("cause", slice_of(hint_find(&account)->cause), "address_missing");
}

static void test_of_a_login(void **state)
{
    static const struct {
        const char *text, *cause;
    } rows[] = {
        {"auth: 535 5.7.139 Authentication unsuccessful", "smtp_auth_disabled"},
        {"auth: 535 5.9.9 what is new", "login_refused"},
        {"auth: the server offers neither XOAUTH2 nor OAUTHBEARER as wanted", "mechanism_missing"},
        {"connect: Connection refused", "refused"},
        {"connect: TLS: certificate has expired (handshake)", "certificate_expired"},
        {"starttls: the server does not offer STARTTLS; no credential was sent",
         "starttls_missing"},
        {"greeting: 421 4.3.2 Service not active", "server_trouble"},
        {"the relay process does not answer", "relay_busy"},
        {"", "unknown"},
    };
    struct account_record record = {.provider = "outlook", .scope = ""};
    struct account account = {.record = &record};

    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++)
        check_text(rows[i].text, slice_of(hint_of_login(&account, rows[i].text)->cause),
                   rows[i].cause);
    record.scope = "https://graph.microsoft.com/.default";
    check_text(
        "scope",
        slice_of(hint_of_login(&account, "auth: 535 5.7.3 Authentication unsuccessful")->cause),
        "audience_graph");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_each_row_can_be_met), cmocka_unit_test(test_rows_are_sound),
        cmocka_unit_test(test_what_providers_say),  cmocka_unit_test(test_the_way_there),
        cmocka_unit_test(test_of_an_account),       cmocka_unit_test(test_of_a_login),
    };

    return cmocka_run_group_tests_name("broker/hints", tests, NULL, NULL);
}
