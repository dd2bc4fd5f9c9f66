"""Sockets that somebody else opened (systemd's `fd:N`), and sockets that are files."""

import http.client
import os
import socket
import subprocess

from conftest import BINARY, DEADLINE, HOST, Gate, until

TEXT = '[[route]]\npath = "/**"\naccess = "public"\n'


def answer(plain, door):
    """The status of one request over TLS on a socket that is connected already."""
    connection = http.client.HTTPConnection(HOST, timeout=DEADLINE)
    connection.sock = door.tls().wrap_socket(plain, server_hostname=HOST)
    connection.request("GET", "/x", headers={"Host": HOST})
    return connection.getresponse().status


def stand(tmp_path, recorder, https):
    """A gate that is not started yet, with other TLS listeners."""
    door = Gate(tmp_path, recorder.url, TEXT)
    config = door.folder / "config.toml"
    config.write_text(config.read_text().replace('https = ["127.0.0.1:0"]', f"https = {https}"))
    return door


def test_a_passed_socket_serves_from_the_first_connection_on(tmp_path, recorder):
    door = stand(tmp_path, recorder, '["fd:3"]')
    listener = socket.create_server(("127.0.0.1", 0))
    # Connected before anybody serves: it waits in the backlog.
    early = socket.create_connection(listener.getsockname(), timeout=DEADLINE)
    line = 'exec env LISTEN_PID=$$ LISTEN_FDS=1 "$0" run --config config.toml'
    passed = lambda: os.dup2(listener.fileno(), 3)
    process = subprocess.Popen(["sh", "-c", line, BINARY], cwd=door.folder, preexec_fn=passed, pass_fds=(3,), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        assert answer(early, door) == 200
        assert answer(socket.create_connection(listener.getsockname(), timeout=DEADLINE), door) == 200
        process.terminate()
        assert process.wait(DEADLINE) == 0
    finally:
        process.kill()


def test_without_a_passed_socket_it_does_not_start(tmp_path, recorder):
    door = stand(tmp_path, recorder, '["fd:3"]')
    done = subprocess.run([BINARY, "run", "--config", "config.toml"], cwd=door.folder, capture_output=True, text=True, timeout=DEADLINE)
    assert done.returncode == 2 and "listen.https[0]" in done.stderr, done.stderr


def test_a_unix_socket_is_served_and_leaves_no_file_behind(tmp_path, recorder):
    door = stand(tmp_path, recorder, '["unix:gate.sock"]'.replace("gate.sock", str(tmp_path / "gate.sock")))
    path = tmp_path / "gate.sock"
    process = subprocess.Popen([BINARY, "run", "--config", "config.toml"], cwd=door.folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        until("the socket", path.exists)
        plain = socket.socket(socket.AF_UNIX)
        plain.settimeout(DEADLINE)
        plain.connect(str(path))
        assert answer(plain, door) == 200
        process.terminate()
        assert process.wait(DEADLINE) == 0
        assert not path.exists()
    finally:
        process.kill()
