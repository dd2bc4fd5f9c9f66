"""Tokens of a Django project that knows nothing of the gate: django-oauth-toolkit and Django REST framework, with their real tables in
SQLite, PostgreSQL and MariaDB, read in place and asked for by introspection; a table as django-oauth2-provider creates it.

Every token is one that the package itself gave out. PostgreSQL and MariaDB are those that `tests/services.sh` starts.
"""

import json
import os
import pathlib
import re
import sqlite3
import subprocess
import sys
import textwrap
import urllib.parse
import uuid

import pytest
import requests

from conftest import BINARY, free_port

PASSWORD = "correct horse battery staple 7"

PROJECT = """
import json
import os
import pymysql
pymysql.version_info = (2, 2, 7, "final", 0)
pymysql.install_as_MySQLdb()
import django
from django.conf import settings

settings.configure(
    SECRET_KEY="only for this test", DEBUG=False, ALLOWED_HOSTS=["*"], ROOT_URLCONF="project", USE_TZ=True, TIME_ZONE="Asia/Kolkata",
    DATABASES={"default": json.loads(os.environ["PROJECT_DATABASE"])},
    INSTALLED_APPS=["django.contrib.auth", "django.contrib.contenttypes", "django.contrib.sessions", "oauth2_provider", "rest_framework",
                    "rest_framework.authtoken"],
    MIDDLEWARE=["django.contrib.sessions.middleware.SessionMiddleware", "django.contrib.auth.middleware.AuthenticationMiddleware"],
    OAUTH2_PROVIDER={"SCOPES": {"read": "Read", "write": "Write", "introspection": "Ask about tokens"}, "ACCESS_TOKEN_EXPIRE_SECONDS": 3600},
    DEFAULT_AUTO_FIELD="django.db.models.BigAutoField",
    PASSWORD_HASHERS=["django.contrib.auth.hashers.MD5PasswordHasher"],
)
django.setup()

from django.core.handlers.wsgi import WSGIHandler
from django.urls import include, path

urlpatterns = [path("o/", include("oauth2_provider.urls", namespace="oauth2_provider"))]
application = WSGIHandler()
"""

SETUP = """
import json
import project
from django.core.management import call_command
call_command("migrate", verbosity=0)
from django.contrib.auth.models import Group, User
from oauth2_provider.models import Application
from rest_framework.authtoken.models import Token

staff = Group.objects.create(name="staff")
alice = User.objects.create_user("alice", "alice@x.example", PASSWORD)
alice.groups.add(staff)
User.objects.create_user("eve", "eve@x.example", PASSWORD)
kinds = [("machines", "client-credentials"), ("people", "password"), ("gate", "client-credentials")]
for name, grant in kinds:
    Application.objects.create(name=name, client_id=name, client_secret=SECRET, client_type="confidential", authorization_grant_type=grant, user=alice)
print(json.dumps({"drf": Token.objects.create(user=alice).key}))
"""

CLIENT_SECRET = "client-secret-9d2b"


