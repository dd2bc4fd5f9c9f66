"""slowhttptest (Debian): slow heads, slow bodies, slow readers. Each is cut off, and meanwhile others are served."""

import re
import shutil
import subprocess
import threading
import urllib.request

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
    served, held = 0, []
    while process.poll() is None:
        status, _, _ = door.request("GET", "/meanwhile")
        assert status == 200
        served += 1
        held.append(open_connections(door))
        threading.Event().wait(0.1)
    reader.join()
    assert served > 20
    # Slow clients may not notice that they were cut off, above all those that do not read; so the gate is asked.
    # How many stand at the same time depends on how fast they come and are cut off.
    most = max(held)
    assert most > 30 and min(held[held.index(most) :]) < most / 3, held
    plain = re.sub(r"\x1b\[[0-9;]*m", "", output[0])
    available = re.findall(r"service available:\s+(\w+)", plain)
    assert available and all(answer == "YES" for answer in available), plain


def open_connections(door):
    with urllib.request.urlopen(f"http://127.0.0.1:{door.admin}/metrics", timeout=10) as answer:
        return int(re.search(r"(?m)^doorward_open_connections (\d+)", answer.read().decode())[1])


@pytest.mark.parametrize(
    "arguments",
    [["-H", "-i", "1", "-x", "8"], ["-B", "-i", "1", "-s", "100000", "-x", "8"], ["-X", "-w", "1", "-y", "16", "-n", "3", "-z", "1", "-k", "3"]],
    ids=["heads", "bodies", "readers"],
)
def test_slow_clients_are_cut_off_and_others_are_served(gate, big_upstream, arguments):
    door = gate(big_upstream, TEXT, LIMITS)
    attack(door, *arguments)
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


