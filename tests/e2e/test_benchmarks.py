"""The checks that the benchmarks make of themselves, shown what they must notice."""

import pathlib
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "benches"))
sys.dont_write_bytecode = True

import budget  # noqa: E402
import instructions  # noqa: E402
import shape  # noqa: E402
from loads import WORKLOADS  # noqa: E402

HERE = {"rustc": "1.95.0", "profile": "gate"}
COMMITTED = {"circumstances": HERE, "instructions": {"public": 1000, "fost": 1000}}
HEAD = f"| {' | '.join(shape.CELLS)} |\n|{'---|' * len(shape.CELLS)}\n"


@pytest.mark.parametrize(("measured", "risen"), [
    ({"public": 1000, "fost": 1000}, False),
    ({"public": 1049, "fost": 500}, False),
    ({"public": 1000, "fost": 1051}, True),
    ({"public": 1000, "rs256": 1}, True),
])
def test_instructions_that_rose_by_more_than_a_twentieth_or_were_never_counted_fail(measured, risen):
    assert instructions.judge(measured, COMMITTED, HERE)[1] is risen


@pytest.mark.parametrize("what", HERE)
def test_instructions_of_other_circumstances_are_not_judged_and_it_says_so(what):
    lines, risen = instructions.judge({"public": 5000}, COMMITTED, HERE | {what: "other"})
    assert not risen
    assert "NOT JUDGED" in lines[0]
    assert what in lines[1]


def whole():
    """A table as it should be where HAProxy 2.6 takes part."""
    for name, workload in WORKLOADS.items():
        against = [proxy for proxy in workload.against if proxy == "haproxy26"]
        for proxy in (*against, "doorward", "doorward-log", *(["doorward-new"] if name == "users" else [])):
            yield f"| {name} | {proxy} | 45.8 | {'0.56' if against else '–'} | {against[0] if against else '–'} | 21,850 | 5,920 | 27 % | 145 % |"


def faults(lines):
    return list(shape.faults(shape.rows(HEAD + "\n".join(lines)), {"haproxy26"}))


def test_a_whole_table_has_no_faults():
    assert faults(whole()) == []


@pytest.mark.parametrize("at", range(len(list(whole()))))
def test_a_row_that_is_missing_is_noticed(at):
    lines = list(whole())
    del lines[at]
    assert faults(lines)


@pytest.mark.parametrize("cell", ["45.8", "0.56", "21,850", "5,920", "27 %", "145 %"])
def test_a_figure_that_is_none_is_noticed(cell):
    lines = list(whole())
    assert faults([lines[0].replace(cell, "nan"), *lines[1:]])


@pytest.mark.parametrize("text", ["", HEAD, HEAD.replace("| to ", "") + "| plain |", HEAD + "| plain | doorward |"])
def test_what_is_no_such_table_ends_the_check(text):
    with pytest.raises(SystemExit):
        shape.rows(text)


def test_instructions_of_callers_and_of_whom_they_call_are_told_apart(tmp_path):
    counts = tmp_path / "callgrind.out"
    counts.write_text("events: Ir\n\nfn=(1) doorward::serve\n10 100\ncfn=(2) malloc\ncalls=3 5\n11 4000\n+2 20\n\nfn=(2)\n5 3900\n* 100\n-1 1\n")
    own, calls = budget.read(counts)
    assert own == {"doorward::serve": 120, "malloc": 4001}
    assert calls == {("doorward::serve", "malloc"): 3}


def test_allocations_are_what_others_ask_the_allocator_for():
    calls = {("__rustc::__rust_alloc", "mi_malloc_aligned"): 5, ("mi_malloc_aligned", "mi_heap_malloc_aligned"): 5,
             ("BIO_new", "malloc"): 2, ("malloc", "_int_malloc"): 2, ("doorward::serve", "__rustc::__rust_alloc"): 5, ("doorward::serve", "mi_free"): 7}
    assert budget.allocations(calls) == 7


@pytest.mark.parametrize(("function", "owner"), [
    ("doorward::proxy::Proxy::serve::{{closure}}", "Doorward"),
    ("<hyper::proto::h1::role::Server as hyper::proto::h1::Http1Transaction>::encode", "hyper, http, bytes"),
    ("aws_lc_0_47_0_gcm_gmult_avx", "TLS records"),
    ("sha2::sha256::soft::unroll::compress", "hashes and signatures of credentials"),
    ("__memcpy_avx_unaligned_erms", "memory: copied and compared"),
    ("_int_free", "memory: asked for and given back"),
    ("_mi_page_retire", "memory: asked for and given back"),
    ("alloc::str::join_generic_copy", "Rust's own library"),
    ("0x000000000123a400", "other"),
])
def test_a_function_belongs_to_whom_its_name_says(function, owner):
    assert budget.owner(function) == owner