class Project:
    """The project's folder, its database, and its server."""

    def __init__(self, folder, kind):
        self.folder, self.kind, self.python = folder, kind, sys.executable
        (folder / "project.py").write_text(textwrap.dedent(PROJECT))
        self.name = f"e2e_{uuid.uuid4().hex[:12]}"
        self.database, self.url = getattr(self, f"_{kind}")()
        self.environment = {**os.environ, "PROJECT_DATABASE": json.dumps(self.database), "PYTHONPATH": str(folder)}
        setup = SETUP.replace("PASSWORD", repr(PASSWORD)).replace("SECRET", repr(CLIENT_SECRET))
        self.drf = json.loads(self.run(setup).splitlines()[-1])["drf"]

    def _sqlite(self):
        file = str(self.folder / "project.db")
        return {"ENGINE": "django.db.backends.sqlite3", "NAME": file}, f"sqlite:{file}"

    def _postgres(self):
        import psycopg

        url = urllib.parse.urlsplit(os.environ["DOORWARD_TEST_POSTGRES"])
        with psycopg.connect(os.environ["DOORWARD_TEST_POSTGRES"], autocommit=True) as server:
            server.execute(f"CREATE DATABASE {self.name}")
        settings = {"ENGINE": "django.db.backends.postgresql", "NAME": self.name, "HOST": url.hostname, "PORT": url.port, "USER": url.username, "PASSWORD": url.password}
        return settings, url._replace(path=f"/{self.name}").geturl()

    def _mysql(self):
        import pymysql

        url = urllib.parse.urlsplit(os.environ["DOORWARD_TEST_MYSQL"])
        with pymysql.connect(host=url.hostname, port=url.port, user=url.username, password=url.password) as server:
            server.cursor().execute(f"CREATE DATABASE {self.name} CHARACTER SET utf8mb4")
        settings = {"ENGINE": "django.db.backends.mysql", "NAME": self.name, "HOST": url.hostname, "PORT": str(url.port), "USER": url.username, "PASSWORD": url.password}
        return settings, url._replace(path=f"/{self.name}").geturl()

    def run(self, text):
        """Runs Python within the project; its output."""
        done = subprocess.run([self.python, "-c", text], env=self.environment, cwd=self.folder, capture_output=True, text=True, timeout=120)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def models(self, text):
        """The same, with the models at hand."""
        return self.run(f"import project\nfrom django.contrib.auth.models import User\nfrom oauth2_provider.models import AccessToken\n{text}")

    def serve(self, application):
        port = free_port()
        command = [self.python, "-m", "gunicorn", "--bind", f"127.0.0.1:{port}", "--workers", "1", "project:application"]
        application(command, port, env=self.environment, cwd=self.folder)
        self.site = f"http://127.0.0.1:{port}"

    def token(self, client, **form):
        answer = requests.post(f"{self.site}/o/token/", data=form, auth=(client, CLIENT_SECRET), timeout=60)
        assert answer.status_code == 200, answer.text
        return answer.json()["access_token"]

    def of_user(self, name, scope="read"):
        return self.token("people", grant_type="password", username=name, password=PASSWORD, scope=scope)

    def of_client(self, client="machines", scope="read"):
        return self.token(client, grant_type="client_credentials", scope=scope)

    def close(self):
        if self.kind == "postgres":
            import psycopg

            with psycopg.connect(os.environ["DOORWARD_TEST_POSTGRES"], autocommit=True) as server:
                server.execute(f"DROP DATABASE IF EXISTS {self.name} WITH (FORCE)")
        if self.kind == "mysql":
            import pymysql

            url = urllib.parse.urlsplit(os.environ["DOORWARD_TEST_MYSQL"])
            with pymysql.connect(host=url.hostname, port=url.port, user=url.username, password=url.password) as server:
                server.cursor().execute(f"DROP DATABASE IF EXISTS {self.name}")


@pytest.fixture
def project(tmp_path, application):
    """Makes projects: project(kind), served on a port of their own."""
    made = []

    def make(kind):
        folder = tmp_path / f"project{len(made)}"
        folder.mkdir()
        one = Project(folder, kind)
        made.append(one)
        one.serve(application)
        return one

    yield make
    for one in made:
        one.close()


ROUTES = """
[[route]]
path = "/w/**"
accept = ["django"]
[route.require]
scopes = ["write"]
[[route]]
path = "/staff/**"
accept = ["django"]
[route.require]
groups = ["staff"]
[[route]]
path = "/**"
accept = ["django"]
"""

CACHE = {"cache": 'max_age = "0s"\nnegative_max_age = "0s"'}


def users(recorder):
    return [line.split(b":", 1)[1].strip().decode() for head, _ in recorder.take() for line in head if line.lower().startswith(b"x-forwarded-user:")]


def bearer(token):
    return {"Authorization": f"Bearer {token}"}


def status(door, recorder, target, headers):
    """What the gate answers over HTTP/1.1 and over HTTP/2, and whom the application was told."""
    one = door.request("GET", target, headers)[0]
    told = users(recorder)
    lines = [argument for name, value in headers.items() for argument in ("--header", f"{name}: {value}")]
    two = int(door.curl("--http2", "--output", "/dev/null", "--write-out", "%{http_code}", *lines, door.url(target)))
    assert (one, told) == (two, users(recorder)), (target, headers)
    return one, told


