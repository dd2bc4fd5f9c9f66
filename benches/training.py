"""The work that an optimised build is trained with: a doorward that counts which ways it takes lives through it. Started by deploy/optimise.sh.

    training.py --doorward FILE              about two minutes
    training.py --doorward FILE --shape      any build: only to see that it works

First what peers.sh measures, without an access log and with one. Then a gate's other days: credentials that are wrong, the other kinds of
them, passwords, browsers, downloads and uploads over HTTP/2, routes that want more, a reload. A wrong answer ends it with an error.
"""

import argparse
import base64
import hashlib
import json
import os
import pathlib
import signal
import sqlite3

import loads
import proxies
import rig
from checks import check
from peers import SHAPE_SECONDS, credentials, takes_part

SECONDS = 2
# How often each credential is sent on the other days, how many requests each scheme of signatures gets, and how often a password is checked:
# that takes some ten milliseconds on purpose.
TIMES, SIGNED, PASSWORDS = 200, 20, 3
SCHEMES = {"fost": (), "query-hmac": (), "s3-v2": (), "http-message-signature": (), "http-signature": (),
           "aws-v4": ("--region", "eu-central-1", "--service", "s3"), "webhook": ("--preset", "github")}
PASSWORD = "correct horse"
# User and option of `openssl passwd`, which knows no bcrypt: that is the word above at a cost of 8.
HTPASSWD = {"sha512": "-6", "sha256": "-5", "apr1": "-apr1"}
BCRYPT = "$2y$08$AjTNijgPO5iN5WW7EldeUeBzz2x3/Yt5h9b3xJZ9M1okgVSrltrhu"
BROWSER = {
    "User-Agent": "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0",
    "Accept": "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", "Accept-Language": "en-GB,en;q=0.7,de;q=0.3",
    "Accept-Encoding": "gzip, deflate, br, zstd", "Referer": "https://localhost/plain/", "Sec-Fetch-Dest": "document", "Sec-Fetch-Mode": "navigate",
    "Sec-Fetch-Site": "same-origin", "Cookie": "session=5f1d7a84c2d94b0e8c3a; theme=dark; consent=1", "Priority": "u=0, i",
}


class Gate:
    """A running doorward, and one connection on which it is asked."""

    def __init__(self, port, times):
        self.port, self.times, self.client = port, times, rig.Client(port)

    def expect(self, what, statuses, path, headers=None, method="GET", body=None, times=None):
        for _ in range(times or self.times):
            status, text = self.client.ask(path, headers, method, body)
            if status not in statuses or (status == 200 and text != rig.BODY):
                rig.fail(f"{what}: {method} {path} was answered {status} {text[:200]!r}, not one of {statuses}")
            if body and status != 200:
                # A body that nobody took ends the connection.
                self.client.close()


def bearer(token):
    return {"Authorization": f"Bearer {token}"}


