"""Published clients of the drafts before RFC 9421 and of Kong, and one of APISIX's dialects written from its documentation."""

import base64
import email.utils
import hashlib
import hmac
import subprocess
import time

import cryptography.hazmat.primitives.asymmetric.rsa
import httpsig
import kong_hmac.hmac_auth
import pytest
import requests
import requests.structures
from cryptography.hazmat.primitives import serialization

from conftest import HOST

KEY, SECRET = "john-key", "john-secret-key-0123456789"


def text(dialect, options=""):
    return f"""
[auth.partners.http-signature]
dialect = "{dialect}"
{options}
[auth.partners.http-signature.keys.{KEY}]
secret_file = "secrets/john.key"
user = "john"
[[route]]
path = "/**"
accept = ["partners"]
"""


def prepare(gate):
    (gate.folder / "secrets/john.key").write_text(SECRET)


def user(recorder):
    [(head, _)] = recorder.take()
    [value] = [line.split(b":", 1)[1].strip().decode() for line in head if line.lower().startswith(b"x-forwarded-user:")]
    return value


def date(seconds=0):
    return email.utils.formatdate(time.time() + seconds, usegmt=True)


def digest(body):
    return "SHA-256=" + base64.b64encode(hashlib.sha256(body).digest()).decode()


@pytest.mark.parametrize("header", ["authorization", "signature"])
@pytest.mark.parametrize("algorithm", ["hmac-sha256", "hmac-sha512", "hmac-sha1"])
def test_requests_that_httpsig_signs_are_let_in(gate, recorder, header, algorithm):
    door = gate(recorder.url, text("draft"), prepare=prepare)
    names = ["(request-target)", "host", "date"]
    expected = 401 if algorithm == "hmac-sha1" else 200
    for method, target, body in (("GET", "/x?a=1&b=%20", None), ("POST", "/x", b'{"a": 1}'), ("PUT", "/x/y", b""), ("DELETE", "/x", None)):
        sent = {"Date": date(), "Content-Type": "application/json"} | ({"Digest": digest(body)} if body else {})
        signer = httpsig.HeaderSigner(KEY, SECRET, algorithm=algorithm, headers=names + (["digest", "content-length"] if body else []), sign_header=header)
        sized = sent | ({"Content-Length": str(len(body))} if body else {})
        signed = signer.sign(requests.structures.CaseInsensitiveDict(sized), host=HOST, method=method, path=target)
        credential = {header: signed[header]}
        status, _, answer = door.request(method, target, sent | credential, body)
        assert status == expected, answer
        if expected == 200:
            assert user(recorder) == "john"
            assert door.request(method, target + "/", sent | credential, body)[0] == 401
            assert door.request("PATCH", target, sent | credential, body)[0] == 401
            if body:
                assert door.request(method, target, sent | credential, body[::-1])[0] == 401
        assert recorder.take() == []


@pytest.mark.parametrize("name", ["rsa-sha256", "hs2019"])
def test_requests_that_httpsig_signs_with_an_rsa_key_are_let_in(gate, recorder, name):
    key = cryptography.hazmat.primitives.asymmetric.rsa.generate_private_key(public_exponent=65537, key_size=2048)
    public = key.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo).decode()
    private = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL, serialization.NoEncryption()).decode()

    def with_key(gate):
        prepare(gate)
        (gate.folder / "secrets/rsa.pem").write_text(public)

    keys = '[auth.partners.http-signature.keys.rsa]\npublic_key_file = "secrets/rsa.pem"\nuser = "carol"\n'
    door = gate(recorder.url, keys + text("draft"), prepare=with_key)
    for method, target, body in (("GET", "/x?a=1&b=%20", None), ("POST", "/x", b'{"a": 1}')):
        sent = {"Date": date()} | ({"Digest": digest(body)} if body else {})
        names = ["(request-target)", "host", "date"] + (["digest"] if body else [])
        signer = httpsig.HeaderSigner("rsa", private, algorithm="rsa-sha256", headers=names)
        signed = signer.sign(requests.structures.CaseInsensitiveDict(sent), host=HOST, method=method, path=target)
        # Many clients write hs2019 and mean this.
        credential = {"Authorization": signed["authorization"].replace("rsa-sha256", name)}
        status, _, answer = door.request(method, target, sent | credential, body)
        assert status == 200, answer
        assert user(recorder) == "carol"
        assert door.request(method, target + "/", sent | credential, body)[0] == 401
        assert door.request(method, target, sent | credential, (body or b"") + b"x")[0] == 401
        assert recorder.take() == []


def test_what_httpsig_leaves_out_by_default_is_refused(gate, recorder):
    door = gate(recorder.url, text("draft"), prepare=prepare)
    for names in (["date"], ["(request-target)", "host"], ["(request-target)", "date"], ["host", "date"]):
        signer = httpsig.HeaderSigner(KEY, SECRET, algorithm="hmac-sha256", headers=names)
        signed = signer.sign(requests.structures.CaseInsensitiveDict({"Date": date()}), host=HOST, method="GET", path="/x")
        assert door.request("GET", "/x", {"Date": signed["date"], "Authorization": signed["authorization"]})[0] == 401, names
    assert recorder.take() == []


