"""Instructions per request in user space, counted by callgrind. Started by instructions.sh.

The server runs twice for each workload, for few requests and for many; the difference belongs to the requests alone, without
start-up, handshake and end. The processor that valgrind shows to a program lacks some instructions (AVX-512, SHA): where
cryptography decides, the real count is lower. What the kernel does is not counted.
"""

import argparse
import pathlib
import re

import rig

WORKLOADS = {
    "public": "a public route",
    "rs256": "JWT, RS256, the same token on each request",
    "hs256": "JWT, HS256, a new token on each request",
    "fost": "FOST, POST with a body of 1 KiB",
}
CORE = 0


def request(bench, workload, number):
    """Path, method, headers and body of the request `number`."""
    if workload == "public":
        return {"path": "/plain/"}
    if workload == "rs256":
        bench.kept = getattr(bench, "kept", None) or bench.token("rs256")
        return {"path": "/rs256/", "headers": {"Authorization": f"Bearer {bench.kept}"}}
    if workload == "hs256":
        return {"path": "/hs256/", "headers": {"Authorization": f"Bearer {bench.token('hs256', jti=f'{number:016}')}"}}
    # A POST may be sent once: each body differs, and with it the signature.
    body = f"{number:08}".encode().ljust(1024, b".")
    return {"path": "/fost/", "method": "POST", "headers": bench.fost("POST", "/fost/", body), "body": body}


def run(bench, binary, upstream, workload, requests):
    """Instructions of one life of the server in which it answered so many requests."""
    counts = bench.folder / f"callgrind.{workload}.{requests}"
    config, port = bench.doorward_config("doorward", upstream)
    process = bench.start("doorward", ["valgrind", "--tool=callgrind", f"--callgrind-out-file={counts}", binary, "run", "--config", config],
                          CORE, port, patience=120)
    client = rig.Client(port)
    for number in range(requests):
        status, body = client.ask(**request(bench, workload, number))
        if (status, body) != (200, rig.BODY):
            rig.fail(f"{workload}: request {number} was answered {status} {body!r}\n{process.log.read_text()}")
    client.close()
    process.stop()
    bench.running.remove(process)
    total = re.search(r"^(?:summary|totals): (\d+)", counts.read_text(), re.MULTILINE)
    return int(total.group(1)) if total else rig.fail(f"callgrind counted nothing:\n{process.log.read_text()}")


def main():
    parser = argparse.ArgumentParser(prog="benches/instructions.sh", description="Instructions per request, by callgrind.")
    parser.add_argument("--workload", action="append", choices=WORKLOADS, help="only this one; may be repeated")
    parser.add_argument("--requests", type=int, default=2000, help="requests of the longer run; the shorter has a tenth (2000)")
    parser.add_argument("--doorward", type=pathlib.Path, default=rig.DOORWARD, help="the binary (target/release/doorward)")
    given = parser.parse_args()
    if given.requests < 10:
        parser.error("--requests is at least 10")
    binary = given.doorward.resolve()
    if not binary.is_file():
        parser.error(f"there is no {binary.name} to measure; build it: cargo build --release")
    few, many = given.requests // 10, given.requests
    with rig.Rig() as bench:
        _, upstream = bench.start_application(CORE)
        print(f"{rig.version(binary, 'version')}; {rig.version('valgrind', '--version')}; identity signed by HMAC, no access log")
        print("\n| workload | instructions a request |\n|---|---|")
        for workload in given.workload or WORKLOADS:
            short, long = (run(bench, binary, upstream, workload, requests) for requests in (few, many))
            print(f"| {WORKLOADS[workload]} | {(long - short) / (many - few):,.0f} |", flush=True)


if __name__ == "__main__":
    main()
