//! The examples of RFC 9421: appendix B with its keys, and sections 2.1 and 2.2.

use serde::Deserialize;

use super::*;
use crate::auth::signing::{PublicAlgorithm, VerifyingKey};

/// Appendix B.1: the public keys, and the shared secret.
const RSA_PSS: &str = "-----BEGIN PUBLIC KEY-----
MIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8AMIIBCgKCAQEAr4tmm3r20Wd/PbqvP1s2
+QEtvpuRaV8Yq40gjUR8y2Rjxa6dpG2GXHbPfvMs8ct+Lh1GH45x28Rw3Ry53mm+
oAXjyQ86OnDkZ5N8lYbggD4O3w6M6pAvLkhk95AndTrifbIFPNU8PPMO7OyrFAHq
gDsznjPFmTOtCEcN2Z1FpWgchwuYLPL+Wokqltd11nqqzi+bJ9cvSKADYdUAAN5W
Utzdpiy6LbTgSxP7ociU4Tn0g5I6aDZJ7A8Lzo0KSyZYoA485mqcO0GVAdVw9lq4
aOT9v6d+nb4bnNkQVklLQ3fVAvJm+xdDOp9LCNCN48V2pnDOkFV6+U9nV5oyc6XI
2wIDAQAB
-----END PUBLIC KEY-----";
const P256: &str = "-----BEGIN PUBLIC KEY-----
MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEqIVYZVLCrPZHGHjP17CTW0/+D9Lf
w0EkjqF7xB4FivAxzic30tMM4GF+hR6Dxh71Z50VGGdldkkDXZCnTNnoXQ==
-----END PUBLIC KEY-----";
const ED25519: &str = "-----BEGIN PUBLIC KEY-----
MCowBQYDK2VwAyEAJrQLj5P/89iXES9+vFgrIy29clF9CC/oPPsw3c5D0bs=
-----END PUBLIC KEY-----";
const ED25519_PRIVATE: &str = "MC4CAQAwBQYDK2VwBCIEIJ+DYvh6SEqVTm50DFtMDoQikTmiCqirVv9mWG9qfSnF";
const SHARED: &str = "uzvJfB4u3N0Jy4T7NZ75MDVcr8zSTInedJtkgcu46YW4XByzNJjxBdtjUkdJPBtbmHhIDi6pcl8jsasjlTMtDQ==";
const CREATED: i64 = 1_618_884_473;

#[derive(Debug, Deserialize)]
struct Vector {
    name: String,
    key: String,
    method: String,
    host: String,
    target: String,
    headers: Vec<(String, String)>,
    length: u64,
    label: String,
    input: String,
    signature: String,
    base: String,
}

impl Vector {
    fn case(&self) -> Case {
        let case = self.headers.iter().fold(Case::new(&self.method, &self.host, &self.target), |case, (name, value)| case.header(name, value));
        let case = if self.length == 0 { case } else { case.body(b"{\"hello\": \"world\"}") };
        case.header("Signature-Input", &format!("{}={}", self.label, self.input)).header("Signature", &format!("{}=:{}:", self.label, self.signature))
    }

    /// With the components that the example covers as those that are required. The example that covers nothing has its own test.
    fn gate(&self) -> Gate {
        let keys = format!(
            "[keys.test-key-rsa-pss]\npublic_key = '''{RSA_PSS}'''\n[keys.test-key-ecc-p256]\npublic_key = '''{P256}'''\n\
             [keys.test-key-ed25519]\npublic_key = '''{ED25519}'''\n[keys.test-shared-secret]\nsecret_file = \"{{}}\"\n"
        );
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("shared");
        // The secret ends in a byte that is a carriage return: the line break after it is the one that is taken off.
        std::fs::write(&path, [STANDARD.decode(SHARED).unwrap(), b"\r\n".to_vec()].concat()).unwrap();
        let required: Vec<&str> = self.input.split('"').filter(|part| part.starts_with('@') && *part != "@query-param").collect();
        let required = if required.is_empty() { vec!["@method"] } else { required };
        Gate::with_keys(&format!("components = {required:?}\nallow_unsigned_body = true\n{}", keys.replace("{}", path.to_str().unwrap())))
    }
}

fn vectors() -> Vec<Vector> {
    serde_json::from_str(include_str!("../../../../tests/vectors/http-message-signature.json")).unwrap()
}

