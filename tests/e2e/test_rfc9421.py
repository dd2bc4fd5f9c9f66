"""http-message-signatures, a client of RFC 9421 written by others, against a real gate with every algorithm."""

import datetime
import shlex
import types

import pytest
import requests
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from http_message_signatures import HTTPMessageSigner, HTTPMessageVerifier, HTTPSignatureKeyResolver, InvalidSignature, algorithms
from http_message_signatures.digests import ContentDigest

from conftest import HOST

SECRET = b"a shared secret of some length!!"

ALGORITHMS = {
    "hmac-sha256": (algorithms.HMAC_SHA256, lambda: SECRET),
    "rsa-pss-sha512": (algorithms.RSA_PSS_SHA512, lambda: rsa.generate_private_key(65537, 2048)),
    "rsa-v1_5-sha256": (algorithms.RSA_V1_5_SHA256, lambda: rsa.generate_private_key(65537, 3072)),
    "ecdsa-p256-sha256": (algorithms.ECDSA_P256_SHA256, lambda: ec.generate_private_key(ec.SECP256R1())),
    "ecdsa-p384-sha384": (algorithms.ECDSA_P384_SHA384, lambda: ec.generate_private_key(ec.SECP384R1())),
    "ed25519": (algorithms.ED25519, ed25519.Ed25519PrivateKey.generate),
}
# The package asks for keys by name: those of the configuration have the names of their algorithms.
COMPONENTS = ("@method", "@authority", "@target-uri")


class Sha512(ContentDigest):
    algorithm = "sha-512"


class Keys(HTTPSignatureKeyResolver):
    def __init__(self):
        self.keys = {name: make() for name, (_, make) in ALGORITHMS.items()}

    def resolve_private_key(self, key_id):
        return self.keys[key_id]

    def public(self, key_id):
        key = self.keys[key_id].public_key()
        return key.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo).decode()


@pytest.fixture(scope="module")
def keys():
    return Keys()


@pytest.fixture
def door(gate, recorder, keys):
    text = "[auth.partners.http-message-signature]\n"

    def prepare(one):
        (one.folder / "secrets/shared.key").write_bytes(SECRET)
        for name in list(ALGORITHMS)[1:]:
            (one.folder / f"secrets/{name}.pem").write_text(keys.public(name))

    for name in ALGORITHMS:
        text += f'[auth.partners.http-message-signature.keys.{name}]\nuser = "{name}-user"\nalgorithms = ["{name}"]\n'
        text += 'secret_file = "secrets/shared.key"\n' if name == "hmac-sha256" else f'public_key_file = "secrets/{name}.pem"\n'
    return gate(recorder.url, text + '[[route]]\npath = "/**"\naccept = ["partners"]\n', prepare=prepare)


def signed(keys, name, method, target, body=None, covered=COMPONENTS, digest=ContentDigest, headers=None, **options):
    """A request of the package `requests`, signed by the package for it."""
    request = requests.Request(method, f"https://{HOST}{target}", data=body, headers=headers or {}).prepare()
    signer = HTTPMessageSigner(signature_algorithm=ALGORITHMS[name][0], key_resolver=keys)
    signer.content_digest_class = digest
    signer.sign(request, key_id=name, covered_component_ids=covered, **({"body": body} if body is not None else {}), **options)
    request.headers.pop("Content-Length", None)
    return request


def send(door, request):
    target = request.url.removeprefix(f"https://{HOST}")
    status, headers, text = door.request(request.method, target, list(request.headers.items()), request.body)
    return status, headers, text


def users(recorder):
    lines = [line for head, _ in recorder.take() for line in head if line.lower().startswith(b"x-forwarded-user:")]
    return [line.split(b":", 1)[1].strip().decode() for line in lines]


@pytest.mark.parametrize("name", ALGORITHMS)
def test_requests_that_the_package_signs_are_let_in(door, recorder, keys, name):
    for at, (method, target, body) in enumerate((("GET", "/", None), ("GET", "/api/x?page=2&q=a%20b&q=c", None), ("POST", "/api/x/", b'{"a": 1}'), ("PUT", "/caf%C3%A9", "é".encode()))):
        for digest in (ContentDigest, Sha512):
            for include_alg in (True, False):
                nonce = f"{at}-{digest.algorithm}-{include_alg}"
                request = signed(keys, name, method, target, body, digest=digest, nonce=nonce, include_alg=include_alg)
                status, _, text = send(door, request)
                assert status == 200, text
                assert users(recorder) == [f"{name}-user"]
                assert send(door, request)[0] == 401, "a nonce is good once"
                assert users(recorder) == []


@pytest.mark.parametrize("name", ALGORITHMS)
def test_what_was_changed_after_signing_is_refused(door, recorder, keys, name):
    def post(**options):
        return signed(keys, name, "POST", "/api/x?page=2", b"body", **options)

    def changed(**parts):
        request = post()
        for part, value in parts.items():
            setattr(request, part, value)
        return request

    for request in (
        changed(method="PUT"),
        changed(url=f"https://{HOST}/api/y?page=2"),
        changed(url=f"https://{HOST}/api/x?page=3"),
        changed(body=b"bodz"),
        changed(body=b""),
        post(covered=("@method", "@authority", "@path", "@query")),
        post(covered=("@method", "@target-uri")),
        signed(keys, name, "GET", "/", covered=()),
        signed(keys, name, "GET", "/", created=datetime.datetime.now(datetime.timezone.utc) - datetime.timedelta(minutes=10)),
        signed(keys, name, "GET", "/", created=datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(minutes=10)),
        signed(keys, name, "GET", "/", expires=datetime.datetime.now(datetime.timezone.utc) - datetime.timedelta(seconds=5)),
        signed(keys, name, "GET", "/", covered=(*COMPONENTS, '"priority";sf'), headers={"Priority": "u=1"}),
        signed(keys, name, "GET", "/", covered=(*COMPONENTS, '"x-a";bs'), headers={"X-A": "1"}),
    ):
        assert send(door, request)[0] == 401, request.headers
    assert recorder.take() == []


