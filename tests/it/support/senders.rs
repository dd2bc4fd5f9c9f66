//! Senders of webhooks, written from their descriptions and apart from the product.

use aws_lc_rs::hmac;
use base64::Engine as _;

use super::{base64, now};

/// The secret that tests use. Those of Standard Webhooks are base64 behind `whsec_`.
pub const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

/// All presets.
pub const PRESETS: [&str; 5] = ["github", "stripe", "slack", "standard-webhooks", "svix"];

/// One who sends.
#[derive(Clone)]
pub struct Sender<'a> {
    pub preset: &'a str,
    pub secret: &'a str,
    pub time: i64,
    pub id: String,
}

impl<'a> Sender<'a> {
    pub fn new(preset: &'a str) -> Self {
        Self { preset, secret: SECRET, time: now(), id: "msg_1".to_owned() }
    }

    pub fn secret(mut self, secret: &'a str) -> Self {
        self.secret = secret;
        self
    }

    pub fn skewed(mut self, seconds: i64) -> Self {
        self.time += seconds;
        self
    }

    /// The headers of a delivery.
    pub fn sign(&self, body: &[u8]) -> Vec<(String, String)> {
        let time = self.time.to_string();
        let hex = |before: &str| -> String { self.mac(self.secret.as_bytes(), before, body).iter().map(|byte| format!("{byte:02x}")).collect() };
        let all: Vec<(&str, String)> = match self.preset {
            "github" => vec![("X-Hub-Signature-256", format!("sha256={}", hex("")))],
            "stripe" => vec![("Stripe-Signature", format!("t={time},v1={}", hex(&format!("{time}."))))],
            "slack" => vec![("X-Slack-Signature", format!("v0={}", hex(&format!("v0:{time}:")))), ("X-Slack-Request-Timestamp", time)],
            "standard-webhooks" | "svix" => {
                let names = if self.preset == "svix" {
                    ["svix-id", "svix-timestamp", "svix-signature"]
                } else {
                    ["webhook-id", "webhook-timestamp", "webhook-signature"]
                };
                let key = base64::engine::general_purpose::STANDARD.decode(self.secret.trim_start_matches("whsec_")).unwrap_or_default();
                let tag = self.mac(&key, &format!("{}.{time}.", self.id), body);
                vec![(names[0], self.id.clone()), (names[1], time), (names[2], format!("v1,{}", base64(tag)))]
            }
            other => panic!("no preset {other}"),
        };
        all.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
    }

    fn mac(&self, key: &[u8], before: &str, body: &[u8]) -> Vec<u8> {
        hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), &[before.as_bytes(), body].concat()).as_ref().to_vec()
    }
}
