"""Amazon's own Python library, requests-aws4auth and npm's aws4 as clients of the scheme aws-v4."""

import http.client
import io
import json
import shlex
import subprocess

import boto3
import botocore.auth
import botocore.exceptions
import pytest
import requests
from botocore.awsrequest import AWSRequest
from botocore.config import Config
from botocore.credentials import Credentials
from requests_aws4auth import AWS4Auth

KEY = "AKIAIOSFODNN7EXAMPLE"
SECRET = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"
REGION = "eu-central-1"
LONG = bytes(range(256)) * 8192

SCHEME = """
[auth.{name}.aws-v4]
region = "{region}"
service = "{service}"
{more}
[auth.{name}.aws-v4.keys.{key}]
secret_file = "secrets/aws.key"
user = "backup"
[[route]]
path = "{path}"
accept = ["{name}"]
"""


def scheme(name, service, path, more=""):
    return SCHEME.format(name=name, service=service, path=path, more=more, region=REGION, key=KEY)


TEXT = scheme("lax", "s3", "/lax/**", "allow_unsigned_payload = true") + scheme("api", "execute-api", "/api/**") + scheme("s3", "s3", "/**")


def with_secret(door):
    (door.folder / "secrets/aws.key").write_text(SECRET)


@pytest.fixture
def door(gate, recorder):
    recorder.silent = True  # what boto3 gets from S3 is XML, or nothing
    return gate(recorder.url, TEXT, prepare=with_secret)


def client(door, service="s3", secret=SECRET, **config):
    return boto3.client(
        service,
        endpoint_url=f"https://localhost:{door.https}",
        verify=door.ca,
        region_name=REGION,
        aws_access_key_id=KEY,
        aws_secret_access_key=secret,
        config=Config(signature_version="v4" if service != "s3" else "s3v4", retries={"total_max_attempts": 1}, **config),
    )


def signing(door, **more):
    """A client that signs its bodies."""
    s3 = {"addressing_style": "path", "payload_signing_enabled": True}
    return client(door, s3=s3, request_checksum_calculation="when_required", response_checksum_validation="when_required", **more)


def header(head, name):
    return [line.split(b":", 1)[1].strip().decode() for line in head if line.lower().startswith(name.encode() + b":")]


def only(recorder):
    [(head, body)] = recorder.take()
    assert header(head, "x-forwarded-user") == ["backup"]
    assert header(head, "authorization") == []
    assert recorder.violations == []
    return head, body


def refused(call):
    with pytest.raises(botocore.exceptions.ClientError) as caught:
        call()
    return caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == 401


def test_what_boto3_signs_is_let_in(door, recorder):
    s3 = signing(door)
    for key in ("plain", "with blank", "français/ünï", "a+b(c)'!*~", "q=1&x"):
        for body in (b"", b"body", LONG):
            s3.put_object(Bucket="bucket", Key=key, Body=body, ContentType="text/plain", Metadata={"one": "two  three"})
            head, got = only(recorder)
            assert got == body and header(head, "content-length") == [str(len(body))]
            assert header(head, "x-amz-meta-one") == ["two  three"]
        s3.get_object(Bucket="bucket", Key=key, VersionId="a/b+c")
        assert only(recorder)[0][0].startswith(b"GET /bucket/")
        s3.delete_object(Bucket="bucket", Key=key)
        assert only(recorder)[0][0].startswith(b"DELETE /bucket/")
        s3.head_object(Bucket="bucket", Key=key)
        only(recorder)


def test_a_wrong_secret_or_region_is_not(door, recorder):
    config = {"s3": {"addressing_style": "path", "payload_signing_enabled": True}, "request_checksum_calculation": "when_required"}
    assert refused(lambda: client(door, secret="guess", **config).put_object(Bucket="bucket", Key="k", Body=b"x"))
    other = client(door, **config)
    other.meta.events.register("choose-signer.s3", lambda **_: "s3v4")
    other.meta.events.register("before-sign.s3", lambda request, **_: request.context["signing"].update(region="us-east-1"))
    assert refused(lambda: other.put_object(Bucket="bucket", Key="k", Body=b"x"))
    assert recorder.take() == []


def test_what_boto3_sends_in_chunks_is_decoded_where_unsigned_bodies_have_leave(door, recorder):
    s3 = client(door, s3={"addressing_style": "path"})
    sent = []
    s3.meta.events.register("before-send.s3", lambda request, **_: sent.append(dict(request.headers)))
    for body in (b"body", LONG):
        s3.put_object(Bucket="lax", Key="k", Body=io.BytesIO(body), ContentEncoding="gzip")
        assert sent[-1]["X-Amz-Content-SHA256"] in ("STREAMING-UNSIGNED-PAYLOAD-TRAILER", b"STREAMING-UNSIGNED-PAYLOAD-TRAILER"), "that is what this test is about"
        head, got = only(recorder)
        assert got == body and header(head, "content-length") == [str(len(body))]
        assert header(head, "content-encoding") == ["gzip"]
        for gone in ("x-amz-trailer", "x-amz-decoded-content-length", "x-amz-content-sha256", "transfer-encoding"):
            assert header(head, gone) == []
        assert refused(lambda: s3.put_object(Bucket="bucket", Key="k", Body=io.BytesIO(body))), "without leave"
    assert recorder.take() == []


