"""An authority kept with openssl: its clients come in with curl, are revoked, and stay out, also those who are in already."""

import http.client
import json
import socket
import ssl
import subprocess

import pytest

from conftest import DEADLINE, HOST, until

TEXT = """
[auth.mesh.client-certificate]
user_from = "san-uri"
allow = ["spiffe://cluster.local/ns/*/sa/*"]
[auth.staff.basic]
users = "store"
[[route]]
path = "/both/**"
accept = ["mesh", "staff"]
[[route]]
path = "/**"
accept = ["mesh"]
"""

TLS = 'client_auth = "optional"\nclient_ca = "authority/ca.crt"\nclient_crl = "authority/ca.crl"'

CONFIG = """
[ca]
default_ca = clients
[clients]
database = authority/index.txt
new_certs_dir = authority
serial = authority/serial
crlnumber = authority/crlnumber
certificate = authority/ca.crt
private_key = authority/ca.key
default_md = sha256
default_days = 30
default_crl_days = 7
policy = anything
[anything]
commonName = supplied
[client]
basicConstraints = critical, CA:false
keyUsage = critical, digitalSignature
extendedKeyUsage = clientAuth
subjectAltName = URI:${ENV::NAME}
"""

WEB = "spiffe://cluster.local/ns/shop/sa/web"


class Authority:
    """Certificates as a person would make them."""

    def __init__(self, door):
        self.folder, self.password = door.folder, "a password of some length"
        (door.folder / "authority").mkdir()
        for name, text in (("index.txt", ""), ("serial", "1000\n"), ("crlnumber", "1000\n"), ("openssl.cnf", CONFIG)):
            (door.folder / "authority" / name).write_text(text)
        new_key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]
        usage = ["-addext", "keyUsage=critical,keyCertSign,cRLSign"]
        self.openssl("req", "-x509", *new_key, "-keyout", "authority/ca.key", "-out", "authority/ca.crt", "-days", "30", "-subj", "/CN=Clients", *usage)
        self.publish()
        for name, uri in (("web", WEB), ("db", "spiffe://cluster.local/ns/shop/sa/db"), ("stranger", "spiffe://other.local/ns/shop/sa/web")):
            self.openssl("req", "-new", *new_key, "-keyout", f"{name}.key", "-out", f"{name}.csr", "-subj", f"/CN={name}")
            self.ca("-extensions", "client", "-in", f"{name}.csr", "-out", f"{name}.crt", "-notext", name=uri)
        door.run("user", "add", "bob", "--password-stdin", text=self.password + "\n")

    def openssl(self, *arguments, name="none", text=None, expect=0):
        environment = {"NAME": name, "PATH": "/usr/bin:/bin"}
        done = subprocess.run(["openssl", *arguments], cwd=self.folder, env=environment, input=text, capture_output=True, text=True, timeout=DEADLINE)
        assert expect is None or done.returncode == expect, f"{arguments}: {done.stdout}\n{done.stderr}"
        return done.stdout + done.stderr

    def ca(self, *arguments, name="none"):
        return self.openssl("ca", "-config", "authority/openssl.cnf", "-batch", *arguments, name=name)

    def publish(self):
        """As a job would: the new list takes the old one's place at once."""
        self.ca("-gencrl", "-out", "authority/new.crl")
        (self.folder / "authority/new.crl").rename(self.folder / "authority/ca.crl")

    def revoke(self, name):
        self.ca("-revoke", f"{name}.crt")
        self.publish()

    def session(self, door, version, *arguments):
        """One request by s_client as `web`; everything that it says."""
        request = f"GET /x HTTP/1.1\r\nHost: {HOST}\r\nConnection: close\r\n\r\n"
        known = ["-CAfile", "certs/ca.crt", "-servername", HOST, "-connect", f"127.0.0.1:{door.https}", "-cert", "web.crt", "-key", "web.key"]
        return self.openssl("s_client", *known, version, "-ign_eof", *arguments, text=request, expect=None)


