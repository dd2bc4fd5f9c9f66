"""The loads: what is sent to a proxy for some seconds, and how many requests were answered."""

import collections
import json
import math
import os
import pathlib
import re
import subprocess
import sys
import time

import rig

FOLDER = pathlib.Path(__file__).resolve().parent / "load"
CONNECTIONS = 64
USERS = 1000
# More than any proxy here answers in one second on one core.
SIGNED_PER_SECOND = 60_000

Count = collections.namedtuple("Count", "requests seconds")
Workload = collections.namedtuple("Workload", "what work load against")


def run(bench, core, command, count, **environment):
    """Runs a generator of load on `core`; `count` reads what it printed."""
    pinned = [] if core is None else ["taskset", "-c", str(core)]
    more = {"OPENSSL_CONF": str(bench.folder / "client-tls.cnf"), "LOAD_FOLDER": str(FOLDER)} | environment
    done = subprocess.run([*pinned, *map(str, command)], capture_output=True, text=True, env=os.environ | more, preexec_fn=rig.allow_many_files)
    counted = count(done.stdout)
    if not counted or not (counted.requests or bench.gentle):
        rig.fail(f"the load failed: {' '.join(map(str, command))[:200]}\n{done.stdout[-2000:]}{done.stderr[-2000:]}")
    return counted


def own_count(output):
    """What our own scripts print. `None` if anything went wrong; that nothing was answered is not wrong in so short a time."""
    found = re.search(r"^COUNT (.*)$", output, re.MULTILINE)
    counts = json.loads(found.group(1)) if found else {"bad": 1}
    return None if counts["bad"] else Count(counts["requests"], counts["seconds"])


def h2load_count(output):
    found = re.search(r"finished in ([\d.]+)(s|ms)", output)
    done = re.search(r"(\d+) succeeded, (\d+) failed, (\d+) errored, (\d+) timeout", output)
    codes = re.search(r"status codes: (\d+) 2xx, (\d+) 3xx, (\d+) 4xx, (\d+) 5xx", output)
    if not (found and done and codes) or any(int(n) for n in (*done.groups()[1:], *codes.groups()[1:])):
        return None
    return Count(int(codes.group(1)), float(found.group(1)) / (1000 if found.group(2) == "ms" else 1))


def bearer(token):
    return ["-H", f"Authorization: Bearer {token}"] if token else []


def wrk(script="count.lua", connections=CONNECTIONS, suffix=""):
    def load(bench, core, port, path, seconds, token, **environment):
        # It counts whole seconds only; interrupted, it ends as if they were over.
        shorter = ["timeout", "--signal=INT", seconds] if seconds < 1 else []
        most = 2 if bench.gentle else connections
        command = [*shorter, "wrk", "-t1", f"-c{min(connections, most)}", f"-d{math.ceil(seconds)}s", "--timeout", "20s", "-s", FOLDER / script, *bearer(token)]
        return run(bench, core, [*command, f"https://127.0.0.1:{port}{path}{suffix}"], own_count, **environment)
    return load


def users(bench, core, port, path, seconds, token):
    """The tokens of 1,000 users in turn."""
    del token
    lines = bench.folder / "users.txt"
    if not lines.exists():
        lines.write_text("".join(bench.token("rs256", sub=f"user{n:04}", jti=f"{n:016}") + "\n" for n in range(USERS)))
    return wrk("users.lua")(bench, core, port, path, seconds, None, LOAD_LINES=str(lines))


def fost(bench, core, port, path, seconds, token):
    """POST of 1 KiB, each signed anew."""
    del token
    lines, secret = bench.folder / "fost.txt", bench.read("fost.key").encode()
    stamp = time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(time.time() + 5))
    with lines.open("w") as out:
        out.write(stamp + "\n")
        for number in range(math.ceil(SIGNED_PER_SECOND * seconds)):
            body = f"{number:08}".encode().ljust(1024, b".")
            out.write(f"{number:08} {bench.fost_tag(secret, 'POST', path, stamp, body)}\n")
    return wrk("fost.lua")(bench, core, port, path, seconds, None, LOAD_LINES=str(lines))


def h2load(bench, core, port, path, seconds, token):
    clients, streams = (1, 2) if bench.gentle else (16, 32)
    command = ["h2load", "-t1", f"-c{clients}", f"-m{streams}", "-D", f"{seconds * 1000:.0f}ms", *bearer(token), f"https://127.0.0.1:{port}{path}"]
    return run(bench, core, command, h2load_count)


def handshakes(bench, core, port, path, seconds, token):
    del token
    return run(bench, core, [sys.executable, FOLDER / "handshakes.py", port, path, seconds, 16], own_count)


# `against`: whom the ratio is to; the first that can be started here.
WORKLOADS = {
    "plain": Workload("TLS 1.3, HTTP/1.1 kept alive, a public route", "plain", wrk(), ("nginx130", "haproxy32", "haproxy26")),
    "rs256": Workload("the same with a JWT, RS256 (RSA 2048), one token", "rs256", wrk(), ("haproxy32", "haproxy26")),
    "es256": Workload("the same with a JWT, ES256 (P-256), one token", "es256", wrk(), ("haproxy32", "haproxy26")),
    "hs256": Workload("the same with a JWT, HS256, one token", "hs256", wrk(), ("haproxy32", "haproxy26")),
    "users": Workload("JWT, RS256, the tokens of 1,000 users in turn", "rs256", users, ("haproxy32", "haproxy26")),
    "fost": Workload("FOST-signed POST of 1 KiB, each signed anew", "fost", fost, ("nginx130",)),
    "token": Workload("an opaque token of the SQLite store, remembered", "token", wrk(), ("nginx130",)),
    "h2-plain": Workload("HTTP/2, 16 connections of 32 streams, a public route", "plain", h2load, ("envoy", "haproxy26")),
    "h2-rs256": Workload("HTTP/2, the same with a JWT, RS256, one token", "rs256", h2load, ("envoy", "haproxy26")),
    "handshake": Workload("a new connection with a full TLS 1.3 handshake for each request", "plain", handshakes, ("envoy", "nginx130", "haproxy26")),
    "64KiB": Workload("download of 64 KiB", "plain", wrk(connections=32, suffix="64KiB"), ("nginx130", "haproxy26")),
    "10MiB": Workload("download of 10 MiB", "plain", wrk(connections=8, suffix="10MiB"), ("nginx130", "haproxy26")),
    "upload": Workload("upload of 1 MiB", "plain", wrk("upload.lua", connections=16, suffix="upload"), ("nginx130", "haproxy26")),
}
