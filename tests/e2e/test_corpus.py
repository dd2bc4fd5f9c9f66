"""gunicorn's corpus of raw HTTP requests, thrown at the gate; a recording upstream is the judge.

The upstream must see nothing of a request that cannot be read in one way, and of the others one canonical head for each
request that the gate answered as let in.
"""

import json
import re
import socket

import pytest

from conftest import HOST, download

TEXT = '[[route]]\npath = "/**"\naccess = "public"\n'
LIMITS = {"limits": 'header_timeout = "1s"\nbody_timeout = "1s"\nhandshake_timeout = "5s"'}

# Requests of the "invalid" half that a gate may let through, and why: they are refused by gunicorn for reasons of its own.
LIMIT = "longer or more than gunicorn was told to take in this case; ours are other limits"
TRAILER = "a trailer, and trailers of requests end at the gate"
ALIAS = "a second spelling of a framing header, which ends at the gate"
HARMLESS = {
    "006.http": LIMIT,
    "007.http": LIMIT,
    "008.http": LIMIT,
    "010.http": LIMIT,
    "011.http": LIMIT,
    "012.http": LIMIT,
    "017.http": LIMIT,
    "limit_header_default_01.http": LIMIT,
    "019.http": "contradicting scheme headers, which the gate replaces with its own",
    "040.http": ALIAS,
    "chunked_07.http": ALIAS,
    "041.http": "two Content-Types: neither framing nor identity is read from them",
    "rfc9110_trailer_forbidden_cl_01.http": TRAILER,
    "rfc9110_trailer_forbidden_host_01.http": TRAILER,
    "rfc9110_trailer_forbidden_te_01.http": TRAILER,
}


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    folder = download("gunicorn", "27.0.1", tmp_path_factory.mktemp("gunicorn")) / "tests/requests"
    found = {kind: sorted((folder / kind).glob("*.http")) for kind in ("invalid", "valid")}
    assert (len(found["invalid"]), len(found["valid"])) == (81, 62)
    return found


def decode(path):
    """The corpus is written with line breaks for the eye alone, and with escapes for the bytes that count."""
    text = path.read_bytes().replace(b"\n", b"")
    text = text.replace(b"\\r\\n", b"\r\n").replace(b"\\0", b"\0").replace(b"\\n", b"\n").replace(b"\\t", b"\t").replace(b"\\r", b"\r")
    return re.sub(rb"\\x([0-9a-fA-F]{2})", lambda match: bytes([int(match[1], 16)]), text)


def hosted(data):
    """The same request with our host, where it has none of its own; the corpus mostly leaves it out."""
    head, mark, rest = data.partition(b"\r\n")
    if re.search(rb"(?im)^host[ \t]*:", data) or not mark:
        return re.sub(rb"(?im)^(host[ \t]*:[ \t]*)[a-z0-9.=\[\]:-]*?((?::\d+)?(?=\r?$))", lambda match: match[1] + HOST.encode() + match[2], data)
    return head + b"\r\nHost: " + HOST.encode() + b"\r\n" + rest


def send(door, data):
    """Sends bytes and reads until the gate hangs up; the statuses of its final answers."""
    sock = door.socket()
    sock.settimeout(30)
    try:
        sock.sendall(data)
        got = b""
        while piece := sock.recv(65536):
            got += piece
    except (ConnectionError, socket.timeout, OSError) as error:
        assert not isinstance(error, socket.timeout), f"still open after 30 s: {data[:80]!r}"
    finally:
        sock.close()
    return [int(status) for status in re.findall(rb"(?m)^HTTP/1\.[01] (\d{3}) ", got) if status != b"100"]


@pytest.mark.parametrize("with_host", [False, True])
def test_what_cannot_be_read_in_one_way_reaches_no_application(gate, recorder, corpus, with_host):
    door = gate(recorder.url, TEXT, LIMITS)
    passed = {}
    for path in corpus["invalid"]:
        data = hosted(decode(path)) if with_host else decode(path)
        statuses = send(door, data)
        seen = recorder.take()
        whole = [head for head, body in seen if body is not None]
        assert recorder.violations == [], (path.name, recorder.violations)
        assert len(whole) == statuses.count(200), (path.name, statuses, seen)
        names = [line.split(b":")[0].lower() for head in whole for line in head[1:]]
        assert not {b"transfer_encoding", b"content_length", b"x-forwarded-ssl"} & set(names), (path.name, names)
        if whole:
            passed[path.name] = [head[0] for head in whole]
    unexpected = {name: heads for name, heads in passed.items() if name not in HARMLESS}
    assert unexpected == {}, json.dumps({name: [str(head) for head in heads] for name, heads in unexpected.items()}, indent=1)
    assert not with_host or set(passed) == set(HARMLESS), "exceptions that are none any more"
    assert door.request("GET", "/after")[0] == 200


@pytest.mark.parametrize("with_host", [False, True])
def test_what_can_be_read_arrives_in_its_only_form_or_is_refused(gate, recorder, corpus, with_host):
    door = gate(recorder.url, TEXT, LIMITS)
    let_in = 0
    for path in corpus["valid"]:
        data = hosted(decode(path)) if with_host else decode(path)
        statuses = send(door, data)
        seen = recorder.take()
        whole = [head for head, body in seen if body is not None]
        assert recorder.violations == [], (path.name, recorder.violations)
        assert len(whole) == statuses.count(200), (path.name, statuses, seen)
        assert len(whole) <= 4, path.name
        let_in += len(whole)
    if with_host:
        assert let_in >= 15, let_in
    assert door.request("GET", "/after")[0] == 200


def test_a_smuggled_request_is_never_seen(gate, recorder, corpus):
    """Each bad request again, with a good one hidden behind it: it may be answered as itself, never more often than that."""
    door = gate(recorder.url, '[auth.staff.basic]\nusers = "store"\n[[route]]\npath = "/hidden"\naccept = ["staff"]\n' + TEXT, LIMITS)
    hidden = f"GET /hidden HTTP/1.1\r\nHost: {HOST}\r\n\r\n".encode()
    for path in corpus["invalid"]:
        for data in (decode(path), hosted(decode(path))):
            send(door, data + hidden)
            for head, _ in recorder.take():
                assert b"/hidden" not in head[0], (path.name, head)
    assert recorder.violations == []