def test_urls_that_boto3_signs_open_their_page_and_no_other(door, recorder):
    s3 = signing(door)
    for key in ("plain", "with blank/ü"):
        url = s3.generate_presigned_url("get_object", Params={"Bucket": "bucket", "Key": key, "ResponseContentType": "text/plain"}, ExpiresIn=60)
        assert requests.get(url, verify=door.ca).status_code == 200
        head, _ = only(recorder)
        assert head[0].endswith(b"?response-content-type=text%2Fplain HTTP/1.1\r\n"), head[0]
        for changed in (url.replace("Expires=60", "Expires=600"), url.replace("text%2Fplain", "text%2Fhtml"), url + "&acl", url.replace("/bucket/", "/bucket/x")):
            assert changed != url and requests.get(changed, verify=door.ca).status_code == 401
        assert requests.put(url, verify=door.ca).status_code == 401
    url = s3.generate_presigned_url("put_object", Params={"Bucket": "lax", "Key": "k"}, ExpiresIn=60)
    assert [requests.put(url, data=b"body", verify=door.ca).status_code for _ in range(2)] == [200, 401], "once"
    assert only(recorder)[1] == b"body"


def test_other_services_sign_the_path_twice_escaped_and_bodies_without_a_header(door, recorder, gate):
    for target, body in (("/api/a%20b/c%2Bd(e)?x=1%202&b=%C3%BC&b=%C3%BD", b""), ("/api/orders", b'{"id": 1}'), ("/api/long", LONG)):
        request = AWSRequest("POST" if body else "GET", f"https://localhost:{door.https}{target}", data=body, headers={"Content-Type": "application/json"})
        botocore.auth.SigV4Auth(Credentials(KEY, SECRET), "execute-api", REGION).add_auth(request)
        assert "X-Amz-Content-SHA256" not in request.headers
        for data, status in ((b"!" + body[1:], 401), (body, 200)):
            session = requests.Session()
            prepared = requests.Request(request.method, request.url, headers=dict(request.headers), data=data).prepare()
            assert session.send(prepared, verify=door.ca).status_code == status, target
        assert only(recorder)[1] == body
    recorder.silent = False
    tables = gate(recorder.url, scheme("tables", "dynamodb", "/**"), prepare=with_secret)
    client(tables, "dynamodb").list_tables()
    head, body = only(recorder)
    assert (head[0], body) == (b"POST / HTTP/1.1\r\n", b"{}")
    assert refused(lambda: client(tables, "dynamodb", secret="guess").list_tables())


def test_what_requests_aws4auth_signs_is_let_in(door, recorder):
    for prefix, service in (("/api", "execute-api"), ("/bucket", "s3")):
        auth = AWS4Auth(KEY, SECRET, REGION, service)
        url = f"https://localhost:{door.https}{prefix}/a%20b"
        for method, data, params in (("GET", None, {"b": "2", "a": "1"}), ("PUT", b"body", {}), ("POST", LONG, {"list": "1"}), ("DELETE", None, {})):
            assert requests.request(method, url, data=data, params=params, auth=auth, verify=door.ca).status_code == 200, (method, service)
            assert only(recorder)[1] == (data or b"")
        signed = requests.Request("PUT", url, data=b"other", auth=auth).prepare()
        signed.body = b"Other"
        assert requests.Session().send(signed, verify=door.ca).status_code == 401
        assert requests.get(url, auth=AWS4Auth(KEY, "guess", REGION, service), verify=door.ca).status_code == 401
    assert recorder.take() == []


def test_what_aws4_signs_is_let_in(door, recorder, packages):
    def sign(secret=SECRET, **request):
        own = {"accessKeyId": KEY, "secretAccessKey": secret}
        program = ["node", "aws4.mjs", json.dumps({"host": f"localhost:{door.https}", "region": REGION} | request), json.dumps(own)]
        return json.loads(subprocess.run(program, cwd=packages, capture_output=True, text=True, check=True).stdout)

    def send(signed, method="GET", body=None):
        connection = http.client.HTTPSConnection("localhost", door.https, context=door.tls(), timeout=60)
        connection.request(method, signed["path"], body, signed["headers"])
        return connection.getresponse().status

    for prefix, service in (("/api", "execute-api"), ("/bucket", "s3")):
        for method, body, query in (("GET", None, "?b=2&a=1"), ("PUT", "body", ""), ("POST", "x=1&y=2", "?list=1"), ("DELETE", None, "")):
            request = {"method": method, "service": service, "path": f"{prefix}/a%20b{query}", **({"body": body} if body else {})}
            signed = sign(**request)
            assert send(signed, method, body) == 200, request
            assert only(recorder)[1] == (body or "").encode()
            assert send(sign("guess", **request), method, body) == 401, request
            assert send(signed | {"path": f"{prefix}/other{query}"}, method, body) == 401, request
    assert send(sign(method="GET", service="s3", path="/lax/a?x=1", signQuery=True)) == 200
    only(recorder)
    assert recorder.take() == []


def test_curl_sends_what_doorward_signs(door, recorder):
    (door.folder / "aws.key").write_text(SECRET)
    for path, service in (("/api/a%20b?x=1&y=(2)", "execute-api"), ("/bucket/(k)?acl", "s3")):
        sign = ["sign", "--scheme", "aws-v4", "--region", REGION, "--service", service, "--key", KEY, "--secret-file", "aws.key", "--curl"]
        for more in (["GET"], ["PUT", "--data", '{"a": "b c"}'], ["POST", "--data", "x", "--header", "Content-Type: text/plain"], ["GET", "--url"]):
            line = door.run(*sign, more[0], door.url(path), *more[1:], config=False)
            answer = door.curl(*shlex.split(line)[1:], "--output", "/dev/null", "--write-out", "%{http_code}")
            assert answer == "200", line
            assert only(recorder)[0][0].split(b" ")[1].decode() == path
    own = ["--aws-sigv4", f"aws:amz:{REGION}:execute-api", "--user", f"{KEY}:{SECRET}", "--output", "/dev/null", "--write-out", "%{http_code}"]
    assert door.curl(*own, door.url("/api/orders?a=1&b=2")) == "200", "curl's own signer"
    only(recorder)
