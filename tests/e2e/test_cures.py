"""Every failure of PROVIDERS.md's decision table: the state that the account comes to, what
the client hears, and the cause with its cure. A row for each, an account for each row, and
bearer-sim says it in the provider's words."""
import pytest

from lib.daemon import Bearerd
from lib.sim import Sim
from lib.util import wait_until

# The row's number in the second column of the table: what is refused and how; then the
# state, the client's reply, and the cause (None: the account goes on, it has none).
GMAIL = [
    (4, {"reject_auth": 1}, "misconfigured", "454 4.7.0", "token_refused"),
    (5, {"reply_auth": "534 5.7.9 Application-specific password required"},
     "misconfigured", "454 4.7.0", "web_login"),
    (5, {"reply_auth": "534 5.7.14 Please log in via your web browser"},
     "misconfigured", "454 4.7.0", "web_login"),
    (5, {"reply_auth": "504 5.7.4 Unrecognized Authentication Type"},
     "misconfigured", "454 4.7.0", "mechanism_missing"),
    (6, {"reply_auth": "501 5.5.2 Cannot Decode response"},
     "misconfigured", "454 4.7.0", "sasl_user_wrong"),
    (6, {"reply_auth": "555 5.5.2 Syntax error, command line too long"},
     "misconfigured", "454 4.7.0", "login_malformed"),
    (7, {"reply_auth": "454 4.7.0 Too many login attempts, please try again later"},
     "active", "454 4.7.0", None),
    (7, {"reject_auth": 1, "auth_334_status": "500"}, "active", "454 4.7.0", None),
    (8, {"reply_mail": "530 5.7.0 Authentication Required."}, "active", "451 4.7.0", None),
    (11, {"reply_mail": "550 5.4.5 Daily user sending limit exceeded."},
     "parked", "452 4.4.5", "quota"),
    (11, {"reply_final": "550 5.4.5 Daily SMTP relay limit exceeded for user"},
     "parked", "452 4.4.5", "quota"),
    (11, {"reply_mail": "550 5.7.1 Daily SMTP relay limit exceeded for customer"},
     "parked", "452 4.7.1", "quota"),
    (13, {"reply_mail": "550 5.7.0 Mail Sending denied"}, "blocked", "450 4.2.1", "sending_denied"),
    (17, {"reply_rcpt": "550 5.1.1 The email account that you tried to reach does not exist"},
     "active", "550 5.1.1", None),
    (18, {"reply_rcpt": "452 4.5.3 Your message has too many recipients"},
     "active", "452 4.5.3", None),
    (18, {"reply_rcpt": "550 5.5.3 Too many recipients for this sender"},
     "active", "452 4.5.3", None),
    (19, {"reply_rcpt": "450 4.2.1 The user is receiving mail too quickly"},
     "active", "450 4.2.1", None),
    (20, {"reply_final": "552 5.2.3 Your message exceeded the size limits"},
     "active", "552 5.2.3", None),
    (20, {"reply_final": "552 5.7.0 This message was blocked"}, "active", "552 5.7.0", None),
    (20, {"reply_final": "550 5.7.1 likely unsolicited mail"}, "active", "550 5.7.1", None),
    (20, {"reply_final": "555 5.5.2 Syntax error"}, "active", "555 5.5.2", None),
    (21, {"reply_final": "421 4.7.0 Temporary System Problem"}, "active", "451 4.7.0", None),
    (21, {"reply_mail": "450 4.2.1 Peak SMTP relay limit exceeded"}, "active", "450 4.2.1", None),
    (22, {"reply_final": "554 5.9.9 something new"}, "active", "554 5.9.9", None),
    (22, {"reply_final": "459 4.9.9 something new"}, "active", "459 4.9.9", None),
]
MICROSOFT = [
    (4, {"reject_auth": 1}, "misconfigured", "454 4.7.0", "token_refused"),
    (4, {"reply_auth": "535 5.7.142 Token will expire soon"},
     "misconfigured", "454 4.7.0", "token_ending"),
    (4, {"reply_auth": "535 5.7.143 Expired token"}, "misconfigured", "454 4.7.0", "token_ending"),
    (5, {"reply_auth": "535 5.7.139 Authentication unsuccessful, SmtpClientAuthentication is "
         "disabled for the Tenant. Visit https://aka.ms/smtp_auth_disabled"},
     "misconfigured", "454 4.7.0", "smtp_auth_disabled"),
    (5, {"reply_auth": "550 5.7.30 Basic authentication is not supported for Client Submission"},
     "misconfigured", "454 4.7.0", "basic_auth"),
    (5, {"reply_auth": "535 5.7.144 Invalid API permissions"},
     "misconfigured", "454 4.7.0", "permission_missing"),
    (5, {"reply_auth": "550 5.7.240 app not allowed"},
     "misconfigured", "454 4.7.0", "application_not_allowed"),
    (6, {"reply_auth": "501 5.5.121 malformed"}, "misconfigured", "454 4.7.0", "login_malformed"),
    (6, {"reply_auth": "500 5.5.6 Authentication exchange line is too long"},
     "misconfigured", "454 4.7.0", "login_malformed"),
    (7, {"reply_auth": "454 4.7.0 Temporary authentication failure"}, "active", "454 4.7.0", None),
    (8, {"reply_mail": "530 5.7.57 Client not authenticated to send mail"},
     "active", "451 4.7.0", None),
    (9, {"reply_mail": "421 4.4.2 Message submission rate for this client has exceeded the "
         "configured limit"}, "throttled", "451 4.4.2", "too_fast"),
    (10, {"reply_final": "432 4.3.2 Concurrent connections limit exceeded."},
     "active", "432 4.3.2", None),
    (11, {"reply_final": "550 5.1.90 Your message can't be sent because you've reached your daily "
          "limit for message recipients"}, "parked", "452 4.5.3", "quota"),
    (11, {"reply_final": "554 5.2.0 STOREDRV.Submission.Exception:SubmissionQuotaExceededException"},
     "parked", "452 4.5.3", "quota"),
    (13, {"reply_final": "554 5.2.0 STOREDRV.Submission.Exception:OutboundSpamException; WASCL "
          "UserAction verdict is not None. Actual verdict is RefuseQuota"},
     "parked", "452 4.5.3", "quota"),
    (12, {"reply_mail": "550 5.2.251 mailbox full"}, "blocked", "450 4.2.1", "error_throttled"),
    (12, {"reply_mail": "550 5.2.252 send-as denied"}, "blocked", "450 4.2.1", "error_throttled"),
    (12, {"reply_mail": "550 5.2.255 invalid recipients"}, "blocked", "450 4.2.1", "error_throttled"),
    (13, {"reply_mail": "550 5.1.8 Access denied, bad outbound sender"},
     "blocked", "450 4.2.1", "sender_blocked"),
    (13, {"reply_mail": "550 5.7.501 Access denied, spam abuse detected"},
     "blocked", "450 4.2.1", "sender_blocked"),
    (13, {"reply_mail": "550 5.7.705 Access denied, tenant has exceeded threshold"},
     "blocked", "450 4.2.1", "tenant_blocked"),
    (13, {"reply_final": "554 5.2.0 STOREDRV.Submission.Exception:OutboundSpamException; Actual "
          "verdict is Suspend"}, "blocked", "450 4.2.1", "spam_suspected"),
    (14, {"reply_final": "430 4.2.0 STOREDRV; mailbox logon failure; MapiExceptionLogonFailed"},
     "misconfigured", "451 4.2.0", "mailbox_permission"),
    (15, {"reply_final": "554 5.2.252 SendAsDenied; a@x not allowed to send as b@y"},
     "active", "554 5.2.252", None),
    (15, {"reply_mail": "550 5.7.60 SMTP; Client does not have permissions to send as this sender"},
     "active", "550 5.7.60", None),
    (15, {"reply_final": "550 5.7.512 Access denied, message must be RFC 5322 section 3.6.2 compliant"},
     "active", "550 5.7.512", None),
    (16, {"reply_final": "554 5.2.2 mailbox full; STOREDRV.Submission.Exception:QuotaExceededException"},
     "parked", "452 4.2.2", "mailbox_full"),
    (17, {"reply_rcpt": "550 5.1.10 RESOLVER.ADR.RecipientNotFound"}, "active", "550 5.1.10", None),
    (20, {"reply_final": "552 5.3.4 Message size exceeds fixed maximum message size"},
     "active", "552 5.3.4", None),
    (20, {"reply_final": "554 5.6.0 Corrupt message content"}, "active", "554 5.6.0", None),
    (21, {"reply_final": "451 4.7.0 Temporary server error. Please try again later. PRX4"},
     "active", "451 4.7.0", None),
    (21, {"reply_final": "421 4.3.2 Service not active"}, "active", "451 4.3.2", None),
]

