"""Holds TLS connections that did one request and are idle.

    idle.py PORT PATH COUNT…      opens up to each COUNT in turn, prints READY and waits for a line on its input
"""

import socket
import ssl
import sys

PORT, PATH = int(sys.argv[1]), sys.argv[2]
REQUEST = f"GET {PATH} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".encode()
TLS = ssl.create_default_context()
TLS.check_hostname, TLS.verify_mode = False, ssl.CERT_NONE

held = []
for count in map(int, sys.argv[3:]):
    while len(held) < count:
        plain = socket.create_connection(("127.0.0.1", PORT), timeout=60)
        plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connection = TLS.wrap_socket(plain)
        connection.sendall(REQUEST)
        answer = b""
        while not answer.endswith(b".\n"):
            more = connection.recv(4096)
            if not more:
                sys.exit(f"connection {len(held)} was closed: {answer!r}")
            answer += more
        held.append(connection)
    print("READY", len(held), flush=True)
    sys.stdin.readline()
