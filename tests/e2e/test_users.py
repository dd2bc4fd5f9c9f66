"""Users with a password, kept by the programs that have them: Django with each of its hashers in SQLite, PostgreSQL and MariaDB, and htpasswd, which
changes its file while the gate runs.
"""

import shutil
import subprocess

import pytest

from conftest import basic, until
from test_django_tokens import CACHE, PASSWORD, project, status  # noqa: F401

HASHERS = ["PBKDF2PasswordHasher", "PBKDF2SHA1PasswordHasher", "Argon2PasswordHasher", "BCryptSHA256PasswordHasher", "BCryptPasswordHasher", "ScryptPasswordHasher"]

# At Django's own cost; and once more as a user who logs in to Django leaves it, who is given the hash of the first hasher.
USERS = """
import project
from django.contrib.auth import authenticate
from django.contrib.auth.models import Group, User
from django.test import override_settings

hashers = [f"django.contrib.auth.hashers.{name}" for name in %HASHERS%]
for hasher in hashers:
    with override_settings(PASSWORD_HASHERS=[hasher]):
        User.objects.create_user(hasher.rsplit(".")[-1], "x@x.example", %PASSWORD%)
with override_settings(PASSWORD_HASHERS=["django.contrib.auth.hashers.PBKDF2SHA1PasswordHasher"]):
    User.objects.create_user("moved", "x@x.example", %PASSWORD%)
with override_settings(PASSWORD_HASHERS=hashers):
    assert authenticate(username="moved", password=%PASSWORD%)
    assert User.objects.get(username="moved").password.startswith("pbkdf2_sha256$")
    User.objects.create_user("inactive", "x@x.example", %PASSWORD%, is_active=False)
    User.objects.create_user("unusable", "x@x.example", None)
    User.objects.create_user("Jörg", "x@x.example", %PASSWORD%)
    User.objects.get(username="Jörg").groups.add(Group.objects.get(name="staff"))
with override_settings(PASSWORD_HASHERS=["django.contrib.auth.hashers.MD5PasswordHasher"]):
    User.objects.create_user("weak", "x@x.example", %PASSWORD%)
"""

ROUTES = """
[[route]]
path = "/staff/**"
accept = ["people"]
[route.require]
groups = ["staff"]
[[route]]
path = "/**"
accept = ["people"]
"""


@pytest.mark.parametrize("kind", ["sqlite", "postgres", "mysql"])
def test_users_of_a_django_project_with_each_of_its_hashers(gate, recorder, project, kind):  # noqa: F811
    site = project(kind)
    # All of them once; they cost what they cost, and a database makes no difference to that.
    hashers = HASHERS if kind == "sqlite" else ["PBKDF2PasswordHasher", "PBKDF2SHA1PasswordHasher", "BCryptPasswordHasher"]
    site.run(USERS.replace("%HASHERS%", repr(hashers)).replace("%PASSWORD%", repr(PASSWORD)))
    text = f'[auth.people.basic]\nusers = "django:{site.url}"\ndjango = {{ groups = true }}\n{ROUTES}'
    door = gate(recorder.url, text, CACHE)
    for name in [*hashers, "moved", "Jörg"]:
        assert status(door, recorder, "/x", basic(name, PASSWORD)) == (200, [name]), name
        assert status(door, recorder, "/x", basic(name, PASSWORD + "x")) == (401, []), name
    assert status(door, recorder, "/staff/x", basic("Jörg", PASSWORD)) == (200, ["Jörg"])
    assert status(door, recorder, "/staff/x", basic("moved", PASSWORD)) == (403, [])
    for name in ["inactive", "unusable", "weak", "nobody", "MOVED", "jörg"]:
        assert status(door, recorder, "/x", basic(name, PASSWORD)) == (401, []), name
    # What Django changes counts: a new password, a user who may not log in any longer, one who is gone.
    site.models("from django.test import override_settings\nimport django.contrib.auth.hashers\nfirst = 'django.contrib.auth.hashers.ScryptPasswordHasher'\n"
                "with override_settings(PASSWORD_HASHERS=[first]):\n    user = User.objects.get(username='moved'); user.set_password('another one 9'); user.save()\n"
                "User.objects.filter(username='Jörg').update(is_active=False); User.objects.filter(username='BCryptPasswordHasher').delete()")
    assert status(door, recorder, "/x", basic("moved", "another one 9")) == (200, ["moved"])
    for name in ["moved", "Jörg", "BCryptPasswordHasher"]:
        assert status(door, recorder, "/x", basic(name, PASSWORD)) == (401, []), name


def htpasswd(*arguments, text=""):
    subprocess.run(["htpasswd", *map(str, arguments)], input=text, check=True, capture_output=True, text=True, timeout=60)


@pytest.mark.skipif(not shutil.which("htpasswd"), reason="htpasswd is not here; install Debian's package apache2-utils")
def test_users_that_htpasswd_adds_changes_and_removes_while_the_gate_runs(gate, recorder):
    forms = {"bcrypt": ["-B"], "bcrypt10": ["-B", "-C", "10"], "apr1": ["-m"], "sha": ["-s"], "sha256": ["-2"], "sha512": ["-5", "-r", "20000"]}

    def make(one):
        for number, (name, options) in enumerate(forms.items()):
            htpasswd("-i", *(["-c"] if number == 0 else []), *options, one.folder / "users", name, text=PASSWORD)

    # Believed for an hour: what the file says counts at once all the same.
    cache = {"cache": 'max_age = "1h"\nnegative_max_age = "1h"'}
    door = gate(recorder.url, f'[auth.people.basic]\nusers = "htpasswd:users"\n[[route]]\npath = "/**"\naccept = ["people"]\n', cache, prepare=make)
    file = door.folder / "users"
    for name in forms:
        assert status(door, recorder, "/x", basic(name, PASSWORD)) == (200, [name])
        assert status(door, recorder, "/x", basic(name, PASSWORD + "x")) == (401, [])
    htpasswd("-i", "-B", file, "new", text=PASSWORD)
    htpasswd("-i", "-B", file, "bcrypt", text="another one 9")
    htpasswd("-D", file, "apr1")

    def answers(name, password):
        return door.request("GET", "/x", basic(name, password))[0]

    until("the user being gone", lambda: answers("apr1", PASSWORD) == 401)
    recorder.take()
    assert status(door, recorder, "/x", basic("bcrypt", PASSWORD)) == (401, [])
    assert status(door, recorder, "/x", basic("bcrypt", "another one 9")) == (200, ["bcrypt"])
    assert status(door, recorder, "/x", basic("new", PASSWORD)) == (200, ["new"])
    # Plain text is refused, and the old file stays.
    htpasswd("-i", "-p", file, "new", text="short")
    until("the refusal", lambda: any("the old one stays in service" in line for line in list(door.stderr)))
    assert status(door, recorder, "/x", basic("new", PASSWORD)) == (200, ["new"])
    assert status(door, recorder, "/x", basic("new", "short")) == (401, [])
    assert "short" not in "".join(door.stderr)
