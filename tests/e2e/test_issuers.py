"""Real issuers: oidc-provider, and oauth2-mock-server made to misbehave."""

import base64
import hashlib
import http.client
import json
import time
import urllib.parse
import uuid

import jwt
import pytest
from conftest import HOST, basic, free_port, until
from cryptography.hazmat.primitives.asymmetric import ec

ROBOT = basic("robot", "robots-have-long-secrets-too-0123456789")
OTHER = basic("other", "another-secret-that-is-long-0123456789")


class Issuer:
    def __init__(self, port):
        self.port, self.url = port, f"http://127.0.0.1:{port}"

    def post(self, path, form=None, headers=None):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        sent = {"Content-Type": "application/x-www-form-urlencoded", **(headers or {})}
        connection.request("POST", path, urllib.parse.urlencode(form or {}), sent)
        answer = connection.getresponse()
        body = answer.read()
        assert answer.status == 200, body
        return body

    def token(self, client=ROBOT, headers=None, **form):
        body = self.post("/token", {"grant_type": "client_credentials", **form}, {**client, **(headers or {})})
        return json.loads(body)


@pytest.fixture
def issuer(application, packages):
    port = free_port()
    application(["node", "issuer.mjs", str(port)], port, cwd=packages)
    return Issuer(port)


def scheme(url, more=""):
    return f'[auth.corp.jwt]\nissuer = "{url}"\naudience = ["orders"]\n{more}\n[[route]]\npath = "/**"\naccept = ["corp"]\n'


def users(recorder):
    return [line.split(b":", 1)[1].strip() for head, _ in recorder.take() for line in head if line.lower().startswith(b"x-forwarded-user:")]


def bearer(token):
    return {"Authorization": f"Bearer {token}"}


def test_access_tokens_of_a_real_issuer_are_found_by_discovery(gate, recorder, issuer):
    door = gate(recorder.url, scheme(issuer.url, 'token_type = "rfc9068"'))
    answer = issuer.token(scope="read")
    assert answer["token_type"] == "Bearer"
    status, _, body = door.request("GET", "/x", bearer(answer["access_token"]))
    assert status == 200, body
    assert users(recorder) == [b"robot"]
    changed = answer["access_token"][:-4] + ("AAAA" if not answer["access_token"].endswith("AAAA") else "BBBB")
    elsewhere = issuer.token(resource="urn:billing")["access_token"]
    for bad in (changed, elsewhere):
        assert door.request("GET", "/x", bearer(bad))[0] == 401
    assert users(recorder) == []


def test_scopes_and_clients_of_a_real_issuer_are_conditions(gate, recorder, issuer):
    text = scheme(issuer.url, 'authorized_parties = ["robot"]') + '[route.require]\nscopes = ["write"]\n'
    door = gate(recorder.url, text)
    for client, scope, expected in ((ROBOT, "read write", 200), (ROBOT, "read", 403), (OTHER, "read write", 401)):
        assert door.request("GET", "/x", bearer(issuer.token(client, scope=scope)["access_token"]))[0] == expected, (client, scope)
    assert users(recorder) == [b"robot"]


def test_a_real_issuer_rotates_and_no_token_is_refused(gate, recorder, issuer):
    door = gate(recorder.url, scheme(issuer.url))
    tokens = []
    for _ in range(5):
        tokens.append(issuer.token()["access_token"])
        for token in tokens[-2:]:
            assert door.request("GET", "/x", bearer(token))[0] == 200
        issuer.post("/control/rotate")
    kids = {jwt.get_unverified_header(token)["kid"] for token in tokens}
    assert len(kids) == 5
    # A key that is withdrawn serves no new token for longer than its set is kept; a token by the next one is taken at once.
    issuer.post("/control/forget")
    assert door.request("GET", "/x", bearer(issuer.token()["access_token"]))[0] == 200


