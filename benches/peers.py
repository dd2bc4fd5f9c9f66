"""CPU time per request of Doorward and of other proxies doing the same work. Started by peers.sh."""

import argparse
import collections
import json
import os
import pathlib
import statistics
import time

import proxies
import rig
from checks import check
from loads import WORKLOADS

PROXY_CORE, LOAD_CORE = 0, 1
SHAPE_SECONDS, LONGEST_SHAPE_SECONDS = 0.3, 60
Window = collections.namedtuple("Window", "micros per_second busy other")


def machine_busy_seconds():
    with open("/proc/stat") as stat:
        fields = list(map(int, stat.readline().split()[1:]))
    user, nice, system, _idle, _iowait, irq, softirq = fields[:7]
    return (user + nice + system + irq + softirq) / os.sysconf("SC_CLK_TCK")


def window(bench, proxy, upstream, workload, seconds, token, load_core):
    """Loads one proxy for `seconds` and says what it cost."""
    port, path = proxy.places[workload.work]
    busy, cpu, served = machine_busy_seconds(), proxy.process.cpu_seconds(), upstream.cpu_seconds()
    load, began = os.times(), time.monotonic()
    done = workload.load(bench, load_core, port, path, seconds, token)
    while bench.gentle and not done.requests:
        # A slow build on a busy machine may not answer one request in so short a time.
        seconds = seconds * 4 if seconds < LONGEST_SHAPE_SECONDS else rig.fail(f"{proxy.process.name} answered nothing in {seconds:g} s of {path}")
        done = workload.load(bench, load_core, port, path, seconds, token)
    took, load_after = time.monotonic() - began, os.times()
    cpu, served, busy = proxy.process.cpu_seconds() - cpu, upstream.cpu_seconds() - served, machine_busy_seconds() - busy
    own = sum(load_after[:4]) - sum(load[:4])
    return Window(cpu * 1e6 / done.requests, done.requests / done.seconds, 100 * cpu / done.seconds, 100 * max(busy - cpu - served - own, 0) / took)


def spread(values, form):
    values = sorted(values)
    middle = form.format(statistics.median(values))
    return middle if len(values) == 1 else f"{middle} ({form.format(values[0])}–{form.format(values[-1])})"


def table(results, chosen):
    """Rows of median (min–max). Ratios are taken within a round, as rounds differ more than proxies do."""
    yield "| workload | proxy | CPU µs a request | ratio, same round | to | requests/s for a whole core | requests/s seen | of its core | other work |"
    yield "|---|---|---|---|---|---|---|---|---|"
    for name in chosen:
        mine = {proxy: windows for (work, proxy), windows in results.items() if work == name}
        yardsticks = [proxy for proxy in WORKLOADS[name].against if proxy in mine]
        for proxy, windows in mine.items():
            micros = [w.micros for w in windows]
            middle = statistics.median(micros)
            for yardstick in (yardsticks if proxy not in yardsticks else yardsticks[:1]) or [None]:
                ratios = [one.micros / its.micros for one, its in zip(windows, mine[yardstick]) if its.micros] if yardstick else []
                yield " | ".join([
                    f"| {name}", proxy, spread(micros, "{:.1f}"), spread(ratios, "{:.2f}") if ratios else "–", yardstick or "–",
                    f"{1e6 / middle:,.0f}" if middle else "–", spread([w.per_second for w in windows], "{:,.0f}"),
                    spread([w.busy for w in windows], "{:.0f} %"), spread([w.other for w in windows], "{:.0f} %") + " |",
                ])


