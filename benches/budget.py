"""What a request is made of: system calls (strace), allocations and instructions by owner (callgrind). Started by budget.sh."""

import argparse
import collections
import pathlib
import re
import signal
import subprocess
import time

import counting
import loads
import rig
from counting import WORKLOADS
from peers import LOAD_CORE, PROXY_CORE

FEW, MANY, COUNTED = 100, 1100, 1000
# Calls that fewer requests than one in fifty make are left out.
RARE = 0.02
# Whose a function is, by the first of these that its name holds. What C and assembly do has no path before its name.
OWNERS = (
    ("hashes and signatures of credentials", r"\b(sha1|sha2|hmac|digest|md5|jsonwebtoken)::|sha1_|sha256_|sha512_|HMAC|SHA1|SHA256|SHA512|\bRSA_|\bEC_|bn_|p256"),
    ("TLS records", r"\b(rustls|tokio_rustls|aws_lc_rs|webpki)::|aws_lc_|aes|AES|gcm|GCM|ghash|EVP_|OPENSSL_"),
    ("Doorward", r"\bdoorward::"),
    ("the cache of facts (moka)", r"\b(moka|crossbeam\w*|tagptr)::"),
    ("hyper, http, bytes", r"\b(hyper|hyper_util|http|http_body|http_body_util|httparse|httpdate|bytes|h2|want|smallvec|atomic_waker)::"),
    ("tokio", r"\b(tokio|mio|tokio_util|futures\w*|parking_lot\w*|slab)::"),
    ("memory: asked for and given back", r"malloc|free|realloc|calloc|__rust_alloc|__rust_dealloc|__rdl_|_int_|^_?mi_"),
    ("memory: copied and compared", r"mem(cpy|move|set|cmp|chr)|bcmp|strlen"),
    ("Rust's own library", r"\b(core|alloc|std|hashbrown|memchr)::"),
)

# The allocator is mimalloc for Rust; C asks the C library.
ALLOCATOR = r"_?mi_|malloc|calloc|realloc|_int_"
ASKS = r"(mi_)?(malloc|calloc|zalloc|realloc)"


def system_calls(bench, binary, upstream, workload):
    """Calls a request, by name: of one connection, and of many at a time."""
    config, port = bench.doorward_config("doorward", upstream, store=False)
    process = bench.start("doorward", [binary, "run", "--config", config], PROXY_CORE, port)
    line = counting.Line(port)
    for number in range(FEW):
        line.ask(counting.request(bench, workload, number))

    def one_by_one():
        for number in range(FEW, MANY):
            line.ask(counting.request(bench, workload, number))
        return MANY - FEW

    def many_at_a_time():
        token = bench.kept if workload == "rs256" else None
        path = "/rs256/" if workload == "rs256" else "/plain/"
        return loads.wrk()(bench, LOAD_CORE, port, path, 5, token).requests

    found = [traced(bench, process, one_by_one)]
    if workload in ("public", "rs256"):
        found.append(traced(bench, process, many_at_a_time))
    line.close()
    process.stop()
    bench.running.remove(process)
    return found


def traced(bench, process, work):
    """How often each system call is made for a request of `work`."""
    calls = bench.folder / "strace"
    tracer = subprocess.Popen(["strace", "-f", "-c", "-q", "-o", calls, "-p", str(process.child.pid)], stderr=subprocess.DEVNULL)
    until = time.monotonic() + 10
    while traced_by(process.child.pid) == 0:
        if time.monotonic() > until or tracer.poll() is not None:
            rig.fail("strace could not attach to the server")
        time.sleep(0.01)
    requests = work()
    tracer.send_signal(signal.SIGINT)
    tracer.wait()
    # % time, seconds, usecs/call, calls, errors if there were any, name
    rows = (line.split() for line in calls.read_text().splitlines())
    counts = {row[-1]: int(row[3]) / requests for row in rows if len(row) in (5, 6) and row[3].isdigit() and row[-1] != "total"}
    return {name: count for name, count in counts.items() if count >= RARE}


