//! Tokens that only their owner may use: bound to a key (DPoP, RFC 9449) or to a client certificate (RFC 8705).
//!
//! ```text
//! token  "cnf": {"jkt": …}        Authorization: DPoP TOKEN, and a proof by that key in the header DPoP
//!        "cnf": {"x5t#S256": …}   the TLS connection's client certificate has this SHA-256
//!        "cnf": anything else     refused: what cannot be checked does not hold
//!        no cnf                   anybody's; with dpop = "required" refused
//! ```
//!
//! A token that is bound is never taken without its proof, whatever the settings say. The token itself is verified
//! before any of this is asked.

use std::fmt;

use http::HeaderValue;
use http::header::AUTHORIZATION;
use serde::Deserialize;
use serde::de::{self, Deserializer, MapAccess, Visitor};
use serde_json::{Map, Value};

use super::bearer::Carrier;
use super::{AuthError, Challenge, CredentialNames, ErrorForm, OwnChallenge, Refusal};
use crate::inbound::{Conn, Inbound};
use crate::store::replay::Replay;
use crate::types::{HumanDuration, Report, Secret};
use proof::{Expected, Proofs};

mod build;
mod nonce;
mod proof;
mod thumbprint;

#[cfg(test)]
mod tests;

/// `dpop = "required"`, or a table with `mode = "required"` and more.
#[derive(Debug, Clone, Default)]
pub struct Settings(Table);

/// The table. What is `None` has the default that the documentation names.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Table {
    /// `off`, `optional` or `required`.
    mode: Option<String>,
    /// How old a proof may be.
    max_age: Option<HumanDuration>,
    /// The algorithms that proofs may be signed with.
    algorithms: Option<Vec<String>>,
    /// What `htu` may begin with; else `https://` and the request's host.
    origins: Vec<String>,
    /// Whether proofs must hold a nonce of ours.
    nonce: bool,
    /// What nonces are made with, in place.
    nonce_secret: Option<Secret>,
    /// The same in a file.
    nonce_secret_file: Option<std::path::PathBuf>,
    /// The same in the environment.
    nonce_secret_env: Option<String>,
}

impl<'de> Deserialize<'de> for Settings {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct ModeOrTable;
        impl<'de> Visitor<'de> for ModeOrTable {
            type Value = Settings;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("\"off\", \"optional\", \"required\", or a table with mode = \"…\"")
            }
            fn visit_str<E: de::Error>(self, mode: &str) -> Result<Settings, E> {
                Ok(Settings(Table { mode: Some(mode.to_owned()), ..Table::default() }))
            }
            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Settings, A::Error> {
                Table::deserialize(de::value::MapAccessDeserializer::new(map)).map(Settings)
            }
        }
        deserializer.deserialize_any(ModeOrTable)
    }
}

/// How a token stood in the request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Presented {
    /// As anybody could send it.
    Bearer,
    /// After the word `DPoP`.
    Dpop,
}

/// Judges whether a token came from whom it is bound to.
#[derive(Debug)]
pub struct Senders {
    /// `None`: the word `DPoP` is not read.
    dpop: Option<Dpop>,
}

#[derive(Debug)]
struct Dpop {
    required: bool,
    carrier: Carrier,
    proofs: Proofs,
    /// What a challenge lists.
    algorithms: String,
}

/// A proof that is good, if it is used for the first time.
#[derive(Debug, PartialEq, Eq)]
pub struct Once {
    mark: [u8; 32],
    until: i64,
}

impl Once {
    /// Notes that the proof was used. `Err` when it was used before, or when nobody can say.
    pub async fn take(self, replay: &Replay, now: i64) -> Result<(), AuthError> {
        if replay.first_use(self.mark, self.until, now).await? { Ok(()) } else { Err(Refusal::Replayed.into()) }
    }
}

impl Senders {
    /// The token of the request, and how it stands there. In `Authorization: DPoP` it must not differ from one that
    /// stands elsewhere.
    pub fn take<'r>(&self, carrier: &Carrier, inbound: &'r Inbound) -> Result<Option<(&'r str, Presented)>, Refusal> {
        let bearer = carrier.take(inbound)?;
        let Some(dpop) = &self.dpop else { return Ok(bearer.map(|token| (token, Presented::Bearer))) };
        match (dpop.carrier.take(inbound)?, bearer) {
            (None, bearer) => Ok(bearer.map(|token| (token, Presented::Bearer))),
            (Some(bound), Some(other)) if bound != other => Err(Refusal::Malformed("different tokens in two places")),
            (Some(bound), _) => Ok(Some((bound, Presented::Dpop))),
        }
    }

    /// Whether the verified token with these claims came from whom it is bound to. A proof that is good must then be
    /// taken [`Once`]. Asked on every request: it is the request that is proved, not the token.
    pub fn check(
        &self,
        conn: &Conn,
        inbound: &Inbound,
        (token, presented): (&str, Presented),
        claims: &Map<String, Value>,
        now: i64,
    ) -> Result<Option<Once>, AuthError> {
        let bound = Bound::read(claims)?;
        if let Some(sha256) = bound.certificate {
            check_certificate(conn, sha256)?;
        }
        match (presented, bound.key, &self.dpop) {
            (Presented::Bearer, None, Some(dpop)) if dpop.required => Err(dpop.refuse(Refusal::Wrong("a token that is bound to a key is required"))),
            (Presented::Bearer, None, _) => Ok(None),
            (Presented::Bearer, Some(_), Some(dpop)) => Err(dpop.refuse(Refusal::Wrong("the token is bound to a key and was sent without a proof"))),
            (Presented::Bearer, Some(_), None) | (Presented::Dpop, _, None) => {
                Err(Refusal::Wrong("the token is bound to a key, and dpop is off").into())
            }
            (Presented::Dpop, None, Some(dpop)) => Err(dpop.refuse(Refusal::Wrong("the token is not bound to a key"))),
            (Presented::Dpop, Some(thumbprint), Some(dpop)) => dpop.check(inbound, token, thumbprint, now).map(Some),
        }
    }

    /// Adds to a challenge for bearer tokens what can be sent besides, or instead.
    #[must_use]
    pub fn challenge(&self, bearer: Challenge, why: &Refusal) -> Challenge {
        let Some(dpop) = &self.dpop else { return bearer };
        let error = if *why == Refusal::Missing { "" } else { ", error=\"invalid_token\"" };
        let own = format!("DPoP realm=\"doorward\"{error}, algs=\"{}\"", dpop.algorithms);
        let text = match bearer.0.to_str() {
            Ok(bearer) if !dpop.required => format!("{bearer}, {own}"),
            Ok(_) | Err(_) => own,
        };
        HeaderValue::try_from(text).map_or(bearer, Challenge)
    }

    /// Adds the places where proofs travel.
    #[must_use]
    pub fn credentials(&self, mut names: CredentialNames) -> CredentialNames {
        if self.dpop.is_some() {
            names.headers.push(proof::HEADER);
            if !names.headers.contains(&AUTHORIZATION) {
                names.headers.push(AUTHORIZATION);
            }
        }
        names
    }
}

