"""Memory of idle connections, and the time from a proxy's start to its first answer. Started by footprint.sh."""

import argparse
import pathlib
import statistics
import subprocess
import sys
import time

import proxies
import rig
from loads import FOLDER
from peers import LOAD_CORE, PROXY_CORE, spread


def idle(bench, proxy, counts):
    """KiB of each connection at each of the counts, and the KiB of the process before."""
    port, path = proxy.places["plain"]
    client = rig.Client(port)
    for _ in range(50):
        client.ask(path)
    client.close()
    time.sleep(1)
    before = proxy.process.memory_kib()
    command = ["taskset", "-c", str(LOAD_CORE), sys.executable, FOLDER / "idle.py", port, path, *counts]
    load = subprocess.Popen(list(map(str, command)), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, preexec_fn=rig.allow_many_files)
    sizes = []
    for count in counts:
        if load.stdout.readline().split() != ["READY", str(count)]:
            rig.fail(f"{proxy.process.name} did not hold {count} connections:\n{proxy.process.log.read_text()}")
        time.sleep(2)
        sizes.append((proxy.process.memory_kib() - before) / count)
        load.stdin.write("\n")
        load.stdin.flush()
    load.stdin.close()
    load.wait()
    return before, sizes


def first_answer(bench, start, upstream):
    """Milliseconds from the start of the process to a whole answer over TLS."""
    began = time.monotonic()
    proxy = start(bench, upstream, PROXY_CORE, 1)
    port, path = proxy.places["plain"]
    client = rig.Client(port)
    status, _ = client.ask(path)
    took = (time.monotonic() - began) * 1000
    client.close()
    proxy.process.stop()
    bench.running.remove(proxy.process)
    return took if status == 200 else rig.fail(f"{proxy.process.name} answered {status}")


def main():
    parser = argparse.ArgumentParser(prog="benches/footprint.sh")
    parser.add_argument("--connections", type=int, action="append", help="how many idle connections; may be repeated (1000, 10000)")
    parser.add_argument("--starts", type=int, default=15, help="how often each is started (15)")
    parser.add_argument("--peer", action="append", help="only this one; may be repeated")
    parser.add_argument("--doorward", type=pathlib.Path, default=rig.DOORWARD, help="the binary (target/release/doorward)")
    given = parser.parse_args()
    counts = sorted(given.connections or [1000, 10000])
    known = {name: start for name, start in proxies.found(given.doorward.resolve()).items() if name in (given.peer or known_by_default())}
    with rig.Rig() as bench:
        _, upstream = bench.start_application(LOAD_CORE)
        print("| proxy | KiB before | " + " | ".join(f"KiB a connection, {count:,}" for count in counts) + " |\n|---|" + "---|" * (1 + len(counts)))
        for name, start in known.items():
            proxy = start(bench, upstream, PROXY_CORE, 1)
            before, sizes = idle(bench, proxy, counts)
            proxy.process.stop()
            bench.running.remove(proxy.process)
            print(f"| {name} | {before:,} | " + " | ".join(f"{size:.1f}" for size in sizes) + " |", flush=True)
        times = {name: [] for name in known}
        for _ in range(given.starts):
            for name, start in known.items():
                times[name].append(first_answer(bench, start, upstream))
    print("\n| proxy | ms from start to first answer | ratio to nginx130 |\n|---|---|---|")
    for name, took in times.items():
        ratio = f"{statistics.median(took) / statistics.median(times['nginx130']):.2f}" if "nginx130" in times else "–"
        print(f"| {name} | {spread(took, '{:.0f}')} | {ratio} |")


def known_by_default():
    return ("haproxy26", "haproxy32", "nginx130", "envoy", "doorward")


if __name__ == "__main__":
    main()
