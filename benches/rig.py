"""What the benchmarks share: keys, certificates, tokens, processes on their cores, and a client that asks one question.

Needs nothing but Python's own library and the openssl command.
"""

import base64
import hmac
import http.client
import json
import os
import pathlib
import resource
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import tempfile
import time

HERE = pathlib.Path(__file__).resolve().parent
# Where cargo puts its builds, and the one that is shipped.
TARGET = pathlib.Path(os.environ.get("CARGO_TARGET_DIR") or HERE.parent / "target")
DOORWARD = TARGET / "release" / "doorward"
ISSUER = "https://id.example.test/"
AUDIENCE = "bench"
BODY = "Answered by the application behind the gate. ".ljust(149, ".") + "\n"
# One cipher and one group for every client, so that all proxies do the same cryptography.
CLIENT_TLS = """openssl_conf = client
[client]
ssl_conf = ssl
[ssl]
system_default = tls
[tls]
MinProtocol = TLSv1.3
Ciphersuites = TLS_AES_128_GCM_SHA256
Groups = X25519
"""


def built(profile):
    """The binary of a profile."""
    return TARGET / profile / "doorward"


def fail(text):
    sys.exit(f"{pathlib.Path(sys.argv[0]).name}: {text}")


class Rig:
    """A folder with all keys and configurations, and the processes started from it. Use it as a context."""

    def __init__(self):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="doorward-bench-"))
        self.folder.chmod(0o755)
        self.running = []
        # Whether loads go easy on what they load, since nobody looks at the figures.
        self.gentle = False
        self.issued_at = int(time.time())

    def __enter__(self):
        try:
            self._make_keys()
        except BaseException:
            shutil.rmtree(self.folder)
            raise
        return self

    def __exit__(self, *_):
        for process in self.running:
            process.stop()
        shutil.rmtree(self.folder)

    # --- keys and tokens ---------------------------------------------------------------------------------

    def _openssl(self, *arguments, data=None):
        done = subprocess.run(["openssl", *arguments], cwd=self.folder, input=data, capture_output=True)
        if done.returncode != 0:
            fail(f"openssl {arguments[0]} failed: {done.stderr.decode()}")
        return done.stdout

    def _make_keys(self):
        self._openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2",
                      "-keyout", "server.key", "-out", "server.crt", "-subj", "/CN=bench",
                      "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1")
        self.write("server.pem", self.read("server.crt") + self.read("server.key"))
        self._openssl("genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048", "-out", "rs256.key")
        self._openssl("genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256", "-out", "es256.key")
        for name in ("rs256", "es256"):
            self._openssl("pkey", "-in", f"{name}.key", "-pubout", "-out", f"{name}.pub")
        for name in ("hs256", "identity", "fost"):
            self.write(f"{name}.key", os.urandom(32).hex())
            (self.folder / f"{name}.key").chmod(0o600)
        self.write("client-tls.cnf", CLIENT_TLS)

    def token(self, workload, **other):
        """A token as identity providers make them, signed for `workload` (rs256, es256 or hs256)."""
        claims = {"iss": ISSUER, "aud": AUDIENCE, "sub": "alice", "iat": self.issued_at, "exp": self.issued_at + 86400,
                  "jti": "7f1c0b1e-5d0a-4a53", "scope": "read write", "email": "alice@example.test"} | other
        header = {"alg": workload.upper(), "typ": "JWT"}
        signed = ".".join(b64url(json.dumps(part, separators=(",", ":")).encode()) for part in (header, claims))
        if workload == "hs256":
            signature = hmac.digest(self.read("hs256.key").encode(), signed.encode(), "sha256")
        else:
            signature = self._openssl("dgst", "-sha256", "-sign", f"{workload}.key", data=signed.encode())
            if workload == "es256":
                signature = raw_ecdsa(signature)
        return f"{signed}.{b64url(signature)}"

    def jwks(self, work):
        """The public key of `work` (rs256 or es256) as a JWK set."""
        if work == "rs256":
            text = self._openssl("rsa", "-pubin", "-in", "rs256.pub", "-noout", "-modulus").decode()
            key = {"kty": "RSA", "n": b64url(bytes.fromhex(text.strip().partition("=")[2])), "e": "AQAB"}
        else:
            point = self._openssl("pkey", "-pubin", "-in", "es256.pub", "-outform", "DER")[-64:]
            key = {"kty": "EC", "crv": "P-256", "x": b64url(point[:32]), "y": b64url(point[32:])}
        return {"keys": [key | {"alg": work.upper(), "use": "sig"}]}

    def fost(self, method, path, body, key="bench"):
        """The headers that sign a request by the FOST scheme. All keys have the same secret."""
        stamp = time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime())
        return {"X-FOST-Headers": "X-FOST-Headers", "X-FOST-Timestamp": stamp,
                "Authorization": f"FOST {key}:" + self.fost_tag(self.read("fost.key").encode(), method, path, stamp, body)}

    @staticmethod
    def fost_tag(secret, method, path, stamp, body):
        document = f"{method} {path}\n{stamp}\nX-FOST-Headers\n".encode() + body
        return base64.b64encode(hmac.digest(secret, document, "sha1")).decode()

    # --- files -------------------------------------------------------------------------------------------

    def read(self, name):
        return (self.folder / name).read_text()

    def write(self, name, text):
        (self.folder / name).write_text(text)
        return self.folder / name

    def configure(self, name, template, **values):
        """Writes the configuration `name` from benches/conf, each @KEY@ replaced."""
        text = (HERE / "conf" / template).read_text()
        for key, value in ({"FOLDER": self.folder, "ISSUER": ISSUER, "AUDIENCE": AUDIENCE} | values).items():
            text = text.replace(f"@{key}@", str(value))
        return self.write(name, text)

    # --- processes ---------------------------------------------------------------------------------------

    def start(self, name, arguments, core, port, patience=20):
        """Starts a server on `core` (None: on any) and waits until it accepts on `port`."""
        pinned = [] if core is None else ["taskset", "-c", str(core)]
        process = Process(name, [*pinned, *map(str, arguments)], self.folder)
        self.running.append(process)
        process.wait_for(port, patience)
        return process

    def start_application(self, core):
        """nginx as the application: its process and its port."""
        port = free_port()
        files = self.folder / "files"
        files.mkdir(exist_ok=True)
        for name, size in {"64KiB": 64 << 10, "10MiB": 10 << 20}.items():
            (files / name).write_bytes(os.urandom(1 << 10) * (size >> 10))
        config = self.configure("application.conf", "application.conf", UPSTREAM=port, SINK=free_port(), BODY=BODY)
        return self.start("application", ["nginx", "-p", self.folder, "-c", config], core, port), port

    def doorward_config(self, name, upstream, signature='"hmac"', access=False, max_age="60s", capacity=100_000, routes="", keys="", store=True):
        """A configuration of Doorward and the port that it listens on. `routes` come before, `keys` of FOST beside those that it has anyway.

        Without a `store` there are no opaque tokens.
        """
        port = free_port()
        database = f'[store]\nurl = "sqlite:{self.folder}/{name}.db"\n\n[auth.token.token]\nsource = "store"\n' if store else ""
        tokens = '\n[[route]]\npath = "/token/**"\naccept = ["token"]' if store else ""
        config = self.configure(f"{name}.toml", "doorward.toml", PORT=port, UPSTREAM=upstream, SIGNATURE=signature,
                                ACCESS=str(access).lower(), MAX_AGE=max_age, CAPACITY=capacity, ROUTES=routes, KEYS=keys,
                                STORE=database, TOKENS=tokens)
        return config, port

    def opaque_token(self, binary, config):
        """A token that Doorward itself gave out, from the store of `config`."""
        return json.loads(self.command(binary, "token", "issue", "--user", "alice", "--ttl", "24h", "--json", "--config", config))["token"]

    def command(self, *command, data=None):
        """What a command that ends prints."""
        done = subprocess.run(list(map(str, command)), cwd=self.folder, input=data, capture_output=True, text=True)
        return done.stdout if done.returncode == 0 else fail(f"{' '.join(map(str, command[1:3]))} failed: {done.stderr}")