def test_everything_that_the_package_can_cover_of_a_request_is_understood(door, recorder, keys):
    covered = (*COMPONENTS, "@scheme", "@request-target", "@path", "@query", '"@query-param";name="page"', "x-amount", "content-type")
    request = signed(keys, "ed25519", "POST", "/api/x?page=2&q=%20", b"{}", covered=covered, headers={"X-Amount": "100", "Content-Type": "application/json"}, tag="orders")
    assert send(door, request)[0] == 200
    assert users(recorder) == ["ed25519-user"]


def test_a_second_signature_by_somebody_else_does_no_harm_and_one_by_another_user_is_refused(door, recorder, keys):
    def twice(second):
        request = signed(keys, "ed25519", "GET", "/api/x")
        signer = HTTPMessageSigner(signature_algorithm=algorithms.ECDSA_P256_SHA256, key_resolver=keys)
        signer.sign(request, key_id=second, covered_component_ids=COMPONENTS, label="proxy", append_if_signature_exists=True)
        return request

    keys.keys["a-proxy"] = keys.keys["ecdsa-p256-sha256"]
    assert send(door, twice("a-proxy"))[0] == 200
    assert users(recorder) == ["ed25519-user"]
    assert send(door, twice("ecdsa-p256-sha256"))[0] == 401


def test_what_sign_prints_for_curl_can_be_pasted(door, recorder, keys):
    pem = keys.keys["ed25519"].private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    (door.folder / "ed25519.key").write_bytes(pem)
    (door.folder / "order.json").write_text('{"item": "tea"}')
    for arguments in (["GET", door.url("/x?a=1&b=[2]")], ["PUT", door.url("/orders/7"), "--data", "@order.json", "--header", "Content-Type: application/json"]):
        sign = ["sign", "--scheme", "http-message-signature", "--key", "ed25519", "--secret-file", "ed25519.key", "--nonce", "--curl", *arguments]
        words = shlex.split(door.run(*sign, config=False))[1:]
        assert door.curl("--output", "/dev/null", "--write-out", "%{http_code}", *words) == "200"
        assert users(recorder) == ["ed25519-user"]


@pytest.mark.parametrize("name", ["ecdsa-p256-sha256", "rsa-v1_5-sha256", "ed25519"])
@pytest.mark.parametrize("user", ["bob", "Zoë"])
def test_the_package_verifies_the_identity_that_the_application_is_told(gate, recorder, keys, name, user):
    identity = {
        "identity": 'signature = ["http-message-signature"]',
        "identity.headers": '"X-Forwarded-Groups" = "groups"',
        'identity.keys."k2"': 'private_key_file = "secrets/identity.pem"',
    }
    text = f"""
[auth.partners.http-message-signature.keys.hmac-sha256]
secret_file = "secrets/shared.key"
user = "{user}"
groups = ["staff", "ops"]
[[route]]
path = "/**"
accept = ["partners"]
"""

    def prepare(one):
        pem = keys.keys[name].private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        (one.folder / "secrets/identity.pem").write_bytes(pem)
        (one.folder / "secrets/shared.key").write_bytes(SECRET)

    door = gate(recorder.url, text, identity, prepare)
    assert send(door, signed(keys, "hmac-sha256", "POST", "/api/x?page=2&q=%20", b"{}"))[0] == 200
    [(head, _)] = recorder.take()
    method, target, _ = head[0].decode().split(" ")
    headers = {key: value.strip() for key, value in (line.decode("latin-1").split(":", 1) for line in head[1:])}

    class Public(HTTPSignatureKeyResolver):
        def resolve_public_key(self, key_id):
            assert key_id == "k2"
            return keys.keys[name].public_key()

    def verified(**changes):
        message = types.SimpleNamespace(method=method, url=f"https://{headers['x-forwarded-host']}{target}", headers=dict(headers))
        for part, value in changes.items():
            setattr(message, part, value)
        verifier = HTTPMessageVerifier(signature_algorithm=ALGORITHMS[name][0], key_resolver=Public())
        wanted = ("@method", "@target-uri", "x-forwarded-user" if user.isascii() else '"x-forwarded-user";bs', "x-forwarded-groups")
        return verifier.verify(message, expect_tag="doorward", require_components=wanted, max_age=datetime.timedelta(seconds=60))

    assert [result.label for result in verified()] == ["doorward"]
    for changes in ({"method": "PUT"}, {"url": f"https://{HOST}/api/x"}, {"headers": {**headers, "x-forwarded-user": "root"}}, {"headers": {**headers, "x-forwarded-groups": "admin"}}):
        with pytest.raises(InvalidSignature):
            verified(**changes)


def test_the_challenge_says_what_to_sign(door):
    status, headers, _ = door.request("GET", "/")
    assert status == 401
    assert headers["Accept-Signature"] == 'sig1=("@method" "@authority" "@target-uri" "content-digest");created'
