"""slowhttptest (Debian): slow heads, slow bodies, slow readers. Each is cut off, and meanwhile others are served."""

import re
import shutil
import subprocess
import threading

import pytest


TEXT = '[[route]]\npath = "/**"\naccess = "public"\n'
LIMITS = {"limits": 'header_timeout = "2s"\nbody_timeout = "2s"\nhandshake_timeout = "2s"'}


def attack(door, *arguments):
    assert shutil.which("slowhttptest"), "slowhttptest is not installed: apt-get install slowhttptest"
    command = ["slowhttptest", *arguments, "-c", "200", "-r", "200", "-l", "12", "-p", "3", "-u", f"https://localhost:{door.https}/x"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, stdin=subprocess.DEVNULL)
    output = []
    reader = threading.Thread(target=lambda: output.append(process.stdout.read()), daemon=True)
    reader.start()
    served = 0
    while process.poll() is None:
        status, _, _ = door.request("GET", "/meanwhile")
        assert status == 200
        served += 1
        threading.Event().wait(0.1)
    reader.join()
    assert served > 20
    plain = re.sub(r"\x1b\[[0-9;]*m", "", output[0])
    # The last report of how many connections stand, and of whether the probe was answered.
    counts = {name: [int(value) for value in re.findall(rf"{name}:\s+(\d+)", plain)] for name in ("pending", "connected", "error", "closed")}
    available = re.findall(r"service available:\s+(\w+)", plain)
    assert counts["connected"], plain
    return counts, available, plain


@pytest.mark.parametrize(
    "arguments",
    [["-H", "-i", "1", "-x", "8"], ["-B", "-i", "1", "-s", "100000", "-x", "8"], ["-X", "-w", "1", "-y", "16", "-n", "3", "-z", "1", "-k", "3"]],
    ids=["heads", "bodies", "readers"],
)
def test_slow_clients_are_cut_off_and_others_are_served(gate, big_upstream, arguments):
    door = gate(big_upstream, TEXT, LIMITS)
    counts, available, plain = attack(door, *arguments)
    assert available and all(answer == "YES" for answer in available), plain
    assert counts["connected"][-1] == 0 and counts["pending"][-1] == 0, plain
    assert counts["closed"][-1] > 0, plain
    assert door.request("GET", "/after")[0] == 200


@pytest.fixture
def big_upstream(tmp_path):
    """Answers with more than socket buffers hold, so that whoever does not read is seen to be slow."""
    import http.server

    body = b"x" * (4 << 20)

    class Answer(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self):
            size = len(body) if self.path == "/x" else 2
            self.send_response(200)
            self.send_header("Content-Length", str(size))
            self.end_headers()
            self.wfile.write(body[:size])

        def do_POST(self):
            self.rfile.read(int(self.headers.get("Content-Length", 0)))
            self.do_GET()

        def log_message(self, *_):
            pass

    class Server(http.server.ThreadingHTTPServer):
        daemon_threads = True
        request_queue_size = 256

        def handle_error(self, *_):
            pass

    server = Server(("127.0.0.1", 0), Answer)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