def arguments(known):
    parser = argparse.ArgumentParser(prog="benches/peers.sh", description="CPU time per request of Doorward and other proxies, same work, same rounds.")
    parser.add_argument("--rounds", type=int, default=3, help="interleaved rounds (3)")
    parser.add_argument("--seconds", type=float, default=5, help="length of each measurement (5)")
    parser.add_argument("--workload", action="append", choices=WORKLOADS, help="only this one; may be repeated")
    parser.add_argument("--peer", action="append", choices=known, help="only this one; may be repeated")
    parser.add_argument("--doorward", type=pathlib.Path, default=rig.DOORWARD, help="the binary (target/release/doorward)")
    parser.add_argument("--other", type=pathlib.Path, help="a second doorward, to compare two builds: it takes part as doorward-other")
    parser.add_argument("--json", type=pathlib.Path, help="also write every single measurement to this file")
    parser.add_argument("--shape", action="store_true", help="one round of 0.3 s under little load: shows that all of it works and what the table looks like, nothing else")
    parser.add_argument("--unpinned", action="store_true", help="two threads and no cores of their own; ratios are to one thread then")
    given = parser.parse_args()
    if given.shape:
        given.rounds, given.seconds = 1, SHAPE_SECONDS
    elif given.rounds < 1 or given.seconds < 1:
        parser.error("--rounds and --seconds are at least 1")
    given.doorward = given.doorward.resolve()
    if not given.doorward.is_file():
        parser.error(f"there is no {given.doorward.name} to measure; build it: cargo build --release")
    if len(os.sched_getaffinity(0)) < 2:
        parser.error("two cores are needed: one for the proxy, one for the load")
    return given


def credentials(bench, started):
    """A token for each work that asks for one; Doorward's opaque ones differ from store to store."""
    tokens = {work: bench.token(work) for work in proxies.JWT}
    def of(name, work, binary):
        if work != "token":
            return tokens.get(work)
        proxy = started[name]
        if proxy.config is None:
            return "any"
        proxy.opaque = getattr(proxy, "opaque", None) or bench.opaque_token(binary, proxy.config)
        return proxy.opaque
    return of


def main():
    given = arguments(list(proxies.found(rig.DOORWARD)))
    known = proxies.found(given.doorward)
    if given.other:
        known["doorward-other"] = proxies.found(given.other.resolve())["doorward"]
    wanted = [name for name in known if name in (given.peer or known) or name == "doorward-other"]
    chosen = [name for name in WORKLOADS if name in (given.workload or WORKLOADS)]
    cores, threads = ((None, None), 2) if given.unpinned else ((PROXY_CORE, LOAD_CORE), 1)
    results = collections.defaultdict(list)
    with rig.Rig() as bench:
        bench.gentle = given.shape
        upstream, upstream_port = bench.start_application(cores[1])
        started = {name: known[name](bench, upstream_port, cores[0], threads) for name in wanted}
        credential = credentials(bench, started)
        jobs = [(work, name) for work in chosen for name in wanted if takes_part(name, work, started)]
        for work, name in jobs:
            check(bench, name, started[name], WORKLOADS[work].work, credential(name, WORKLOADS[work].work, given.doorward))
        print(f"All proxies answer right: {len(jobs)} combinations checked.", flush=True)
        for round_ in range(given.rounds):
            # Every other round runs backwards, so that nobody always comes after the same neighbour.
            for work, name in jobs if round_ % 2 == 0 else reversed(jobs):
                token = credential(name, WORKLOADS[work].work, given.doorward)
                results[work, name].append(window(bench, started[name], upstream, WORKLOADS[work], given.seconds, token, cores[1]))
            print(f"Round {round_ + 1} of {given.rounds} done.", flush=True)
    print(f"\nMachine: {rig.machine()}. Proxy: {threads} thread(s){'' if given.unpinned else f' on core {PROXY_CORE}; load and application: core {LOAD_CORE}'}.")
    print(f"{rig.version(given.doorward, 'version')}. {given.rounds} rounds of {given.seconds:g} s; median (least–most).")
    if given.shape:
        print("Of a run for the table's shape alone: no figure in it means anything.")
    for name in chosen:
        print(f"{name}: {WORKLOADS[name].what}.")
    print("\n" + "\n".join(table({job: results[job] for job in jobs}, chosen)))
    if given.json:
        rows = [{"workload": w, "proxy": p, "round": at, **one._asdict()} for (w, p), all_ in results.items() for at, one in enumerate(all_)]
        given.json.write_text(json.dumps(rows, indent=1) + "\n")


def takes_part(name, work, started):
    workload = WORKLOADS[work]
    if workload.work not in started[name].places:
        return False
    if name == "doorward-new":
        return work == "users"
    return name.startswith("doorward") or name in workload.against


if __name__ == "__main__":
    main()
