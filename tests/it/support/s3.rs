//! A client of the scheme s3-v2, written from Amazon's description and apart from the product.

use md5::Digest as _;

use super::{base64, fost, now};

/// The key that tests use, and its secret.
pub const KEY: &str = "AKIAIOSFODNN7EXAMPLE";
pub const SECRET: &str = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY";

/// What goes into a signature.
#[derive(Clone)]
pub struct S3<'a> {
    pub key: &'a str,
    pub secret: &'a str,
    pub time: i64,
    pub content_type: &'a str,
    /// Lower case, in alphabetical order.
    pub amz: Vec<(&'a str, &'a str)>,
}

impl<'a> S3<'a> {
    pub fn new() -> Self {
        Self { key: KEY, secret: SECRET, time: now(), content_type: "", amz: Vec::new() }
    }

    pub fn key(mut self, key: &'a str, secret: &'a str) -> Self {
        (self.key, self.secret) = (key, secret);
        self
    }

    pub fn skewed(mut self, seconds: i64) -> Self {
        self.time += seconds;
        self
    }

    pub fn amz(mut self, name: &'a str, value: &'a str) -> Self {
        self.amz.push((name, value));
        self
    }

    /// The headers to send. `resource` is the path, and of the query what is signed.
    pub fn sign(&self, method: &str, resource: &str, body: Option<&[u8]>) -> Vec<(String, String)> {
        let md5 = body.map(|body| base64(md5::Md5::digest(body))).unwrap_or_default();
        let date = httpdate::fmt_http_date(std::time::UNIX_EPOCH + std::time::Duration::from_secs(self.time as u64));
        let amz: String = self.amz.iter().map(|(name, value)| format!("{name}:{value}\n")).collect();
        let line = if self.amz.iter().any(|(name, _)| *name == "x-amz-date") { "" } else { &date };
        let document = format!("{method}\n{md5}\n{}\n{line}\n{amz}{resource}", self.content_type);
        let mut all = vec![
            ("Authorization".to_owned(), format!("AWS {}:{}", self.key, fost::mac(self.secret, document.as_bytes()))),
            ("Date".to_owned(), date),
            ("Content-MD5".to_owned(), md5),
            ("Content-Type".to_owned(), self.content_type.to_owned()),
        ];
        all.retain(|(_, value)| !value.is_empty());
        all.extend(self.amz.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
        all
    }

    /// A signed URL's path and query, good until `expires`.
    pub fn url(&self, method: &str, resource: &str, expires: i64) -> String {
        let signature = fost::mac(self.secret, format!("{method}\n\n\n{expires}\n{resource}").as_bytes());
        let signature = signature.replace('+', "%2B").replace('/', "%2F").replace('=', "%3D");
        let border = if resource.contains('?') { '&' } else { '?' };
        format!("{resource}{border}AWSAccessKeyId={}&Expires={expires}&Signature={signature}", self.key)
    }
}