class Prover:
    """A client with a key of its own (RFC 9449)."""

    def __init__(self):
        self.key = ec.generate_private_key(ec.SECP256R1())
        made = jwt.get_algorithm_by_name("ES256").to_jwk(self.key.public_key())
        self.jwk = {name: value for name, value in json.loads(made).items() if name in ("kty", "crv", "x", "y")}

    def proof(self, method, url, token=None, **more):
        claims = {"jti": str(uuid.uuid4()), "htm": method, "htu": url, "iat": int(time.time()), **more}
        if token:
            claims["ath"] = base64.urlsafe_b64encode(hashlib.sha256(token.encode()).digest()).rstrip(b"=").decode()
        return jwt.encode(claims, self.key, "ES256", headers={"typ": "dpop+jwt", "jwk": self.jwk})


def test_a_token_that_a_real_issuer_bound_to_a_key_is_its_owners_alone(gate, recorder, issuer):
    door = gate(recorder.url, scheme(issuer.url, 'dpop = { mode = "optional", nonce = true }'))
    owner, thief = Prover(), Prover()
    answer = issuer.token(headers={"DPoP": owner.proof("POST", f"{issuer.url}/token")})
    assert answer["token_type"] == "DPoP"
    token = answer["access_token"]
    url = f"https://{HOST}/x"

    def call(prover, **more):
        return door.request("GET", "/x", {"Authorization": f"DPoP {token}", "DPoP": prover.proof("GET", url, token, **more)})

    status, headers, _ = call(owner)
    assert status == 401 and 'error="use_dpop_nonce"' in headers["WWW-Authenticate"]
    nonce = headers["DPoP-Nonce"]
    status, _, body = call(owner, nonce=nonce)
    assert status == 200, body
    assert users(recorder) == [b"robot"]
    assert call(thief, nonce=nonce)[0] == 401
    assert door.request("GET", "/x", bearer(token))[0] == 401
    used = {"Authorization": f"DPoP {token}", "DPoP": owner.proof("GET", url, token, nonce=nonce)}
    assert [door.request("GET", "/x", used)[0] for _ in range(2)] == [200, 401]
    # Tokens that are bound to nobody go on.
    assert door.request("GET", "/x", bearer(issuer.token()["access_token"]))[0] == 200
    assert users(recorder) == [b"robot", b"robot"]


def test_what_a_misbehaving_issuer_writes_is_refused(gate, recorder, application, packages):
    port = free_port()
    application(["node", "misbehaving.mjs", str(port)], port, cwd=packages)
    mock = Issuer(port)
    # It writes the name that it was asked by, or localhost; whatever it is, the metadata says.
    def metadata():
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        connection.request("GET", "/.well-known/openid-configuration")
        return json.loads(connection.getresponse().read())

    url = metadata()["issuer"]
    door = gate(recorder.url, scheme(url))
    kinds = mock.token(scope="good")["kinds"]
    assert len(kinds) > 15
    for kind in kinds:
        token = mock.token(scope=kind)["access_token"]
        expected = 200 if kind == "good" else 401
        status, _, body = door.request("GET", "/x", bearer(token))
        assert status == expected, (kind, body)
    assert users(recorder) == [b"carol"]


def test_an_issuer_that_starts_late_or_stops_is_waited_for_and_outlived(gate, recorder, application, packages):
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    door = gate(recorder.url, scheme(url))
    stranger = jwt.encode({"iss": url, "aud": "orders", "sub": "x", "exp": int(time.time()) + 60}, Prover().key, "ES256", headers={"kid": "x"})
    status, headers, _ = door.request("GET", "/x", bearer(stranger))
    assert status == 503 and headers["Retry-After"], "nobody can say yet"
    process = application(["node", "issuer.mjs", str(port)], port, cwd=packages)
    token = Issuer(port).token()["access_token"]
    until("its keys being fetched", lambda: door.request("GET", "/x", bearer(token))[0] == 200)
    another = Issuer(port).token()["access_token"]
    process.kill()
    process.wait()
    assert door.request("GET", "/x", bearer(another))[0] == 200, "known keys go on"