def test_the_client_of_a_kong_that_signs_date_and_digest_needs_leave(gate, recorder):
    client = kong_hmac.hmac_auth.HmacAuth(KEY, SECRET)
    lax = "allow_unsigned_target = true\nallow_unsigned_host = true"
    strict, open_ = gate(recorder.url, text("kong"), prepare=prepare), gate(recorder.url, text("kong", lax), prepare=prepare)
    for method, body in (("GET", ""), ("POST", '{"a": 1}')):
        headers = client.get_auth_headers(body=body)
        sent = body.encode() or None
        assert strict.request(method, "/x", headers, sent)[0] == 401
        assert open_.request(method, "/x", headers, sent)[0] == 200
        assert user(recorder) == "john"
        assert open_.request(method, "/x", headers, (body + " ").encode())[0] == 401
    # What was seen under GET is not good for anything that changes something.
    headers = client.get_auth_headers(body="")
    assert [open_.request(method, "/x", headers)[0] for method in ("GET", "GET", "DELETE")] == [200, 200, 401]


def kong(method, target, body, version="HTTP/1.1", moved=0):
    """As Kong's documentation says: date, host, digest, request line."""
    lines = {"date": date(moved), "host": HOST, "digest": digest(body)}
    signed = "\n".join(f"{name}: {value}" for name, value in lines.items()) + f"\n{method} {target} {version}"
    tag = base64.b64encode(hmac.new(SECRET.encode(), signed.encode(), hashlib.sha256).digest()).decode()
    authorization = f'hmac username="{KEY}", algorithm="hmac-sha256", headers="date host digest request-line", signature="{tag}"'
    return {"Date": lines["date"], "Digest": lines["digest"], "Authorization": authorization}


def apisix(method, target, body, moved=0):
    """As the example of APISIX's documentation does, with the host and the digest."""
    lines = {"date": date(moved), "host": HOST, "digest": digest(body)}
    signed = f"{KEY}\n{method} {target}\n" + "".join(f"{name}: {value}\n" for name, value in lines.items())
    tag = base64.b64encode(hmac.new(SECRET.encode(), signed.encode(), hashlib.sha256).digest()).decode()
    authorization = f'Signature keyId="{KEY}",algorithm="hmac-sha256",headers="@request-target date host digest",signature="{tag}"'
    return {"Date": lines["date"], "Digest": lines["digest"], "Authorization": authorization}


def old_apisix(method, target, body, moved=0):
    """As APISIX asked before 3.11: the query sorted, the body by its MAC."""
    path, _, query = target.partition("?")
    stamp, mac = date(moved), base64.b64encode(hmac.new(SECRET.encode(), body, hashlib.sha256).digest()).decode()
    query = "&".join(sorted(query.split("&"))) if query else ""
    signed = f"{method}\n{path}\n{query}\n{KEY}\n{stamp}\nHost:{HOST}\nX-HMAC-DIGEST:{mac}\n"
    tag = base64.b64encode(hmac.new(SECRET.encode(), signed.encode(), hashlib.sha256).digest()).decode()
    return {
        "Date": stamp,
        "X-HMAC-DIGEST": mac,
        "X-HMAC-ACCESS-KEY": KEY,
        "X-HMAC-ALGORITHM": "hmac-sha256",
        "X-HMAC-SIGNED-HEADERS": "Host;X-HMAC-DIGEST",
        "X-HMAC-SIGNATURE": tag,
    }


@pytest.mark.parametrize(("dialect", "sign"), [("kong", kong), ("apisix", apisix), ("apisix-v1", old_apisix)])
def test_requests_signed_as_the_gateways_documentation_says_are_let_in(gate, recorder, dialect, sign):
    door = gate(recorder.url, text(dialect), prepare=prepare)
    for method, target, body in (("GET", "/get?b=2&a=1", b""), ("POST", "/post", b'{"name": "world"}'), ("DELETE", "/x", b"")):
        headers = sign(method, target, body)
        assert door.request(method, target, headers, body or None)[0] == 200, (dialect, method)
        assert user(recorder) == "john"
        assert door.request(method, target, headers, body + b" ")[0] == 401
        assert door.request(method, target + "x", headers, body or None)[0] == 401
        assert door.request(method, target, sign(method, target, body, moved=-400), body or None)[0] == 401
        assert recorder.take() == []


def test_a_client_that_signs_http_1_and_speaks_http_2_is_let_in(gate, recorder):
    door = gate(recorder.url, text("kong"), prepare=prepare)
    headers = kong("GET", "/x", b"")
    # The host that curl sends has the port, as the URL has it: it is told the one that was signed.
    words = [word for name, value in headers.items() for word in ("--header", f"{name}: {value}")]
    for version in ("--http1.1", "--http2"):
        assert door.curl(version, "--output", "body", "--write-out", "%{http_code}", "--header", f"Host: {HOST}", *words, door.url("/x")) == "200"
        assert user(recorder) == "john"


@pytest.mark.parametrize("dialect", ["draft", "kong", "apisix", "apisix-v1"])
def test_the_command_line_prints_a_command_that_works(gate, recorder, dialect):
    door = gate(recorder.url, text(dialect), prepare=prepare)
    for arguments in (["GET", door.url("/x?a=1")], ["POST", door.url("/x"), "--data", '{"a": "b c"}', "--header", "Content-Type: application/json"]):
        command = door.run("sign", "--scheme", "http-signature", "--dialect", dialect, "--key", KEY, "--secret-file", "secrets/john.key", *arguments, "--curl", config=False)
        command = command.replace("curl ", f"curl --silent --cacert {door.ca} --resolve {HOST}:{door.https}:127.0.0.1 --output body --write-out '%{{http_code}}' ", 1)
        done = subprocess.run(["sh", "-c", command], capture_output=True, text=True, cwd=door.folder)
        assert done.stdout == "200", (command, done)
        assert user(recorder) == "john"