# The second table: what the token endpoint answers, by bearer-sim's names.
CONSENT = ("needs_consent", "454 4.7.0")
WRONG = ("misconfigured", "454 4.7.0")
LATER = ("throttled", "451 4.7.1")
PASSING = ("endpoint_trouble", "answer_unusable", "connection_lost", "clock_differs")  # the endpoint's
GOOGLE_ENDPOINT = {
    "invalid_grant": (CONSENT, "grant_dead"),
    "invalid_rapt": (CONSENT, "session_control"),
    "rapt_required": (CONSENT, "session_control"),
    "interaction_required": (CONSENT, "grant_dead"),
    "login_required": (CONSENT, "grant_dead"),
    "consent_required": (CONSENT, "consent_missing"),
    "admin_policy_enforced": (CONSENT, "admin_policy"),
    "invalid_client": (WRONG, "client_refused"),
    "client_not_found": (WRONG, "application_unknown"),
    "client_secret_missing": (WRONG, "secret_missing"),
    "unauthorized_client": (WRONG, "client_mismatch"),
    "delegation": (WRONG, "delegation_missing"),
    "deleted_client": (WRONG, "application_unknown"),
    "disabled_client": (WRONG, "application_disabled"),
    "invalid_scope": (WRONG, "scope_wrong"),
    "invalid_request": (WRONG, "request_invalid"),
    "unsupported_grant_type": (WRONG, "grant_unsupported"),
    "org_internal": (WRONG, "application_internal"),
    "jwt_time": (LATER, "clock_differs"),
    "500": (LATER, "endpoint_trouble"),
    "502_html": (LATER, "endpoint_trouble"),
    "503": (LATER, "endpoint_trouble"),
    "internal_failure": (LATER, "endpoint_trouble"),
    "server_error": (LATER, "endpoint_trouble"),
    "temporarily_unavailable": (LATER, "endpoint_trouble"),
    "429": (LATER, "endpoint_throttles"),
    "403_html": (LATER, "endpoint_throttles"),
    "rate_limit_exceeded": (LATER, "endpoint_throttles"),
    "bad_json": (LATER, "answer_unusable"),
    "empty": (LATER, "answer_unusable"),
    "html": (LATER, "answer_unusable"),
    "no_access_token": (LATER, "answer_unusable"),
    "close": (LATER, "connection_lost"),
}
MICROSOFT_ENDPOINT = {
    "70000": (CONSENT, "grant_invalid"),
    "70008": (CONSENT, "grant_expired"),
    "700082": (CONSENT, "grant_expired"),
    "50173": (CONSENT, "grant_revoked"),
    "70043": (CONSENT, "sign_in_frequency"),
    "50057": (CONSENT, "user_disabled"),
    "50034": (CONSENT, "user_unknown"),
    "65001": (CONSENT, "consent_missing"),
    "50076": (CONSENT, "mfa_required"),
    "50079": (CONSENT, "mfa_required"),
    "50074": (CONSENT, "mfa_required"),
    "53003": (CONSENT, "conditional_access"),
    "530035": (CONSENT, "conditional_access"),
    "50105": (CONSENT, "not_assigned"),
    "7000215": (WRONG, "secret_wrong"),
    "7000222": (WRONG, "secret_expired"),
    "7000218": (WRONG, "secret_missing"),
    "700025": (WRONG, "secret_unwanted"),
    "700027": (WRONG, "certificate_unknown"),
    "700016": (WRONG, "application_unknown"),
    "7000112": (WRONG, "application_disabled"),
    "90002": (WRONG, "tenant_unknown"),
    "70011": (WRONG, "scope_wrong"),
    "900144": (WRONG, "parameter_missing"),
    "9001023": (WRONG, "tenant_needed"),
    "unsupported_grant_type": (WRONG, "grant_unsupported"),
    "90033": (LATER, "endpoint_trouble"),
    "50033": (LATER, "endpoint_trouble"),
    "90006": (LATER, "endpoint_trouble"),
    "90012": (LATER, "endpoint_trouble"),
    "90024": (LATER, "endpoint_trouble"),
    "70012": (LATER, "endpoint_trouble"),
    "50087": (LATER, "endpoint_trouble"),
    "90090": (LATER, "endpoint_trouble"),
    "50196": (LATER, "asked_too_often"),
    "90055": (LATER, "endpoint_throttles"),
    "429": (LATER, "endpoint_throttles"),
}
CONTENT = b"Subject: x\r\n\r\nbody\r\n"


