"""Shared by the tests of the grants."""
import json

import pytest

from lib import oauth
from lib.sim import Refused
from simclient import USER

MAIL = "https://outlook.office.com/SMTP.Send offline_access"
APP_SCOPE = "https://outlook.office365.com/.default"
GOOGLE_MAIL = "https://mail.google.com/"
REDIRECT = "http://127.0.0.1:1/"


def refused(sim, form, **more):
    """The refusal of a request that must be refused: (status, error, number or
    description)."""
    with pytest.raises(Refused) as caught:
        sim.ask(form, **more)
    body = json.loads(caught.value.body)
    number = body.get("error_codes", [body["error_description"]])[0]
    return caught.value.status, body["error"], number


class Flow:
    """An authorization code with PKCE: `code` is there when made, redeem() asks for
    tokens; keywords change or remove (None) what is sent. `want`: of the
    authorization request."""

    def __init__(self, sim, client, user=USER, **want):
        self.sim, self.client = sim, client
        self.verifier, self.challenge = oauth.pkce()
        query = {"scope": GOOGLE_MAIL if client["provider"] == "gmail" else MAIL,
                 "code_challenge": self.challenge, "code_challenge_method": "S256", "auto": user}
        query.update(want)
        self.kind, self.where, self.answer = sim.visit(
            sim.authorize_url(client["client_id"], **query))
        self.code = self.answer.get("code") if self.kind == "redirect" else None

    def form(self, **changes):
        form = {"grant_type": "authorization_code", "client_id": self.client["client_id"],
                "client_secret": self.client.get("client_secret"), "code": self.code,
                "redirect_uri": REDIRECT, "code_verifier": self.verifier}
        form.update(changes)
        return form

    def redeem(self, **changes):
        return self.sim.ask(self.form(**changes))

    def refused(self, **changes):
        return refused(self.sim, self.form(**changes))
