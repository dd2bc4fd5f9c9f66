"""The signing module of django-fost-authn as it was published, made to run on Python 3 here and now."""

import base64
import collections
import datetime
import time
import types
import urllib.parse

import pytest

from conftest import HOST, download

SECRET = "fost-secret-4f1d2c3b4a596877"

TEXT = """
[auth.partners.fost]
allow_unsigned_query = true
[auth.partners.fost.keys.aspnet]
secret_file = "secrets/aspnet.key"
user = "webshop"
impersonate = true
[[route]]
path = "/**"
accept = ["partners"]
"""


@pytest.fixture(scope="module")
def signer(tmp_path_factory):
    """The package was written for Python 2: text was bytes, and had a Base64 codec. Nothing else is changed."""
    source = (download("django-fost-authn", "0.3.8", tmp_path_factory.mktemp("fost")) / "fost_authn/signature.py").read_text()
    old = 'hmac.new(secret, document, hashlib.sha1).digest().encode("base64")[:-1]'
    new = "base64.b64encode(hmac.new(secret.encode(), document.encode(), hashlib.sha1).digest()).decode()"
    assert source.count(old) == 1
    module = types.ModuleType("signature")
    module.base64 = base64
    exec(compile(source.replace(old, new), "signature.py", "exec"), module.__dict__)
    return module


def stamp(seconds=0):
    return (datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(seconds=seconds)).strftime("%Y-%m-%d %H:%M:%S")


def headers(signer, method, path, body="", time=None, secret=SECRET, **signed):
    names = collections.OrderedDict((name.replace("_", "-"), value) for name, value in signed.items())
    time = time or stamp()
    _, signature = signer.fost_hmac_request_signature(secret, method, path, time, names, body)
    return {
        "Authorization": f"FOST aspnet:{signature}",
        "X-FOST-Timestamp": time,
        "X-FOST-Headers": " ".join(["X-FOST-Headers", *names]),
        **names,
    }


def user(recorder):
    [(head, body)] = recorder.take()
    values = [line.split(b":", 1)[1].strip().decode() for line in head if line.lower().startswith(b"x-forwarded-user:")]
    assert len(values) == 1
    return values[0]


def test_requests_that_the_package_signs_are_let_in(gate, recorder, signer):
    door = gate(recorder.url, TEXT)
    for method, target, body in (("GET", "/", ""), ("GET", "/api/accounts/?page=2&q=a%20b", ""), ("POST", "/api/accounts/", '{"username": "some_name"}'), ("PUT", "/api/x", "é")):
        path, _, query = target.partition("?")
        status, _, text = door.request(method, target, headers(signer, method, path, body or query), body.encode() if body else None)
        assert status == 200, text
        assert user(recorder) == "webshop"
        status, _, text = door.request(method, target, headers(signer, method, path, body or query, X_FOST_User="kirit"), body.encode() if body else None)
        assert status == 200, text
        assert user(recorder) == "kirit"


def test_the_package_signs_the_decoded_path_as_django_sees_it(gate, recorder, signer):
    door = gate(recorder.url, TEXT)
    assert door.request("GET", "/caf%C3%A9/a%20b", headers(signer, "GET", "/café/a b"))[0] == 200
    assert user(recorder) == "webshop"


def test_what_was_changed_after_signing_is_not_let_in(gate, recorder, signer):
    door = gate(recorder.url, TEXT)
    good = headers(signer, "POST", "/api/x", "body")
    for method, target, sent, body in (
        ("PUT", "/api/x", good, b"body"),
        ("POST", "/api/y", good, b"body"),
        ("POST", "/api/x", good, b"Body"),
        ("POST", "/api/x", headers(signer, "POST", "/api/x", "body", secret="guess"), b"body"),
        ("POST", "/api/x", headers(signer, "POST", "/api/x", "body", time=stamp(-400)), b"body"),
        ("POST", "/api/x", headers(signer, "POST", "/api/x", "body", time=stamp(400)), b"body"),
        ("POST", "/api/x", {**good, "X-FOST-User": "admin"}, b"body"),
        ("POST", "/api/x", {**headers(signer, "POST", "/api/x", "body", X_FOST_User="kirit"), "X-FOST-User": "admin"}, b"body"),
    ):
        assert door.request(method, target, sent, body)[0] == 401, (method, target, sent)
    assert recorder.take() == []


def test_urls_that_the_package_signs_open_until_they_expire(gate, recorder, signer):
    door = gate(recorder.url, TEXT)
    for host, path, query in ((HOST, "/reports/", ""), (HOST, "/reports/", "b=2&a=1&a=0"), (f"{HOST}:{door.https}", "/x", "y=%20")):
        for expires, expected in ((str(int(time.time()) + 30), 200), (str(int(time.time()) - 2), 401)):
            signature = signer.fost_hmac_url_signature("aspnet", SECRET, host, path, query, expires)
            parts = ([query] if query else []) + [f"_k=aspnet&_e={expires}&_s={urllib.parse.quote(signature, safe='')}"]
            target = f"{path}?{'&'.join(parts)}"
            status = int(door.curl("--output", "/dev/null", "--write-out", "%{http_code}", "--header", f"Host: {host}", door.url(target)))
            assert status == expected, target
            if expected == 200:
                [(head, _)] = recorder.take()
                assert head[0].decode().split(" ")[1] == (f"{path}?{query}" if query else path)
    assert recorder.take() == []