@pytest.mark.parametrize("kind", ["sqlite", "postgres", "mysql"])
def test_tokens_that_django_oauth_toolkit_gave_out_are_read_in_its_own_tables(gate, recorder, project, kind):
    site = project(kind)
    text = f'[auth.django.token]\nsource = "sql"\n[auth.django.token.sql]\nurl = {json.dumps(site.url)}\npreset = "django-oauth-toolkit"\ngroups = true\n{ROUTES}'
    door = gate(recorder.url, text, CACHE)
    alice, eve, writer, machine = site.of_user("alice"), site.of_user("eve"), site.of_user("alice", "read write"), site.of_client()
    assert status(door, recorder, "/x", bearer(alice)) == (200, ["alice"])
    assert status(door, recorder, "/staff/x", bearer(alice)) == (200, ["alice"])
    assert status(door, recorder, "/staff/x", bearer(eve)) == (403, [])
    assert status(door, recorder, "/w/x", bearer(alice)) == (403, [])
    assert status(door, recorder, "/w/x", bearer(writer)) == (200, ["alice"])
    # No user stands behind a client's own token.
    assert status(door, recorder, "/x", bearer(machine)) == (401, [])
    for forged in (alice.swapcase(), alice[:-1], alice + "x", "x", "' OR '1'='1"):
        assert status(door, recorder, "/x", bearer(forged)) == (401, []), forged
    # Withdrawn by the package itself; a user who may no longer log in; a token that is over.
    gone = requests.post(f"{site.site}/o/revoke_token/", data={"token": writer}, auth=("people", CLIENT_SECRET), timeout=60)
    assert gone.status_code == 200, gone.text
    assert status(door, recorder, "/x", bearer(writer)) == (401, [])
    site.models("User.objects.filter(username='eve').update(is_active=False)")
    assert status(door, recorder, "/x", bearer(eve)) == (401, [])
    site.models("from datetime import timedelta\nfrom django.utils import timezone\nAccessToken.objects.update(expires=timezone.now() - timedelta(seconds=1))")
    assert status(door, recorder, "/x", bearer(alice)) == (401, [])
    site.models("from datetime import timedelta\nfrom django.utils import timezone\nAccessToken.objects.update(expires=timezone.now() + timedelta(seconds=60))")
    assert status(door, recorder, "/x", bearer(alice)) == (200, ["alice"])


@pytest.mark.parametrize("kind", ["sqlite", "postgres", "mysql"])
def test_clients_tokens_and_keys_of_rest_framework_in_the_same_database(gate, recorder, project, kind):
    site = project(kind)
    place = f"url = {json.dumps(site.url)}"
    text = f"""
[auth.machines.token]
source = "sql"
user_claim = ["username", "client_id"]
[auth.machines.token.sql]
{place}
preset = "django-oauth-toolkit"
[auth.keys.token]
source = "sql"
[auth.keys.token.sql]
{place}
preset = "drf-authtoken"
email_column = "email"
[[route]]
path = "/**"
accept = ["machines", "keys"]
"""
    door = gate(recorder.url, text, CACHE)
    assert status(door, recorder, "/x", bearer(site.of_client())) == (200, ["machines"])
    assert status(door, recorder, "/x", bearer(site.of_user("alice"))) == (200, ["alice"])
    assert status(door, recorder, "/x", {"Authorization": f"Token {site.drf}"}) == (200, ["alice"])
    for headers in (bearer(site.drf), {"Authorization": f"Token {site.drf.upper()}"}, {"Authorization": f"Token {site.of_user('alice')}"}):
        assert status(door, recorder, "/x", headers) == (401, []), headers
    site.run("import project\nfrom rest_framework.authtoken.models import Token\nToken.objects.all().delete()")
    assert status(door, recorder, "/x", {"Authorization": f"Token {site.drf}"}) == (401, [])


