"""CPU time per request of Doorward and of other proxies doing the same work. Started by peers.sh."""

import argparse
import collections
import json
import os
import pathlib
import re
import statistics
import subprocess
import time

import rig

WORKLOADS = {
    "plain": "TLS 1.3, no authentication",
    "rs256": "the same with a JWT, RS256 (RSA 2048), one token",
    "es256": "the same with a JWT, ES256 (P-256), one token",
    "hs256": "the same with a JWT, HS256, one token",
}
CONNECTIONS = 64
PROXY_CORE, LOAD_CORE = 0, 1
# What the ratios refer to.
YARDSTICK = "haproxy"
Window = collections.namedtuple("Window", "micros per_second busy other")


# --- who is measured: a function that starts it and says on which URL it does each workload ----------------------


def haproxy(bench, upstream, _):
    ports = {name: rig.free_port() for name in WORKLOADS}
    jwt = ""
    for name in ("rs256", "es256", "hs256"):
        key = bench.read("hs256.key") if name == "hs256" else bench.folder / f"{name}.pub"
        jwt += bench.configure(f"haproxy-{name}.cfg", "haproxy-jwt.cfg", NAME=name, PORT=ports[name], KEY=key, ALGORITHM=name.upper()).read_text()
    config = bench.configure("haproxy.cfg", "haproxy.cfg", PLAIN=ports["plain"], JWT=jwt, UPSTREAM=upstream)
    process = bench.start("haproxy", ["haproxy", "-db", "-f", config], PROXY_CORE, ports["plain"])
    return process, {name: (port, f"/{name}/") for name, port in ports.items()}


def doorward(name, workloads, **settings):
    def begin(bench, upstream, binary):
        config, port = bench.doorward_config(name, upstream, **settings)
        process = bench.start(name, [binary, "run", "--config", config], PROXY_CORE, port)
        return process, {workload: (port, f"/{workload}/") for workload in workloads}
    return begin


PEERS = {
    "haproxy": haproxy,
    # The same work as HAProxy: no signature over the identity, no access log.
    "doorward": doorward("doorward", WORKLOADS, signature=""),
    # Each request verifies its token anew, as if each token were seen for the first time.
    "doorward-uncached": doorward("doorward-uncached", ["rs256", "es256", "hs256"], signature="", max_age="0s"),
    # As it is shipped: the identity signed with HMAC-SHA256, an access-log line for each request.
    "doorward-default": doorward("doorward-default", WORKLOADS, access=True),
}


# --- is the work done right? --------------------------------------------------------------------------------------


def check(bench, name, workload, port, path):
    """Ends the run if a proxy lets in what it must not, or keeps out what it must let in."""

    def expect(what, status, body=None, target=path, **headers):
        # A connection for each: HAProxy ends it after a refusal.
        client = rig.Client(port)
        got = client.ask(target, {key.replace("_", "-"): value for key, value in headers.items()})
        client.close()
        if got[0] != status or (body is not None and got[1] != body):
            rig.fail(f"{name} does {workload} wrongly: {what}: expected {status} {body!r}, got {got[0]} {got[1]!r}")

    if workload == "plain":
        expect("a plain request", 200, rig.BODY)
        expect("a forged user", 200, "user=", path + "user", X_Forwarded_User="mallory")
    else:
        token = bench.token(workload)
        head, _, signature = token.rpartition(".")
        forged = f"{head}.{'B' if signature[0] == 'A' else 'A'}{signature[1:]}"
        hour_ago = bench.issued_at - 3600
        for what, wrong in {
            "a changed signature": forged,
            "an expired token": bench.token(workload, exp=hour_ago),
            "a token for another audience": bench.token(workload, aud="another"),
            "a token of another issuer": bench.token(workload, iss="https://other.example.test/"),
            "a token without signature": head + ".",
        }.items():
            expect(what, 401, Authorization=f"Bearer {wrong}")
        expect("no token", 401)
        expect("a good token", 200, rig.BODY, Authorization=f"Bearer {token}")
        expect("a forged user beside a good token", 200, "user=alice", path + "user", Authorization=f"Bearer {token}", X_Forwarded_User="mallory")
        expect("a changed signature after the good one", 401, Authorization=f"Bearer {forged}")


# --- measuring ----------------------------------------------------------------------------------------------------


def machine_busy_seconds():
    with open("/proc/stat") as stat:
        fields = list(map(int, stat.readline().split()[1:]))
    user, nice, system, _idle, _iowait, irq, softirq = fields[:7]
    return (user + nice + system + irq + softirq) / os.sysconf("SC_CLK_TCK")


def window(bench, proxy, upstream, port, path, seconds, token):
    """Loads one proxy for `seconds` and says what it cost."""
    command = ["taskset", "-c", str(LOAD_CORE), "wrk", "-t1", f"-c{CONNECTIONS}", f"-d{seconds}s", "--timeout", "10s"]
    if token:
        command += ["-H", f"Authorization: Bearer {token}"]
    busy, cpu, served = machine_busy_seconds(), proxy.cpu_seconds(), upstream.cpu_seconds()
    load, began = os.times(), time.monotonic()
    done = subprocess.run([*command, f"https://127.0.0.1:{port}{path}"], capture_output=True, text=True,
                          env=os.environ | {"OPENSSL_CONF": str(bench.folder / "client-tls.cnf")})
    took, load_after = time.monotonic() - began, os.times()
    cpu, served, busy = proxy.cpu_seconds() - cpu, upstream.cpu_seconds() - served, machine_busy_seconds() - busy
    generated = (load_after.children_user + load_after.children_system) - (load.children_user + load.children_system)
    count = re.search(r"(\d+) requests in", done.stdout)
    wrong = re.search(r"(Non-2xx or 3xx responses|Socket errors).*", done.stdout)
    if not count or wrong:
        rig.fail(f"{proxy.name} under load: {wrong.group() if wrong else done.stdout + done.stderr}\n{proxy.log.read_text()}")
    requests = int(count.group(1))
    return Window(cpu * 1e6 / max(requests, 1), requests / took, 100 * cpu / took, 100 * max(busy - cpu - served - generated, 0) / took)


