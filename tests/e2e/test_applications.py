"""Applications that trust a header, behind the gate: the right user is logged in, and every forgery is not.

Each of the servers folds header names in its own way: wsgiref and gunicorn's dangerous mode make one variable of `X-Forwarded-User` and
`X_Forwarded_User`, which is what forgers hope for.
"""

import json
import os
import subprocess
import sys
import textwrap

import pytest

from conftest import HOST, basic, free_port

PASSWORD = "correct horse battery staple 7"

TEXT = """
[auth.staff.basic]
users = "store"
[[route]]
path = "/public/**"
access = "public"
[[route]]
path = "/**"
accept = ["staff"]
"""

DJANGO = """
import os
import django
from django.conf import settings

settings.configure(
    SECRET_KEY="only for this test", DEBUG=False, ALLOWED_HOSTS=["*"], ROOT_URLCONF="app",
    DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": os.path.join(os.path.dirname(os.path.abspath(__file__)), "app.db")}},
    INSTALLED_APPS=["django.contrib.auth", "django.contrib.contenttypes", "django.contrib.sessions"],
    MIDDLEWARE=["django.contrib.sessions.middleware.SessionMiddleware", "django.contrib.auth.middleware.AuthenticationMiddleware", "app.FromTheGate"],
    AUTHENTICATION_BACKENDS=["django.contrib.auth.backends.RemoteUserBackend"],
)
django.setup()

from django.contrib.auth.middleware import RemoteUserMiddleware
from django.core.handlers.wsgi import WSGIHandler
from django.http import JsonResponse
from django.urls import re_path

class FromTheGate(RemoteUserMiddleware):
    header = "HTTP_X_FORWARDED_USER"

def who(request):
    found = {name: value for name, value in request.META.items() if name.startswith("HTTP_")}
    return JsonResponse({"user": request.user.get_username() if request.user.is_authenticated else None, "meta": found})

urlpatterns = [re_path(r"^.*$", who)]

if os.environ.get("MIGRATE"):
    from django.core.management import call_command
    call_command("migrate", run_syncdb=True, verbosity=0)

application = WSGIHandler()
"""

WSGIREF = """
import os, sys
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server
from socketserver import ThreadingMixIn
from app import application

class Server(ThreadingMixIn, WSGIServer):
    daemon_threads = True

make_server("127.0.0.1", int(sys.argv[1]), application, Server).serve_forever()
"""


def aliases(name):
    """The name in every spelling that some server folds to the same variable, and in some that none does."""
    found = {name, name.upper(), name.lower(), name.replace("-", "_", 1)}
    for separator in "_.!#$%&'*+^`|~":
        found |= {name.replace("-", separator), name.replace("-", separator).upper()}
    return sorted(found)


@pytest.fixture(params=["gunicorn", "gunicorn-dangerous", "wsgiref"])
def django(request, application, tmp_path):
    folder = tmp_path / "django"
    folder.mkdir()
    (folder / "app.py").write_text(DJANGO)
    (folder / "serve.py").write_text(WSGIREF)
    subprocess.run([sys.executable, "-c", "import app"], cwd=folder, check=True, env={**os.environ, "MIGRATE": "1"})
    port = free_port()
    if request.param == "wsgiref":
        application([sys.executable, "serve.py", str(port)], port, cwd=folder)
    else:
        header_map = ["--header-map", "dangerous"] if request.param == "gunicorn-dangerous" else []
        command = [sys.executable, "-m", "gunicorn", "--bind", f"127.0.0.1:{port}", "--threads", "4", "--workers", "1", *header_map, "app:application"]
        application(command, port, cwd=folder)
    return f"http://127.0.0.1:{port}"


def people(door):
    for name in ("alice", "bob"):
        door.run("user", "add", name, "--password-stdin", text=PASSWORD + "\n")


def logged_in(answer):
    status, _, body = answer
    return json.loads(body)["user"] if status == 200 else None


