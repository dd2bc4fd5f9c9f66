"""How the cost of a request grows with what Doorward has to keep in mind. Started by growth.sh."""

import argparse
import base64
import hmac
import json
import pathlib
import statistics
import sys

import counting
import loads
import rig
from peers import LOAD_CORE, PROXY_CORE, spread

STEPS = (1, 10, 100, 1000)
TOKENS = (100, 1000, 10_000, 100_000, 1_000_000)
# Flat: the dearest step costs at most this much more than the cheapest; CPU time is not measured as exactly as instructions.
FLAT, FLAT_TIME = 1.02, 1.10
BAR = 40
# Requests of which instructions are counted.
COUNTED = 500


def routes(bench, binary, upstream, count):
    """Instructions of a request for the last of so many routes: the others were looked at before it, if one looks at them in turn."""
    text = "".join(f'\n[[route]]\npath = "/r{number:04}/**"\naccess = "public"\n' for number in range(count))
    request = counting.wire(f"/r{count - 1:04}/")
    return counting.instructions(bench, binary, upstream, lambda _: request, COUNTED, routes=text)


def keys(bench, binary, upstream, count):
    """Instructions of a signed request by one of so many keys."""
    text = "".join(f'[auth.fost.fost.keys.k{number:04}]\nsecret_file = "fost.key"\nuser = "alice"\n' for number in range(count))

    def request(number):
        body = f"{number:08}".encode()
        return counting.wire("/fost/", bench.fost("POST", "/fost/", body, key=f"k{count - 1:04}"), "POST", body)
    return counting.instructions(bench, binary, upstream, request, COUNTED, keys=text)


def write_tokens(bench, count):
    """A file of so many tokens, one a line, all of the same length; signed with HMAC, as a million of others would take hours."""
    head = base64.urlsafe_b64encode(b'{"alg":"HS256","typ":"JWT"}').rstrip(b"=")
    claims = {"iss": rig.ISSUER, "aud": rig.AUDIENCE, "sub": "alice", "iat": bench.issued_at, "exp": bench.issued_at + 86400,
              "scope": "read write", "email": "alice@example.test", "jti": "NUMBER"}
    before, after = json.dumps(claims, separators=(",", ":")).split("NUMBER")
    secret, path = bench.read("hs256.key").encode(), bench.folder / "tokens.txt"
    with path.open("wb") as out:
        for number in range(count):
            signed = head + b"." + base64.urlsafe_b64encode(f"{before}{number:016}{after}".encode()).rstrip(b"=")
            tag = base64.urlsafe_b64encode(hmac.digest(secret, signed, "sha256")).rstrip(b"=")
            out.write(signed + b"." + tag + b"\n")
            if number == 0:
                line = out.tell()
    return path, line


class Remembering:
    """A Doorward that has seen `count` tokens, each once."""

    def __init__(self, bench, binary, upstream, tokens, count):
        path, line = tokens
        self.bench, self.count, self.line = bench, count, line
        self.tokens = bench.folder / f"tokens.{count}.txt"
        with path.open("rb") as whole, self.tokens.open("wb") as part:
            part.write(whole.read(line * count))
        config, self.port = bench.doorward_config(f"doorward-{count}", upstream, max_age="12h", capacity=2 * TOKENS[-1])
        self.process = bench.start(f"doorward-{count}", [binary, "run", "--config", config], PROXY_CORE, self.port)
        self.at = 0
        # Whatever is made for the first requests of each connection is no token's.
        self._load(1, "/plain/")
        before = self.process.memory_kib()
        sent = 0
        while sent < count:
            sent += self._load(2 if count < 100_000 else 10)
        self.bytes = (self.process.memory_kib() - before) * 1024 / count
        self.micros = []
        print(f"{count:,} tokens are remembered: {self.bytes:,.0f} bytes each.", file=sys.stderr, flush=True)

    def _load(self, seconds, path="/hs256/"):
        offset = self.line * (self.at % self.count)
        done = loads.wrk("lines.lua")(self.bench, LOAD_CORE, self.port, path, seconds, None, LOAD_LINES=str(self.tokens), LOAD_FROM=str(offset))
        self.at += done.requests
        return done.requests

    def measure(self, seconds):
        before = self.process.cpu_seconds()
        requests = self._load(seconds)
        self.micros.append((self.process.cpu_seconds() - before) * 1e6 / requests)

    def stop(self):
        self.process.stop()
        self.bench.running.remove(self.process)
        self.tokens.unlink()