def spread(values, form):
    values = sorted(values)
    middle = form.format(statistics.median(values))
    return middle if len(values) == 1 else f"{middle} ({form.format(values[0])}–{form.format(values[-1])})"


def table(results, chosen):
    """Rows of median (min–max). Ratios are taken within a round, as rounds differ more than proxies do."""
    yield "| workload | proxy | CPU µs a request | × HAProxy, same round | requests/s for a whole core | requests/s seen | of its core | other work |"
    yield "|---|---|---|---|---|---|---|---|"
    for workload in chosen:
        for (what, name), windows in results.items():
            if what != workload:
                continue
            yardstick = results.get((workload, YARDSTICK))
            ratios = [mine.micros / its.micros for mine, its in zip(windows, yardstick) if its.micros] if yardstick else []
            micros = [w.micros for w in windows]
            capacity = 1e6 / statistics.median(micros) if statistics.median(micros) else 0
            yield " | ".join([
                f"| {workload}", name, spread(micros, "{:.1f}"), spread(ratios, "{:.2f}") if ratios else "–", f"{capacity:,.0f}",
                spread([w.per_second for w in windows], "{:,.0f}"), spread([w.busy for w in windows], "{:.0f} %"),
                spread([w.other for w in windows], "{:.0f} %") + " |",
            ])


def arguments():
    parser = argparse.ArgumentParser(prog="benches/peers.sh", description="CPU time per request of Doorward against HAProxy, same work, same rounds.")
    parser.add_argument("--rounds", type=int, default=3, help="interleaved rounds (3)")
    parser.add_argument("--seconds", type=int, default=5, help="length of each measurement (5)")
    parser.add_argument("--workload", action="append", choices=WORKLOADS, help="only this one; may be repeated")
    parser.add_argument("--peer", action="append", choices=PEERS, help="only this one; may be repeated")
    parser.add_argument("--doorward", type=pathlib.Path, default=rig.DOORWARD, help="the binary (target/release/doorward)")
    parser.add_argument("--json", type=pathlib.Path, help="also write every single measurement to this file")
    given = parser.parse_args()
    if given.rounds < 1 or given.seconds < 1:
        parser.error("--rounds and --seconds are at least 1")
    given.doorward = given.doorward.resolve()
    if any(name != "haproxy" for name in given.peer or PEERS) and not given.doorward.is_file():
        parser.error(f"there is no {given.doorward.name} to measure; build it: cargo build --release")
    if len(os.sched_getaffinity(0)) < 2:
        parser.error("two cores are needed: one for the proxy, one for the load")
    return given


def main():
    given = arguments()
    chosen = [w for w in WORKLOADS if w in (given.workload or WORKLOADS)]
    results = collections.defaultdict(list)
    with rig.Rig() as bench:
        upstream, upstream_port = bench.start_application(LOAD_CORE)
        tokens = {name: None if name == "plain" else bench.token(name) for name in chosen}
        jobs = []
        for name in given.peer or PEERS:
            proxy, places = PEERS[name](bench, upstream_port, given.doorward)
            jobs += [(name, proxy, workload, *places[workload]) for workload in chosen if workload in places]
        # Proxies of one workload follow each other directly: what they are compared with was measured seconds before.
        jobs.sort(key=lambda job: chosen.index(job[2]))
        for name, _, workload, port, path in jobs:
            check(bench, name, workload, port, path)
        print(f"All proxies answer right: {len(jobs)} combinations checked.", flush=True)
        for round_ in range(given.rounds):
            # Every other round runs backwards, so that nobody always comes after the same neighbour.
            for name, proxy, workload, port, path in jobs if round_ % 2 == 0 else reversed(jobs):
                results[workload, name].append(window(bench, proxy, upstream, port, path, given.seconds, tokens[workload]))
            print(f"Round {round_ + 1} of {given.rounds} done.", flush=True)
    results = {(job[2], job[0]): results[job[2], job[0]] for job in jobs}
    print(f"\nMachine: {rig.machine()}. Proxy: one thread on core {PROXY_CORE}. Load and application: core {LOAD_CORE}.")
    print(f"{rig.version('haproxy', '-v')}. Load: wrk, {CONNECTIONS} connections kept alive. Application: {rig.version('nginx', '-v')}.")
    if any(name != "haproxy" for name in given.peer or PEERS):
        print(f"{rig.version(given.doorward, 'version')}.")
    print(f"{given.rounds} rounds of {given.seconds} s; median (least–most).")
    for workload in chosen:
        print(f"{workload}: {WORKLOADS[workload]}.")
    print("\n" + "\n".join(table(results, chosen)))
    if given.json:
        rows = [{"workload": w, "proxy": p, "round": at, **one._asdict()} for (w, p), all_ in results.items() for at, one in enumerate(all_)]
        given.json.write_text(json.dumps(rows, indent=1) + "\n")


if __name__ == "__main__":
    main()