def traced_by(pid):
    with open(f"/proc/{pid}/status") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("TracerPid:"))


def read(counts):
    """Instructions of each function itself, and how often which calls which, from a file of callgrind: `fn=` begins a function, `cfn=` names
    whom it called how often by `calls=`, and the line after that belongs to the called one."""
    names, own, calls, current, called, skip = {}, collections.Counter(), collections.Counter(), None, None, False
    for line in counts.read_text().splitlines():
        if line.startswith(("fn=", "cfn=")):
            number, _, name = line.partition("=")[2].partition(" ")
            if name:
                names[number] = name
            if line.startswith("fn="):
                current = number
            else:
                called = number
        elif line.startswith("calls="):
            calls[current, called] += int(line[len("calls="):].split()[0])
            skip = True
        elif re.match(r"[\d+*-]", line):
            if not skip and current:
                own[current] += int(line.split()[1])
            skip = False
    total = collections.Counter()
    for number, cost in own.items():
        total[names[number]] += cost
    return total, collections.Counter({(names.get(caller, ""), names[called]): count for (caller, called), count in calls.items()})


def allocations(calls):
    """How often memory was asked for, by anybody but the allocator itself."""
    asked = sum(count for (caller, called), count in calls.items() if re.match(ASKS, called) and not re.match(ALLOCATOR, caller))
    return asked or rig.fail("no call of the allocator was counted: are the names of functions in the binary?")


def owner(function):
    # Of `drop_in_place<hyper::…>` that is hyper.
    return next((name for name, mark in OWNERS if re.search(mark, function)), "other")


def shares(bench, binary, upstream, workload, details):
    """Instructions a request, by owner. Prints the allocations first."""
    found = collections.Counter()
    own, calls = read(counting.counted(bench, binary, upstream, lambda number: counting.request(bench, workload, number), COUNTED))
    print(f"{allocations(calls) / COUNTED:.1f} allocations\n", flush=True)
    for function, cost in own.most_common():
        found[owner(function)] += cost / COUNTED
    for function, cost in own.most_common(details):
        print(f"    {cost / COUNTED:10,.0f}  {owner(function)[:12]:12}  {function[:110]}")
    return found


def main():
    parser = argparse.ArgumentParser(prog="benches/budget.sh", description="What a request is made of.")
    parser.add_argument("--workload", action="append", choices=WORKLOADS, help="this one instead of public and rs256; may be repeated")
    parser.add_argument("--details", type=int, default=0, metavar="N", help="also print the N functions with the most instructions")
    parser.add_argument("--doorward", type=pathlib.Path, default=rig.built("gate"), help="the binary, with the names of its functions (target/gate/doorward)")
    given = parser.parse_args()
    binary = given.doorward.resolve()
    if not binary.is_file():
        parser.error(f"there is no {binary} to measure; build it: cargo build --profile gate")
    chosen = given.workload or ("public", "rs256")
    print(f"{rig.version(binary, 'version')}; {rig.version('valgrind', '--version')}; identity signed by HMAC, no access log")
    with rig.Rig() as bench:
        _, upstream = bench.start_application(counting.CORE)
        for workload in chosen:
            print(f"\n### {WORKLOADS[workload]}\n", flush=True)
            found = system_calls(bench, binary, upstream, workload)
            print("| system call | a request, one connection |" + (" 64 connections |" if len(found) > 1 else "") + "\n|---|---|" + "---|" * (len(found) - 1))
            for name in sorted({name for calls in found for name in calls}, key=lambda name: -max(calls.get(name, 0) for calls in found)):
                print(f"| {name} | " + " | ".join(f"{calls.get(name, 0):.2f}" for calls in found) + " |")
            print()
            own = shares(bench, binary, upstream, workload, given.details)
            total = sum(own.values())
            print("| whose instructions | a request | share |\n|---|---|---|")
            for name, cost in own.most_common():
                print(f"| {name} | {cost:,.0f} | {cost / total:.0%} |")
            print(f"| all | {total:,.0f} | |", flush=True)


if __name__ == "__main__":
    main()