def test_django_logs_in_whom_the_gate_verified_and_nobody_else(gate, django):
    door = gate(django, TEXT, prepare=people)
    for name in ("alice", "bob"):
        assert logged_in(door.request("GET", "/page", basic(name, PASSWORD))) == name
    assert door.request("GET", "/page")[0] == 401
    assert door.request("GET", "/page", basic("alice", "wrong"))[0] == 401
    assert logged_in(door.request("GET", "/public/page")) is None
    for alias in aliases("X-Forwarded-User"):
        forged = [(alias, "admin")]
        assert logged_in(door.request("GET", "/public/page", forged)) is None, alias
        assert door.request("GET", "/page", forged)[0] in (400, 401), alias
        answer = door.request("GET", "/page", [*forged, *basic("bob", PASSWORD).items()])
        assert logged_in(answer) == "bob" or answer[0] == 400, (alias, answer)
        answer = door.request("GET", "/page", [*basic("bob", PASSWORD).items(), *forged, *forged])
        assert logged_in(answer) == "bob" or answer[0] == 400, (alias, answer)
        # And over HTTP/2.
        text = door.curl("--http2", "--header", f"{alias}: admin", door.url("/public/page"), expect=None)
        assert '"user": null' in text or '"error"' in text or text == "", (alias, text)


def test_django_sees_neither_the_credential_nor_what_the_client_said_of_itself(gate, django):
    door = gate(django, TEXT, prepare=people)
    headers = {**basic("bob", PASSWORD), "X-Forwarded-For": "10.9.8.7", "X-Forwarded-Proto": "http", "X-Forwarded-Host": "evil.example", "Connection": "close, X-Forwarded-User"}
    status, _, body = door.request("GET", "/page", headers)
    assert status == 200
    meta = json.loads(body)["meta"]
    assert meta["HTTP_X_FORWARDED_USER"] == "bob"
    assert "HTTP_AUTHORIZATION" not in meta and PASSWORD not in body.decode()
    assert (meta["HTTP_X_FORWARDED_FOR"], meta["HTTP_X_FORWARDED_PROTO"], meta["HTTP_X_FORWARDED_HOST"]) == ("127.0.0.1", "https", HOST)
    assert meta["HTTP_X_DOORWARD_SIGNATURE"].startswith("v1;t=")


def test_radicale_logs_in_whom_the_gate_verified_and_nobody_else(gate, application, tmp_path):
    port = free_port()
    config = tmp_path / "radicale.conf"
    config.write_text(
        textwrap.dedent(
            f"""\
            [server]
            hosts = 127.0.0.1:{port}
            [auth]
            type = http_x_remote_user
            [rights]
            type = owner_only
            [storage]
            filesystem_folder = {tmp_path / "collections"}
            """
        )
    )
    application([sys.executable, "-m", "radicale", "--config", str(config)], port)
    door = gate(f"http://127.0.0.1:{port}", TEXT, {"identity": 'user_header = "X-Remote-User"'}, people)
    ask = b'<?xml version="1.0"?><propfind xmlns="DAV:"><prop><current-user-principal/></prop></propfind>'

    def principal(path, headers):
        status, _, body = door.request("PROPFIND", path, [*headers, ("Depth", "0"), ("Content-Type", "application/xml")], ask)
        return status, body.decode()

    calendar = b'<?xml version="1.0"?><C:mkcalendar xmlns="DAV:" xmlns:C="urn:ietf:params:xml:ns:caldav"><set><prop><displayname>own</displayname></prop></set></C:mkcalendar>'
    for name in ("alice", "bob"):
        status, body = principal("/", basic(name, PASSWORD).items())
        assert status == 207 and f"/{name}/" in body, (status, body)
        status, _, text = door.request("MKCALENDAR", f"/{name}/own/", list(basic(name, PASSWORD).items()), calendar)
        assert status == 201, text
    event = b"BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:x\r\nBEGIN:VEVENT\r\nUID:1\r\nDTSTAMP:20260101T000000Z\r\nDTSTART:20260101T000000Z\r\nSUMMARY:Of alice alone\r\nEND:VEVENT\r\nEND:VCALENDAR\r\n"
    assert door.request("PUT", "/alice/own/1.ics", [*basic("alice", PASSWORD).items(), ("Content-Type", "text/calendar")], event)[0] == 201
    status, _, body = door.request("GET", "/alice/own/1.ics", basic("alice", PASSWORD))
    assert status == 200 and b"Of alice alone" in body

    assert door.request("GET", "/alice/own/1.ics")[0] == 401
    assert door.request("GET", "/alice/own/1.ics", basic("bob", PASSWORD))[0] in (403, 404)
    for alias in aliases("X-Remote-User"):
        for credential in ([], list(basic("bob", PASSWORD).items())):
            status, _, body = door.request("GET", "/alice/own/1.ics", [*credential, (alias, "alice")])
            assert status in (400, 401, 403, 404) and b"Of alice alone" not in body, (alias, credential, status)
        status, body = principal("/", [*basic("bob", PASSWORD).items(), (alias, "alice")])
        assert "/alice/" not in body and status in (207, 400), (alias, status, body)
