"""The programs of docs/clients, as a reader would copy them, against a gate."""

import hashlib
import hmac
import os
import pathlib
import re
import shutil
import subprocess

import pytest

from conftest import DEADLINE

DOCS = pathlib.Path(__file__).resolve().parents[2] / "docs/clients"
KEY, SECRET = "aspnet", "client-secret-0123456789-abcdef"
WRONG = SECRET[::-1]
BODY = '{"text": "a + b / ä %2F", "empty": ""}'
# A blank, a plus, a slash, a letter outside ASCII, a name that is there twice, one without a value.
TARGET = "/q/caf%C3%A9/a%20b?a=b%20c&plus=x%2By&slash=%2F&uml=%C3%A4&dup=1&dup=2&tilde=~&star=%2A"
EMPTY = "&empty="
CONFIG = f"""
[auth.fost.fost]
[auth.fost.fost.keys.{KEY}]
secret_file = "secrets/client.key"
user = "webshop"
[auth.message.http-message-signature]
[auth.message.http-message-signature.keys.{KEY}]
secret_file = "secrets/client.key"
user = "webshop"
[auth.message.http-message-signature.keys.long]
secret_file = "secrets/long.key"
[auth.query.query-hmac]
[auth.query.query-hmac.keys.{KEY}]
secret_file = "secrets/client.key"
user = "webshop"
[auth.draft.http-signature]
[auth.draft.http-signature.keys.{KEY}]
secret_file = "secrets/client.key"
user = "webshop"
[auth.kong.http-signature]
dialect = "kong"
[auth.kong.http-signature.keys.{KEY}]
secret_file = "secrets/client.key"
user = "webshop"
[auth.github.webhook]
preset = "github"
secret_file = "secrets/client.key"
paths = ["/hook"]
[[route]]
path = "/hook"
accept = ["github"]
[[route]]
path = "/**"
accept = ["fost", "message", "query", "draft", "kong"]
"""


def keystore(folder, ca):
    store = folder / "ca.p12"
    if not store.exists():
        subprocess.run(["keytool", "-importcert", "-noprompt", "-alias", "ca", "-file", ca, "-keystore", store, "-storepass", "changeit"], check=True, capture_output=True, timeout=DEADLINE)
    return ["-Djavax.net.ssl.trustStore=ca.p12", "-Djavax.net.ssl.trustStorePassword=changeit"]


def mono(folder, program, ca):
    """Compiled once; the authority goes into the store of this home alone."""
    compiled = folder / f"{program}.exe"
    if not compiled.exists():
        subprocess.run(["mcs", "-warnaserror", "-r:System.Net.Http.dll", f"{program}.cs"], cwd=folder, check=True, capture_output=True, timeout=600)
        subprocess.run(["cert-sync", "--user", ca], check=True, capture_output=True, timeout=DEADLINE, env={**os.environ, "HOME": str(folder)})
    return ["mono", compiled.name]


def go(folder, program, ca):
    compiled = folder / program
    if not compiled.exists():
        subprocess.run(["go", "build", "-o", program, f"{program}.go"], cwd=folder, check=True, capture_output=True, timeout=600, env={**os.environ, "GO111MODULE": "off"})
    return [f"./{program}"]


# Page: what has to be on the machine, how a program is called, and whether its name has capitals.
LANGUAGES = {
    "python": (["python3"], lambda folder, program, ca: ["python3", f"{program}.py"], False),
    "javascript": (["node"], lambda folder, program, ca: ["node", f"{program}.mjs"], False),
    "php": (["php"], lambda folder, program, ca: ["php", f"{program}.php"], False),
    "csharp": (["mcs", "mono", "cert-sync"], mono, True),
    "java": (["java", "javac", "keytool"], lambda folder, program, ca: ["java", *keystore(folder, ca), f"{program}.java"], True),
    "go": (["go"], go, False),
    "shell": (["bash", "openssl", "curl"], lambda folder, program, ca: ["bash", f"{program}.sh"], False),
}
PROGRAMS = {"fost", "fost_url", "message_signature", "query_hmac", "http_signature", "webhook"}


def snippets(page):
    """The programs of a page by the names of their files: the first line of a block names it."""
    found = {}
    for block in re.findall(r"^```\w+\n(.*?)^```$", (DOCS / f"{page}.md").read_text(), re.MULTILINE | re.DOTALL):
        if named := re.match(r"(?:<\?php )?(?:#|//) ([\w.]+)\n", block):
            assert named[1] not in found, f"{named[1]} is there twice"
            found[named[1]] = block
    return found


def spelt(program, capitals):
    return "".join(word.capitalize() for word in program.split("_")) if capitals else program


@pytest.fixture(scope="session")
def folders(tmp_path_factory):
    """For each language a folder with its programs, or a reason to skip it."""
    made = {}

    def folder(page):
        needed, _, _ = LANGUAGES[page]
        if missing := [name for name in needed if not shutil.which(name)]:
            pytest.skip(f"{page}: {', '.join(missing)} is not on this machine")
        if page == "javascript" and int(subprocess.check_output(["node", "--version"], text=True)[1:].split(".")[0]) < 20:
            pytest.skip("javascript: node is older than 20")
        if page not in made:
            made[page] = tmp_path_factory.mktemp(page)
            for name, text in snippets(page).items():
                (made[page] / name).write_text(text)
        return made[page]

    return folder


