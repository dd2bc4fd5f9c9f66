"""A new certificate while requests are running: each is answered, and soon all new connections show it."""

import os
import ssl
import subprocess
import threading

from conftest import BINARY, HOST, until

TEXT = '[[route]]\npath = "/**"\naccess = "public"\n'


def fingerprint(door):
    with door.socket() as sock:
        return sock.getpeercert(binary_form=True)


def test_a_certificate_is_swapped_under_load_and_nothing_is_dropped(gate, recorder):
    door = gate(recorder.url, TEXT)
    # Both certificate authorities are trusted, so that only the gate can fail a handshake.
    context = ssl.create_default_context(cafile=door.ca)
    made = [BINARY, "certs", "--name", HOST, "--name", "localhost", "--out"]
    for at in range(3):
        subprocess.run([*made, f"new{at}"], cwd=door.folder, check=True, capture_output=True)
        context.load_verify_locations(door.folder / f"new{at}/ca.crt")
    context.set_alpn_protocols(["http/1.1"])
    door.tls = lambda alpn=(): context

    stop, failures, answered = threading.Event(), [], []

    def load():
        while not stop.is_set():
            try:
                status, _, _ = door.request("GET", "/x")
                (answered if status == 200 else failures).append(status)
            except Exception as error:
                failures.append(repr(error))

    def keep():
        import http.client

        connection = http.client.HTTPConnection("127.0.0.1", door.https, timeout=30)
        connection.sock = door.socket()
        while not stop.is_set():
            try:
                connection.request("GET", "/kept", headers={"Host": HOST})
                answer = connection.getresponse()
                answer.read()
                (answered if answer.status == 200 else failures).append(answer.status)
            except Exception as error:
                failures.append(repr(error))
                return

    threads = [threading.Thread(target=work, daemon=True) for work in (load, load, load, keep)]
    for thread in threads:
        thread.start()
    shown = fingerprint(door)
    for at in range(3):
        for name in ("server.key", "server.crt"):
            os.replace(door.folder / f"new{at}" / name, door.folder / "certs" / name)
        new = until("the new certificate", lambda: (now := fingerprint(door)) != shown and now)
        assert new != shown
        shown = new
    count = len(answered)
    until("more load on the last one", lambda: len(answered) > count + 50)
    stop.set()
    for thread in threads:
        thread.join(60)
    assert failures == []
    assert len(answered) > 100
