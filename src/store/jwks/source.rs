//! Where a key set comes from, and how it is read.

use std::path::{Path, PathBuf};

use bytes::Bytes;
use serde::Deserialize;
use url::Url;
use zeroize::Zeroizing;

use super::key::PublicKey;
use crate::idp::{Client, FetchError, IssuerUrl, MAX_BODY_BYTES, plain};
use crate::types::Secret;

/// More keys of one set are not looked at: a set that holds them was not made by an issuer in its senses.
pub const MAX_KEYS: usize = 100;

/// Where a key set is published. Two schemes with an equal source share the set.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Source {
    /// A JWK set at this URL.
    Url {
        /// The set's URL.
        url: IssuerUrl,
        /// How it is asked.
        access: Access,
    },
    /// The set that the issuer's metadata names.
    Issuer {
        /// The issuer exactly as it is configured, and as its metadata must spell it.
        issuer: String,
        /// The same, as a URL.
        url: IssuerUrl,
        /// How it is asked.
        access: Access,
    },
    /// A JWK set in a file.
    File(PathBuf),
}

/// How an issuer is asked.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct Access {
    /// Authorities to trust instead of the system's.
    pub ca_file: Option<PathBuf>,
    /// Doorward's own token for the issuer, in a file that is read for every fetch: Kubernetes writes it anew every hour.
    pub bearer_token_file: Option<PathBuf>,
}

impl Access {
    /// Reads the token, if there is to be one.
    async fn bearer(&self) -> Result<Option<Secret>, String> {
        let Some(path) = &self.bearer_token_file else { return Ok(None) };
        bearer_token(path).await.map(Some)
    }
}

/// Reads a bearer token from its file.
pub async fn bearer_token(path: &Path) -> Result<Secret, String> {
    let bytes = tokio::fs::read(path).await.map_err(|error| format!("cannot read {}: {error}", path.display()))?;
    let token = Zeroizing::new(bytes);
    match token.trim_ascii() {
        [] => Err(format!("{} is empty", path.display())),
        token => Ok(Secret::new(token)),
    }
}

impl Source {
    /// A short name for logs and metrics: it holds no query, where somebody may have put a key.
    #[must_use]
    pub fn name(&self) -> String {
        match self {
            Self::Url { url, .. } => plain(url.as_url()),
            Self::Issuer { issuer, .. } => issuer.clone(),
            Self::File(path) => path.display().to_string(),
        }
    }

    /// The file of authorities, if one is set.
    #[must_use]
    pub fn ca_file(&self) -> Option<&Path> {
        match self {
            Self::Url { access, .. } | Self::Issuer { access, .. } => access.ca_file.as_deref(),
            Self::File(_) => None,
        }
    }

    /// Reads the set's bytes. `client` is asked unless it is a file.
    pub(super) async fn fetch(&self, client: Option<&Client>) -> Result<Bytes, String> {
        let client = || client.ok_or("there is no client to ask with");
        match self {
            Self::Url { url, access } => get(client()?, url.as_url(), access.bearer().await?.as_ref()).await,
            Self::Issuer { issuer, url, access } => {
                let bearer = access.bearer().await?;
                let keys = discover(client()?, issuer, url, bearer.as_ref()).await?;
                get(client()?, keys.as_url(), bearer.as_ref()).await
            }
            Self::File(path) => {
                let path = path.clone();
                tokio::task::spawn_blocking(move || read_file(&path)).await.map_err(|error| error.to_string())?
            }
        }
    }
}

async fn get(client: &Client, url: &Url, bearer: Option<&Secret>) -> Result<Bytes, String> {
    client.get(url, bearer).await.map_err(|error| format!("{}: {error}", plain(url)))
}

/// What OpenID Connect Discovery and RFC 8414 say of an issuer; the rest of it does not matter here.
#[derive(Deserialize)]
struct Metadata {
    issuer: String,
    jwks_uri: String,
}

/// Asks OpenID Connect Discovery 1.0 section 4 first; if there is no such document, RFC 8414 section 3.
async fn discover(client: &Client, issuer: &str, url: &IssuerUrl, bearer: Option<&Secret>) -> Result<IssuerUrl, String> {
    let (openid, oauth) = metadata_urls(url.as_url());
    let document = match client.get(&openid, bearer).await {
        Err(FetchError::Status(status)) if status < 500 => {
            client.get(&oauth, bearer).await.map_err(|error| format!("{}: {status}; {}: {error}", plain(&openid), plain(&oauth)))?
        }
        answer => answer.map_err(|error| format!("{}: {error}", plain(&openid)))?,
    };
    let metadata: Metadata = serde_json::from_slice(&document).map_err(|_| "the metadata has no issuer or no jwks_uri".to_owned())?;
    if metadata.issuer != issuer {
        return Err("the metadata speaks of another issuer than the configured one".to_owned());
    }
    let keys: IssuerUrl = metadata.jwks_uri.parse().map_err(|error| format!("the metadata's jwks_uri: {error}"))?;
    // Else whoever writes the metadata could have Doorward ask a service on its own machine.
    if url.as_url().scheme() == "https" && keys.as_url().scheme() != "https" {
        return Err("the metadata's jwks_uri is not https".to_owned());
    }
    Ok(keys)
}

