//! What is printed is what the published vectors say, and nothing is signed that the gate would refuse.

use super::*;
use clap::Parser;

#[derive(Debug, Parser)]
struct Line {
    #[command(flatten)]
    args: Args,
}

const NOW: u64 = 1_232_789_760;

fn lines(line: &[&str]) -> anyhow::Result<Vec<String>> {
    let words = ["sign", "--key", "aspnet", "--secret-file", "k"].iter().chain(line);
    both(words).map(|(lines, _)| lines)
}

fn both<'a>(words: impl Iterator<Item = &'a &'a str>) -> anyhow::Result<WithText<Vec<String>>> {
    signed(&Line::try_parse_from(words)?.args, &Secret::new("s3cret"), Duration::from_micros(NOW * 1_000_000 + 250_000))
}

#[test]
fn the_headers_are_those_of_the_vectors() {
    let json: serde_json::Value = serde_json::from_str(include_str!("../../../tests/vectors/fost-request.json")).unwrap();
    let mut signed = 0;
    for vector in json.as_array().unwrap() {
        let text = |name: &str| vector[name].as_str().unwrap();
        if !["get-no-query", "get-query-as-user", "post-json", "empty-post-signs-query", "two-signed-headers"].contains(&text("name")) {
            continue;
        }
        let url = format!("https://h{}{}{}", text("path"), if text("query").is_empty() { "" } else { "?" }, text("query"));
        let body = if text("name") == "post-json" { r#"{"username": "some_name"}"# } else { "" };
        let mut line = vec![text("method"), url.as_str()];
        if !body.is_empty() {
            line.extend(["--data", body]);
        }
        if vector["headers"].get("X-FOST-User").is_some() {
            line.extend(["--as", "kirit"]);
        }
        if vector["headers"].get("Accept").is_some() {
            line.extend(["--header", "Accept: application/json"]);
        }
        let mut want: Vec<String> =
            vector["headers"].as_object().unwrap().iter().map(|(name, value)| format!("{name}: {}", value.as_str().unwrap())).collect();
        let mut have = lines(&line).unwrap();
        want.sort();
        have.sort();
        assert_eq!(have, want, "{}", text("name"));
        signed += 1;
    }
    assert_eq!(signed, 5);
}

#[test]
fn a_signed_url_is_the_vectors() {
    let line = ["GET", "https://app.example.com:8443/reports/?b=2&a=1&a=0", "--url"];
    let want = "https://app.example.com:8443/reports/?b=2&a=1&a=0&_k=aspnet&_e=1232789790&_s=Rwpu27yGj02%2BR3gLdnuV%2BaZaOFk%3D";
    assert_eq!(lines(&line).unwrap(), [want]);
    let none = lines(&["HEAD", "https://app.example.com:8443/reports/", "--url", "--curl"]).unwrap();
    assert_eq!(
        none,
        ["curl --path-as-is --globoff --head 'https://app.example.com:8443/reports/?_k=aspnet&_e=1232789790&_s=KwE%2FvQ4sJbEbKdhiknUg5cM2GGQ%3D'"]
    );
}

#[test]
fn a_query_signed_url_is_the_one_that_python_makes() {
    let url = lines(&["--scheme", "query-hmac", "POST", "https://h/goodbye/?q=a+b", "--data", "{}"]).unwrap().concat();
    assert_eq!(url, "https://h/goodbye/?q=a+b&timestamp=1232789760.250000&apikey=aspnet&signature=xquGow02ExukAkEn6ny4ZC1Q8RekmRKe8SN3UV3Vu5I%3D");
}

#[test]
fn an_s3_request_is_the_one_that_python_makes() {
    let all = lines(&["--scheme", "s3-v2", "PUT", "https://h/b/k?acl", "--data", "{}", "--header", "x-amz-acl: private"]).unwrap();
    let want = [
        "Date: Sat, 24 Jan 2009 09:36:00 GMT",
        "x-amz-acl: private",
        "Content-MD5: mZFLkyvTelC5g8XnyQrpOw==",
        "Authorization: AWS aspnet:rr9zV2CrxjapMx0xp4suwf/o6Hc=",
    ];
    assert_eq!(all, want);
    let line = |more: &[&str]| lines(&[&["--scheme", "s3-v2", "PUT", "https://h/b/k", "--data", "{}", "--curl"], more].concat()).unwrap().concat();
    assert!(line(&[]).contains(" --header Content-Type: --data-raw "), "{}", line(&[]));
    assert!(!line(&["--header", "content-type: text/plain"]).contains("Content-Type:"));
    let url = lines(&["--scheme", "s3-v2", "GET", "https://h/b/k?acl", "--url"]).unwrap().concat();
    assert_eq!(url, "https://h/b/k?acl&AWSAccessKeyId=aspnet&Expires=1232789790&Signature=utBXNnNRRuo9W8XjrJaqu0bbb9I%3D");
}

/// The values are botocore's own, made with its clock stopped.
#[test]
fn an_aws_request_is_the_one_that_python_makes() {
    let options = ["--scheme", "aws-v4", "--region", "us-east-1", "--service", "execute-api"];
    let line = |more: &[&str]| lines(&[&options, more].concat());
    let all = line(&["PUT", "https://h:8443/b/k%20x?b=2&a=1", "--data", "{}", "--header", "Content-Type: application/json"]).unwrap();
    let want = [
        "X-Amz-Date: 20090124T093600Z",
        "X-Amz-Content-Sha256: 44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a",
        "Content-Type: application/json",
        "Authorization: AWS4-HMAC-SHA256 Credential=aspnet/20090124/us-east-1/execute-api/aws4_request, \
         SignedHeaders=content-type;host;x-amz-content-sha256;x-amz-date, Signature=99a749245c1c9100fda7f017c047daae94698dc692a87637391a986ee10943c2",
    ];
    assert_eq!(all, want);
    assert!(line(&["PUT", "https://h/", "--data", "{}", "--curl"]).unwrap().concat().contains(" --header Content-Type: --data-raw "));
    let url = line(&["GET", "https://h:8443/b/k%20x?b=2&a=1", "--url"]).unwrap().concat();
    assert_eq!(
        url,
        "https://h:8443/b/k%20x?b=2&a=1&X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=aspnet%2F20090124%2Fus-east-1%2Fexecute-api%2Faws4_request\
         &X-Amz-Date=20090124T093600Z&X-Amz-Expires=30&X-Amz-SignedHeaders=host&X-Amz-Signature=bf4c99ea4f00fee1bbe6069778c0b72c5ca09d035aff1160be29e1ae66bc69b8"
    );
    assert_eq!(
        line(&["GET", "https://h:443/", "--url"]).unwrap().concat().rsplit_once('=').unwrap().1,
        line(&["GET", "https://h/", "--url"]).unwrap().concat().rsplit_once('=').unwrap().1
    );
}

#[test]
fn a_message_signature_is_the_one_that_python_makes() {
    let line = ["--scheme", "http-message-signature", "POST", "https://h/b/k?acl", "--data", "{}", "--header", "X-Amount: 100", "--tag", "orders"];
    let want = [
        "X-Amount: 100",
        "Content-Digest: sha-256=:RBNvo1WzZ4oRRq0W9+hknpT7T8If536DEMBg9hyq/4o=:",
        "Signature-Input: sig1=(\"@method\" \"@authority\" \"@target-uri\" \"x-amount\" \"content-digest\");created=1232789760;keyid=\"aspnet\";\
         alg=\"hmac-sha256\";tag=\"orders\"",
        "Signature: sig1=:8j9Ffg4sdbkVLUTfYdndzQtOZFKy0uAtehmgrr21j5Y=:",
    ];
    assert_eq!(lines(&line).unwrap(), want);
    let with = |more: &[&str]| lines(&[&["--scheme", "http-message-signature", "GET", "https://H:443/"], more].concat());
    assert_eq!(with(&[]).unwrap()[1], "Signature: sig1=:WNV8bUNK1LO4HLIElGAFW+faFdqDlV9WSmsvfcZRw4g=:");
    let nonces = [with(&["--nonce"]).unwrap(), with(&["--nonce"]).unwrap()].concat();
    assert!(nonces[0].contains(";nonce=\"") && nonces[0] != nonces[2] && nonces[1] != nonces[3], "{nonces:?}");
    assert!(with(&["--label", "a"]).unwrap()[0].starts_with("Signature-Input: a=("));
}

#[test]
fn a_curl_line_holds_everything_quoted_for_a_shell() {
    let line = lines(&["POST", "https://h/api/accounts/", "--as", "O'Hara", "--data", "a'b $x", "--curl"]).unwrap().concat();
    assert!(line.starts_with("curl --path-as-is --globoff --request POST --header 'X-FOST-Headers: X-FOST-Headers X-FOST-User' "), "{line}");
    assert!(line.contains(r" 'X-FOST-User: O'\''Hara' "), "{line}");
    assert!(line.ends_with(r" --data-raw 'a'\''b $x' https://h/api/accounts/"), "{line}");
}

#[test]
fn what_the_gate_would_refuse_is_not_signed() {
    for line in [
        vec!["GET", "https://h/", "--data", "x"],
        vec!["POST", "https://h/", "--url"],
        vec!["GET", "/relative", "--url"],
        vec!["GET", "https://h/?_s=1", "--url"],
        vec!["GET", "https://h/?_sort=1", "--url"],
        vec!["GET", "https://h/", "--url", "--as", "a"],
        vec!["GET", "https://h/", "--expires-in", "5s"],
        vec!["GET", "https://h/#x"],
        vec!["GET", "https://h/ x"],
        vec!["G T", "https://h/"],
        vec!["GET", "https://h/", "--header", "Accept"],
        vec!["GET", "https://h/", "--header", "Acc ept: x"],
        vec!["GET", "https://h/", "--header", "Accept: x", "--header", "accept: y"],
        vec!["GET", "https://h/", "--header", "Authorization: x"],
        vec!["GET", "https://h/", "--header", "X-FOST-User: x"],
        vec!["GET", "https://h/", "--as", "a\nb"],
        vec!["POST", "https://h/", "--data", "@/does/not/exist"],
        vec!["--scheme", "query-hmac", "GET", "https://h/", "--url"],
        vec!["--scheme", "query-hmac", "GET", "https://h/", "--as", "a"],
        vec!["--scheme", "query-hmac", "GET", "https://h/", "--header", "Accept: x"],
        vec!["--scheme", "query-hmac", "GET", "https://h/", "--data", "x"],
        vec!["--scheme", "query-hmac", "GET", "https://h/?a="],
        vec!["--scheme", "query-hmac", "GET", "https://h/?apikey=a"],
        vec!["--scheme", "s3-v2", "GET", "https://h/?page=2"],
        vec!["--scheme", "s3-v2", "GET", "https://h/", "--as", "a"],
        vec!["--scheme", "s3-v2", "PUT", "https://h/", "--header", "Date: x"],
        vec!["--scheme", "s3-v2", "PUT", "https://h/", "--url"],
        vec!["--scheme", "http-message-signature", "GET", "/"],
        vec!["--scheme", "http-message-signature", "GET", "https://h/", "--url"],
        vec!["--scheme", "http-message-signature", "GET", "https://h/", "--as", "a"],
        vec!["--scheme", "http-message-signature", "GET", "https://h/", "--alg", "ed25519"],
        vec!["--scheme", "http-message-signature", "GET", "https://h/", "--label", "A"],
        vec!["--scheme", "http-message-signature", "GET", "https://h/", "--tag", "é"],
        vec!["--scheme", "http-message-signature", "GET", "https://h/", "--header", "Signature: x"],
        vec!["--scheme", "http-message-signature", "POST", "https://h/", "--header", "Content-Digest: x"],
        vec!["GET", "https://h/", "--nonce"],
        vec!["GET", "https://h/", "--tag", "x"],
        vec!["--scheme", "aws-v4", "GET", "https://h/"],
        vec!["--scheme", "aws-v4", "--region", "r", "GET", "https://h/"],
        vec!["--scheme", "aws-v4", "--service", "s3", "GET", "https://h/"],
        vec!["--scheme", "aws-v4", "--region", "r", "--service", "s3", "GET", "/relative"],
        vec!["--scheme", "aws-v4", "--region", "r", "--service", "s3", "GET", "https://h/?a;b"],
        vec!["--scheme", "aws-v4", "--region", "r", "--service", "s3", "GET", "https://h/?b=2&b=1"],
        vec!["--scheme", "aws-v4", "--region", "r", "--service", "s3", "GET", "https://h/?X-Amz-Date=1", "--url"],
        vec!["--scheme", "aws-v4", "--region", "r", "--service", "s3", "GET", "https://h/", "--header", "x-amz-date: x"],
        vec!["--scheme", "aws-v4", "--region", "r", "--service", "s3", "GET", "https://h/", "--header", "host: x"],
    ] {
        assert!(lines(&line).is_err(), "{line:?}");
    }
}

#[test]
fn the_canonical_string_is_the_one_that_was_signed() {
    let text = |line: &[&str]| {
        let words = ["sign", "--secret-file", "k"];
        String::from_utf8(both(words.iter().chain(line)).unwrap().1).unwrap()
    };
    let hash = "44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a";
    let aws = ["--key", "k", "--scheme", "aws-v4", "--region", "r", "--service", "execute-api"];
    for (line, want) in [
        (
            &["--key", "k", "POST", "https://h/a?b=1", "--as", "bob", "--data", "{}"][..],
            "POST /a\n2009-01-24 09:36:00\nX-FOST-Headers X-FOST-User\nbob\n{}".to_owned(),
        ),
        (&["--key", "k", "GET", "https://h/a?b=1", "--url"], "h/a?b=1\n1232789790".to_owned()),
        (
            &["--key", "k", "--scheme", "query-hmac", "POST", "https://h/a?b=1", "--data", "{}"],
            "/a?b=1&timestamp=1232789760.250000&apikey=k{}".to_owned(),
        ),
        (&["--key", "k", "--scheme", "s3-v2", "GET", "https://h/a?acl"], "GET\n\n\nSat, 24 Jan 2009 09:36:00 GMT\n/a?acl".to_owned()),
        (&["--key", "k", "--scheme", "s3-v2", "GET", "https://h/a?acl", "--url"], "GET\n\n\n1232789790\n/a?acl".to_owned()),
        (
            &[&aws[..], &["PUT", "https://h/a?b=1", "--data", "{}"]].concat(),
            format!(
                "PUT\n/a\nb=1\nhost:h\nx-amz-content-sha256:{hash}\nx-amz-date:20090124T093600Z\n\n\
                 host;x-amz-content-sha256;x-amz-date\n{hash}"
            ),
        ),
        (
            &["--key", "k", "--scheme", "http-message-signature", "GET", "https://h/a?b=1"],
            "\"@method\": GET\n\"@authority\": h\n\"@target-uri\": https://h/a?b=1\n\
             \"@signature-params\": (\"@method\" \"@authority\" \"@target-uri\");created=1232789760;keyid=\"k\";alg=\"hmac-sha256\""
                .to_owned(),
        ),
        (
            &["--key", "k", "--scheme", "http-signature", "GET", "https://h/a?b=1"],
            "(request-target): get /a?b=1\nhost: h\ndate: Sat, 24 Jan 2009 09:36:00 GMT".to_owned(),
        ),
        (
            &["--key", "k", "--scheme", "http-signature", "--dialect", "apisix-v1", "GET", "https://h/a?b=1"],
            "GET\n/a\nb=1\nk\nSat, 24 Jan 2009 09:36:00 GMT\nhost:h\n".to_owned(),
        ),
        (&["--scheme", "webhook", "--preset", "stripe", "POST", "https://h/a", "--data", "{}"], "1232789760.{}".to_owned()),
    ] {
        assert_eq!(text(line), want, "{line:?}");
    }
}

#[test]
fn every_scheme_makes_a_command_for_curl() {
    let aws = ["--key", "k", "--scheme", "aws-v4", "--region", "r", "--service", "s3"];
    let stripe = ["--scheme", "webhook", "--preset", "stripe"];
    let url = "https://h/a?b=1";
    let schemes = ["fost", "query-hmac", "http-message-signature", "http-signature"].map(|scheme| vec!["--key", "k", "--scheme", scheme]);
    for options in schemes.into_iter().chain([aws.to_vec(), stripe.to_vec()]) {
        let words = [&["sign", "--secret-file", "k"], &options[..], &["POST", url, "--data", "{}", "--curl"]].concat();
        let (lines, _) = both(words.iter()).unwrap();
        let line = lines.concat();
        assert!(line.starts_with("curl --path-as-is --globoff --request POST ") && line.contains("--data-raw '{}'"), "{line}");
        assert!(line.contains("https://h/a?b=1") && lines.len() == 1, "{line}");
    }
    let s3 = ["sign", "--secret-file", "k", "--key", "k", "--scheme", "s3-v2", "POST", "https://h/a?acl", "--data", "{}", "--curl"];
    assert!(both(s3.iter()).unwrap().0.concat().contains("--header 'Authorization: AWS k:"));
}
