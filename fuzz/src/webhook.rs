//! Webhooks: what is accepted was signed, and comes once.
//!
//! ```text
//! PRESET LF METHOD LF TARGET LF name: value LF … LF LF body
//! ```
//!
//! The target signs the body by the sender's description, not with the product's code, and sends the delivery once with the signature
//! changed, once as it is, and once more.

use std::time::{SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use doorward::auth::Access;
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;

use crate::parts::{self, Parts};
use crate::scheme;

const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
const PRESETS: [&str; 5] = ["github", "stripe", "slack", "standard-webhooks", "svix"];

thread_local! {
    static ACCESS: [Access; 5] = PRESETS
        .map(|preset| scheme::build(&format!("[webhook]\npreset = \"{preset}\"\nsecret = \"{SECRET}\"\npaths = [\"/hooks\"]\nonce_within = \"1h\"")));
}

/// Any bytes: as a raw request, which cannot be signed, and as the parts of a delivery.
pub fn run(data: &[u8]) -> bool {
    for which in 0..PRESETS.len() {
        assert_eq!(parts::user(&ACCESS.with(|all| all[which].clone()), data), None, "an unsigned delivery was accepted");
    }
    let Ok(text) = std::str::from_utf8(data) else { return false };
    let Some((preset, rest)) = text.split_once('\n') else { return false };
    let (Some(which), Some(parts)) = (PRESETS.iter().position(|known| *known == preset), parts::read(rest)) else { return false };
    delivered(which, &parts)
}

fn delivered(which: usize, parts: &Parts<'_>) -> bool {
    let access = ACCESS.with(|all| all[which].clone());
    let time = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs().to_string();
    let send = |at: Option<usize>| parts::user(&access, parts.request(parts.target, &headers(PRESETS[which], &time, parts.body, at)).as_bytes());
    assert_eq!(send(Some(parts.body.len() % 32)), None, "a wrong signature was accepted");
    let Some(user) = send(None) else { return false };
    assert_eq!(user, "fuzz");
    assert_eq!((parts.method, parts.target.trim_end_matches('?')), ("POST", "/hooks"), "{parts:?}");
    assert!(
        !parts.headers.iter().any(|(name, _)| name.to_ascii_lowercase().ends_with("-timestamp") && PRESETS[which] != "github" && ours(which, name)),
        "{parts:?}"
    );
    assert_eq!(send(None), None, "a delivery was accepted twice");
    true
}

/// Whether a header is one that the preset's signature needs.
fn ours(which: usize, name: &str) -> bool {
    let brand = ["x-hub-", "stripe-", "x-slack-", "webhook-", "svix-"][which];
    name.to_ascii_lowercase().starts_with(brand)
}

/// The headers of a delivery; `wrong` is the byte of the signature in which one bit is changed.
fn headers(preset: &str, time: &str, body: &str, wrong: Option<usize>) -> String {
    let mac = |key: &[u8], before: &str| {
        let mut tag = Hmac::<Sha256>::new_from_slice(key).unwrap().chain_update(before).chain_update(body).finalize().into_bytes();
        if let Some(at) = wrong {
            tag[at] ^= 1;
        }
        tag
    };
    let hex = |before: &str| mac(SECRET.as_bytes(), before).iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    let standard = |brand: &str| {
        let key = STANDARD.decode(SECRET.trim_start_matches("whsec_")).unwrap();
        let tag = STANDARD.encode(mac(&key, &format!("m.{time}.")));
        format!("{brand}-id: m\r\n{brand}-timestamp: {time}\r\n{brand}-signature: v1,{tag}\r\n")
    };
    match preset {
        "github" => format!("X-Hub-Signature-256: sha256={}\r\n", hex("")),
        "stripe" => format!("Stripe-Signature: t={time},v1={}\r\n", hex(&format!("{time}."))),
        "slack" => format!("X-Slack-Request-Timestamp: {time}\r\nX-Slack-Signature: v0={}\r\n", hex(&format!("v0:{time}:"))),
        "svix" => standard("svix"),
        _ => standard("webhook"),
    }
}