#[test]
fn the_requests_of_appendix_b_are_accepted_for_their_signature_bases() {
    let vectors = vectors();
    assert_eq!(vectors.len(), 7);
    for vector in vectors {
        let case = vector.case();
        let signed = fields::read(&case.headers).unwrap().pop().unwrap().read().unwrap();
        let base = component::base(&signed.components, &signed.input, &case.message()).unwrap();
        assert_eq!(String::from_utf8(base).unwrap(), vector.base, "{}", vector.name);
        let judged = vector.gate().judge(&case, CREATED);
        if vector.name == "B.2.1" {
            assert!(matches!(judged, Err(Refusal::Malformed(_))), "it covers nothing at all");
        } else {
            assert_eq!(judged, Ok(Some(vector.key.clone())), "{}", vector.name);
        }
    }
}

#[test]
fn signatures_of_appendix_b_that_are_no_requests_or_cover_nothing_are_right_all_the_same() {
    let minimal = vectors().into_iter().find(|vector| vector.name == "B.2.1").unwrap();
    let signature = STANDARD.decode(&minimal.signature).unwrap();
    let key = VerifyingKey::from_pem(RSA_PSS.as_bytes()).unwrap();
    assert!(key.verifies(PublicAlgorithm::RsaPssSha512, minimal.base.as_bytes(), &signature));
    assert!(!key.verifies(PublicAlgorithm::RsaV15Sha256, minimal.base.as_bytes(), &signature));
    let response = "\"@status\": 200\n\"content-type\": application/json\n\"content-digest\": sha-512=:mEWXIS7MaLRuGgxOBdODa3xqM1XdEvxoYhvlCFJ41Q\
                    JgJc4GTsPp29l5oGX69wWdXymyU0rjJuahq4l5aGgfLQ==:\n\"content-length\": 23\n\"@signature-params\": (\"@status\" \"content-type\" \
                    \"content-digest\" \"content-length\");created=1618884473;keyid=\"test-key-ecc-p256\"";
    let signature = STANDARD.decode("wNmSUAhwb5LxtOtOpNa6W5xj067m5hFrj0XQ4fvpaCLx0NKocgPquLgyahnzDnDAUy5eCdlYUEkLIj+32oiasw==").unwrap();
    let key = VerifyingKey::from_pem(P256.as_bytes()).unwrap();
    assert!(key.verifies(PublicAlgorithm::EcdsaP256Sha256, response.as_bytes(), &signature));
    assert!(!key.verifies(PublicAlgorithm::EcdsaP384Sha384, response.as_bytes(), &signature));
}

#[test]
fn every_bit_of_an_examples_base_and_signature_counts() {
    let mut flips = 0;
    for vector in vectors() {
        let gate = vector.gate();
        let key = gate.keys.get(&vector.key).unwrap();
        let signed = || fields::read(&vector.case().headers).unwrap().pop().unwrap().read().unwrap();
        let settle = |base: Vec<u8>, signature: Vec<u8>| {
            let document = Document { signed: fields::Signed { signature, ..signed() }, keyid: vector.key.clone(), base, until: CREATED };
            gate.keys.settle(&[document], &[Some(Arc::clone(key))], "/", CREATED)
        };
        let (base, signature) = (vector.base.clone().into_bytes(), signed().signature);
        assert!(settle(base.clone(), signature.clone()).is_ok(), "{}", vector.name);
        for at in 0..base.len() {
            let mut flipped = base.clone();
            flipped[at] ^= 1 << (at % 8);
            assert!(settle(flipped, signature.clone()).is_err(), "{} base byte {at}", vector.name);
            flips += 1;
        }
        for at in 0..signature.len() {
            let mut flipped = signature.clone();
            flipped[at] ^= 1 << (at % 8);
            assert!(settle(base.clone(), flipped).is_err(), "{} signature byte {at}", vector.name);
            flips += 1;
        }
    }
    assert!(flips > 3000, "{flips}");
}

#[test]
fn the_transformations_of_appendix_b_4_keep_or_break_the_signature_as_the_rfc_says() {
    let vector = vectors().pop().unwrap();
    let gate = vector.gate();
    let case = || vector.case();
    let keeps = |case: Case| gate.judge(&case, CREATED).is_ok();
    assert!(keeps(Case { query: Some("name1=Value1&Name2=value2&param=added".to_owned()), ..case().header("Accept-Language", "en-US,en;q=0.5") }));
    assert!(keeps(case().without("date").header("Referer", "https://developer.example.org/demo").with("Accept", "application/json, */*")));
    assert!(!keeps(Case { method: Method::POST, authority: "example.com".to_owned(), ..case() }));
    assert!(!keeps(case().with("Accept", "*/*").header("Accept", "application/json")));
}

