//! A client of the FOST scheme, written from its description and apart from the product.

use aws_lc_rs::hmac;

use super::{base64, now};

/// The key that the standard configuration knows, and its secret.
pub const KEY: &str = "aspnet";
pub const SECRET: &str = "fost-secret-4f1d2c3b4a596877";

/// What goes into a signature.
#[derive(Clone)]
pub struct Fost<'a> {
    pub key: &'a str,
    pub secret: &'a str,
    pub time: i64,
    /// Signed headers beside `X-FOST-Headers`.
    pub headers: Vec<(&'a str, &'a str)>,
}

impl<'a> Fost<'a> {
    pub fn new() -> Self {
        Self { key: KEY, secret: SECRET, time: now(), headers: Vec::new() }
    }

    pub fn key(mut self, key: &'a str, secret: &'a str) -> Self {
        (self.key, self.secret) = (key, secret);
        self
    }

    /// Signs a time that is this many seconds from now.
    pub fn skewed(mut self, seconds: i64) -> Self {
        self.time = now() + seconds;
        self
    }

    pub fn signing(mut self, name: &'a str, value: &'a str) -> Self {
        self.headers.push((name, value));
        self
    }

    pub fn user(self, user: &'a str) -> Self {
        self.signing("X-FOST-User", user)
    }

    /// The headers to send. `payload` is the body, or the query where there is none.
    pub fn sign(&self, method: &str, path: &str, payload: &[u8]) -> Vec<(String, String)> {
        let stamp = timestamp(self.time);
        let mut names = "X-FOST-Headers".to_owned();
        for (name, _) in &self.headers {
            names.push(' ');
            names.push_str(name);
        }
        let mut document = format!("{method} {path}\n{stamp}\n{names}\n").into_bytes();
        for (_, value) in &self.headers {
            document.extend_from_slice(value.as_bytes());
            document.push(b'\n');
        }
        document.extend_from_slice(payload);
        let mut all = vec![
            ("Authorization".to_owned(), format!("FOST {}:{}", self.key, mac(self.secret, &document))),
            ("X-FOST-Timestamp".to_owned(), stamp),
            ("X-FOST-Headers".to_owned(), names),
        ];
        all.extend(self.headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
        all
    }

    /// A signed URL's path and query, good until `expires`.
    pub fn url(&self, host: &str, path: &str, query: &str, expires: &str) -> String {
        let shown = if query.is_empty() { String::new() } else { format!("?{query}") };
        let signature = mac(self.secret, format!("{host}{path}{shown}\n{expires}").as_bytes());
        let signature = signature.replace('+', "%2B").replace('/', "%2F").replace('=', "%3D");
        let kept = if query.is_empty() { String::new() } else { format!("{query}&") };
        let expiry = if expires.is_empty() { String::new() } else { format!("&_e={expires}") };
        format!("{path}?{kept}_k={}{expiry}&_s={signature}", self.key)
    }
}

/// HMAC-SHA1 in Base64.
pub fn mac(secret: &str, document: &[u8]) -> String {
    let key = hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, secret.as_bytes());
    base64(hmac::sign(&key, document))
}

/// `YYYY-MM-DD HH:MM:SS` in UTC.
pub fn timestamp(seconds: i64) -> String {
    let time = time::OffsetDateTime::from_unix_timestamp(seconds).unwrap();
    let (date, clock) = (time.date(), time.time());
    format!("{:04}-{:02}-{:02} {:02}:{:02}:{:02}", date.year(), u8::from(date.month()), date.day(), clock.hour(), clock.minute(), clock.second())
}
