"""Instructions per request in user space, counted by callgrind, beside the figures of instructions.json. Started by instructions.sh.

The processor that valgrind shows to a program lacks some instructions (AVX-512, SHA): where cryptography decides, the real
count is lower. What the kernel does is not counted.

Figures are compared only with those of the same compiler, C library, valgrind, architecture and profile: else nothing is judged, and it says so.
"""

import argparse
import json
import pathlib
import platform
import subprocess
import sys

import counting
import rig
from counting import WORKLOADS

COMMITTED = pathlib.Path(__file__).resolve().parent / "instructions.json"
# A rise by more than this fails.
TOLERANCE = 0.05


def circumstances(binary):
    """Whatever else decides how many instructions there are."""
    compiler = subprocess.run(["rustc", "-vV"], capture_output=True, text=True)
    told = dict(line.split(": ", 1) for line in compiler.stdout.splitlines() if ": " in line)
    with open("/proc/cpuinfo") as info:
        # valgrind shows one of two processors, by this alone.
        processor = "with AVX2" if " avx2 " in info.read().replace("\n", " ") else "without AVX2"
    return {"rustc": told.get("release", "unknown"), "target": told.get("host", "unknown"), "libc": " ".join(platform.libc_ver()),
            "valgrind": rig.version("valgrind", "--version"), "processor": processor, "profile": binary.parent.name}


def judge(measured, committed, here):
    """Lines that say what differs, and whether anything rose too far."""
    other = [f"{what}: {value} here, {committed['circumstances'].get(what)} then" for what, value in here.items()
             if committed["circumstances"].get(what) != value]
    if other:
        return ["NOT JUDGED: the committed figures were counted under other circumstances.", *other], False
    lines, risen = [], False
    for name, count in measured.items():
        before = committed["instructions"].get(name)
        change = count / before - 1 if before else None
        if change is None or change > TOLERANCE:
            risen = True
            lines.append(f"TOO MANY: {name} has " + ("no committed figure" if change is None else f"risen by {change:.1%}"))
        elif change < -TOLERANCE:
            lines.append(f"{name} costs {-change:.1%} less than committed: benches/instructions.sh --write keeps it so")
    return lines or [f"Nothing has risen by more than {TOLERANCE:.0%}."], risen


def main():
    parser = argparse.ArgumentParser(prog="benches/instructions.sh", description="Instructions per request, by callgrind.")
    parser.add_argument("--workload", action="append", choices=WORKLOADS, help="only this one; may be repeated")
    parser.add_argument("--requests", type=int, default=1000, help="how many requests are counted (1000)")
    parser.add_argument("--doorward", type=pathlib.Path, default=rig.built("gate"), help="the binary (target/gate/doorward)")
    parser.add_argument("--write", action="store_true", help="make these the committed figures")
    given = parser.parse_args()
    if given.requests < 1:
        parser.error("--requests is at least 1")
    if given.write and given.workload:
        parser.error("--write is for all workloads together")
    binary = given.doorward.resolve()
    if not binary.is_file():
        parser.error(f"there is no {binary} to measure; build it: cargo build --profile gate")
    here, committed = circumstances(binary), json.loads(COMMITTED.read_text())
    print(f"{rig.version(binary, 'version')}; {', '.join(here.values())}; identity signed by HMAC, no access log\n")
    print("| workload | instructions a request | committed | change |\n|---|---|---|---|")
    measured = {}
    with rig.Rig() as bench:
        _, upstream = bench.start_application(counting.CORE)
        for name in given.workload or WORKLOADS:
            count = counting.instructions(bench, binary, upstream, lambda number: counting.request(bench, name, number), given.requests)
            measured[name] = round(count)
            before = committed["instructions"].get(name)
            beside = f"{before:,} | {count / before - 1:+.1%}" if before else "– | –"
            print(f"| {WORKLOADS[name]} | {count:,.0f} | {beside} |", flush=True)
    if given.write:
        COMMITTED.write_text(json.dumps({"circumstances": here, "instructions": measured}, indent=4) + "\n")
        return print(f"\nWritten to {COMMITTED.name}.")
    lines, risen = judge(measured, committed, here)
    print("\n" + "\n".join(lines))
    sys.exit(1 if risen else 0)


if __name__ == "__main__":
    main()
