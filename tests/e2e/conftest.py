"""What the tests with real clients and applications stand on: the gate as a process, certificates, an upstream that records bytes."""

import base64
import http.client
import json
import os
import pathlib
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import tarfile
import threading
import time

import pytest

BINARY = os.environ.get("DOORWARD_BIN", str(pathlib.Path(__file__).resolve().parents[2] / "target/debug/doorward"))
HOST = "app.example.com"
DEADLINE = 60
NODE_SOURCES = pathlib.Path(__file__).parent / "node"
NODE_CACHE = pathlib.Path(os.environ.get("XDG_CACHE_HOME", pathlib.Path.home() / ".cache")) / "doorward" / "node"


def until(what, condition):
    """Waits until `condition` gives something true, and gives that."""
    end = time.monotonic() + DEADLINE
    while time.monotonic() < end:
        found = condition()
        if found:
            return found
        threading.Event().wait(0.05)
    raise AssertionError(f"not within {DEADLINE} s: {what}")


def free_port():
    """A port that was free a moment ago, for servers that cannot be told to choose one."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return sock.getsockname()[1]


class Gate:
    """A running Doorward with a folder of its own."""

    def __init__(self, folder, upstream, text, sections=None):
        self.folder = pathlib.Path(folder)
        self.run("certs", "--out", "certs", "--name", HOST, "--name", "localhost", "--name", "127.0.0.1", config=False)
        (self.folder / "secrets").mkdir()
        (self.folder / "secrets/identity.key").write_text("identity-secret-0123456789abcdef-0123456789abcdef")
        (self.folder / "secrets/aspnet.key").write_text("fost-secret-4f1d2c3b4a596877")
        all_sections = {
            "listen": 'https = ["127.0.0.1:0"]\nhttp = ["127.0.0.1:0"]\nadmin = "127.0.0.1:0"',
            "tls": 'certificate = "certs/server.crt"\nprivate_key = "certs/server.key"',
            "upstream": f'url = "{upstream}"',
            "identity": "",
            'identity.keys."k1"': 'secret_file = "secrets/identity.key"',
            "store": 'url = "sqlite:doorward.db"',
        }
        for name, lines in (sections or {}).items():
            all_sections[name] = f"{all_sections.get(name, '')}\n{lines}"
        config = "".join(f"[{name}]\n{lines}\n" for name, lines in sorted(all_sections.items())) + text
        (self.folder / "config.toml").write_text(config)
        self.process = None

    def run(self, *arguments, text="", config=True):
        """Runs a subcommand that must succeed; its output."""
        command = [BINARY, *arguments] + (["--config", "config.toml"] if config else [])
        done = subprocess.run(command, cwd=self.folder, input=text, capture_output=True, text=True, timeout=DEADLINE)
        assert done.returncode == 0, f"{command}: {done.stdout}\n{done.stderr}"
        return done.stdout

    def start(self):
        self.stdout, self.stderr = [], []
        self.process = subprocess.Popen(
            [BINARY, "run", "--config", "config.toml"], cwd=self.folder, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        for pipe, lines in ((self.process.stdout, self.stdout), (self.process.stderr, self.stderr)):
            threading.Thread(target=self._follow, args=(pipe, lines), daemon=True).start()
        ports = until("the listeners", self._listening)
        self.https, self.http, self.admin = ports["https"], ports["http"], ports["admin"]
        return self

    @staticmethod
    def _follow(pipe, lines):
        for line in iter(pipe.readline, b""):
            lines.append(line.decode(errors="replace"))

    def _listening(self):
        assert self.process.poll() is None, "".join(self.stderr)
        found = {}
        for line in list(self.stderr):
            try:
                fields = json.loads(line)
            except ValueError:
                continue
            if fields.get("message") == "listening":
                found[fields["listener"]] = int(fields["address"].rsplit(":", 1)[1])
        return found if len(found) == 3 else None

    def access(self):
        return [json.loads(line) for line in list(self.stdout) if line.startswith("{")]

    def memory(self):
        """The most memory the process ever held, in KiB."""
        status = pathlib.Path(f"/proc/{self.process.pid}/status").read_text()
        return int(next(line for line in status.splitlines() if line.startswith("VmHWM")).split()[1])

    def stop(self):
        if self.process and self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(DEADLINE)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()

    @property
    def ca(self):
        return str(self.folder / "certs/ca.crt")

    def tls(self, alpn=("http/1.1",)):
        context = ssl.create_default_context(cafile=self.ca)
        context.set_alpn_protocols(list(alpn))
        return context

    def socket(self):
        """A TLS connection for bytes of any kind."""
        plain = socket.create_connection(("127.0.0.1", self.https), timeout=DEADLINE)
        return self.tls().wrap_socket(plain, server_hostname=HOST)

    def request(self, method, target, headers=(), body=None):
        """One request on a connection of its own: status, headers, body."""
        connection = http.client.HTTPConnection("127.0.0.1", self.https, timeout=DEADLINE)
        connection.sock = self.socket()
        try:
            connection.putrequest(method, target, skip_host=True, skip_accept_encoding=True)
            connection.putheader("Host", HOST)
            for name, value in dict(headers).items() if isinstance(headers, dict) else headers:
                connection.putheader(name, value)
            if body is not None:
                connection.putheader("Content-Length", str(len(body)))
            connection.endheaders(body)
            answer = connection.getresponse()
            return answer.status, answer.headers, answer.read()
        finally:
            connection.close()

    def curl(self, *arguments, expect=0):
        """curl as a person would use it; standard output."""
        command = ["curl", "--silent", "--show-error", "--cacert", self.ca, "--resolve", f"{HOST}:{self.https}:127.0.0.1", "--max-time", str(DEADLINE)]
        done = subprocess.run([*command, *arguments], capture_output=True, text=True, cwd=self.folder)
        assert expect is None or done.returncode == expect, f"{arguments}: {done.returncode} {done.stdout} {done.stderr}"
        return done.stdout

    def url(self, path):
        return f"https://{HOST}:{self.https}{path}"


@pytest.fixture
def gate(tmp_path):
    """Starts gates: gate(upstream, text, sections=…, prepare=…)."""
    started = []

    def start(upstream, text, sections=None, prepare=None):
        folder = tmp_path / f"gate{len(started)}"
        folder.mkdir()
        one = Gate(folder, upstream, text, sections)
        started.append(one)
        if prepare:
            prepare(one)
        return one.start()

    yield start
    for one in started:
        one.stop()


class Recorder:
    """An HTTP/1.1 upstream that keeps each head as it was, reads bodies strictly, and answers with the target."""

    def __init__(self):
        self.requests, self.violations, self.lock = [], [], threading.Lock()
        self.silent = False  # whether it answers without a body
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=256)
        self.url = "http://127.0.0.1:%d" % self.listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection):
        with connection, connection.makefile("rb") as stream:
            while True:
                head = []
                while line := stream.readline():
                    if line == b"\r\n":
                        break
                    head.append(line)
                if not line:
                    return
                body = self._body(head, stream)
                with self.lock:
                    self.requests.append((head, body))
                if body is None:
                    return
                text = json.dumps({"target": head[0].split(b" ")[1].decode(errors="replace"), "lines": [line.decode(errors="replace").strip() for line in head[1:]]}).encode()
                if head[0].startswith(b"HEAD ") or self.silent:
                    text = b""
                try:
                    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s" % (len(text), text))
                except OSError:
                    return

    def _body(self, head, stream):
        lines = [line.rstrip(b"\r\n").split(b":", 1) for line in head[1:]]
        named = lambda name: [line[1].strip() for line in lines if len(line) == 2 and line[0].lower() == name]
        lengths, codings, hosts = named(b"content-length"), named(b"transfer-encoding"), named(b"host")
        right = (
            len(lengths) + len(codings) <= 1
            and all(value.isdigit() and str(int(value)).encode() == value for value in lengths)
            and all(value == b"chunked" for value in codings)
            and len(hosts) == 1
            and all(len(line) == 2 for line in lines)
            and all(line.endswith(b"\r\n") and b"\r" not in line[:-2] and b"\0" not in line for line in head)
            and len(head[0].split(b" ")) == 3
        )
        if not right:
            with self.lock:
                self.violations.append(head)
        if codings:
            body = b""
            while True:
                line = stream.readline().strip()
                if not line:
                    return None
                size = int(line, 16)
                if size == 0:
                    while stream.readline() not in (b"\r\n", b""):
                        pass
                    return body
                piece = stream.read(size)
                if len(piece) < size or stream.readline() != b"\r\n":
                    return None
                body += piece
        if lengths:
            body = stream.read(int(lengths[0]))
            return body if len(body) == int(lengths[0]) else None
        return b""

    def take(self):
        with self.lock:
            taken, self.requests = self.requests, []
        return taken


@pytest.fixture
def recorder():
    one = Recorder()
    yield one
    one.listener.close()


@pytest.fixture
def application(tmp_path):
    """Starts other servers: application(command, port) waits until the port answers."""
    started = []

    def start(command, port, **options):
        log = open(tmp_path / f"application{len(started)}.log", "wb")
        process = subprocess.Popen(command, stdout=log, stderr=log, stdin=subprocess.DEVNULL, **options)
        started.append(process)

        def answers():
            assert process.poll() is None, (tmp_path / f"application{len(started) - 1}.log").read_text()
            with socket.socket() as sock:
                return sock.connect_ex(("127.0.0.1", port)) == 0

        until(f"{command[0]} on its port", answers)
        return process

    yield start
    for process in started:
        process.terminate()
        process.wait(DEADLINE)


def basic(user, password):
    return {"Authorization": "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()}


def download(name, version, folder, *options, **environment):
    """The source distribution of a package, unpacked."""
    subprocess.run(
        [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--no-binary", ":all:", *options, "--dest", str(folder), f"{name}=={version}"],
        check=True,
        timeout=600,
        env={**os.environ, **environment},
    )
    with tarfile.open(next(pathlib.Path(folder).glob("*.tar.gz"))) as archive:
        archive.extractall(folder, filter="data")
    return next(path for path in pathlib.Path(folder).iterdir() if path.is_dir())


@pytest.fixture(scope="session")
def packages():
    """Where programs of npm can be started: their packages are installed once, beside nothing of the project."""
    node = shutil.which("node")
    version = subprocess.run([node, "--version"], capture_output=True, text=True).stdout if node else "none"
    if not node or int(version.lstrip("v").split(".")[0]) < 20:
        pytest.skip(f"these packages need node 20 or later; there is {version.strip()}")
    NODE_CACHE.mkdir(parents=True, exist_ok=True)
    changed = False
    for source in NODE_SOURCES.iterdir():
        copy = NODE_CACHE / source.name
        if not copy.exists() or copy.read_bytes() != source.read_bytes():
            changed |= source.name.startswith("package")
            copy.write_bytes(source.read_bytes())
    if changed or not (NODE_CACHE / "node_modules").exists():
        subprocess.run(["npm", "ci", "--silent", "--no-audit", "--no-fund"], cwd=NODE_CACHE, check=True, timeout=600)
    return NODE_CACHE