@pytest.mark.parametrize("how", ["basic", "bearer"])
def test_django_oauth_toolkit_is_asked_by_introspection(gate, recorder, project, how):
    site = project("sqlite")
    secret = CLIENT_SECRET if how == "basic" else site.of_client("gate", "introspection")
    who = 'client_id = "gate"' if how == "basic" else 'client_auth = "bearer"'
    text = f"""
[auth.django.token]
source = "introspection"
introspection_url = "{site.site}/o/introspect/"
{who}
client_secret_file = "secrets/client"
[[route]]
path = "/w/**"
accept = ["django"]
[route.require]
scopes = ["write"]
[[route]]
path = "/**"
accept = ["django"]
"""
    door = gate(recorder.url, text, CACHE, prepare=lambda one: (one.folder / "secrets/client").write_text(secret))
    alice, writer = site.of_user("alice"), site.of_user("alice", "read write")
    assert status(door, recorder, "/x", bearer(alice)) == (200, ["alice"])
    assert status(door, recorder, "/w/x", bearer(alice)) == (403, [])
    assert status(door, recorder, "/w/x", bearer(writer)) == (200, ["alice"])
    assert status(door, recorder, "/x", bearer(site.of_client())) == (401, []), "a client is no user"
    assert status(door, recorder, "/x", bearer("unknown")) == (401, [])
    requests.post(f"{site.site}/o/revoke_token/", data={"token": writer}, auth=("people", CLIENT_SECRET), timeout=60).raise_for_status()
    assert status(door, recorder, "/w/x", bearer(writer)) == (401, [])


def test_without_the_right_to_ask_nobody_is_let_in(gate, recorder, project):
    site = project("sqlite")
    text = f"""
[auth.django.token]
source = "introspection"
introspection_url = "{site.site}/o/introspect/"
client_id = "gate"
client_secret_file = "secrets/client"
[[route]]
path = "/**"
accept = ["django"]
"""
    door = gate(recorder.url, text, CACHE, prepare=lambda one: (one.folder / "secrets/client").write_text("another secret"))
    assert status(door, recorder, "/x", bearer(site.of_user("alice"))) == (503, [])


# As django-oauth2-provider's first migration makes it; the package itself is of Python 2's time.
OAUTH2_PROVIDER = """
CREATE TABLE auth_user (id integer NOT NULL PRIMARY KEY, username varchar(30) NOT NULL UNIQUE, first_name varchar(30) NOT NULL, last_name varchar(30) NOT NULL,
    email varchar(75) NOT NULL, password varchar(128) NOT NULL, is_staff bool NOT NULL, is_active bool NOT NULL, is_superuser bool NOT NULL,
    last_login datetime NOT NULL, date_joined datetime NOT NULL);
CREATE TABLE oauth2_client (id integer NOT NULL PRIMARY KEY, user_id integer REFERENCES auth_user (id), name varchar(255) NOT NULL, url varchar(200) NOT NULL,
    redirect_uri varchar(200) NOT NULL, client_id varchar(255) NOT NULL, client_secret varchar(255) NOT NULL, client_type integer NOT NULL);
CREATE TABLE oauth2_accesstoken (id integer NOT NULL PRIMARY KEY, user_id integer NOT NULL REFERENCES auth_user (id), token varchar(255) NOT NULL,
    client_id integer NOT NULL REFERENCES oauth2_client (id), expires datetime NOT NULL, scope integer NOT NULL);
CREATE INDEX oauth2_accesstoken_token ON oauth2_accesstoken (token);
INSERT INTO auth_user VALUES (1, 'alice', '', '', '', '!', 0, 1, 0, '2014-01-01 00:00:00', '2014-01-01 00:00:00');
INSERT INTO auth_user VALUES (2, 'eve', '', '', '', '!', 0, 0, 0, '2014-01-01 00:00:00', '2014-01-01 00:00:00');
INSERT INTO oauth2_client VALUES (1, 1, 'App', 'http://x', 'http://x', 'c1', 's1', 0);
INSERT INTO oauth2_accesstoken VALUES (1, 1, 'reads', 1, '2099-01-01 00:00:00', 2), (2, 1, 'writes', 1, '2099-01-01 00:00:00.123456', 6),
    (3, 1, 'over', 1, '2014-01-01 00:00:00', 6), (4, 2, 'eves', 1, '2099-01-01 00:00:00', 6);
"""


