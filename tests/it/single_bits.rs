//! One bit of a good request changes on its way. Whatever a scheme covers, that refuses the request. What it does not cover is
//! refused too, or does not reach the application, or stands in the table of `docs/signatures.md`: here, in `SCHEMES`.

use crate::support::aws::Aws;
use crate::support::client::Raw;
use crate::support::fost::{self, Fost};
use crate::support::gateway::Gateway;
use crate::support::gateways::Signer;
use crate::support::message_signature::{Key, Signature};
use crate::support::s3::S3;
use crate::support::senders::{self, Sender};
use crate::support::setup::{HOST, Setup};
use crate::support::upstream::{Seen, Upstream};
use crate::support::{now, query_hmac};

const SECRET: &str = "single-bits-secret-0123456789-abcdef";
/// Sent with every request, and named by no signature.
const NOTE: &str = "X-Note";
const BODY: &str = r#"{"item": 1}"#;

/// Each way to sign, by the folder of its route. With all of them, headers that the signature does not name reach the application as
/// anybody wrote them; nothing else is left open that one bit could change.
const SCHEMES: [&str; 16] = [
    "fost",
    "fost-body",
    "fost-url",
    "query-hmac",
    "s3-v2",
    "s3-v2-url",
    "aws-v4",
    "aws-v4-url",
    "message",
    "message-ed25519",
    "draft",
    "kong",
    "apisix",
    "apisix-v1",
    "stripe",
    "standard-webhooks",
];

/// A request in parts that can be damaged one by one.
#[derive(Debug, Clone)]
struct Parts {
    method: &'static str,
    target: String,
    /// What the application is to see of it.
    shown: String,
    headers: Vec<(String, String)>,
    body: &'static str,
}

/// The good request of a scheme, told from all others by `number`.
fn good(scheme: &str, number: usize, ed25519: &Key) -> Parts {
    let path = format!("/{scheme}/{number:08}");
    let (key, body) = (fost::KEY, BODY.as_bytes());
    let parts = |method, target: String, shown: String, headers, body| Parts { method, target, shown, headers, body };
    let plain = |method, target: String, headers, body| parts(method, target.clone(), target, headers, body);
    let (fost, s3, aws) = (Fost::new().key(key, SECRET), S3::new().key(key, SECRET), Aws::s3().key(key, SECRET));
    let mut all = match scheme {
        "fost" => plain("GET", format!("{path}?a=1"), fost.signing("X-Mark", "m").sign("GET", &path, b"a=1"), ""),
        "fost-body" => plain("POST", path.clone(), fost.signing("X-Mark", "m").sign("POST", &path, body), BODY),
        "fost-url" => parts("GET", fost.url(HOST, &path, "a=1", &(now() + 60).to_string()), format!("{path}?a=1"), Vec::new(), ""),
        "query-hmac" => {
            let target = query_hmac::sign(key, SECRET, &format!("{path}?a=1"), &query_hmac::timestamp(0), body);
            parts("POST", target, format!("{path}?a=1"), Vec::new(), BODY)
        }
        "s3-v2" => plain("PUT", path.clone(), s3.amz("x-amz-meta-a", "b").sign("PUT", &path, Some(body)), BODY),
        "s3-v2-url" => parts("GET", s3.url("GET", &path, now() + 60), path, Vec::new(), ""),
        "aws-v4" => plain("PUT", format!("{path}?a=1"), aws.header("x-amz-meta-a", "b").sign("PUT", &format!("{path}?a=1"), body), BODY),
        "aws-v4-url" => parts("GET", aws.url("GET", &format!("{path}?a=1"), 60), format!("{path}?a=1"), Vec::new(), ""),
        "message" | "message-ed25519" => {
            let secret = Key::secret(SECRET);
            let (name, key) = if scheme == "message" { (key, &secret) } else { ("ed25519", ed25519) };
            let target = format!("{path}?a=1");
            plain("POST", target.clone(), Signature::new(name, key).header("x-mark", "m").body(body).sign("POST", &target, 0), BODY)
        }
        "draft" | "kong" | "apisix" | "apisix-v1" => {
            let target = format!("{path}?a=1");
            plain("POST", target.clone(), Signer::new(scheme).key(key, SECRET).header("x-mark", "m").sign("POST", &target, body), BODY)
        }
        // All deliveries go to one path, and each has a moment of its own.
        preset => {
            let at = i64::try_from(number % 500).unwrap() - 250;
            plain("POST", format!("/{scheme}/hook"), Sender::new(preset).skewed(at).sign(body), BODY)
        }
    };
    all.headers.push((NOTE.to_owned(), "note".to_owned()));
    all
}