class Process:
    """A server, its log, and what CPU time it and its children have taken."""

    def __init__(self, name, arguments, folder):
        self.name = name
        self.log = folder / f"{name}.log"
        with open(self.log, "wb") as log:
            self.child = subprocess.Popen(arguments, cwd=folder, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=log,
                                          preexec_fn=allow_many_files)

    def wait_for(self, port, patience):
        until = time.monotonic() + patience
        while time.monotonic() < until:
            if self.child.poll() is not None:
                fail(f"{self.name} did not start:\n{self.log.read_text()}")
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    return
            time.sleep(0.001)
        fail(f"{self.name} does not accept on its port:\n{self.log.read_text()}")

    def memory_kib(self):
        """Proportional set size of the process tree."""
        total, todo = 0, [self.child.pid]
        while todo:
            pid = todo.pop()
            try:
                with open(f"/proc/{pid}/smaps_rollup") as rollup:
                    total += next(int(line.split()[1]) for line in rollup if line.startswith("Pss:"))
                with open(f"/proc/{pid}/task/{pid}/children") as children:
                    todo += map(int, children.read().split())
            except (OSError, StopIteration):
                continue
        return total

    def cpu_seconds(self):
        """User and system time of the process tree, dead children included."""
        children, times = {}, {}
        for entry in os.listdir("/proc"):
            if not entry.isdigit():
                continue
            try:
                with open(f"/proc/{entry}/stat") as stat:
                    fields = stat.read().rpartition(")")[2].split()
            except OSError:
                continue
            children.setdefault(int(fields[1]), []).append(int(entry))
            times[int(entry)] = sum(map(int, fields[11:15]))
        ticks, todo = 0, [self.child.pid]
        while todo:
            pid = todo.pop()
            ticks += times.get(pid, 0)
            todo += children.get(pid, [])
        return ticks / os.sysconf("SC_CLK_TCK")

    def stop(self, patience=60):
        if self.child.poll() is None:
            self.child.send_signal(signal.SIGTERM)
            try:
                self.child.wait(patience)
            except subprocess.TimeoutExpired:
                self.child.kill()
                self.child.wait()