@pytest.fixture
def door(gate, recorder):
    def prepare(one):
        one.authority = Authority(one)

    return gate(recorder.url, TEXT, sections={"tls": TLS, "limits": 'header_timeout = "2m"'}, prepare=prepare)


def status(door, version, *arguments, expect=0):
    return door.curl("--output", "/dev/null", "--write-out", "%{http_code}", version, *arguments, expect=expect)


def as_client(name):
    return ["--cert", f"{name}.crt", "--key", f"{name}.key"]


def user(recorder):
    [(head, _)] = recorder.take()
    return next(line.split(b":", 1)[1].strip().decode() for line in head[1:] if line.lower().startswith(b"x-forwarded-user:"))


def swaps(door):
    return sum("new certificates are in service" in line for line in list(door.stderr))


@pytest.mark.parametrize("version", ["--http1.1", "--http2"])
def test_curl_comes_in_with_a_certificate_until_it_is_revoked(door, recorder, version):
    assert status(door, version, door.url("/x")) == "401"
    assert status(door, version, *as_client("web"), door.url("/x")) == "200"
    assert user(recorder) == WEB
    assert status(door, version, *as_client("stranger"), door.url("/x")) == "401"
    assert status(door, version, *as_client("stranger"), "--user", f"bob:{door.authority.password}", door.url("/both/x")) == "401"
    assert status(door, version, "--user", f"bob:{door.authority.password}", door.url("/both/x")) == "200"
    assert user(recorder) == "bob"

    door.authority.revoke("web")
    until("the new list", lambda: swaps(door) == 1)
    assert status(door, version, *as_client("web"), door.url("/x"), expect=None) == "000"
    assert status(door, version, *as_client("db"), door.url("/x")) == "200"
    assert len(recorder.take()) == 1


@pytest.mark.parametrize("version", ["-tls1_2", "-tls1_3"])
def test_a_session_is_not_carried_past_a_revocation(door, recorder, version):
    for arguments in (["-sess_out", "session"], ["-sess_out", "session"]):
        said = door.authority.session(door, version, *arguments)
        assert "HTTP/1.1 200" in said, said
    kept = (door.folder / "session").exists()
    again = ["-sess_in", "session"] if kept else []
    said = door.authority.session(door, version, *again)
    assert "HTTP/1.1 200" in said and "Reused, TLS" not in said, said
    door.authority.revoke("web")
    until("the new list", lambda: swaps(door) == 1)
    said = door.authority.session(door, version, *again)
    assert "HTTP/1.1" not in said and "alert certificate revoked" in said, said
    assert len(recorder.take()) == 3


def test_a_connection_that_is_kept_alive_ends_with_its_certificate(door, recorder):
    def connect(name):
        context = door.tls()
        context.load_cert_chain(door.folder / f"{name}.crt", door.folder / f"{name}.key")
        connection = http.client.HTTPConnection("127.0.0.1", door.https, timeout=DEADLINE)
        connection.sock = context.wrap_socket(socket.create_connection(("127.0.0.1", door.https)), server_hostname=HOST)
        return connection

    def ask(connection):
        connection.request("GET", "/x", headers={"Host": HOST})
        answer = connection.getresponse()
        return answer.status, answer.getheader("Connection"), answer.read()

    web, db = connect("web"), connect("db")
    assert (ask(web)[0], ask(db)[0]) == (200, 200)
    door.authority.revoke("web")
    until("the new list", lambda: swaps(door) == 1)
    recorder.take()
    code, connection, body = ask(web)
    assert (code, connection, json.loads(body)["error"]) == (401, "close", "invalid_credentials")
    refused = connect("web")
    with pytest.raises((ssl.SSLError, ConnectionError, http.client.HTTPException)):
        ask(refused)
    assert recorder.take() == []
    assert ask(db)[:2] == (200, None)
