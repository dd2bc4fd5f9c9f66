"""Is the work done right? A proxy that lets in what it must not is not measured."""

import rig

# Envoy says 403 to some wrong tokens.
FORBIDDEN = {401: 403}

def check(bench, name, proxy, work, credential):
    """Ends the run if a proxy lets in what it must not, or keeps out what it must let in."""
    port, path = proxy.places[work]

    def expect(what, status, body=None, target=path, **headers):
        # A connection for each: HAProxy ends it after a refusal.
        client = rig.Client(port)
        got = client.ask(target, {key.replace("_", "-"): value for key, value in headers.items()})
        client.close()
        if got[0] not in (status, FORBIDDEN.get(status)) or (body is not None and got[1] != body):
            rig.fail(f"{name} does {work} wrongly: {what}: expected {status} {body!r}, got {got[0]} {got[1]!r}")

    if work == "plain":
        expect("a plain request", 200, rig.BODY)
        expect("a forged user", 200, "user=", path + "user", X_Forwarded_User="mallory")
    elif work == "token":
        # What an endpoint that only answers 200 lets in says nothing.
        expect("a good token", 200, rig.BODY, Authorization=f"Bearer {credential}")
        if proxy.config:
            expect("no token", 401)
            expect("a wrong token", 401, Authorization=f"Bearer {credential[:-1]}{'B' if credential[-1] == 'A' else 'A'}")
            expect("a forged user", 200, "user=alice", path + "user", Authorization=f"Bearer {credential}", X_Forwarded_User="mallory")
    elif work == "fost":
        check_fost(bench, name, port, path)
    else:
        token = credential
        head, _, signature = token.rpartition(".")
        forged = f"{head}.{'B' if signature[0] == 'A' else 'A'}{signature[1:]}"
        hour_ago = bench.issued_at - 3600
        for what, wrong in {
            "a changed signature": forged,
            "an expired token": bench.token(work, exp=hour_ago),
            "a token for another audience": bench.token(work, aud="another"),
            "a token of another issuer": bench.token(work, iss="https://other.example.test/"),
            "a token without signature": head + ".",
        }.items():
            expect(what, 401, Authorization=f"Bearer {wrong}")
        expect("no token", 401)
        expect("a good token", 200, rig.BODY, Authorization=f"Bearer {token}")
        expect("a forged user beside a good token", 200, "user=alice", path + "user", Authorization=f"Bearer {token}", X_Forwarded_User="mallory")
        expect("a changed signature after the good one", 401, Authorization=f"Bearer {forged}")


def check_fost(bench, name, port, path):
    def expect(what, status, signed, sent, target=path, body=None):
        client = rig.Client(port)
        got = client.ask(target, {"X-Forwarded-User": "mallory"} | bench.fost("POST", target, signed), "POST", sent)
        client.close()
        if got[0] != status or (body is not None and got[1] != body):
            rig.fail(f"{name} does fost wrongly: {what}: expected {status} {body!r}, got {got[0]} {got[1]!r}")

    expect("a signed request", 200, b"x" * 1024, b"x" * 1024, body=rig.BODY)
    expect("a changed body", 401, b"x" * 1024, b"x" * 1023 + b"y")
    expect("a forged user", 200, b"z", b"z", target=path + "user", body="user=alice")
