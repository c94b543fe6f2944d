"""Logins: both mechanisms, both ways, and how they fail."""
import base64
import json
import time

import pytest

from simclient import USER, login, oauthbearer, secure, xoauth2

OTHER = "user2@example.test"
ENCODE = {"XOAUTH2": xoauth2, "OAUTHBEARER": oauthbearer}


@pytest.mark.parametrize("inline", [False, True])
@pytest.mark.parametrize("mech", ["XOAUTH2", "OAUTHBEARER"])
def test_a_good_token(gmail, mech, inline):
    blob = ENCODE[mech](USER, gmail.token(USER))
    with secure(gmail) as wire:
        if inline:
            wire.cmd("AUTH %s %s" % (mech, blob), 235, "235 2.7.0 Accepted")
        else:
            assert wire.cmd("AUTH " + mech, 334).lines == ["334 "]
            wire.cmd(blob, 235)
        state = gmail.user(USER)
        assert (state["logins"], state["connections"]) == (1, 1)
        wire.quit()
    assert gmail.user(USER)["connections"] == 0


def bad_blobs(sim, mech):
    token = sim.token(USER)
    return {
        "unknown token": ENCODE[mech](USER, "ya29.wrong"),
        "another user's": ENCODE[mech](OTHER, token),
        "unknown user": ENCODE[mech]("nobody@example.test", token),
        "expired": ENCODE[mech](USER, sim.token(USER, expires_in=0)),
    }


@pytest.mark.parametrize("case", ["unknown token", "another user's", "unknown user", "expired"])
@pytest.mark.parametrize("mech, status, answer", [("XOAUTH2", "400", ""),
                                                  ("OAUTHBEARER", "invalid_token", "AQ==")])
def test_gmail_refuses_with_a_challenge(gmail, mech, status, answer, case):
    with secure(gmail) as wire:
        wire.cmd("AUTH " + mech, 334)
        reply = wire.cmd(bad_blobs(gmail, mech)[case], 334)
        detail = json.loads(base64.b64decode(reply.text))
        assert detail["status"] == status and detail["scope"] == "https://mail.google.com/"
        final = wire.cmd(answer, 535)
        assert final.lines[0].startswith("535-5.7.8 ") and "BadCredentials" in final.lines[1]
        # The connection goes on: the next attempt may be good.
        wire.cmd("AUTH %s %s" % (mech, ENCODE[mech](USER, gmail.token(USER))), 235)
    assert gmail.state()["errors"] == []
    assert gmail.state()["totals"]["login_failures"] == 1


def test_the_challenge_of_gmail_to_the_letter(gmail):
    with secure(gmail) as wire:
        assert wire.cmd("AUTH XOAUTH2 " + xoauth2(USER, "wrong")).lines == [
            "334 eyJzdGF0dXMiOiI0MDAiLCJzY2hlbWVzIjoiQmVhcmVyIiwic2NvcGUiOiJodHRwczovL21haWwuZ29vZ2xl"
            "LmNvbS8ifQ=="]


def test_a_wrong_answer_to_the_challenge_is_noted(gmail):
    with secure(gmail) as wire:
        wire.cmd("AUTH XOAUTH2 " + xoauth2(USER, "wrong"), 334)
        wire.cmd("AQ==", 535)
        assert "an empty line must follow" in gmail.state()["errors"][0]


@pytest.mark.parametrize("inline", [False, True])
def test_m365_refuses_at_once(m365, inline):
    with secure(m365) as wire:
        blob = xoauth2(USER, "wrong")
        if inline:
            final = wire.cmd("AUTH XOAUTH2 " + blob, 535)
        else:
            wire.cmd("AUTH XOAUTH2", 334)
            final = wire.cmd(blob, 535)
        assert final.lines[0].startswith("535 5.7.3 Authentication unsuccessful [SY5P282CA")


def test_mechanisms(gmail, m365):
    with secure(m365) as wire:
        wire.cmd("AUTH OAUTHBEARER " + oauthbearer(USER, m365.token(USER)), 504, r"504 5\.7\.4")
        wire.cmd("AUTH PLAIN AGEAYg==", 504)
        wire.cmd("AUTH LOGIN", 535)
    with secure(gmail) as wire:
        wire.cmd("AUTH PLAIN AGEAYg==", 535)
        wire.cmd("AUTH XOAUTH", 535)  # offered, but not XOAUTH2
        wire.cmd("AUTH CRAM-MD5", 504)
        wire.cmd("AUTH", 504)