impl Dpop {
    fn check(&self, inbound: &Inbound, token: &str, thumbprint: &str, now: i64) -> Result<Once, AuthError> {
        let proof = match inbound.single(proof::HEADER) {
            Ok(Some(proof)) => proof,
            Ok(None) => return Err(self.refuse_proof("the header DPoP is missing", now)),
            Err(_) => return Err(self.refuse_proof("there is not exactly one DPoP header", now)),
        };
        let expected = Expected { method: inbound.method().as_str(), host: inbound.host(), path: inbound.path(), token, thumbprint };
        let proved = self.proofs.verify(proof, &expected, now).map_err(|why| self.refuse_proof(why, now))?;
        match &self.proofs.nonces {
            Some(nonces) if !proved.nonce.as_deref().is_some_and(|nonce| nonces.accepts(nonce, now)) => {
                let text = "DPoP realm=\"doorward\", error=\"use_dpop_nonce\", error_description=\"the proof must hold the nonce that was given\"";
                let own = OwnChallenge { challenge: HeaderValue::from_static(text), nonce: Some(nonces.make(now)) };
                Err(AuthError::RefusedAs(Refusal::Wrong("the DPoP proof holds no fresh nonce"), ErrorForm::Challenge(Box::new(own))))
            }
            Some(_) | None => Ok(proved.once),
        }
    }

    /// The proof is at fault.
    fn refuse_proof(&self, why: &'static str, now: i64) -> AuthError {
        let nonce = self.proofs.nonces.as_ref().map(|nonces| nonces.make(now));
        AuthError::RefusedAs(Refusal::Wrong(why), self.form("invalid_dpop_proof", nonce))
    }

    /// The token is at fault, or how it was sent.
    fn refuse(&self, why: Refusal) -> AuthError {
        AuthError::RefusedAs(why, self.form("invalid_token", None))
    }

    fn form(&self, error: &str, nonce: Option<HeaderValue>) -> ErrorForm {
        let text = format!("DPoP realm=\"doorward\", error=\"{error}\", algs=\"{}\"", self.algorithms);
        let challenge = HeaderValue::try_from(text).unwrap_or_else(|_| HeaderValue::from_static("DPoP realm=\"doorward\""));
        ErrorForm::Challenge(Box::new(OwnChallenge { challenge, nonce }))
    }
}

/// What a token's `cnf` (RFC 7800) says that it is bound to.
#[derive(Debug, PartialEq, Eq)]
struct Bound<'c> {
    /// `jkt`: the thumbprint of a key.
    key: Option<&'c str>,
    /// `x5t#S256`: the hash of a certificate.
    certificate: Option<&'c str>,
}

impl<'c> Bound<'c> {
    fn read(claims: &'c Map<String, Value>) -> Result<Self, Refusal> {
        let mut bound = Self { key: None, certificate: None };
        let Some(confirmation) = claims.get("cnf") else { return Ok(bound) };
        let unknown = Refusal::Wrong("the token is bound to something that cannot be checked (cnf)");
        let Some(members) = confirmation.as_object().filter(|members| !members.is_empty()) else { return Err(unknown) };
        for (name, value) in members {
            let place = match name.as_str() {
                "jkt" => &mut bound.key,
                "x5t#S256" => &mut bound.certificate,
                _ => return Err(unknown),
            };
            *place = Some(value.as_str().ok_or_else(|| unknown.clone())?);
        }
        Ok(bound)
    }
}

/// RFC 8705 section 3: the token's hash is of the certificate that this connection's client holds.
fn check_certificate(conn: &Conn, expected: &str) -> Result<(), Refusal> {
    use base64::Engine;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;
    let Some(certificate) = &conn.client_certificate else {
        return Err(Refusal::Wrong("the token is bound to a client certificate, and the connection has none"));
    };
    let expected = URL_SAFE_NO_PAD.decode(expected).unwrap_or_default();
    if expected == certificate.sha256 { Ok(()) } else { Err(Refusal::Wrong("the token is bound to another client certificate")) }
}

/// Builds from settings that were left out: bound tokens are still refused.
#[must_use]
pub fn build(settings: Option<&Settings>, leeway: i64, report: &mut Report) -> Option<Senders> {
    match settings {
        Some(settings) => report.within("dpop", |report| settings.0.build(leeway, report)),
        None => Some(Senders { dpop: None }),
    }
}
