"""The API clients of dj-sso-client and dj-api-auth as they were published, made to run on Python 3 here and now."""

import json
import os
import pathlib
import sys
import tempfile
import time
import types
import urllib.error
import urllib.parse
import urllib.request

import pytest

from conftest import download

KEY, SECRET = "483a570a", "d7228d70cd7f456d9bfdc35ed8fee375"
CACHE = pathlib.Path(os.environ.get("XDG_CACHE_HOME", pathlib.Path.home() / ".cache")) / "doorward/sdists"

TEXT = f"""
[auth.devices.query-hmac]
[auth.devices.query-hmac.keys.{KEY}]
secret_file = "secrets/query.key"
user = "webshop"
paths = ["/sso/**", "/api/**"]
[[route]]
path = "/**"
accept = ["devices"]
"""


def prepare(gate):
    (gate.folder / "secrets/query.key").write_text(SECRET)


def source(name, version):
    """The package's source, fetched once. Its setup.py imports Django, and asks it for a setting."""
    kept = CACHE / f"{name}-{version}"
    if not kept.exists():
        CACHE.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=CACHE) as folder:
            unpacked = download(name, version, folder, "--no-build-isolation", DJANGO_SETTINGS_MODULE="django.conf.global_settings")
            unpacked.rename(kept)
    return kept


def replaced(text, *pairs):
    for old, new in pairs:
        assert text.count(old) == 1, old
        text = text.replace(old, new)
    return text


MAC = ("hmac.new(self._sk, msg, digestmod=hashlib.sha256)", "hmac.new(self._sk.encode(), msg.encode(), digestmod=hashlib.sha256)")


def sso_client():
    """Text was bytes in Python 2. Nothing else is changed."""
    return replaced((source("dj-sso-client", "0.21") / "djssoclient/apiclient.py").read_text(), MAC)


def sso_client_2():
    """Written for Python 3: nothing is changed."""
    return (source("dj-sso-client2", "2.0.0") / "djssoclient/apiclient.py").read_text()


def api_auth():
    """The client that dj-api-auth shows, up to where it begins to call."""
    text = (source("dj-api-auth", "0.7") / "example/test/test.py").read_text().partition("apiclient = APIClient(")[0]
    return replaced(text, MAC, ("self._sign_url(url, data)), data)", "self._sign_url(url, data)), data.encode() if data else data)"))


CLIENTS = [sso_client, sso_client_2, api_auth]


@pytest.fixture
def python2(monkeypatch):
    """The modules of Python 2 that the clients import, and settings of Django."""
    conf = types.SimpleNamespace(settings=types.SimpleNamespace(DEBUG=False, SSO_API_AUTH_SETTING={"apikey": KEY, "seckey": SECRET, "url": ""}))
    urllib2 = types.SimpleNamespace(build_opener=urllib.request.build_opener, HTTPError=urllib.error.HTTPError)
    for name, module in (("django.conf", conf), ("urllib2", urllib2), ("urlparse", urllib.parse)):
        monkeypatch.setitem(sys.modules, name, module)
    monkeypatch.setattr(urllib, "urlencode", urllib.parse.urlencode, raising=False)


@pytest.fixture(params=CLIENTS, ids=lambda make: make.__name__)
def published(request, python2):
    """Makes clients of one gate; and the module they are of."""
    module = types.ModuleType("apiclient")
    exec(compile(request.param(), "apiclient.py", "exec"), module.__dict__)

    def make(door, key=KEY, secret=SECRET):
        one = module.APIClient(key, secret, f"https://localhost:{door.https}")
        one.opener = urllib.request.build_opener(urllib.request.HTTPSHandler(context=door.tls()))
        return one

    return make, module


def refusal(module, call):
    """Status and body of a refusal. The clients hold them the wrong way round, and so each has the other's name."""
    error = getattr(module, "APIClientHTTPError", None) or module.APIException
    with pytest.raises(error) as refused:
        call()
    return refused.value.message, json.loads(refused.value.code)


def test_requests_that_the_published_clients_sign_are_let_in(gate, recorder, published):
    make, _ = published
    door = gate(recorder.url, TEXT, prepare=prepare)
    client = make(door)
    for url, seen in (
        ("/sso/reqeusttoken/", "/sso/reqeusttoken/"),
        ("api/hello/", "/api/hello/"),
        ("/api/hello/?q=a%20b&plus=x%2By&slash=%2F&uml=%C3%A4", "/api/hello/?q=a+b&plus=x%2By&slash=%2F&uml=%C3%A4"),
        # What has no value they leave out, and what is there twice they put side by side.
        ("/api/hello/?a=1&empty=&b=2&a=3&star=*~", "/api/hello/?a=1&a=3&b=2&star=%2A~"),
    ):
        for _ in range(3):
            status, answer = client.send_request(url)
            assert (status, answer["target"]) == (200, seen)
            [(head, _)] = recorder.take()
            assert b"x-forwarded-user: webshop\r\n" in [line.lower() for line in head]


def test_refusals_reach_the_published_clients_in_the_words_that_they_know(gate, recorder, published, monkeypatch):
    make, module = published
    door = gate(recorder.url, TEXT, prepare=prepare)
    said = lambda client, url: refusal(module, lambda: client.send_request(url))
    assert said(make(door, secret="guess"), "/api/hello/") == (403, {"error": "signature error"})
    for client, url in ((make(door, key="nobody"), "/api/hello/"), (make(door), "/admin/")):
        assert said(client, url) == (403, {"error": "entry point not allowed for the API key"})
    now = time.time
    for moved in (-400, 400):
        monkeypatch.setattr(time, "time", lambda: now() + moved)
        assert said(make(door), "/api/hello/") == (403, {"error": "time drift > 300 sec"})
    for name in ("nan", "inf", "-inf", "1e18", "-9223372036854775808"):
        monkeypatch.setattr(time, "time", lambda: name)
        assert said(make(door), "/api/hello/") == (403, {"error": "time drift > 300 sec"})
    assert recorder.take() == []


def test_a_signature_of_the_published_clients_is_good_once(gate, recorder, published):
    make, module = published
    door = gate(recorder.url, TEXT, prepare=prepare)
    client = make(door)
    target = client._sign_url("/api/hello/?q=1", *([None] if module.__dict__.get("APIException") else []))
    assert [door.request("GET", target)[0] for _ in range(2)] == [200, 403]
    assert len(recorder.take()) == 1


@pytest.mark.parametrize("published", [api_auth], indirect=True)
def test_a_body_that_is_signed_is_let_in(gate, recorder, published):
    make, module = published
    door = gate(recorder.url, TEXT, prepare=prepare)
    client = make(door)
    for data in ("world", '{"a": "ä + %2F"}'):
        assert client.send_request("/api/goodbye/?x=1", data)[1]["target"] == "/api/goodbye/?x=1"
        [(_, body)] = recorder.take()
        assert body == data.encode()
    target = client._sign_url("/api/goodbye/", "world")
    assert door.request("POST", target, body=b"World")[0] == 403
    assert recorder.take() == []


@pytest.mark.parametrize("published", [sso_client], indirect=True)
def test_a_body_that_dj_sso_clients_does_not_sign_is_refused_as_at_its_origin(gate, recorder, published):
    make, module = published
    client = make(gate(recorder.url, TEXT, prepare=prepare))
    assert refusal(module, lambda: client.send_request("/api/goodbye/", b"world")) == (403, {"error": "signature error"})
    assert recorder.take() == []
