//! Signing, as a client does it: for the command line, and for tests against the verifier.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use hmac::{Hmac, KeyInit as _, Mac as _};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Uri};
use sha2::{Digest as _, Sha256};

use super::component::{self, Component, Message};
use super::keys::Algorithm;
use crate::auth::signing::PrivateKey;
use crate::auth::{SignError, WithText};
use crate::inbound::parse_host;
use crate::types::Secret;

/// A key to sign with.
#[derive(Debug)]
pub struct Signer {
    material: Material,
    algorithm: Algorithm,
}

#[derive(Debug)]
enum Material {
    Secret(Secret),
    Private(PrivateKey),
}

/// What a signature says of itself.
#[derive(Debug, Clone, Copy)]
pub struct Terms<'a> {
    /// The key's name.
    pub keyid: &'a str,
    /// Unix seconds.
    pub created: i64,
    /// Unix seconds.
    pub expires: Option<i64>,
    /// Never the same twice; see [`nonce`].
    pub nonce: Option<&'a str>,
    /// What it is made for.
    pub tag: Option<&'a str>,
    /// What the fields call it.
    pub label: &'a str,
}

impl Signer {
    /// Signs with a shared secret.
    pub fn secret(secret: Secret) -> Result<Self, SignError> {
        if secret.is_empty() {
            return Err(SignError::Secret);
        }
        Ok(Self { material: Material::Secret(secret), algorithm: Algorithm::HmacSha256 })
    }

    /// Signs with a private key (PKCS#8, PEM), by `algorithm` where the key has several, else by the best that it has.
    pub fn private_key(pem: &Secret, algorithm: Option<&str>) -> Result<Self, SignError> {
        let key = PrivateKey::from_pem(pem).map_err(SignError::Key)?;
        let mut fits = key.algorithms().iter().copied().map(Algorithm::Public);
        let algorithm = match algorithm {
            None => fits.next(),
            Some(name) => fits.find(|algorithm| algorithm.name() == name),
        };
        Ok(Self { algorithm: algorithm.ok_or(SignError::Key("the key cannot sign with this algorithm"))?, material: Material::Private(key) })
    }

    /// The headers that sign a request, ready to be added to it: `headers` as given, all of them signed, `Content-Digest` where there is
    /// a body, `Signature-Input`, `Signature`. Also covered: `@method`, `@authority`, `@target-uri`.
    pub fn request(
        &self,
        terms: &Terms<'_>,
        method: &Method,
        target: &Uri,
        headers: &[(String, String)],
        body: &[u8],
    ) -> Result<Vec<(String, String)>, SignError> {
        self.request_and_text(terms, method, target, headers, body).map(|(headers, _)| headers)
    }

    /// As [`Signer::request`], and the signature base.
    pub fn request_and_text(
        &self,
        terms: &Terms<'_>,
        method: &Method,
        target: &Uri,
        headers: &[(String, String)],
        body: &[u8],
    ) -> Result<WithText<Vec<(String, String)>>, SignError> {
        const UNREADABLE: SignError = SignError::Url("a header is not one that can be sent, or that can be signed");
        sfv::KeyRef::from_str(terms.label).map_err(|_| SignError::Url("a label is of small letters, digits, '_', '-', '.' and '*'"))?;
        let mut lines = headers.to_vec();
        if !body.is_empty() {
            lines.push(("Content-Digest".to_owned(), format!("sha-256=:{}:", STANDARD.encode(Sha256::digest(body)))));
        }
        let mut names = vec!["@method".to_owned(), "@authority".to_owned(), "@target-uri".to_owned()];
        let mut map = HeaderMap::new();
        for (name, value) in &lines {
            let (Ok(name), Ok(value)) = (HeaderName::try_from(name), HeaderValue::from_str(value)) else { return Err(UNREADABLE) };
            if !names.iter().any(|known| known == name.as_str()) {
                names.push(name.as_str().to_owned());
            }
            map.append(name, value);
        }
        let components: Vec<Component> = names.iter().map(|name| Component::named(name)).collect::<Result<_, _>>().map_err(|_| UNREADABLE)?;
        let input = self.input(terms, &components)?;
        let authority = target.authority().ok_or(SignError::Url("the URL needs a host, such as https://app.example.com/path"))?;
        let (host, port) = parse_host(authority.as_str()).ok_or(SignError::Url("the URL's host is not of the form name[:port]"))?;
        let raw = HeaderValue::from_str(authority.as_str()).map_err(|_| SignError::Url("the URL's host cannot be sent"))?;
        let message = Message {
            method,
            authority: component::authority(&host, port),
            host: &raw,
            path: target.path(),
            query: target.query(),
            headers: &map,
            length: u64::try_from(body.len()).ok(),
        };
        let base = component::base(&components, &input, &message).map_err(|_| UNREADABLE)?;
        let signature = STANDARD.encode(self.sign(&base)?);
        lines.push(("Signature-Input".to_owned(), format!("{}={input}", terms.label)));
        lines.push(("Signature".to_owned(), format!("{}=:{signature}:", terms.label)));
        Ok((lines, base))
    }

    /// The list of components with its parameters, serialized.
    fn input(&self, terms: &Terms<'_>, components: &[Component]) -> Result<String, SignError> {
        let list: Vec<&str> = components.iter().map(Component::identifier).collect();
        let mut input = format!("({});created={}", list.join(" "), terms.created);
        if let Some(expires) = terms.expires {
            input.push_str(&format!(";expires={expires}"));
        }
        let texts = [("keyid", Some(terms.keyid)), ("alg", Some(self.algorithm.name())), ("nonce", terms.nonce), ("tag", terms.tag)];
        for (name, text) in texts.into_iter().filter_map(|(name, text)| Some((name, text?))) {
            let text = sfv::StringRef::from_str(text).map_err(|_| SignError::Url("a parameter of the signature holds something outside ASCII"))?;
            input.push_str(&format!(";{name}={}", sfv::ItemSerializer::new().bare_item(text).finish()));
        }
        Ok(input)
    }

    pub(super) fn sign(&self, base: &[u8]) -> Result<Vec<u8>, SignError> {
        match (&self.material, self.algorithm) {
            (Material::Secret(secret), Algorithm::HmacSha256) => {
                let mac = Hmac::<Sha256>::new_from_slice(secret.expose()).map_err(|_| SignError::Secret)?;
                Ok(mac.chain_update(base).finalize().into_bytes().to_vec())
            }
            (Material::Private(key), Algorithm::Public(algorithm)) => key.sign(algorithm, base).ok_or(SignError::Key("the key could not sign")),
            (Material::Secret(_), Algorithm::Public(_)) | (Material::Private(_), Algorithm::HmacSha256) => {
                Err(SignError::Key("the key cannot sign with this algorithm"))
            }
        }
    }
}

/// 16 random bytes as base64url: a nonce.
pub fn nonce() -> Result<String, SignError> {
    let mut bytes = [0; 16];
    aws_lc_rs::rand::fill(&mut bytes).map_err(|_| SignError::Key("the machine has no randomness"))?;
    Ok(URL_SAFE_NO_PAD.encode(bytes))
}