@pytest.mark.parametrize("blob", ["%%%", "=", base64.b64encode(b"user=x").decode(),
                                  base64.b64encode(b"user=u\1auth=Bearer t\1").decode(),
                                  base64.b64encode(b"auth=Bearer t\1user=u\1\1").decode(),
                                  base64.b64encode(b"\0user\0password").decode()])
def test_what_cannot_be_decoded(gmail, blob):
    with secure(gmail) as wire:
        wire.cmd("AUTH XOAUTH2", 334)
        wire.cmd(blob, 501, "Cannot Decode")
        wire.cmd("AUTH XOAUTH2", 334)
        wire.cmd("*", 501)


def test_long_lines(gmail):
    gmail.knobs(token_size=8000)
    account = gmail.account(USER)
    token = gmail.refresh(account)["access_token"]
    assert len(token) == 8000
    with secure(gmail) as wire:
        wire.cmd("AUTH XOAUTH2 " + xoauth2(USER, token), 555, "555-5.5.2 Syntax error, command line")
        wire.cmd("AUTH XOAUTH2", 334)
        wire.cmd(xoauth2(USER, token), 235)
    gmail.knobs(auth_inline_max=512)
    with secure(gmail) as wire:
        wire.cmd("AUTH XOAUTH2 " + xoauth2(USER, "x" * 400), 555)
        wire.cmd("AUTH XOAUTH2 " + xoauth2(USER, "x" * 100), 334)


def test_escaped_user_names(gmail):
    odd = "a=b,c@example.test"
    gmail.add_account(odd)
    with secure(gmail) as wire:
        wire.cmd("AUTH OAUTHBEARER " + oauthbearer(odd, gmail.token(odd)), 235)


def test_the_users_case_does_not_matter(gmail):
    with secure(gmail) as wire:
        wire.cmd("AUTH XOAUTH2 " + xoauth2("USER1@Example.test", gmail.token(USER)), 235)


def test_knobs_of_auth(gmail):
    gmail.knobs(auth_334_status="500")
    with secure(gmail) as wire:
        reply = wire.cmd("AUTH XOAUTH2 " + xoauth2(USER, "wrong"), 334)
        assert json.loads(base64.b64decode(reply.text))["status"] == "500"
    gmail.knobs(auth_failure="direct")
    with secure(gmail) as wire:
        wire.cmd("AUTH XOAUTH2 " + xoauth2(USER, "wrong"), 535)
    gmail.knobs(USER, reject_auth=1, count=1)
    good = xoauth2(USER, gmail.token(USER))
    with secure(gmail) as wire:
        wire.cmd("AUTH XOAUTH2 " + good, 535)
        wire.cmd("AUTH XOAUTH2 " + good, 235)
    gmail.knobs(USER, reply_auth="454 4.7.0 Cannot authenticate due to temporary system problem")
    with secure(gmail) as wire:
        wire.cmd("AUTH XOAUTH2 " + good, 454)
        wire.cmd("AUTH XOAUTH2 " + xoauth2(OTHER, gmail.token(OTHER)), 235)
    gmail.knobs(OTHER, logins_per_minute=1)
    with secure(gmail) as wire:
        wire.cmd("AUTH XOAUTH2 " + xoauth2(OTHER, gmail.token(OTHER)), 454, "Too many login attempts")


def test_a_revoked_access_token(gmail):
    token = gmail.token(USER)
    gmail.revoke(USER, "access")
    with secure(gmail) as wire:
        wire.cmd("AUTH XOAUTH2 " + xoauth2(USER, token), 334)


def test_a_session_may_end_with_its_token(gmail):
    gmail.knobs(token_bound=1)
    with login(gmail, token=gmail.token(USER, expires_in=1)) as wire:
        wire.cmd("NOOP", 250)
        time.sleep(1.1)
        wire.cmd("NOOP", 421, "Connection expired")
        wire.closed()
