"""Webhooks as the senders' own published libraries sign them, or verify them."""

import datetime
import hashlib
import hmac
import json
import subprocess
import time

import pytest
import slack_sdk.signature
import standardwebhooks
import stripe

from conftest import HOST

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
BODY = json.dumps({"id": "evt_1", "text": "ü, and a line\n"}).encode()


def github(body, secret=SECRET, moved=0):
    """GitHub publishes no library; its documentation says this, and gives an example that is tested elsewhere."""
    return {"X-Hub-Signature-256": "sha256=" + hmac.new(secret.encode(), body, hashlib.sha256).hexdigest(), "X-GitHub-Event": "push"}


def of_stripe(body, secret=SECRET, moved=0):
    stamp = int(time.time()) + moved
    tag = stripe.WebhookSignature._compute_signature(f"{stamp}.{body.decode()}", secret)
    return {"Stripe-Signature": f"t={stamp},v1={tag}"}


def slack(body, secret=SECRET, moved=0):
    stamp = str(int(time.time()) + moved)
    tag = slack_sdk.signature.SignatureVerifier(secret).generate_signature(timestamp=stamp, body=body)
    return {"X-Slack-Request-Timestamp": stamp, "X-Slack-Signature": tag}


def standard(body, secret=SECRET, moved=0, brand="webhook"):
    moment = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(seconds=moved)
    tag = standardwebhooks.Webhook(secret).sign("msg_1", moment, body.decode())
    return {f"{brand}-id": "msg_1", f"{brand}-timestamp": str(int(moment.timestamp())), f"{brand}-signature": tag}


def svix(body, secret=SECRET, moved=0):
    """Svix's library signs as that of Standard Webhooks does; its headers have another name."""
    return standard(body, secret, moved, "svix")


SENDERS = [("github", github), ("stripe", of_stripe), ("slack", slack), ("standard-webhooks", standard), ("svix", svix)]


def text(preset):
    return f"""
[auth.hooks.webhook]
preset = "{preset}"
secret_file = "secrets/hook.key"
paths = ["/hooks"]
once_within = "1h"
[[route]]
path = "/**"
accept = ["hooks"]
"""


def prepare(gate):
    (gate.folder / "secrets/hook.key").write_text(SECRET + "\n")


@pytest.mark.parametrize(("preset", "sign"), SENDERS)
def test_deliveries_that_the_senders_sign_are_let_in_once(gate, recorder, preset, sign):
    door = gate(recorder.url, text(preset), prepare=prepare)
    headers = sign(BODY)
    status, _, answer = door.request("POST", "/hooks", headers, BODY)
    assert status == 200, answer
    [(head, body)] = recorder.take()
    assert body == BODY
    assert [line for line in head if line.lower().startswith(b"x-forwarded-user:")] == [b"x-forwarded-user: hooks\r\n"]
    assert not any(b"signature" in line.lower().split(b":")[0] and not line.lower().startswith(b"x-doorward-") for line in head), head
    assert door.request("POST", "/hooks", headers, BODY)[0] == 401
    other = BODY + b" "
    for method, target, sent, body in (
        ("POST", "/hooks", sign(other), BODY),
        ("POST", "/hooks/other", sign(other), other),
        ("POST", "/hooks?a=1", sign(other), other),
        ("PUT", "/hooks", sign(other), other),
        ("POST", "/hooks", sign(other, secret="whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"), other),
        ("POST", "/hooks", {}, other),
    ):
        assert door.request(method, target, sent, body)[0] == 401, (method, target, sent)
    if preset != "github":
        for moved in (-400, 400):
            assert door.request("POST", "/hooks", sign(other, moved=moved), other)[0] == 401
    assert recorder.take() == []


def received(head):
    return {name.decode(): value.strip().decode() for name, value in (line.split(b":", 1) for line in head[1:])}


@pytest.mark.parametrize("preset", [preset for preset, _ in SENDERS])
def test_what_the_command_line_signs_is_verified_by_the_senders_libraries(gate, recorder, preset):
    door = gate(recorder.url, text(preset).replace("accept", "forward_credentials = true\naccept"), prepare=prepare)
    (door.folder / "body").write_bytes(BODY)
    command = door.run("sign", "--scheme", "webhook", "--preset", preset, "--secret-file", "secrets/hook.key", "POST", door.url("/hooks"), "--data", "@body", "--curl", config=False)
    command = command.replace("curl ", f"curl --silent --cacert {door.ca} --resolve {HOST}:{door.https}:127.0.0.1 --output out --write-out '%{{http_code}}' ", 1)
    done = subprocess.run(["sh", "-c", command], capture_output=True, text=True, cwd=door.folder)
    assert done.stdout == "200", (command, done)
    [(head, body)] = recorder.take()
    assert body == BODY
    headers = {name.lower(): value for name, value in received(head).items()}
    if preset == "github":
        assert headers["x-hub-signature-256"] == github(body)["X-Hub-Signature-256"]
    elif preset == "stripe":
        assert stripe.WebhookSignature.verify_header(body.decode(), headers["stripe-signature"], SECRET, tolerance=60)
    elif preset == "slack":
        assert slack_sdk.signature.SignatureVerifier(SECRET).is_valid_request(body, headers)
    else:
        named = {name.replace("svix-", "webhook-"): value for name, value in headers.items()}
        assert standardwebhooks.Webhook(SECRET).verify(body, named) == json.loads(BODY)
