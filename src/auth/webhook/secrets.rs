//! What a sender's signatures are verified with: shared secrets, public keys, or both.

use std::path::PathBuf;

use aws_lc_rs::signature::{ED25519, ParsedPublicKey};
use base64::Engine as _;
use base64::engine::DecodePaddingMode;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig, STANDARD};
use rustls_pki_types::SubjectPublicKeyInfoDer;
use rustls_pki_types::pem::PemObject;
use serde::Deserialize;

use super::Settings;
use super::header::unhex;
use crate::auth::signing::Seed;
use crate::types::{Report, Secret, SecretSource};

/// Secrets shorter than this many bytes can be guessed.
const WEAK_SECRET: usize = 16;

/// Some senders hand out base64 with its padding, some without.
const EITHER: GeneralPurpose =
    GeneralPurpose::new(&base64::alphabet::STANDARD, GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent));

/// How a secret is written.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SecretEncoding {
    /// Its characters are the key.
    #[default]
    Text,
    /// The key in base64, perhaps behind `whsec_`.
    Base64,
    /// The key in hexadecimal digits.
    Hex,
}

/// All that a signature may be verified with.
#[derive(Debug, Default)]
pub(super) struct Secrets {
    pub seeds: Vec<Seed>,
    pub public: Vec<ParsedPublicKey>,
}

impl Settings {
    /// Reads the secrets; reports each mistake and returns `None` then.
    pub(super) fn secrets(&self, encoding: SecretEncoding, report: &mut Report) -> Option<Secrets> {
        let shared = [
            SecretSource { key: "secret", inline: self.secret.as_ref(), file: self.secret_file.as_ref(), env: self.secret_env.as_deref() },
            SecretSource {
                key: "next_secret",
                inline: self.next_secret.as_ref(),
                file: self.next_secret_file.as_ref(),
                env: self.next_secret_env.as_deref(),
            },
        ];
        let public = [
            ("public_key", self.public_key.as_ref(), self.public_key_file.as_ref()),
            ("next_public_key", self.next_public_key.as_ref(), self.next_public_key_file.as_ref()),
        ];
        let mut secrets = Secrets::default();
        let mut sound = true;
        for source in shared.iter().filter(|source| !source.is_absent()) {
            let seed = source.load(report).and_then(|secret| decode(&secret, encoding, source.key, report));
            sound &= seed.is_some();
            secrets.seeds.extend(seed.map(Seed::of));
        }
        for (key, inline, file) in public.into_iter().filter(|(_, inline, file)| inline.is_some() || file.is_some()) {
            let found = public_key(key, inline, file, report);
            sound &= found.is_some();
            secrets.public.extend(found);
        }
        sound.then_some(secrets)
    }
}

/// The key that a secret stands for.
pub(super) fn decode(secret: &Secret, encoding: SecretEncoding, key: &str, report: &mut Report) -> Option<Secret> {
    let text = std::str::from_utf8(secret.expose());
    let decoded = match encoding {
        SecretEncoding::Text => Some(secret.clone()),
        SecretEncoding::Base64 => text.ok().and_then(|text| EITHER.decode(text.strip_prefix("whsec_").unwrap_or(text)).ok()).map(Secret::new),
        SecretEncoding::Hex => text.ok().and_then(unhex).map(Secret::new),
    };
    let Some(decoded) = decoded.filter(|decoded| !decoded.is_empty()) else {
        report.error(key, "the secret is not written as its sender's secrets are", "copy it as the sender shows it, such as whsec_…");
        return None;
    };
    if decoded.len() < WEAK_SECRET {
        report.warn(key, "the secret is shorter than 16 bytes", "let the sender make a new one");
    }
    Some(decoded)
}

fn public_key(key: &str, inline: Option<&String>, file: Option<&PathBuf>, report: &mut Report) -> Option<ParsedPublicKey> {
    let text = match (inline, file) {
        (Some(_), Some(_)) => {
            report.error(key, "the public key is given more than once", &format!("keep one of {key} and {key}_file"));
            return None;
        }
        (Some(text), None) => text.clone(),
        (None, Some(path)) => match std::fs::read_to_string(path) {
            Ok(text) => text,
            Err(error) => {
                report.error(&format!("{key}_file"), &format!("cannot read {}: {error}", path.display()), "check the path and its permissions");
                return None;
            }
        },
        (None, None) => return None,
    };
    let text = text.trim();
    let bytes = if text.starts_with("-----BEGIN") {
        SubjectPublicKeyInfoDer::from_pem_slice(text.as_bytes()).ok().map(|der| der.to_vec())
    } else {
        let bare = text.strip_prefix("whpk_").unwrap_or(text);
        unhex(bare).or_else(|| STANDARD.decode(bare).ok()).filter(|bytes| bytes.len() == 32)
    };
    let parsed = bytes.and_then(|bytes| ParsedPublicKey::new(&ED25519, bytes).ok());
    if parsed.is_none() {
        report.error(key, "this is no Ed25519 public key", "write whpk_…, 64 hexadecimal digits, or PEM");
    }
    parsed
}
