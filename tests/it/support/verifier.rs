//! What an application does to check that an identity is Doorward's: written from the description alone.

use aws_lc_rs::{hmac, signature};
use serde_json::Value;

use super::upstream::Seen;
use super::{from_base64url, now};

/// Checks `X-Doorward-Signature` against the request it came with; the user, or what is wrong.
pub fn hmac_user(seen: &Seen, keys: &[(&str, &str)]) -> Result<String, String> {
    let [header] = seen.folding_to("X-Doorward-Signature")[..] else { return Err("not exactly one signature".into()) };
    let user = seen.user().unwrap_or_default();
    check(header, &seen.method, &seen.target, user, keys, now()).map(|()| user.to_owned())
}

/// Checks a header's value.
pub fn check(header: &str, method: &str, target: &str, user: &str, keys: &[(&str, &str)], clock: i64) -> Result<(), String> {
    let parts: Vec<&str> = header.split(';').collect();
    let ["v1", t, k, s] = parts[..] else { return Err(format!("not of the form: {header}")) };
    let t = t.strip_prefix("t=").ok_or("no time")?;
    let k = k.strip_prefix("k=").ok_or("no key")?;
    let s = s.strip_prefix("s=").ok_or("no signature")?;
    let age = clock - t.parse::<i64>().map_err(|error| error.to_string())?;
    if !(-5..=60).contains(&age) {
        return Err(format!("{age} s old"));
    }
    let (_, secret) = keys.iter().find(|(id, _)| *id == k).ok_or(format!("unknown key {k}"))?;
    let document = format!("v1\n{t}\n{method}\n{target}\n{user}");
    let key = hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes());
    hmac::verify(&key, document.as_bytes(), &from_base64url(s)).map_err(|_| format!("wrong signature over {document:?}"))
}

/// Checks an ES256 assertion against a key set; its claims, or what is wrong.
pub fn assertion(token: &str, jwks: &Value) -> Result<Value, String> {
    let parts: Vec<&str> = token.split('.').collect();
    let [head, claims, tag] = parts[..] else { return Err("not three parts".into()) };
    let header: Value = serde_json::from_slice(&from_base64url(head)).map_err(|error| error.to_string())?;
    if header["alg"] != "ES256" {
        return Err(format!("signed with {}", header["alg"]));
    }
    let keys = jwks["keys"].as_array().ok_or("no keys")?;
    let jwk = keys.iter().find(|key| key["kid"] == header["kid"]).ok_or("unknown kid")?;
    let mut point = vec![4];
    point.extend(from_base64url(jwk["x"].as_str().ok_or("no x")?));
    point.extend(from_base64url(jwk["y"].as_str().ok_or("no y")?));
    let key = signature::UnparsedPublicKey::new(&signature::ECDSA_P256_SHA256_FIXED, point);
    key.verify(format!("{head}.{claims}").as_bytes(), &from_base64url(tag)).map_err(|_| "wrong signature")?;
    let claims: Value = serde_json::from_slice(&from_base64url(claims)).map_err(|error| error.to_string())?;
    if claims["exp"].as_i64().ok_or("no exp")? <= now() {
        return Err("expired".into());
    }
    Ok(claims)
}