class Client:
    """One TLS connection on which requests follow each other."""

    def __init__(self, port):
        tls = ssl.create_default_context()
        tls.check_hostname, tls.verify_mode = False, ssl.CERT_NONE
        self.connection = http.client.HTTPSConnection("127.0.0.1", port, context=tls, timeout=60)

    def ask(self, path, headers=None, method="GET", body=None):
        """Status and body of the answer."""
        self.connection.request(method, path, body=body, headers=headers or {})
        answer = self.connection.getresponse()
        return answer.status, answer.read().decode("latin-1")

    def close(self):
        self.connection.close()


def allow_many_files():
    """As many as root may have, else as many as the user may."""
    for limit in (200_000, resource.getrlimit(resource.RLIMIT_NOFILE)[1]):
        try:
            return resource.setrlimit(resource.RLIMIT_NOFILE, (limit, limit))
        except (ValueError, OSError):
            continue


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def b64url(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def raw_ecdsa(der):
    """SEQUENCE of two INTEGERs (RFC 3279 section 2.2.3) to two numbers of 32 bytes (RFC 7518 section 3.4)."""
    numbers, rest = [], der[2:]
    while rest:
        length = rest[1]
        numbers.append(rest[2:2 + length].lstrip(b"\0").rjust(32, b"\0"))
        rest = rest[2 + length:]
    return b"".join(numbers)


def version(*command):
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True)
    return (done.stdout or done.stderr).splitlines()[0].partition(" - ")[0].strip()


def machine():
    """The machine in one line, without its name."""
    with open("/proc/cpuinfo") as info:
        model = next((line.split(":", 1)[1].strip() for line in info if line.startswith("model name")), "unknown")
    return f"{os.cpu_count()} cores ({model}), Linux {os.uname().release.partition('-')[0]}"