def tokens(bench, binary, upstream, most, rounds, seconds):
    counts = [count for count in TOKENS if count <= most]
    written = write_tokens(bench, counts[-1])
    all_ = [Remembering(bench, binary, upstream, written, count) for count in counts]
    for round_ in range(rounds):
        for one in all_ if round_ % 2 == 0 else reversed(all_):
            one.measure(seconds)
    print(f"\n### Tokens of {written[1] - 1} bytes, remembered; CPU time, {rounds} interleaved rounds of {seconds} s\n")
    print("| remembered tokens | CPU µs a request, median (least–most) | bytes of memory a token |\n|---|---|---|")
    for one in all_:
        # Of few tokens the memory is lost in what else the process takes.
        memory = f"{one.bytes:,.0f}" if one.count >= 10_000 else "–"
        print(f"| {one.count:,} | {spread(one.micros, '{:.1f}')} | {memory} |")
    plot({one.count: statistics.median(one.micros) for one in all_}, "tokens", "µs", FLAT_TIME)
    for one in all_:
        one.stop()


def table(bench, binary, upstream, what, count_one):
    print(f"\n### {what.capitalize()}; instructions, by callgrind\n\n| {what} | instructions a request |\n|---|---|")
    found = {}
    for count in STEPS:
        found[count] = count_one(bench, binary, upstream, count)
        print(f"| {count:,} | {found[count]:,.0f} |", flush=True)
    plot(found, what, "instructions", FLAT)


def plot(found, what, unit, flat):
    """Bars from nought, where it is not flat."""
    most, least = max(found.values()), min(found.values())
    if most <= least * flat:
        return print(f"\nFlat: the dearest is {most / least - 1:.1%} above the cheapest.")
    print(f"\n    {what:>9}  {unit}")
    for count, value in found.items():
        print(f"    {count:>9,}  {'█' * round(BAR * value / most)} {value:,.{0 if most > 1000 else 1}f}")


def main():
    parser = argparse.ArgumentParser(prog="benches/growth.sh", description="How the cost of a request grows.")
    parser.add_argument("--part", action="append", choices=("routes", "keys", "tokens"), help="only this one; may be repeated")
    parser.add_argument("--most", type=int, default=TOKENS[-1], help="no more tokens than these (1000000)")
    parser.add_argument("--rounds", type=int, default=5, help="rounds of the tokens (5)")
    parser.add_argument("--seconds", type=int, default=3, help="length of each (3)")
    parser.add_argument("--doorward", type=pathlib.Path, default=rig.built("gate"), help="the binary (target/gate/doorward)")
    given = parser.parse_args()
    binary = given.doorward.resolve()
    if not binary.is_file():
        parser.error(f"there is no {binary} to measure; build it: cargo build --profile gate")
    if given.most < TOKENS[0] or given.rounds < 1 or given.seconds < 1:
        parser.error(f"--most is at least {TOKENS[0]}, --rounds and --seconds are at least 1")
    parts = given.part or ("routes", "keys", "tokens")
    print(f"{rig.version(binary, 'version')}. Machine: {rig.machine()}.")
    with rig.Rig() as bench:
        for what, count_one in (("routes", routes), ("keys", keys)):
            if what in parts:
                table(bench, binary, bench.start_application(counting.CORE)[1], what, count_one)
        if "tokens" in parts:
            tokens(bench, binary, bench.start_application(LOAD_CORE)[1], given.most, given.rounds, given.seconds)


if __name__ == "__main__":
    main()