def basic(user, password):
    return {"Authorization": "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()}


def measured(bench, started, cores, binary, seconds):
    """Every workload of peers.sh."""
    credential = credentials(bench, started)
    for name, workload in loads.WORKLOADS.items():
        for who in (who for who in started if takes_part(who, name, started)):
            token = credential(who, workload.work, binary)
            check(bench, who, started[who], workload.work, token)
            port, path = started[who].places[workload.work]
            done = workload.load(bench, cores[1], port, path, seconds, token)
            print(f"{name}, {who}: {done.requests} answers", flush=True)


def refused(gate, bench):
    """What comes from outside all day: no credential, a wrong one, one that was good, paths that lead nowhere."""
    for work in proxies.JWT:
        gate.expect("no token", {401}, f"/{work}/")
        for what, wrong in {
            "a forged token": bench.token(work).rpartition(".")[0] + "." + "A" * 86,
            "an expired token": bench.token(work, exp=bench.issued_at - 3600),
            "a token for another": bench.token(work, aud="another"),
            "no token at all": "let-me-in",
        }.items():
            gate.expect(what, {401}, f"/{work}/", bearer(wrong))
    gate.expect("an unknown token", {401}, "/token/", bearer("let-me-in"))
    gate.expect("no signature", {401}, "/fost/", None, "POST", b"x" * 1024)
    gate.expect("a wrong signature", {401}, "/fost/", bench.fost("POST", "/fost/", b"y"), "POST", b"x" * 1024)
    gate.expect("no route", {404}, "/.env", BROWSER)


def signed(gate, bench, binary, requests):
    """What each scheme of signatures lets in, each signed anew, and what it refuses."""
    def sign(scheme, method, path, *more):
        key = () if scheme == "webhook" else ("--key", "bench")
        done = bench.command(binary, "sign", "--scheme", scheme, *SCHEMES[scheme], *key, "--secret-file", "fost.key", *more,
                             method, f"https://127.0.0.1:{gate.port}{path}")
        if done.startswith("https:"):
            return "/" + done.strip().split("/", 3)[3], {}
        return path, dict(line.split(": ", 1) for line in done.splitlines())

    for scheme in SCHEMES:
        for number in range(requests):
            body = f"{number:08}".ljust(1024, ".")
            path, headers = sign(scheme, "POST", f"/{scheme}/{number}/", "--data", body)
            # A signature may be used up by a body that it does not fit: each is sent with one of both.
            if number % 4 == 3:
                gate.expect(f"{scheme}, a changed body", {401, 403}, path, headers, "POST", body.replace(".", ","), 1)
            else:
                gate.expect(f"{scheme}, a body", {200}, path, headers, "POST", body, 1)
            if scheme != "webhook":
                path, headers = sign(scheme, "GET", f"/{scheme}/{number}/")
                gate.expect(scheme, {200}, path, BROWSER | headers, times=1)


def let_in(gate, bench, token):
    """Passwords, rules beyond the credential, and browsers."""
    for where, users in {"htpasswd": (*HTPASSWD, "bcrypt"), "django": ("pbkdf2", "scrypt"), "basic": ("alice",)}.items():
        for user in users:
            for number in range(PASSWORDS):
                gate.expect(f"{user}, a wrong password", {401}, f"/{where}/", basic(user, f"wrong {number}"), times=1)
            gate.expect(user, {200}, f"/{where}/", BROWSER | basic(user, PASSWORD))
    gate.expect("a token of the store", {200}, "/any/orders/17/", bearer(token))
    jwt = bearer(bench.token("rs256"))
    gate.expect("a JWT where several kinds are let in", {200}, "/any/orders/17/", BROWSER | jwt)
    gate.expect("scopes and claims", {200}, "/scoped/", jwt)
    gate.expect("not in the group", {403}, "/staff/", jwt)
    gate.expect("a browser", {200}, "/plain/", BROWSER)
    gate.expect("a form", {200}, "/plain/", BROWSER | {"Content-Type": "application/x-www-form-urlencoded"}, "POST", "name=alice&page=2")


def http2(bench, core, port, seconds):
    """Downloads and uploads over HTTP/2, and browsers."""
    headers = [part for name, value in BROWSER.items() for part in ("-H", f"{name}: {value}")]
    body = bench.write("body", "x" * (64 << 10))
    for what, more, path in (("a browser", headers, "/plain/"), ("downloads", [], "/plain/64KiB"), ("uploads", ["-d", body], "/plain/upload")):
        command = ["h2load", "-t1", "-c4", "-m8", "-D", f"{seconds * 1000:.0f}ms", *more, f"https://127.0.0.1:{port}{path}"]
        print(f"HTTP/2, {what}: {loads.run(bench, core, command, loads.h2load_count).requests} answers", flush=True)


def django(bench):
    """A table of users as Django has it, with hashes of two kinds."""
    word, salt = PASSWORD.encode(), b"of-the-earth"
    pbkdf2, scrypt = hashlib.pbkdf2_hmac("sha256", word, salt, 20_000), hashlib.scrypt(word, salt=salt, n=4096, r=8, p=1, dklen=64)
    users = {"pbkdf2": f"pbkdf2_sha256$20000${salt.decode()}${base64.b64encode(pbkdf2).decode()}",
             "scrypt": f"scrypt$4096${salt.decode()}$8$1${base64.b64encode(scrypt).decode()}"}
    with sqlite3.connect(bench.folder / "django.db") as database:
        database.execute("CREATE TABLE auth_user (id integer PRIMARY KEY, username varchar(150) UNIQUE, password varchar(128), is_active bool)")
        database.executemany("INSERT INTO auth_user (username, password, is_active) VALUES (?, ?, 1)", users.items())
    database.close()


def other_days(bench, upstream, cores, binary, shape, seconds):
    """The configuration training.toml, with everything that peers.sh does not measure."""
    bench.write("keys.json", json.dumps(bench.jwks("rs256")))
    lines = [f"{user}:{bench.command('openssl', 'passwd', kind, PASSWORD)}" for user, kind in HTPASSWD.items()]
    bench.write("htpasswd", "".join([*lines, f"bcrypt:{BCRYPT}\n"])).chmod(0o600)
    django(bench)
    port = rig.free_port()
    config = bench.configure("training.toml", "training.toml", PORT=port, HTTP=rig.free_port(), ADMIN=rig.free_port(), UPSTREAM=upstream)
    process = bench.start("training", [binary, "run", "--config", config], cores[0], port)
    bench.command(binary, "user", "add", "alice", "--password-stdin", "--config", config, data=PASSWORD + "\n")
    token = bench.opaque_token(binary, config)
    gate = Gate(port, 2 if shape else TIMES)
    let_in(gate, bench, token)
    signed(gate, bench, binary, 4 if shape else SIGNED)
    http2(bench, cores[1], port, seconds)
    process.child.send_signal(signal.SIGHUP)
    gate.expect("a browser after the reload", {200}, "/plain/", BROWSER)


def main():
    parser = argparse.ArgumentParser(prog="benches/training.py", description="Has a doorward live through the work that a build is optimised for.")
    parser.add_argument("--doorward", type=pathlib.Path, required=True, help="the binary that is trained")
    parser.add_argument("--seconds", type=float, default=SECONDS, help=f"length of each load ({SECONDS})")
    parser.add_argument("--shape", action="store_true", help="very short, under little load: only to see that it works")
    given = parser.parse_args()
    binary, seconds = given.doorward.resolve(), SHAPE_SECONDS if given.shape else given.seconds
    os.environ["PATH"] += ":/usr/sbin:/sbin"
    # One thread of work: threads that count together lose counts.
    here = sorted(os.sched_getaffinity(0))
    cores = here[0], here[-1]
    with rig.Rig() as bench:
        bench.gentle = given.shape
        _, upstream = bench.start_application(cores[1])
        started = {name: start(bench, upstream, cores[0], 1) for name, start in proxies.found(binary).items() if name.startswith("doorward")}
        measured(bench, started, cores, binary, seconds)
        refused(Gate(started["doorward"].places["plain"][0], 2 if given.shape else TIMES), bench)
        other_days(bench, upstream, cores, binary, given.shape, seconds)
        # Counts are written when a process ends by itself.
        for process in bench.running:
            process.stop()
            if process.name != "application" and process.child.returncode != 0:
                rig.fail(f"{process.name} ended with {process.child.returncode}:\n{process.log.read_text()[-2000:]}")
    print("All answers were right.")


if __name__ == "__main__":
    main()
