//! Tokens with any header and payload under a good signature.
//!
//! ```text
//! HEADER LF PAYLOAD
//! ```

use std::time::{SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use doorward::auth::Access;
use hmac::{Hmac, KeyInit as _, Mac as _};
use serde_json::Value;
use sha2::Sha256;

use crate::{scheme, serve};

const SECRET: &str = "a secret that is long enough for HS256 to take";
const SETTINGS: &str = r#"
[jwt]
issuer = "https://id.example.test/"
audience = ["us"]
algorithms = ["HS256"]
secret = "a secret that is long enough for HS256 to take"
"#;

thread_local! {
    static ACCESS: Access = scheme::build(SETTINGS);
}

/// Any bytes: as a token as they are, and as header and payload of one that is signed.
pub fn run(data: &[u8]) -> bool {
    if let Ok(text) = std::str::from_utf8(data) {
        assert_eq!(user(text), None, "an unsigned token was accepted");
    }
    let end = data.iter().position(|b| *b == b'\n').unwrap_or(data.len());
    let (header, payload) = (&data[..end], data.get(end + 1..).unwrap_or_default());
    let signed = format!("{}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(payload));
    let mut mac = Hmac::<Sha256>::new_from_slice(SECRET.as_bytes()).unwrap();
    mac.update(signed.as_bytes());
    let mut tag = mac.finalize().into_bytes();
    let token = format!("{signed}.{}", URL_SAFE_NO_PAD.encode(tag));
    let accepted = user(&token);
    if let Some(user) = &accepted {
        is_a_token_for_us(header, payload, user);
    }
    tag[data.len() % 32] ^= 1 << (data.len() % 8);
    let forged = format!("{signed}.{}", URL_SAFE_NO_PAD.encode(tag));
    assert_eq!(user(&forged), None, "a wrong signature was accepted");
    accepted.is_some()
}

fn user(token: &str) -> Option<String> {
    if token.bytes().any(|b| b == b'\n' || b == b'\r') {
        return None;
    }
    let raw = format!("GET / HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {token}\r\n\r\n");
    let (access, found) = (ACCESS.with(Clone::clone), std::cell::Cell::new(None));
    serve::http1(raw.as_bytes(), async |_, request, head| {
        let Ok(mut inbound) = serve::clean(request, head) else { return };
        let identity = scheme::who(&access, &mut inbound).await;
        found.set(identity.map(|identity| identity.subject.user.clone()));
    });
    found.take()
}

/// By the plainest reading: serde_json's last member wins, but two of a name are refused, so there is only one.
fn is_a_token_for_us(header: &[u8], payload: &[u8], user: &str) {
    let header: Value = serde_json::from_slice(header).expect("a header that is not JSON was accepted");
    assert_eq!(header["alg"], "HS256");
    assert!(header.get("crit").is_none() && header.get("b64").is_none(), "{header}");
    let claims: Value = serde_json::from_slice(payload).expect("a payload that is not JSON was accepted");
    assert_eq!(claims["iss"], "https://id.example.test/");
    let for_us = claims["aud"] == "us" || claims["aud"].as_array().is_some_and(|all| all.iter().any(|one| one == "us"));
    assert!(for_us, "{claims}");
    assert_eq!(claims["sub"], user);
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs_f64();
    assert!(claims["exp"].as_f64().is_some_and(|exp| exp > now - 61.0), "{claims}");
    assert!(claims.get("nbf").is_none_or(|nbf| nbf.as_f64().is_some_and(|nbf| nbf < now + 61.0)), "{claims}");
}