def test_every_row_has_its_test():
    """1 and 2 are connections that break (tests/peer), 3 is the EHLO of everybody
    (test_check.py)."""
    assert {row[0] for row in GMAIL + MICROSOFT} | {1, 2, 3} == set(range(1, 23))


def heard(daemon, email):
    """What the client hears: the first refusal, as "code enhanced"."""
    with daemon.client() as wire:
        wire.ehlo()
        reply = wire.auth(email, "x", None)
        if reply.code == 235:
            reply = wire.cmd("MAIL FROM:<%s>" % email)
        if reply.code == 250:
            reply = wire.cmd("RCPT TO:<b@example.net>")
        if reply.code == 250:
            reply = wire.data(CONTENT)
    return "%d %s" % (reply.code, reply.enhanced)


def state_of(daemon, email):
    return daemon.admin.get("/admin/accounts/" + email)["account"]["state_detail"]


def wait_state(daemon, email, state, row):
    """The broker hears of it a moment after the client."""
    seen = []

    def found():
        seen.append(state_of(daemon, email))
        return seen[-1]["state"] == state and seen[-1]
    try:
        return wait_until(found, 10, "the state " + state)
    except AssertionError as error:
        raise AssertionError("%s: %s: %s" % (row, error, seen[-1])) from None


def check_cure(detail, cause, row):
    assert detail["cause"] == cause, (row, detail)
    if cause:
        assert detail["hint"].endswith(".") and len(detail["hint"]) > 30, (row, detail)


