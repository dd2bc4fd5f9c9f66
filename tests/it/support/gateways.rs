//! Clients of the scheme http-signature, in all its dialects, written from the descriptions of the draft, of Kong and of APISIX, and
//! apart from the product.

use aws_lc_rs::{digest, hmac};

use super::setup::HOST;
use super::{base64, now};

/// The key that tests use, and its secret.
pub const KEY: &str = "john-key";
pub const SECRET: &str = "john-secret-key-0123456789";

/// All dialects.
pub const DIALECTS: [&str; 4] = ["draft", "kong", "apisix", "apisix-v1"];

/// What goes into a signature.
#[derive(Clone)]
pub struct Signer<'a> {
    pub dialect: &'a str,
    pub key: &'a str,
    pub secret: &'a str,
    pub time: i64,
    /// Further headers to send and to sign.
    pub headers: Vec<(&'a str, String)>,
    /// What is left out of the signature: `target`, `host`, `digest`.
    pub without: Vec<&'a str>,
    /// The version that Kong's request line names.
    pub version: &'a str,
}

impl<'a> Signer<'a> {
    pub fn new(dialect: &'a str) -> Self {
        Self { dialect, key: KEY, secret: SECRET, time: now(), headers: Vec::new(), without: Vec::new(), version: "" }
    }

    pub fn key(mut self, key: &'a str, secret: &'a str) -> Self {
        (self.key, self.secret) = (key, secret);
        self
    }

    pub fn skewed(mut self, seconds: i64) -> Self {
        self.time += seconds;
        self
    }

    pub fn header(mut self, name: &'a str, value: &str) -> Self {
        self.headers.push((name, value.to_owned()));
        self
    }

    pub fn without(mut self, part: &'a str) -> Self {
        self.without.push(part);
        self
    }

    /// Signs Kong's request line, as of this version.
    pub fn version(mut self, version: &'a str) -> Self {
        self.version = version;
        self
    }

    /// The headers to send.
    pub fn sign(&self, method: &str, target: &str, body: &[u8]) -> Vec<(String, String)> {
        let date = httpdate::fmt_http_date(std::time::UNIX_EPOCH + std::time::Duration::from_secs(self.time as u64));
        let mut sent = vec![("Date", date.clone())];
        let digest_name = if self.dialect == "apisix-v1" { "X-HMAC-DIGEST" } else { "Digest" };
        if !body.is_empty() {
            let value =
                if self.dialect == "apisix-v1" { self.mac(body) } else { format!("SHA-256={}", base64(digest::digest(&digest::SHA256, body))) };
            sent.push((digest_name, value));
        }
        sent.extend(self.headers.iter().cloned());
        let mut listed: Vec<(String, String)> = Vec::new();
        if !self.without.contains(&"host") {
            listed.push(("host".to_owned(), HOST.to_owned()));
        }
        let hidden = |name: &str| self.without.contains(&"digest") && name == digest_name;
        listed.extend(sent.iter().filter(|(name, _)| !hidden(name)).map(|(name, value)| (name.to_ascii_lowercase(), value.clone())));
        let mut all: Vec<(String, String)> = sent.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
        if self.dialect == "apisix-v1" {
            listed.retain(|(name, _)| name != "date");
            all.extend(self.old_apisix(method, target, &date, &listed));
        } else {
            all.push(("Authorization".to_owned(), self.authorization(method, target, &listed)));
        }
        all
    }

    fn authorization(&self, method: &str, target: &str, listed: &[(String, String)]) -> String {
        let mut names: Vec<&str> = listed.iter().map(|(name, _)| name.as_str()).collect();
        let mut lines: Vec<String> = listed.iter().map(|(name, value)| format!("{name}: {value}")).collect();
        let (name, line) = match self.dialect {
            "draft" => ("(request-target)", format!("(request-target): {} {target}", method.to_lowercase())),
            "kong" if !self.version.is_empty() => ("request-line", format!("{method} {target} {}", self.version)),
            "kong" => ("@request-target", format!("@request-target: {} {target}", method.to_lowercase())),
            _ => ("@request-target", format!("{method} {target}")),
        };
        if !self.without.contains(&"target") {
            names.insert(0, name);
            lines.insert(0, line);
        }
        if self.dialect == "apisix" {
            lines.insert(0, self.key.to_owned());
            lines.push(String::new());
        }
        let (word, key) = if self.dialect == "kong" { ("hmac", "username") } else { ("Signature", "keyId") };
        let signature = self.mac(lines.join("\n").as_bytes());
        format!("{word} {key}=\"{}\",algorithm=\"hmac-sha256\",headers=\"{}\",signature=\"{signature}\"", self.key, names.join(" "))
    }

    /// Targets of tests are written as they are signed: sorted, and with nothing escaped.
    fn old_apisix(&self, method: &str, target: &str, date: &str, listed: &[(String, String)]) -> Vec<(String, String)> {
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let lines: String = listed.iter().map(|(name, value)| format!("{name}:{value}\n")).collect();
        let document = format!("{method}\n{path}\n{query}\n{}\n{date}\n{lines}", self.key);
        let names: Vec<&str> = listed.iter().map(|(name, _)| name.as_str()).collect();
        let header = |name: &str, value: String| (name.to_owned(), value);
        vec![
            header("X-HMAC-ACCESS-KEY", self.key.to_owned()),
            header("X-HMAC-ALGORITHM", "hmac-sha256".to_owned()),
            header("X-HMAC-SIGNED-HEADERS", names.join(";")),
            header("X-HMAC-SIGNATURE", self.mac(document.as_bytes())),
        ]
    }

    fn mac(&self, document: &[u8]) -> String {
        base64(hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, self.secret.as_bytes()), document))
    }
}
