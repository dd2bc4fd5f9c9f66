"""Whether benches/peers.sh works to its end and its table is whole: every workload, every proxy that can be started here, every column.

    benches/shape.py --doorward FILE     any build will do: what the figures are does not matter

No figure is judged, only whether there is one.
"""

import argparse
import os
import pathlib
import re
import subprocess

import proxies
import rig
from loads import WORKLOADS

NUMBER = r"[\d,]+(\.\d+)?( %)?"
# By the name of the column.
CELLS = {
    "workload": r"[\w-]+", "proxy": r"[a-z]+\d*(-\w+)?", "CPU µs a request": NUMBER, "ratio, same round": rf"{NUMBER}|–", "to": r"[a-z]+\d*|–",
    "requests/s for a whole core": rf"{NUMBER}|–", "requests/s seen": NUMBER, "of its core": NUMBER, "other work": NUMBER,
}


def rows(output):
    """The table of an output, row by row as dictionaries."""
    lines = [line for line in output.splitlines() if line.startswith("|")]
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    if len(cells) < 3 or cells[0] != list(CELLS) or cells[1] != ["---"] * len(CELLS):
        rig.fail(f"the table does not begin with {' | '.join(CELLS)}")
    return [dict(zip(CELLS, row)) if len(row) == len(CELLS) else rig.fail(f"a row has {len(row)} columns: {row}") for row in cells[2:]]


def faults(table, here):
    """What is wrong with the rows, where the proxies `here` take part."""
    for row in table:
        yield from (f"{row['workload']}, {row['proxy']}: {what} is {row[what]!r}" for what, form in CELLS.items() if not re.fullmatch(form, row[what]))
    for name, workload in WORKLOADS.items():
        there = {row["proxy"]: row for row in table if row["workload"] == name}
        wanted = {"doorward", "doorward-log", *(proxy for proxy in workload.against if proxy in here)}
        if name == "users":
            wanted.add("doorward-new")
        if set(there) != wanted:
            yield f"{name}: rows of {sorted(there)} instead of {sorted(wanted)}"
        for proxy, row in there.items():
            yardsticks = wanted & set(workload.against)
            if yardsticks and row["to"] not in yardsticks:
                yield f"{name}, {proxy}: compared with {row['to']} instead of one of {sorted(yardsticks)}"
            # The clock of CPU time ticks every 10 ms: in so short a time it may say nought.
            elif yardsticks & set(there) and there[row["to"]]["CPU µs a request"] != "0.0" and not re.fullmatch(NUMBER, row["ratio, same round"]):
                yield f"{name}, {proxy}: no ratio to {row['to']}"
    for row in table:
        if row["workload"] not in WORKLOADS:
            yield f"a row of {row['workload']}, which is no workload"


def main():
    parser = argparse.ArgumentParser(prog="benches/shape.py", description="Whether the table of benches/peers.sh is whole.")
    parser.add_argument("--doorward", type=pathlib.Path, default=rig.DOORWARD, help="the binary (target/release/doorward)")
    binary = parser.parse_args().doorward.resolve()
    os.environ["PATH"] += ":/usr/sbin:/sbin"
    done = subprocess.run([rig.HERE / "peers.sh", "--shape", "--doorward", binary], stdout=subprocess.PIPE, text=True)
    print(done.stdout)
    if done.returncode != 0:
        rig.fail(f"peers.sh ended with {done.returncode}")
    found = list(faults(rows(done.stdout), proxies.found(binary)))
    if found:
        rig.fail("\n  ".join(["the table of peers.sh is not whole:", *found]))
    print("The table of peers.sh is whole.")


if __name__ == "__main__":
    main()
