"""curl, as a person would use it, over HTTP/1.1 and HTTP/2."""

import json
import shlex

import pytest

from conftest import HOST

TEXT = """
[auth.partners.fost]
[auth.partners.fost.keys.aspnet]
secret_file = "secrets/aspnet.key"
user = "webshop"
impersonate = true
[auth.tokens.token]
source = "store"
[auth.staff.basic]
users = "store"
[[route]]
path = "/public/**"
access = "public"
[[route]]
path = "/**"
accept = ["partners", "tokens", "staff"]
"""

PASSWORD = "correct horse battery staple 7"


def people(gate):
    gate.run("user", "add", "bob", "--password-stdin", text=PASSWORD + "\n")
    gate.token = json.loads(gate.run("token", "issue", "--user", "bob", "--json"))["token"]


@pytest.fixture(params=["--http1.1", "--http2"])
def version(request):
    return request.param


def status(gate, *arguments):
    return gate.curl("--output", "/dev/null", "--write-out", "%{http_code}", *arguments)


def user(recorder):
    [(head, _)] = recorder.take()
    values = [line.split(b":", 1)[1].strip().decode() for line in head[1:] if line.lower().startswith(b"x-forwarded-user:")]
    return values[0] if values else None


def test_each_scheme_opens_with_the_options_that_curl_has(gate, recorder, version):
    door = gate(recorder.url, TEXT, prepare=people)
    assert status(door, version, door.url("/x")) == "401"
    assert status(door, version, door.url("/public/x")) == "200"
    assert user(recorder) is None
    assert status(door, version, "--user", f"bob:{PASSWORD}", door.url("/x")) == "200"
    assert user(recorder) == "bob"
    assert status(door, version, "--user", "bob:wrong", door.url("/x")) == "401"
    assert status(door, version, "--oauth2-bearer", door.token, door.url("/x")) == "200"
    assert user(recorder) == "bob"
    assert status(door, version, "--header", "X-Forwarded-User: admin", door.url("/x")) in ("400", "401")
    assert recorder.take() == []


def test_what_sign_prints_can_be_pasted(gate, recorder):
    door = gate(recorder.url, TEXT, prepare=people)
    sign = ["sign", "--scheme", "fost", "--key", "aspnet", "--secret-file", "secrets/aspnet.key"]
    (door.folder / "order.json").write_text('{"item": "tea", "count": 3}')
    for arguments, expected in (
        (["GET", door.url("/x?a=1&b=%20")], "webshop"),
        (["GET", door.url("/x"), "--as", "kirit"], "kirit"),
        (["POST", door.url("/orders"), "--data", "@order.json"], "webshop"),
    ):
        headers = [part for line in door.run(*sign, *arguments, config=False).splitlines() if ": " in line for part in ("--header", line)]
        method = ["--request", arguments[0]] + (["--data-binary", "@order.json", "--header", "Content-Type: application/json"] if "--data" in arguments else [])
        assert status(door, *method, *headers, arguments[1]) == "200"
        assert user(recorder) == expected
        line = door.run(*sign, *arguments, "--curl", config=False).strip()
        assert line.startswith("curl ")
        words = shlex.split(line)[1:]
        # Within the same second it is the same signature, and a POST is good once.
        assert status(door, *words) in ("200", "401" if arguments[0] == "POST" else "200")
        recorder.take()


def test_plain_http_leads_to_https(gate, recorder):
    door = gate(recorder.url, TEXT, {"listen": 'public_url = "https://app.example.com"'}, prepare=people)
    target = f"http://{HOST}:{door.http}/public/x?y=1"
    resolve = ["--resolve", f"{HOST}:{door.http}:127.0.0.1"]
    assert door.curl(*resolve, "--output", "/dev/null", "--write-out", "%{http_code} %{redirect_url}", target) == "308 https://app.example.com/public/x?y=1"
    assert status(door, *resolve, "--data", "x", target) == "403"
    assert status(door, *resolve, "--user", "bob:x", target) == "403"
    assert recorder.take() == []


def test_a_body_of_any_kind_arrives(gate, recorder, version):
    door = gate(recorder.url, TEXT, prepare=people)
    data = bytes(range(256)) * 4096
    (door.folder / "data").write_bytes(data)
    auth = ["--user", f"bob:{PASSWORD}"]
    for how in (["--data-binary", "@data"], ["--upload-file", "data"], ["--upload-file", "data", "--header", "Transfer-Encoding: chunked"], ["--data-binary", "@data", "--header", "Expect: 100-continue"]):
        if version == "--http2" and "Transfer-Encoding: chunked" in how:
            continue
        assert status(door, version, *auth, *how, door.url("/upload")) == "200"
        [(_, body)] = recorder.take()
        assert body == data
    assert recorder.violations == []


def test_the_address_of_the_ca_is_all_a_client_needs(gate, recorder):
    door = gate(recorder.url, TEXT, prepare=people)
    assert status(door, "--tlsv1.3", door.url("/public/x")) == "200"
    assert status(door, "--tls-max", "1.2", door.url("/public/x")) == "200"
    door.curl("--tls-max", "1.1", "--ciphers", "DEFAULT:@SECLEVEL=0", door.url("/public/x"), expect=35)