@pytest.mark.timeout(180)
@pytest.mark.parametrize("profile, rows", [("gmail", GMAIL), ("m365", MICROSOFT)])
def test_mail_servers(profile, rows):
    with Sim(profile, accounts=len(rows)) as sim:
        emails = [record["email"] for record in sim.accounts()]
        for email, (_, knobs, *_) in zip(emails, rows):
            sim.knobs(email, **knobs)
        with Bearerd(certs=sim, accounts=sim.accounts()) as daemon:
            for email, (number, knobs, state, reply, cause) in zip(emails, rows):
                row = "row %d, %s" % (number, knobs)
                assert heard(daemon, email) == reply, row
                detail = wait_state(daemon, email, state, row)
                check_cure(detail, cause, row)


def check_endpoint_row(daemon, email, error, row):
    (state, reply), cause = row
    assert heard(daemon, email) == reply, error
    check_cure(wait_state(daemon, email, state, error), cause, error)


@pytest.mark.timeout(180)
@pytest.mark.parametrize("profile, rows", [("gmail", GOOGLE_ENDPOINT), ("m365", MICROSOFT_ENDPOINT)])
def test_token_endpoints(profile, rows):
    """Each row has an application of its own, for what concerns one concerns all its
    accounts; but an endpoint that is in trouble for several is left alone for all of
    them, so that those rows have one account, one after the other."""
    passing = [error for error in rows if rows[error][1] in PASSING]
    with Sim(profile, accounts=0) as sim:
        for error in [passing[0]] + [error for error in rows if error not in passing]:
            sim.add_account("e%s@example.test" % error, client_id="app-" + error)
            sim.knobs("app-" + error, token_error=error)
        with Bearerd(certs=sim, accounts=sim.accounts()) as daemon:
            for error in rows:
                email = "e%s@example.test" % (passing[0] if error in passing else error)
                if error in passing:
                    sim.knobs("app-" + passing[0], token_error=error)
                    assert not daemon.admin.post("/admin/accounts/%s/verify" % email)["success"]
                wait_until(lambda: daemon.admin.get("/admin/accounts/" + email)
                           ["account"]["token"]["failures"], 20, "a failure of " + error)
                check_endpoint_row(daemon, email, error, rows[error])