fn metadata_urls(issuer: &Url) -> (Url, Url) {
    let path = issuer.path().strip_suffix('/').unwrap_or(issuer.path());
    let at = |path: &str| {
        let mut url = issuer.clone();
        url.set_path(path);
        url
    };
    (at(&format!("{path}/.well-known/openid-configuration")), at(&format!("/.well-known/oauth-authorization-server{path}")))
}

/// Reads at most as much of a file as of a provider's answer.
pub(super) fn read_file(path: &Path) -> Result<Bytes, String> {
    use std::io::Read;
    let file = std::fs::File::open(path).map_err(|error| format!("cannot read {}: {error}", path.display()))?;
    let mut bytes = Vec::new();
    file.take(MAX_BODY_BYTES as u64 + 1).read_to_end(&mut bytes).map_err(|error| format!("cannot read {}: {error}", path.display()))?;
    if bytes.len() > MAX_BODY_BYTES {
        return Err(format!("{} is longer than {MAX_BODY_BYTES} bytes", path.display()));
    }
    Ok(bytes.into())
}

/// A JWK set, read.
#[derive(Debug)]
pub(super) struct Document {
    pub keys: Vec<PublicKey>,
    /// Why each key that is not among them was passed over.
    pub skipped: Vec<&'static str>,
}

impl Document {
    /// Reads a set (RFC 7517 section 5). A key that cannot be used is passed over; it does not spoil the others. A set
    /// without keys is one: an issuer may withdraw all of its keys.
    pub fn parse(body: &[u8]) -> Result<Self, String> {
        #[derive(Deserialize)]
        struct Set {
            keys: Vec<serde_json::Value>,
        }
        // serde would read a list as well, its members in order.
        let is_object = body.trim_ascii_start().starts_with(b"{");
        let set = serde_json::from_slice::<Set>(body).ok().filter(|_| is_object).ok_or("not a JWK set: no JSON object with a list of keys")?;
        let (mut keys, mut skipped) = (Vec::new(), Vec::new());
        let beyond = set.keys.len().saturating_sub(MAX_KEYS);
        for jwk in set.keys.into_iter().take(MAX_KEYS) {
            match PublicKey::from_jwk(jwk) {
                Ok(key) => keys.push(key),
                Err(why) => skipped.push(why),
            }
        }
        skipped.extend(std::iter::repeat_n("one of more keys than are looked at", beyond));
        Ok(Self { keys, skipped })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::testing::{Signer, with};
    use super::*;

    #[test]
    fn metadata_stands_where_the_two_standards_put_it() {
        for (issuer, openid, oauth) in [
            (
                "https://id.example",
                "https://id.example/.well-known/openid-configuration",
                "https://id.example/.well-known/oauth-authorization-server",
            ),
            (
                "https://id.example/",
                "https://id.example/.well-known/openid-configuration",
                "https://id.example/.well-known/oauth-authorization-server",
            ),
            (
                "https://id.example/r/a",
                "https://id.example/r/a/.well-known/openid-configuration",
                "https://id.example/.well-known/oauth-authorization-server/r/a",
            ),
            (
                "https://id.example/r/a/",
                "https://id.example/r/a/.well-known/openid-configuration",
                "https://id.example/.well-known/oauth-authorization-server/r/a",
            ),
        ] {
            let (a, b) = metadata_urls(&issuer.parse().unwrap());
            assert_eq!((a.as_str(), b.as_str()), (openid, oauth), "{issuer}");
        }
    }

    #[test]
    fn a_bad_key_does_not_spoil_the_good_ones() {
        let set = json!({"keys": [
            {"kty": "oct", "k": "c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0"}, 7, Signer::p256().named("a"), {}, with(Signer::p256().named("b"), "use", "enc"),
            Signer::ed25519().named("a"),
        ], "extra": {}});
        let document = Document::parse(set.to_string().as_bytes()).unwrap();
        assert_eq!(document.keys.iter().map(PublicKey::kid).collect::<Vec<_>>(), [Some("a"), Some("a")]);
        assert_eq!(document.skipped.len(), 4);
    }

    #[test]
    fn the_number_of_keys_is_bounded() {
        let set = json!({"keys": vec![Signer::ed25519().jwk(); MAX_KEYS + 7]});
        let document = Document::parse(set.to_string().as_bytes()).unwrap();
        assert_eq!((document.keys.len(), document.skipped.len()), (MAX_KEYS, 7));
    }

    #[test]
    fn what_is_no_key_set_is_an_error_and_an_empty_one_is_not() {
        for bad in [
            "",
            "{}",
            "[]",
            "[[]]",
            "null",
            "{\"keys\":{}}",
            "{\"keys\":null}",
            "{\"keys\":[]",
            "<html>",
            "{\"keys\":[],\"keys\":[]}",
            "{\"keys\":[]} x",
        ] {
            assert!(Document::parse(bad.as_bytes()).is_err(), "{bad}");
        }
        let nested = format!("{{\"keys\":{}{}}}", "[".repeat(10_000), "]".repeat(10_000));
        assert!(Document::parse(nested.as_bytes()).is_err());
        assert!(Document::parse(b"{\"keys\":[]}").unwrap().keys.is_empty());
    }
}
