"""Lives of the server under valgrind: so many requests, one after the other on one connection, and what was counted meanwhile."""

import re
import socket
import ssl

import rig

# Server, application and client take turns on one core: what meets what is then nearly always the same.
CORE = 0
# Requests that are not counted: they fill caches and pools.
WARM_UP = 100
WORKLOADS = {
    "public": "a public route",
    "hs256": "JWT, HS256, a new token on each request",
    "rs256": "JWT, RS256, the same token on each request",
    "fost": "FOST, POST with a body of 1 KiB",
}


class Line:
    """One TLS connection. A request is one write, so that the server never finds half of one."""

    def __init__(self, port):
        tls = ssl.create_default_context()
        tls.check_hostname, tls.verify_mode = False, ssl.CERT_NONE
        self.stream = tls.wrap_socket(socket.create_connection(("127.0.0.1", port), timeout=120))

    def ask(self, request):
        """Status and body of the answer."""
        self.stream.sendall(request)
        answer = b""
        while b"\r\n\r\n" not in answer:
            answer += self._more()
        head, _, body = answer.partition(b"\r\n\r\n")
        length = int(re.search(rb"\r\ncontent-length: *(\d+)", head, re.IGNORECASE).group(1))
        while len(body) < length:
            body += self._more()
        return int(head.split(b" ", 2)[1]), body.decode("latin-1")

    def _more(self):
        return self.stream.recv(65536) or rig.fail("the server closed the connection within an answer")

    def close(self):
        self.stream.close()


def wire(path, headers=None, method="GET", body=b""):
    """The bytes of a request. Its host is no port's: they come in different lengths."""
    lines = [f"{method} {path} HTTP/1.1", "Host: localhost", *(f"{name}: {value}" for name, value in (headers or {}).items())]
    if body:
        lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join([*lines, "", ""]).encode() + body


def bearer(path, token):
    return wire(path, {"Authorization": f"Bearer {token}"})


def request(bench, workload, number):
    """The request `number` of a workload."""
    if workload == "public":
        return wire("/plain/")
    if workload == "rs256":
        bench.kept = getattr(bench, "kept", None) or bench.token("rs256")
        return bearer("/rs256/", bench.kept)
    if workload == "hs256":
        return bearer("/hs256/", bench.token("hs256", jti=f"{number:016}"))
    # A POST may be sent once: each body differs, and with it the signature.
    body = f"{number:08}".encode().ljust(1024, b".")
    return wire("/fost/", bench.fost("POST", "/fost/", body), "POST", body)


def life(bench, tool, binary, upstream, make, requests, extra=(), between=lambda *_: None, **settings):
    """One life of the server under `tool`, in which it answers the requests of `make(number)`: some of `requests`, then `between`, and so on.

    The file that the tool wrote, and its log.
    """
    counts = bench.folder / f"{tool}.{len(list(bench.folder.glob(f'{tool}.*')))}"
    # Under valgrind a database is so slow to open that Doorward may give it up.
    config, port = bench.doorward_config("doorward", upstream, store=False, **settings)
    command = ["valgrind", f"--tool={tool}", f"--{tool}-out-file={counts}", *extra, binary, "run", "--config", config]
    process = bench.start("doorward", command, CORE, port, patience=300)
    line, number = Line(port), 0
    for some in requests:
        for number in range(number, number + some):
            status, body = line.ask(make(number))
            if (status, body) != (200, rig.BODY):
                rig.fail(f"request {number} was answered {status} {body!r}\n{process.log.read_text()}")
        number += 1
        between(counts, port)
    line.close()
    process.stop()
    bench.running.remove(process)
    return counts, process.log.read_text()


def counted(bench, binary, upstream, make, requests, **settings):
    """The file in which callgrind counted so many requests and nothing else.

    Neither start-up (most of which is noise: entropy, seeds), handshake, first requests nor the end are in it: callgrind begins
    a new file each time that the server calls accept4, and that is when another connection is opened.
    """
    parts, open_ = [], []

    def next_part(counts, port):
        parts.append(len(list(counts.parent.glob(f"{counts.name}.*"))))
        open_.append(socket.create_connection(("127.0.0.1", port)))
    counts, log = life(bench, "callgrind", binary, upstream, make, (WARM_UP, requests), ["--dump-before=accept4*"], next_part, **settings)
    for one in open_:
        one.close()
    found = counts.with_name(f"{counts.name}.{parts[-1] + 1}")
    return found if found.is_file() and parts[-1] > parts[0] else rig.fail(f"callgrind did not see the connections:\n{log}")


def instructions(bench, binary, upstream, make, requests, **settings):
    """Instructions a request, in user space."""
    text = counted(bench, binary, upstream, make, requests, **settings).read_text()
    return int(re.search(r"^totals: (\d+)", text, re.MULTILINE).group(1)) / requests
