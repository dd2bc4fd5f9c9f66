//! A client of the scheme aws-v4: Amazon's own signer, and its chunk framing written from Amazon's description.

use std::time::{Duration, UNIX_EPOCH};

use aws_sigv4::http_request::{
    PayloadChecksumKind, PercentEncodingMode, SignableBody, SignableRequest, SignatureLocation, SigningSettings, UriPathNormalizationMode, sign,
};
use aws_sigv4::sign::v4;
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::{Digest as _, Sha256};

use super::now;
use super::setup::HOST;

/// The key that tests use, and its secret.
pub const KEY: &str = "AKIAIOSFODNN7EXAMPLE";
pub const SECRET: &str = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY";
pub const REGION: &str = "eu-central-1";

/// What goes into a signature.
#[derive(Clone)]
pub struct Aws<'a> {
    pub key: &'a str,
    pub secret: &'a str,
    pub region: &'a str,
    pub service: &'a str,
    pub time: i64,
    pub headers: Vec<(String, String)>,
    /// Whether the hash of the body is a header.
    pub hash_header: bool,
}

impl<'a> Aws<'a> {
    pub fn s3() -> Self {
        Self { key: KEY, secret: SECRET, region: REGION, service: "s3", time: now(), headers: Vec::new(), hash_header: true }
    }

    pub fn api() -> Self {
        Self { service: "execute-api", hash_header: false, ..Self::s3() }
    }

    pub fn key(self, key: &'a str, secret: &'a str) -> Self {
        Self { key, secret, ..self }
    }

    pub fn skewed(self, seconds: i64) -> Self {
        Self { time: self.time + seconds, ..self }
    }

    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    fn instructions(&self, method: &str, target: &str, body: SignableBody<'_>, expires_in: Option<u64>) -> Vec<(String, String)> {
        let mut settings = SigningSettings::default();
        if self.service == "s3" {
            settings.percent_encoding_mode = PercentEncodingMode::Single;
            settings.uri_path_normalization_mode = UriPathNormalizationMode::Disabled;
        }
        if self.hash_header {
            settings.payload_checksum_kind = PayloadChecksumKind::XAmzSha256;
        }
        if let Some(seconds) = expires_in {
            settings.signature_location = SignatureLocation::QueryParams;
            settings.expires_in = Some(Duration::from_secs(seconds));
            settings.payload_checksum_kind = PayloadChecksumKind::NoHeader;
        }
        let identity =
            aws_credential_types::Credentials::builder().access_key_id(self.key).secret_access_key(self.secret).provider_name("test").build().into();
        let parameters = v4::SigningParams::builder()
            .identity(&identity)
            .region(self.region)
            .name(self.service)
            .time(UNIX_EPOCH + Duration::from_secs(self.time as u64))
            .settings(settings)
            .build()
            .unwrap()
            .into();
        let url = format!("https://{HOST}{target}");
        let headers = self.headers.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        let request = SignableRequest::new(method, &url, headers, body).unwrap();
        let (told, _) = sign(request, &parameters).unwrap().into_parts();
        let (headers, parameters) = told.into_parts();
        match expires_in {
            None => headers.into_iter().map(|header| (header.name().to_owned(), header.value().to_owned())).collect(),
            Some(_) => parameters.into_iter().map(|(name, value)| (name.to_owned(), value.into_owned())).collect(),
        }
    }

    /// The headers to send with `body`.
    pub fn sign(&self, method: &str, target: &str, body: &[u8]) -> Vec<(String, String)> {
        [self.headers.clone(), self.instructions(method, target, SignableBody::Bytes(body), None)].concat()
    }

    /// The same, for a body of which nothing but this word is signed.
    pub fn sign_word(&self, method: &str, target: &str, word: &str) -> Vec<(String, String)> {
        let body = if word == "UNSIGNED-PAYLOAD" { SignableBody::UnsignedPayload } else { SignableBody::Precomputed(word.to_owned()) };
        [self.headers.clone(), self.instructions(method, target, body, None)].concat()
    }

    /// A signed URL's path and query.
    pub fn url(&self, method: &str, target: &str, seconds: u64) -> String {
        let body = if self.service == "s3" { SignableBody::UnsignedPayload } else { SignableBody::Bytes(b"") };
        let mut url = target.to_owned();
        for (name, value) in self.instructions(method, target, body, Some(seconds)) {
            let value: String = url::form_urlencoded::byte_serialize(value.as_bytes()).collect();
            url.push(if url.contains('?') { '&' } else { '?' });
            url.push_str(&format!("{name}={value}"));
        }
        url
    }

    /// A request whose body is signed chunk by chunk: its headers, and the body as it is sent.
    pub fn chunks(&self, method: &str, target: &str, data: &[&[u8]]) -> (Vec<(String, String)>, Vec<u8>) {
        let length: usize = data.iter().map(|data| data.len()).sum();
        let this = self.clone().header("x-amz-decoded-content-length", &length.to_string()).header("content-encoding", "aws-chunked");
        let headers = this.sign_word(method, target, "STREAMING-AWS4-HMAC-SHA256-PAYLOAD");
        let value = |name: &str| headers.iter().find(|(have, _)| have.eq_ignore_ascii_case(name)).unwrap().1.clone();
        let (stamp, authorization) = (value("x-amz-date"), value("authorization"));
        let scope = format!("{}/{}/{}/aws4_request", &stamp[..8], self.region, self.service);
        let mut key = format!("AWS4{}", self.secret).into_bytes();
        for part in scope.split('/') {
            key = mac(&key, part);
        }
        let mut before = authorization.rsplit_once("Signature=").unwrap().1.to_owned();
        let mut body = Vec::new();
        for data in data.iter().chain([&&b""[..]]) {
            let document =
                format!("AWS4-HMAC-SHA256-PAYLOAD\n{stamp}\n{scope}\n{before}\n{}\n{}", hex(&Sha256::digest(b"")), hex(&Sha256::digest(data)));
            before = hex(&mac(&key, &document));
            body.extend_from_slice(format!("{:x};chunk-signature={before}\r\n", data.len()).as_bytes());
            body.extend_from_slice(data);
            body.extend_from_slice(b"\r\n");
        }
        (headers, body)
    }
}

fn mac(key: &[u8], text: &str) -> Vec<u8> {
    Hmac::<Sha256>::new_from_slice(key).unwrap().chain_update(text).finalize().into_bytes().to_vec()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The settings of the schemes `s3` and `api`, with this key's secret in `secrets/aws.key`.
pub fn schemes() -> String {
    let key = |name: &str| format!("[auth.{name}.aws-v4.keys.{KEY}]\nsecret_file = \"secrets/aws.key\"\nuser = \"backup\"\n");
    format!(
        "[auth.s3.aws-v4]\nregion = \"{REGION}\"\nservice = \"s3\"\n{}[auth.api.aws-v4]\nregion = \"{REGION}\"\nservice = \"execute-api\"\nmax_body = \"1MiB\"\n{}",
        key("s3"),
        key("api")
    )
}