#[test]
fn derived_components_and_fields_have_the_values_of_sections_2_1_and_2_2() {
    let case = Case::new("POST", "www.example.com", "/path?param=value&foo=bar&baz=batman&qux=")
        .header("X-OWS-Header", "  Leading and trailing whitespace.   ")
        .header("Cache-Control", "max-age=60")
        .header("Cache-Control", "    must-revalidate")
        .header("Example-Dict", " a=1,    b=2;x=1;y=2,   c=(a   b   c)")
        .header("X-Empty-Header", "");
    let value = |case: &Case, component: &str| {
        let list = format!("a=({component})");
        let headers = Case::new("GET", "a", "/").header("signature-input", &list).header("signature", "a=::").headers;
        let signed = fields::read(&headers).unwrap().pop().unwrap().read()?;
        signed.components[0].value(&case.message()).map(|value| String::from_utf8(value).unwrap())
    };
    for (component, expected) in [
        ("\"@method\"", "POST"),
        ("\"@target-uri\"", "https://www.example.com/path?param=value&foo=bar&baz=batman&qux="),
        ("\"@authority\"", "www.example.com"),
        ("\"@scheme\"", "https"),
        ("\"@request-target\"", "/path?param=value&foo=bar&baz=batman&qux="),
        ("\"@path\"", "/path"),
        ("\"@query\"", "?param=value&foo=bar&baz=batman&qux="),
        ("\"@query-param\";name=\"baz\"", "batman"),
        ("\"@query-param\";name=\"qux\"", ""),
        ("\"@query-param\";name=\"param\"", "value"),
        ("\"x-ows-header\"", "Leading and trailing whitespace."),
        ("\"cache-control\"", "max-age=60, must-revalidate"),
        ("\"example-dict\"", "a=1,    b=2;x=1;y=2,   c=(a   b   c)"),
        ("\"x-empty-header\"", ""),
        ("\"host\"", "www.example.com"),
        ("\"content-length\"", "0"),
    ] {
        assert_eq!(value(&case, component).as_deref(), Ok(expected), "{component}");
    }
    let long =
        Case::new("GET", "a", "/parameters?var=this%20is%20a%20big%0Amultiline%20value&bar=with+plus+whitespace&fa%C3%A7ade%22%3A%20=something");
    for (name, expected) in
        [("var", "this%20is%20a%20big%0Amultiline%20value"), ("bar", "with%20plus%20whitespace"), ("fa%C3%A7ade%22%3A%20", "something")]
    {
        assert_eq!(value(&long, &format!("\"@query-param\";name=\"{name}\"")).as_deref(), Ok(expected), "{name}");
    }
    for (target, query) in [("/path", "?"), ("/path?", "?"), ("/path?queryString", "?queryString")] {
        assert_eq!(value(&Case::new("GET", "a", target), "\"@query\"").as_deref(), Ok(query), "{target}");
        assert_eq!(value(&Case::new("GET", "a", target), "\"@request-target\"").as_deref(), Ok(target));
    }
    for (target, name) in [
        ("/?a=1&a=2", "a"),
        ("/?a=1&%61=2", "a"),
        ("/?b=1", "a"),
        ("/", "a"),
        ("/?a=%zz", "a"),
        ("/?a=1&%ff=2", "a"),
        ("/?a=1", "%61"),
        ("/?a=1", "A"),
        ("/?a+b=1", "a+b"),
        ("/?a%2Bb=1", "a%2bb"),
    ] {
        assert!(value(&Case::new("GET", "a", target), &format!("\"@query-param\";name=\"{name}\"")).is_err(), "{target} {name}");
    }
}

#[test]
fn the_signer_makes_the_signatures_that_the_rfcs_key_makes() {
    let signer = Signer::private_key(&Secret::new(pem("PRIVATE", &STANDARD.decode(ED25519_PRIVATE).unwrap())), None).unwrap();
    let vector = vectors().into_iter().find(|vector| vector.name == "B.2.6").unwrap();
    assert_eq!(STANDARD.encode(signer.sign(vector.base.as_bytes()).unwrap()), vector.signature);
    let signer = Signer::secret(Secret::new(STANDARD.decode(SHARED).unwrap())).unwrap();
    let vector = vectors().into_iter().find(|vector| vector.name == "B.2.5").unwrap();
    assert_eq!(STANDARD.encode(signer.sign(vector.base.as_bytes()).unwrap()), vector.signature);
}
