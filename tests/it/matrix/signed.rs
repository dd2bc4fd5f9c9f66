//! Cells of the signed requests.

use super::rows::Wrong;
use crate::support::aws::Aws;
use crate::support::client::Call;
use crate::support::fost::{self, Fost};
use crate::support::gateway::Gateway;
use crate::support::gateways::Signer;
use crate::support::message_signature::{self, Signature};
use crate::support::query_hmac;
use crate::support::s3::S3;
use crate::support::senders::Sender;

/// How far off is too far.
const FAR: i64 = 1000;

/// What a cell's signer does otherwise: the path that it signs, the secret, the seconds by which its clock is wrong.
struct Twist<'a> {
    path: &'a str,
    secret: &'a str,
    skew: i64,
}

impl<'a> Twist<'a> {
    /// `None` where nothing is to be signed.
    fn of(wrong: Wrong, secret: &'a str, target: &'a str, other: &'a str) -> Option<Self> {
        let good = Self { path: target, secret, skew: 0 };
        match wrong {
            Wrong::Nothing | Wrong::Revoked | Wrong::SourceDown | Wrong::SourceSlow | Wrong::SourceGarbage => Some(good),
            Wrong::Absent | Wrong::Malformed => None,
            Wrong::Forged => Some(Self { secret: "guess", ..good }),
            Wrong::Expired => Some(Self { skew: -FAR, ..good }),
            Wrong::NotYetValid => Some(Self { skew: FAR, ..good }),
            Wrong::Elsewhere => Some(Self { path: other, ..good }),
        }
    }
}

/// A request to `/NAME/x` by a scheme that signs it with the key `key`.
pub fn call(gate: &Gateway, name: &str, wrong: Wrong, (key, secret): (&str, &str)) -> Call {
    let (target, other) = (format!("/{name}/x"), format!("/{name}/y"));
    let authorization = |value: &str| vec![("Authorization".to_owned(), value.to_owned())];
    let Some(twist) = Twist::of(wrong, secret, &target, &other) else {
        let headers = match (wrong, name) {
            (Wrong::Absent, _) => Vec::new(),
            (_, "query-hmac") => return gate.get(&format!("{target}?apikey={key}&signature=x")),
            (_, "fost" | "fost-config") => authorization("FOST nothing"),
            (_, "s3-v2") => authorization("AWS nothing"),
            (_, "aws-v4") => authorization("AWS4-HMAC-SHA256 nothing"),
            (_, "http-signature") => authorization("Signature nothing"),
            (_, "http-message-signature") => vec![("Signature-Input".to_owned(), "sig1=(".to_owned())],
            (_, other) => panic!("{other} does not sign"),
        };
        return gate.get(&target).headers(&headers);
    };
    let Twist { path, secret, skew } = twist;
    let headers = match name {
        "query-hmac" => {
            let signed = query_hmac::sign(key, secret, path, &query_hmac::timestamp(skew), b"");
            return gate.get(&signed.replace(path, &target));
        }
        "fost" | "fost-config" => Fost::new().key(key, secret).skewed(skew).sign("GET", path, b""),
        "s3-v2" => S3::new().key(key, secret).skewed(skew).sign("GET", path, None),
        "aws-v4" => Aws::s3().key(key, secret).skewed(skew).sign("GET", path, b""),
        "http-signature" => Signer::new("draft").key(key, secret).skewed(skew).sign("GET", path, b""),
        "http-message-signature" => {
            let secret = message_signature::Key::secret(secret);
            Signature::new(key, &secret).skewed(skew).sign("GET", path, 0)
        }
        other => panic!("{other} does not sign"),
    };
    gate.get(&target).headers(&headers)
}

/// A webhook's delivery: a POST, each with a body of its own, as it is let in once.
pub fn delivery(gate: &Gateway, wrong: Wrong) -> Call {
    let body = format!("{:?}", std::time::Instant::now());
    let (sender, mut target) = (Sender::new("stripe"), "/webhook/x");
    let headers = match wrong {
        Wrong::Nothing => sender.sign(body.as_bytes()),
        Wrong::Absent => Vec::new(),
        Wrong::Malformed => vec![("Stripe-Signature".to_owned(), "t=1,v1=x".to_owned())],
        Wrong::Forged => sender.secret("guess").sign(body.as_bytes()),
        Wrong::Expired => sender.skewed(-FAR).sign(body.as_bytes()),
        Wrong::NotYetValid => sender.skewed(FAR).sign(body.as_bytes()),
        Wrong::Elsewhere => {
            target = "/webhook/y";
            sender.sign(body.as_bytes())
        }
        Wrong::Revoked | Wrong::SourceDown | Wrong::SourceSlow | Wrong::SourceGarbage => panic!("a webhook is never {wrong:?}"),
    };
    gate.call("POST", target).headers(&headers).body(body)
}

/// The key of the configuration, and its secret.
pub const CONFIGURED: (&str, &str) = ("configured", fost::SECRET);