class Client:
    """The programs of one page against one gate."""

    def __init__(self, page, folder, door):
        self.page, self.folder, self.door = page, folder, door

    def run(self, program, *arguments, key=KEY, secret=SECRET, dialect=None):
        _, command, capitals = LANGUAGES[self.page]
        command = command(self.folder, spelt(program, capitals), self.door.ca)
        trust = {name: self.door.ca for name in ("SSL_CERT_FILE", "NODE_EXTRA_CA_CERTS", "CURL_CA_BUNDLE")}
        environment = {**os.environ, "LC_ALL": "C.UTF-8", **trust, "KEY_NAME": key, "KEY_SECRET": secret, **({"DIALECT": dialect} if dialect else {})}
        if self.page == "csharp":
            environment["HOME"] = str(self.folder)
        done = subprocess.run([*command, *arguments], cwd=self.folder, env=environment, capture_output=True, text=True, timeout=DEADLINE)
        assert done.returncode == 0, (self.page, program, done.stdout, done.stderr)
        return done.stdout

    def status(self, program, method, target, *body, **options):
        said = self.run(program, method, f"https://localhost:{self.door.https}{target}", *body, **options)
        [status] = re.findall(r"^\d{3}$", said, re.MULTILINE)
        return int(status)

    def sent(self, target):
        """The target as this language writes it: .NET's Uri takes the escape off an asterisk, before it is signed."""
        return target.replace("%2A", "*") if self.page == "csharp" else target


@pytest.fixture(params=LANGUAGES)
def client(request, gate, recorder, folders):
    folder = folders(request.param)
    # The authority of one gate serves all: what trusts it is made once.
    return Client(request.param, folder, gate(recorder.url, CONFIG, prepare=lambda one: prepare(one, folder)))


def prepare(gate, folder):
    (gate.folder / "secrets/client.key").write_text(SECRET + "\n")
    (gate.folder / "secrets/long.key").write_text(SECRET * 5)
    kept = folder / "certs"
    if kept.exists():
        shutil.rmtree(gate.folder / "certs")
        shutil.copytree(kept, gate.folder / "certs")
    else:
        shutil.copytree(gate.folder / "certs", kept)


def received(recorder):
    """Target, user and body of the one request that came through."""
    [(head, body)] = recorder.take()
    [user] = [line.split(b":", 1)[1].strip().decode() for line in head if line.lower().startswith(b"x-forwarded-user:")]
    return head[0].decode().split(" ")[1], user, body.decode()


@pytest.mark.parametrize("page", LANGUAGES)
def test_a_page_has_a_program_for_each_scheme_and_no_other(page):
    _, _, capitals = LANGUAGES[page]
    named = {pathlib.Path(name).stem for name in snippets(page)} - {"hmac"}
    assert named == {spelt(program, capitals) for program in PROGRAMS}


def test_every_page_of_the_folder_is_run():
    assert {path.stem for path in DOCS.glob("*.md")} - {"README"} == set(LANGUAGES)


def test_fost(client, recorder):
    for method, target, body in (("GET", TARGET + EMPTY, []), ("GET", "/", []), ("POST", "/q", [BODY]), ("DELETE", "/q/a%20b", [])):
        assert client.status("fost", method, target, *body) == 200, (method, target)
        assert received(recorder) == (client.sent(target), "webshop", "".join(body))
    assert client.status("fost", "GET", TARGET, secret=WRONG) == 401
    assert recorder.take() == []


def test_fost_signed_url(client, recorder):
    for target in (TARGET + EMPTY, "/"):
        assert client.status("fost_url", "GET", target) == 200, target
        assert received(recorder) == (client.sent(target), "webshop", "")
    assert client.status("fost_url", "GET", TARGET, secret=WRONG) == 401
    assert recorder.take() == []


def test_http_message_signature(client, recorder):
    for method, target, body in (("GET", TARGET + EMPTY, []), ("GET", "/", []), ("POST", TARGET + EMPTY, [BODY]), ("POST", TARGET + EMPTY, [BODY])):
        assert client.status("message_signature", method, target, *body) == 200, (method, target)
        assert received(recorder) == (client.sent(target), "webshop", "".join(body))
    assert client.status("message_signature", "POST", TARGET, BODY, secret=WRONG) == 401
    assert recorder.take() == []


def test_query_hmac(client, recorder):
    plain = TARGET.replace("%20c", "+c")
    for method, target, seen, body in (("GET", TARGET + EMPTY, plain, []), ("GET", "/", "/", []), ("POST", TARGET, plain, [BODY])):
        assert client.status("query_hmac", method, target, *body) == 200, (method, target)
        assert received(recorder) == (client.sent(seen), "webshop", "".join(body))
    assert client.status("query_hmac", "POST", TARGET, BODY, secret=WRONG) == 403
    assert recorder.take() == []


@pytest.mark.parametrize("dialect", ["draft", "kong"])
def test_http_signature(client, recorder, dialect):
    for method, target, body in (("GET", TARGET + EMPTY, []), ("GET", "/", []), ("POST", TARGET + EMPTY, [BODY])):
        assert client.status("http_signature", method, target, *body, dialect=dialect) == 200, (method, target)
        assert received(recorder) == (client.sent(target), "webshop", "".join(body))
    assert client.status("http_signature", "POST", TARGET, BODY, dialect=dialect, secret=WRONG) == 401
    assert recorder.take() == []


def test_webhook(client, recorder):
    said = client.run("webhook", BODY).strip()
    assert said == "X-Hub-Signature-256: sha256=" + hmac.new(SECRET.encode(), BODY.encode(), hashlib.sha256).hexdigest()
    name, value = said.split(": ")
    assert client.door.request("POST", "/hook", {name: value}, BODY.encode())[0] == 200
    assert client.door.request("POST", "/hook", {name: value}, BODY.encode() + b" ")[0] == 401


def test_a_secret_longer_than_a_block_of_the_hash(client, recorder):
    """HMAC hashes such a secret first: a program that does it by hand has to know."""
    assert client.status("message_signature", "GET", "/", key="long", secret=SECRET * 5) == 200
    assert received(recorder) == ("/", "long", "")