/// Where a bit can be changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    Method,
    Target,
    Host,
    Name(usize),
    Value(usize),
    Body,
}

impl Parts {
    fn places(&self) -> Vec<(Place, usize)> {
        let mut all = vec![(Place::Method, self.method.len()), (Place::Target, self.target.len()), (Place::Host, HOST.len())];
        for (at, (name, value)) in self.headers.iter().enumerate() {
            all.extend([(Place::Name(at), name.len()), (Place::Value(at), value.len())]);
        }
        all.push((Place::Body, self.body.len()));
        all
    }

    /// The bytes of the request, with one bit changed.
    fn bytes(&self, damage: Option<(Place, usize)>) -> Vec<u8> {
        let damaged = |place: Place, text: &str| {
            let mut bytes = text.as_bytes().to_vec();
            if let Some((_, bit)) = damage.filter(|(there, _)| *there == place) {
                bytes[bit / 8] ^= 1 << (bit % 8);
            }
            bytes
        };
        let mut raw = damaged(Place::Method, self.method);
        raw.push(b' ');
        raw.extend(damaged(Place::Target, &self.target));
        raw.extend_from_slice(b" HTTP/1.1\r\nHost: ");
        raw.extend(damaged(Place::Host, HOST));
        for (at, (name, value)) in self.headers.iter().enumerate() {
            raw.extend_from_slice(b"\r\n");
            raw.extend(damaged(Place::Name(at), name));
            raw.extend_from_slice(b": ");
            raw.extend(damaged(Place::Value(at), value));
        }
        raw.extend_from_slice(format!("\r\nContent-Length: {}\r\n\r\n", self.body.len()).as_bytes());
        raw.extend(damaged(Place::Body, self.body));
        raw
    }

    /// What the application sees of it that the caller did not send so; `None` if there is nothing.
    fn difference(&self, seen: &Seen) -> Option<String> {
        if (seen.method.as_str(), seen.target.as_str(), seen.body.as_slice()) != (self.method, self.shown.as_str(), self.body.as_bytes()) {
            return Some(format!("{} {} {:?}", seen.method, seen.target, seen.body));
        }
        let sent = |name: &str| self.headers.iter().find(|(have, _)| have.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str());
        let own = ["host", "content-length", "forwarded", "traceparent", "x-request-id"];
        let ours = |name: &str| own.contains(&name) || name.starts_with("x-forwarded-") || name.starts_with("x-doorward-");
        let other = seen.pairs().into_iter().find(|(name, value)| !ours(&name.to_ascii_lowercase()) && sent(name) != Some(value));
        other.map(|(name, value)| format!("{name}: {value}"))
    }
}

