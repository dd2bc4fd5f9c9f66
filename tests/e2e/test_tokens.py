"""Tokens made by PyJWT, with keys made by cryptography."""

import base64
import json
import time

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

ISSUER, AUDIENCE = "https://id.example.com/", "orders"
SECRET = "a-shared-secret-of-at-least-32-bytes!"

MAKERS = {
    "RS256": lambda: rsa.generate_private_key(65537, 2048),
    "PS256": lambda: rsa.generate_private_key(65537, 2048),
    "ES256": lambda: ec.generate_private_key(ec.SECP256R1()),
    "ES384": lambda: ec.generate_private_key(ec.SECP384R1()),
    "EdDSA": ed25519.Ed25519PrivateKey.generate,
}


def claims(**more):
    now = int(time.time())
    return {"iss": ISSUER, "aud": AUDIENCE, "sub": "carol", "iat": now, "exp": now + 300, **more}


def scheme(source, algorithm):
    return f"""
[auth.corp.jwt]
issuer = "{ISSUER}"
audience = ["{AUDIENCE}"]
algorithms = ["{algorithm}"]
{source}
[[route]]
path = "/**"
accept = ["corp"]
"""


def users(recorder):
    return [line.split(b":", 1)[1].strip() for head, _ in recorder.take() for line in head if line.lower().startswith(b"x-forwarded-user:")]


def bearer(token):
    return {"Authorization": f"Bearer {token}"}


@pytest.mark.parametrize("algorithm", MAKERS)
@pytest.mark.parametrize("kind", ["jwks", "pem"])
def test_tokens_with_a_public_key(gate, recorder, algorithm, kind):
    key = MAKERS[algorithm]()
    public = key.public_key()
    pem = public.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    if kind == "jwks":
        made = jwt.get_algorithm_by_name(algorithm)
        jwk = {**json.loads(made.to_jwk(public)), "kid": "k1", "alg": algorithm, "use": "sig"}
        jwk.pop("key_ops", None)
        source, name, text = 'jwks_file = "keys.json"', "keys.json", json.dumps({"keys": [jwk]})
    else:
        source, name, text = 'public_key_file = "public.pem"', "public.pem", pem.decode()
    door = gate(recorder.url, scheme(source, algorithm), prepare=lambda one: (one.folder / name).write_text(text))
    token = jwt.encode(claims(), key, algorithm, headers={"kid": "k1"})
    status, _, body = door.request("GET", "/x", bearer(token))
    assert status == 200, body
    assert users(recorder) == [b"carol"]
    for bad in (
        jwt.encode(claims(exp=int(time.time()) - 60), key, algorithm, headers={"kid": "k1"}),
        jwt.encode(claims(nbf=int(time.time()) + 60), key, algorithm, headers={"kid": "k1"}),
        jwt.encode(claims(aud="billing"), key, algorithm, headers={"kid": "k1"}),
        jwt.encode(claims(iss="https://evil.example/"), key, algorithm, headers={"kid": "k1"}),
        jwt.encode(claims(), MAKERS[algorithm](), algorithm, headers={"kid": "k1"}),
        jwt.encode(claims(), None, "none", headers={"kid": "k1"}),
        token[:-3] + ("AAA" if not token.endswith("AAA") else "BBB"),
        # The public key's text as a shared secret; PyJWT itself refuses to make this one.
        forged_hs256(pem),
    ):
        assert door.request("GET", "/x", bearer(bad))[0] == 401, bad
    assert users(recorder) == []


def forged_hs256(secret):
    import hashlib
    import hmac

    part = lambda data: base64.urlsafe_b64encode(json.dumps(data).encode()).rstrip(b"=")
    text = part({"alg": "HS256", "typ": "JWT", "kid": "k1"}) + b"." + part(claims())
    return (text + b"." + base64.urlsafe_b64encode(hmac.new(secret, text, hashlib.sha256).digest()).rstrip(b"=")).decode()


@pytest.mark.parametrize("algorithm", ["HS256", "HS384", "HS512"])
def test_tokens_with_a_shared_secret(gate, recorder, algorithm):
    secret = (SECRET * 2)[:64]
    source = 'secret_file = "secrets/hs.key"'
    door = gate(recorder.url, scheme(source, algorithm), prepare=lambda one: (one.folder / "secrets/hs.key").write_text(secret))
    assert door.request("GET", "/x", bearer(jwt.encode(claims(), secret, algorithm)))[0] == 200
    assert users(recorder) == [b"carol"]
    assert door.request("GET", "/x", bearer(jwt.encode(claims(), secret[:-1] + "?", algorithm)))[0] == 401
    other = {"HS256": "HS512", "HS384": "HS256", "HS512": "HS256"}[algorithm]
    assert door.request("GET", "/x", bearer(jwt.encode(claims(), secret, other)))[0] == 401
    assert users(recorder) == []


def test_an_assertion_is_verified_by_pyjwt_with_the_published_keys(gate, recorder):
    key = ec.generate_private_key(ec.SECP256R1())
    pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()).decode()
    text = '[auth.staff.basic]\nusers = "store"\n[[route]]\npath = "/**"\naccept = ["staff"]\n'
    sections = {"identity": 'signature = ["jwt"]\naudience = "app"\n[identity.keys."j1"]\nprivate_key_file = "secrets/identity.pem"'}

    def prepare(one):
        (one.folder / "secrets/identity.pem").write_text(pem)
        one.run("user", "add", "bob", "--group", "staff", "--password-stdin", text="a rather long password\n")

    door = gate(recorder.url, text, sections, prepare)
    from conftest import basic

    assert door.request("GET", "/x", basic("bob", "a rather long password"))[0] == 200
    [(head, _)] = recorder.take()
    [assertion] = [line.split(b":", 1)[1].strip().decode() for line in head if line.lower().startswith(b"x-doorward-assertion:")]
    keys = jwt.PyJWKSet.from_dict(json.loads(door.request("GET", "/.doorward/jwks.json")[2]))
    header = jwt.get_unverified_header(assertion)
    found = jwt.decode(assertion, keys[header["kid"]].key, algorithms=["ES256"], audience="app", options={"require": ["exp", "iat", "iss", "sub", "jti"]})
    assert (found["sub"], found["groups"]) == ("bob", ["staff"])
    with pytest.raises(jwt.InvalidAudienceError):
        jwt.decode(assertion, keys[header["kid"]].key, algorithms=["ES256"], audience="other")
