//! The published vectors: documents, signatures and verdicts.

use serde::Deserialize;

use super::*;

#[derive(Debug, Deserialize)]
struct Vector {
    name: String,
    key: String,
    secret: String,
    now: i64,
    method: String,
    #[serde(default)]
    host: Option<String>,
    path: String,
    query: String,
    #[serde(default)]
    body_hex: String,
    #[serde(default)]
    headers: BTreeMap<String, String>,
    document_hex: String,
    verdict: String,
}

fn unhex(hex: &str) -> Vec<u8> {
    hex.as_bytes().chunks(2).map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap()).collect()
}

impl Vector {
    fn case(&self) -> Case {
        let mut headers = HeaderMap::new();
        for (name, value) in &self.headers {
            headers.insert(HeaderName::try_from(name).unwrap(), HeaderValue::from_str(value).unwrap());
        }
        Case {
            method: self.method.parse().unwrap(),
            path: self.path.clone(),
            query: (!self.query.is_empty()).then(|| self.query.clone()),
            host: HeaderValue::from_str(self.host.as_deref().unwrap_or("app.example.com")).unwrap(),
            headers,
            body: unhex(&self.body_hex),
        }
    }

    fn rules(&self, options: &str) -> Rules {
        rules(&format!("{options}\n[keys.{}]\nsecret = \"{}\"\nimpersonate = true\n", self.key, self.secret))
    }
}

fn request_vectors() -> Vec<Vector> {
    serde_json::from_str(include_str!("../../../../tests/vectors/fost-request.json")).unwrap()
}

fn url_vectors() -> Vec<Vector> {
    serde_json::from_str(include_str!("../../../../tests/vectors/fost-url.json")).unwrap()
}

#[test]
fn every_vector_of_a_signed_request_gets_its_verdict() {
    let vectors = request_vectors();
    assert_eq!(vectors.len(), 14);
    for vector in vectors {
        let (case, strict) = (vector.case(), vector.rules(""));
        let lax = vector.rules("allow_unsigned_query = true");
        match vector.verdict.as_str() {
            "accept" => {
                let user = case.judge(&strict, vector.now).unwrap().user.clone();
                assert_eq!(user, vector.headers.get("X-FOST-User").map_or("aspnet", String::as_str), "{}", vector.name);
            }
            "refuse" => assert!(case.judge(&strict, vector.now).is_err() && case.judge(&lax, vector.now).is_err(), "{}", vector.name),
            "accept only with allow_unsigned_query" => {
                assert!(case.judge(&strict, vector.now).is_err(), "{}", vector.name);
                case.judge(&lax, vector.now).unwrap();
            }
            other => panic!("{other}"),
        }
    }
}

#[test]
fn the_signed_document_of_a_request_is_byte_for_byte_the_vectors() {
    let mut read = 0;
    for vector in request_vectors() {
        let case = vector.case();
        let Ok(signed) = request::read(&case.head()) else { continue };
        let payload = if case.body.is_empty() { case.query.clone().unwrap_or_default().into_bytes() } else { case.body.clone() };
        let document = unhex(&vector.document_hex);
        let as_sent = [signed.beginning.clone(), payload.clone()].concat();
        let decoded = signed.decoded.as_ref().map(|beginning| [beginning.clone(), payload].concat());
        if vector.name == "encoded-slash-signed-decoded" {
            assert!(as_sent != document && decoded.is_none());
        } else {
            assert!(as_sent == document || decoded == Some(document), "{}", vector.name);
        }
        read += 1;
    }
    assert_eq!(read, 12);
}

#[test]
fn every_vector_of_a_signed_url_gets_its_verdict() {
    let vectors = url_vectors();
    assert_eq!(vectors.len(), 6);
    for vector in vectors {
        let (case, strict) = (vector.case(), vector.rules(""));
        let lax = vector.rules("require_expiry = false");
        match vector.verdict.as_str() {
            "accept" => {
                assert_eq!(case.judge(&strict, vector.now).unwrap().user, "aspnet", "{}", vector.name);
                assert_eq!(url::read(&case.head()).unwrap().document, unhex(&vector.document_hex), "{}", vector.name);
            }
            "refuse" => assert!(case.judge(&strict, vector.now).is_err() && case.judge(&lax, vector.now).is_err(), "{}", vector.name),
            "refuse unless require_expiry = false" => {
                assert!(case.judge(&strict, vector.now).is_err(), "{}", vector.name);
                case.judge(&lax, vector.now).unwrap();
            }
            other => panic!("{other}"),
        }
    }
}

#[test]
fn every_bit_of_an_accepted_vectors_document_and_signature_counts() {
    let mut flips = 0;
    for vector in request_vectors().into_iter().chain(url_vectors()).filter(|vector| vector.verdict == "accept") {
        let rules = vector.rules("");
        let (case, document) = (vector.case(), unhex(&vector.document_hex));
        let tag = request::read(&case.head()).map(|s| s.tag).or_else(|_| url::read(&case.head()).map(|s| s.tag)).unwrap();
        let states = rules.states(rules.keys.get(&vector.key));
        let good = |document: &[u8], tag: &key::Tag| Macs::begin(states, std::iter::once(document)).match_any(tag);
        assert!(good(&document, &tag), "{}", vector.name);
        for bit in 0..document.len() * 8 {
            let mut flipped = document.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert!(!good(&flipped, &tag), "{} document bit {bit}", vector.name);
            flips += 1;
        }
        for bit in 0..tag.len() * 8 {
            let mut flipped = tag;
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert!(!good(&document, &flipped), "{} signature bit {bit}", vector.name);
            flips += 1;
        }
    }
    assert_eq!(flips, 8968);
}
