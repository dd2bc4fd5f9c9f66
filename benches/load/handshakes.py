"""Opens a TLS 1.3 connection for each request, with a full handshake: nothing is resumed.

    handshakes.py PORT PATH SECONDS CONNECTIONS     prints one line for the program that started it
"""

import json
import socket
import ssl
import struct
import sys
import threading
import time

PORT, PATH, SECONDS, CONNECTIONS = int(sys.argv[1]), sys.argv[2], float(sys.argv[3]), int(sys.argv[4])
REQUEST = f"GET {PATH} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n".encode()
TLS = ssl.create_default_context()
TLS.check_hostname, TLS.verify_mode = False, ssl.CERT_NONE


def once():
    with socket.create_connection(("127.0.0.1", PORT), timeout=20) as plain:
        plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        # A reset instead of TIME_WAIT: there are only so many ports.
        plain.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        with TLS.wrap_socket(plain) as connection:
            if connection.session_reused:
                raise ValueError("a session was resumed")
            connection.sendall(REQUEST)
            return connection.recv(16384).startswith(b"HTTP/1.1 200")


def loop(until, counts):
    while time.monotonic() < until:
        try:
            counts[0 if once() else 1] += 1
        except OSError:
            counts[1] += 1


def main():
    began = time.monotonic()
    counts = [[0, 0] for _ in range(CONNECTIONS)]
    threads = [threading.Thread(target=loop, args=(began + SECONDS, mine)) for mine in counts]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    done, bad = (sum(mine[at] for mine in counts) for at in (0, 1))
    print("COUNT " + json.dumps({"requests": done, "seconds": time.monotonic() - began, "bad": bad}))


main()
