"""What an OAuth client does by itself: PKCE, assertions, and the look into a
token. Signatures come from the openssl program, so that they are nobody's own."""
import base64
import hashlib
import json
import os
import subprocess
import tempfile
import time
import uuid

ASSERTION_TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
JWT_BEARER = "urn:ietf:params:oauth:grant-type:jwt-bearer"
DEVICE_CODE = "urn:ietf:params:oauth:grant-type:device_code"


def b64url(octets):
    return base64.urlsafe_b64encode(octets).rstrip(b"=").decode()


def unb64url(text):
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def pkce():
    """A verifier and its S256 challenge."""
    verifier = b64url(os.urandom(32))
    return verifier, b64url(hashlib.sha256(verifier.encode()).digest())


def claims(token):
    """Header and payload of a JWT; its signature is not looked at."""
    header, payload, signature = token.split(".")
    assert unb64url(signature)
    return json.loads(unb64url(header)), json.loads(unb64url(payload))


def sign(octets, key, pss=False):
    """RSA with SHA-256 by the key in a PEM file."""
    options = ["-sigopt", "rsa_padding_mode:pss", "-sigopt", "rsa_pss_saltlen:digest"]
    return subprocess.run(["openssl", "dgst", "-sha256", "-sign", str(key)] +
                          (options if pss else []), input=octets, stdout=subprocess.PIPE,
                          check=True).stdout


def jwt(header, payload, key):
    covered = ".".join(b64url(json.dumps(part).encode()) for part in (header, payload))
    signature = sign(covered.encode(), key, pss=header.get("alg") == "PS256")
    return covered + "." + b64url(signature)


def thumbprint(certificate, digest=hashlib.sha256):
    """x5t#S256 of a certificate's PEM file; x5t with hashlib.sha1."""
    der = subprocess.run(["openssl", "x509", "-in", str(certificate), "-outform", "DER"],
                         stdout=subprocess.PIPE, check=True).stdout
    return b64url(digest(der).digest())


def client_assertion(client, audience, header=None, key=None, **changes):
    """What proves to be the client of a record of Sim.client(); with None as a
    value of `changes` a claim is left out."""
    now = int(time.time())
    payload = {"aud": audience, "iss": client["client_id"], "sub": client["client_id"],
               "jti": str(uuid.uuid4()), "nbf": now, "iat": now, "exp": now + 300}
    payload.update(changes)
    header = header or {"alg": "PS256", "typ": "JWT",
                        "x5t#S256": thumbprint(client["certificate_file"])}
    return jwt(header, {k: v for k, v in payload.items() if v is not None},
               key or client["key_file"])


def service_assertion(account, user, header=None, key=None, **changes):
    """What a Google service account, as in its JSON file, asks for a user's token
    with; likewise."""
    now = int(time.time())
    payload = {"iss": account["client_email"], "sub": user, "scope": "https://mail.google.com/",
               "aud": account["token_uri"], "iat": now, "exp": now + 3600}
    payload.update(changes)
    header = header or {"alg": "RS256", "typ": "JWT", "kid": account["private_key_id"]}
    payload = {k: v for k, v in payload.items() if v is not None}
    if key:
        return jwt(header, payload, key)
    with tempfile.NamedTemporaryFile("w", suffix=".pem") as pem:
        pem.write(account["private_key"])
        pem.flush()
        return jwt(header, payload, pem.name)
