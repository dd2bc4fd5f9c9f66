"""A gibibyte up and a gibibyte down: the bytes are right, and the process does not grow by them."""

import hashlib
import socket
import threading

import pytest

from conftest import HOST

TEXT = '[[route]]\npath = "/**"\naccess = "public"\n'
SIZE = 1 << 30
PIECE = bytes(range(256)) * 1024


@pytest.fixture
def sink():
    """Swallows uploads and answers with their size and hash; serves a gibibyte to GET."""
    listener = socket.create_server(("127.0.0.1", 0))

    def serve(connection):
        with connection, connection.makefile("rb") as stream:
            first = stream.readline()
            length, chunked = 0, False
            while (line := stream.readline()) not in (b"\r\n", b""):
                name, _, value = line.partition(b":")
                length = int(value) if name.lower() == b"content-length" else length
                chunked = chunked or name.lower() == b"transfer-encoding"
            if first.startswith(b"GET"):
                connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\nConnection: close\r\n\r\n" % SIZE)
                try:
                    for _ in range(SIZE // len(PIECE)):
                        connection.sendall(PIECE)
                except OSError:
                    pass  # whoever asked has gone
                return
            total, digest = 0, hashlib.md5(usedforsecurity=False)
            while chunked and (length := int(stream.readline(), 16)) or not chunked and total < length:
                rest = length if chunked else length - total
                while rest:
                    piece = stream.read(min(rest, 1 << 18))
                    assert piece
                    rest -= len(piece)
                    total += len(piece)
                    digest.update(piece)
                if chunked:
                    stream.readline()
            text = b"%d %s" % (total, digest.hexdigest().encode())
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%s" % (len(text), text))

    def accept():
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            threading.Thread(target=serve, args=(connection,), daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    yield "http://127.0.0.1:%d" % listener.getsockname()[1]
    listener.close()


@pytest.mark.parametrize("version", ["--http1.1", "--http2"])
def test_a_gibibyte_passes_both_ways_with_flat_memory(gate, sink, tmp_path, version):
    door = gate(sink, TEXT)
    expected = hashlib.md5(usedforsecurity=False)
    big = tmp_path / "big"
    with open(big, "wb") as file:
        for _ in range(SIZE // len(PIECE)):
            expected.update(PIECE)
            file.write(PIECE)
    door.request("GET", "/.doorward/warm")
    before = door.memory()
    time = ["--max-time", "300"]
    text = door.curl(version, *time, "--upload-file", str(big), door.url("/up"))
    assert text == f"{SIZE} {expected.hexdigest()}"
    up = door.memory()
    down = tmp_path / "down"
    door.curl(version, *time, "--output", str(down), door.url("/down"))
    digest = hashlib.md5(usedforsecurity=False)
    with open(down, "rb") as file:
        while piece := file.read(1 << 20):
            digest.update(piece)
    assert (down.stat().st_size, digest.hexdigest()) == (SIZE, expected.hexdigest())
    after = door.memory()
    print(f"{version}: {before} KiB before, {up} KiB after the upload, {after} KiB after the download")
    assert after - before < 48 * 1024


def test_a_slow_reader_holds_the_application_back(gate, sink):
    door = gate(sink, TEXT)
    before = door.memory()
    sock = door.socket()
    sock.sendall(f"GET /down HTTP/1.1\r\nHost: {HOST}\r\n\r\n".encode())
    sock.recv(1000)
    # While this one reads nothing, others pass; the gate must not have fetched the rest for it.
    for _ in range(50):
        assert door.request("PUT", "/up", body=b"x")[0] == 200
    assert door.memory() - before < 32 * 1024
    sock.close()