async fn gate(upstream: &Upstream, ed25519: &Key) -> Gateway {
    let key =
        |scheme: &str, kind: &str| format!("[auth.{scheme}.{kind}.keys.{}]\nsecret_file = \"secrets/bits.key\"\nuser = \"webshop\"\n", fost::KEY);
    let mut setup = Setup::new(&upstream.url()).file("secrets/bits.key", SECRET).file("secrets/hook.key", senders::SECRET);
    setup = setup.file("ed25519.pem", &ed25519.public());
    for scheme in SCHEMES {
        let (kind, options) = match scheme {
            "fost" | "fost-body" | "fost-url" => ("fost", String::new()),
            "s3-v2" | "s3-v2-url" => ("s3-v2", String::new()),
            "aws-v4" | "aws-v4-url" => ("aws-v4", "region = \"eu-central-1\"\nservice = \"s3\"".to_owned()),
            "message" => ("http-message-signature", String::new()),
            "message-ed25519" => {
                let keys = "[auth.message-ed25519.http-message-signature.keys.ed25519]\npublic_key_file = \"ed25519.pem\"\nuser = \"webshop\"";
                setup = setup.rest(keys).route("/message-ed25519/**", &[scheme]);
                continue;
            }
            "query-hmac" => ("query-hmac", String::new()),
            "draft" | "kong" | "apisix" | "apisix-v1" => ("http-signature", format!("dialect = \"{scheme}\"")),
            preset => {
                let lines = format!("preset = \"{preset}\"\nsecret_file = \"secrets/hook.key\"\npaths = [\"/{preset}/hook\"]\nuser = \"webshop\"");
                setup = setup.rest(&format!("[auth.{preset}.webhook]\n{lines}")).route(&format!("/{preset}/**"), &[preset]);
                continue;
            }
        };
        setup = setup.rest(&format!("[auth.{scheme}.{kind}]\n{options}\n{}", key(scheme, kind))).route(&format!("/{scheme}/**"), &[scheme]);
    }
    setup.start().await
}

/// Damages each `step`th bit of the scheme's requests, each of a request of its own.
async fn damage(scheme: &str, step: usize) {
    let (upstream, ed25519) = (Upstream::echo(), Key::generate("ed25519"));
    let gate = gate(&upstream, &ed25519).await;
    let send = async |bytes: Vec<u8>| {
        let mut raw: Raw = gate.raw().await;
        raw.write(&bytes).await;
        (raw.answer().await.map(|answer| answer.status), upstream.take())
    };
    let (mut number, mut tried, mut changed) = (0, 0, 0);
    let shape = good(scheme, number, &ed25519).places();
    let mut bit = step / 2;
    for (place, length) in shape {
        while bit < length * 8 {
            number += 1;
            let parts = good(scheme, number, &ed25519);
            let now_there = parts.places().into_iter().any(|(other, length)| other == place && bit < length * 8);
            if now_there {
                let bytes = parts.bytes(Some((place, bit)));
                let (status, seen) = send(bytes.clone()).await;
                tried += 1;
                let shown = String::from_utf8_lossy(&bytes).into_owned();
                assert!(seen.len() <= 1 && (seen.len() == 1) == (status == Some(200)), "{scheme} {place:?} {bit}: {status:?} {shown}");
                if let [seen] = seen.as_slice() {
                    assert_eq!(seen.user(), Some("webshop"));
                    let note = matches!(place, Place::Name(at) | Place::Value(at) if parts.headers[at].0 == NOTE);
                    let difference = parts.difference(seen);
                    assert!(difference.is_none() || note, "{scheme} {place:?} {bit}: {difference:?} {shown}");
                    changed += usize::from(difference.is_some());
                }
            }
            bit += step;
        }
        bit -= length * 8;
    }
    // The request itself is good, and the table says no more than what is true.
    let parts = good(scheme, number + 1, &ed25519);
    let (status, seen) = send(parts.bytes(None)).await;
    assert_eq!((status, seen.len()), (Some(200), 1), "{scheme}");
    assert_eq!((parts.difference(&seen[0]), seen[0].user()), (None, Some("webshop")), "{scheme}");
    assert!(tried > 200 && changed > 0, "{scheme}: {tried} tried, {changed} changed");
}

/// Four schemes a test, so that they run side by side.
async fn quarter(which: usize) {
    for scheme in SCHEMES.iter().skip(which * 4).take(4) {
        damage(scheme, 3).await;
    }
}

#[tokio::test]
async fn one_bit_more_or_less_is_refused_or_seen_by_nobody_fost_and_query_hmac() {
    quarter(0).await;
}

#[tokio::test]
async fn one_bit_more_or_less_is_refused_or_seen_by_nobody_s3_and_aws() {
    quarter(1).await;
}

#[tokio::test]
async fn one_bit_more_or_less_is_refused_or_seen_by_nobody_message_signatures() {
    quarter(2).await;
}

#[tokio::test]
async fn one_bit_more_or_less_is_refused_or_seen_by_nobody_gateways_and_webhooks() {
    quarter(3).await;
}
