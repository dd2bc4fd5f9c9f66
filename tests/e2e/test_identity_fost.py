"""django-fost-authn as it was published, verifying as the application behind the gate; made to run on Python 3 here and now."""

import base64
import json
import logging
import sys
import threading
import types
import urllib.parse
import wsgiref.simple_server

import pytest

from conftest import basic, download

SECRET = "identity-secret-of-thirty-two-bytes!!"

TEXT = """
[auth.staff.basic]
users = "store"
[auth.partners.fost]
[auth.partners.fost.keys.aspnet]
secret_file = "secrets/aspnet.key"
impersonate = true
[[route]]
path = "/**"
accept = ["staff", "partners"]
"""

# Text was bytes in Python 2, dictionaries had has_key, and integers were of two kinds.
CHANGES = {
    "signature.py": [
        (
            'hmac.new(secret, document, hashlib.sha1).digest().encode("base64")[:-1]',
            "base64.b64encode(hmac.new(secret.encode(), document, hashlib.sha1).digest()).decode()",
        ),
        ('document = "%s %s\\n%s\\n%s\\n%s" % (', "document = encoded("),
    ],
    "authentication.py": [
        ("from urllib import unquote", "from urllib.parse import unquote"),
        ("kwargs.has_key('request')", "'request' in kwargs"),
        ("kwargs.has_key('key') and kwargs.has_key('hmac')", "'key' in kwargs and 'hmac' in kwargs"),
        ("request.GET.has_key('_e')", "'_e' in request.GET"),
        ("not request.META.has_key('HTTP_X_FOST_TIMESTAMP')", "'HTTP_X_FOST_TIMESTAMP' not in request.META"),
        ("request.SIGNED.has_key('X-FOST-User')", "'X-FOST-User' in request.SIGNED"),
        ("request.SIGNED['X-FOST-User'].decode('utf-7')", "request.SIGNED['X-FOST-User'].encode('latin-1').decode('utf-7')"),
        ("long(_e)", "int(_e)"),
        ("body or request.META.get('QUERY_STRING', '')", "body or request.META.get('QUERY_STRING', '').encode()"),
    ],
    "middleware.py": [
        ("request.META.has_key('HTTP_AUTHORIZATION')", "'HTTP_AUTHORIZATION' in request.META"),
        ("request.GET.has_key('_k') and request.GET.has_key('_s')", "'_k' in request.GET and '_s' in request.GET"),
        ("user.decode('utf-7')", "user.encode().decode('utf-7')"),
    ],
}


def encoded(*parts):
    return b"%s %s\n%s\n%s\n%s" % tuple(part if isinstance(part, bytes) else part.encode() for part in parts)


@pytest.fixture
def middleware(tmp_path_factory, monkeypatch):
    """The package's middleware and backend, with a user for every name."""
    folder = download("django-fost-authn", "0.3.8", tmp_path_factory.mktemp("fost")) / "fost_authn"
    settings = types.SimpleNamespace(FOST_AUTHN_GET_SECRET=lambda request, key: {"f1": SECRET}[key], FOST_AUTHN_MISSIGNED_SLEEP_TIME=0)
    users = types.SimpleNamespace(DoesNotExist=type("DoesNotExist", (Exception,), {}), objects=types.SimpleNamespace(get=lambda username: username))
    auth = types.SimpleNamespace()
    modules = {
        "django": types.SimpleNamespace(VERSION=(1, 6), contrib=types.SimpleNamespace(auth=auth)),
        "django.conf": types.SimpleNamespace(settings=settings),
        "django.core": types.SimpleNamespace(mail=types.SimpleNamespace()),
        "django.contrib": types.SimpleNamespace(auth=auth),
        "django.contrib.auth": auth,
        "django.contrib.auth.models": types.SimpleNamespace(User=users),
    }
    for name, module in modules.items():
        monkeypatch.setitem(sys.modules, name, module)
    for name in ("signature.py", "authentication.py", "middleware.py"):
        text = (folder / name).read_text()
        for old, new in CHANGES[name]:
            assert text.count(old) == 1, (name, old)
            text = text.replace(old, new)
        module = types.ModuleType(name)
        module.base64, module.encoded = base64, encoded
        exec(compile(text, name, "exec"), module.__dict__)
        monkeypatch.setitem(sys.modules, f"fost_authn.{name[:-3]}", module)
    auth.authenticate = lambda **kwargs: sys.modules["fost_authn.authentication"].FostBackend().authenticate(**kwargs)
    logging.getLogger().setLevel(logging.WARNING)
    return sys.modules["fost_authn.middleware"].Middleware()


@pytest.fixture
def project(middleware):
    """An application that answers with whom the middleware found."""

    def application(environ, start_response):
        request = types.SimpleNamespace(META=environ, method=environ["REQUEST_METHOD"], user=None)
        request.GET = dict(urllib.parse.parse_qsl(environ["QUERY_STRING"], keep_blank_values=True))
        request.path = environ["PATH_INFO"].encode("latin-1").decode()
        request.body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
        middleware.process_request(request)
        start_response("200 OK", [("Content-Type", "application/json")])
        return [json.dumps({"user": request.user, "signed": request.SIGNED, "length": len(request.body)}).encode()]

    class Quiet(wsgiref.simple_server.WSGIRequestHandler):
        def log_message(self, *_):
            pass

    server = wsgiref.simple_server.make_server("127.0.0.1", 0, application, handler_class=Quiet)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def sections(signature='["fost"]'):
    return {"identity": f"signature = {signature}", 'identity.keys."f1"': 'secret_file = "secrets/fost.key"'}


def door_with(gate, project, users, secret=SECRET, **options):
    def with_users(one):
        (one.folder / "secrets/fost.key").write_text(secret + "\n")
        for user in users:
            one.run("user", "add", user, "--password-stdin", text="a password of some length\n")

    return gate(project, TEXT, sections=sections(**options), prepare=with_users)


def test_the_package_finds_the_user_of_each_request(gate, project):
    users = ["bob", "zoë", "a+b@example.com", "x+AGE-", "a~b\\c", "日本"]
    door = door_with(gate, project, users)
    for user in users:
        for method, target, body in (
            ("GET", "/", None),
            ("GET", "/accounts/?page=2&q=a%20b", None),
            ("POST", "/accounts/", '{"name": "ü + %2F"}'.encode()),
            ("PUT", "/accounts/a%20b?x=1", b"\x00\xff" * 50_000),
            ("DELETE", "/accounts/1", None),
        ):
            status, _, answer = door.request(method, target, basic(user, "a password of some length"), body)
            said = json.loads(answer)
            assert (status, said["user"], said["length"]) == (200, user, len(body or b"")), (user, method, target, said)


def test_the_package_finds_nobody_where_somebody_else_signs(gate, project):
    for options in ({"signature": '["hmac"]'}, {"secret": SECRET[::-1]}):
        door = door_with(gate, project, ["bob"], **options)
        status, _, answer = door.request("GET", "/", basic("bob", "a password of some length"))
        assert (status, json.loads(answer)["user"]) == (200, None), options