def test_a_table_of_django_oauth2_provider(gate, recorder, tmp_path):
    file = tmp_path / "old.db"
    with sqlite3.connect(file) as database:
        database.executescript(OAUTH2_PROVIDER)
    text = f'[auth.django.token]\nsource = "sql"\nprefix = ["", "Bearer", "OAuth"]\nsql = {{ url = "sqlite:{file}", preset = "django-oauth2-provider" }}\n{ROUTES}'
    door = gate(recorder.url, text, CACHE)
    for value in ("reads", "Bearer reads", "OAuth reads", "oauth reads"):
        assert status(door, recorder, "/x", {"Authorization": value}) == (200, ["alice"]), value
    assert status(door, recorder, "/w/x", {"Authorization": "reads"}) == (403, [])
    assert status(door, recorder, "/w/x", {"Authorization": "writes"}) == (200, ["alice"])
    for value in ("over", "eves", "none", "READS", "Token reads"):
        assert status(door, recorder, "/x", {"Authorization": value}) == (401, []), value


DOCS = pathlib.Path(__file__).resolve().parents[2] / "docs"


def blocks(page, kind):
    """The blocks of code of one kind on a page."""
    return re.findall(rf"^```{kind}\n(.*?)^```", (DOCS / page).read_text(), re.MULTILINE | re.DOTALL)


def test_the_way_from_a_project_to_a_gate_is_as_the_page_says(recorder, project, tmp_path):
    site = project("sqlite")
    folder = site.folder / "gate"
    (site.folder / "project.db").rename(site.folder / "db.sqlite3")
    (site.folder / "project.db").symlink_to(site.folder / "db.sqlite3")
    commands = blocks("django.md", "sh")
    environment = {**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}"}
    (tmp_path / "doorward").symlink_to(BINARY)
    sh = lambda text, where, **more: subprocess.run(["sh", "-ec", text], cwd=where, env={**environment, **more}, capture_output=True, text=True, timeout=120)
    made = sh(commands[0], site.folder)
    assert made.returncode == 0, made.stderr
    config = next(block for block in blocks("django.md", "toml") if "[listen]" in block)
    port = free_port()
    config = config.replace("0.0.0.0:8443", f"127.0.0.1:{port}").replace("127.0.0.1:9901", "127.0.0.1:0").replace("http://127.0.0.1:8000", recorder.url)
    (folder / "doorward.toml").write_text(config)
    check, run = commands[1].splitlines()
    checked = sh(check, folder)
    assert checked.returncode == 0, checked.stdout + checked.stderr
    process = subprocess.Popen(["sh", "-c", f"exec {run}"], cwd=folder, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        ask = commands[2].replace(":8443", f":{port}").replace("curl ", "curl --silent --retry-connrefused --retry 50 --retry-delay 1 --output /dev/null --write-out %{http_code} ")
        answers = [sh(ask, folder, TOKEN=token).stdout for token in (site.of_user("alice"), site.of_client(), "unknown")]
        assert answers == ["200", "401", "401"]
        assert users(recorder) == ["alice"]
        write = ask.replace("/api/orders", "/api/write/orders")
        assert [sh(write, folder, TOKEN=site.of_user("alice", scope)).stdout for scope in ("read", "read write")] == ["403", "200"]
    finally:
        process.terminate()
        process.wait(60)


def test_every_configuration_on_the_pages_about_tokens_loads(gate, recorder, monkeypatch):
    found = [block for page in ("tokens.md", "django.md") for block in blocks(page, "toml") if "[auth" in block and "[listen]" not in block]
    assert len(found) == 5
    monkeypatch.setenv("DB_PASSWORD", "secret")
    for text in found:
        name = re.search(r"\[auth\.(\w+)\.", text)[1]

        def prepare(one):
            for file in re.findall(r'_file = "(.*?)"', text):
                (one.folder / file).write_text("a secret")

        route = "" if "[[route]]" in text else f'\n[[route]]\npath = "/**"\naccept = ["{name}"]\n'
        gate(recorder.url, text + route, prepare=prepare)
