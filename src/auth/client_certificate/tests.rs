use rcgen::{
    BasicConstraints, CertificateParams, CustomExtension, DistinguishedName, DnType, DnValue, ExtendedKeyUsagePurpose, IsCa, KeyPair, SanType,
};
use serde_json::json;

use super::*;
use crate::inbound::{ClientCertificate, Open, Peer};

/// The value of subjectAltName with these entries, DER: short ones only.
fn alternative_names(entries: &[(u8, &[u8])]) -> Vec<u8> {
    let wrap = |tag: u8, content: &[u8]| [&[tag, u8::try_from(content.len()).unwrap()], content].concat();
    let all: Vec<u8> = entries.iter().flat_map(|(tag, content)| wrap(*tag, content)).collect();
    wrap(0x30, &all)
}

const SUBJECT_ALT_NAME: &[u64] = &[2, 5, 29, 17];

fn certificate(change: impl FnOnce(&mut CertificateParams)) -> Vec<u8> {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.distinguished_name = DistinguishedName::new();
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    params.subject_alt_names = vec![SanType::URI("spiffe://td/a".try_into().unwrap())];
    change(&mut params);
    params.self_signed(&KeyPair::generate().unwrap()).unwrap().der().to_vec()
}

fn named(subject: &[(DnType, DnValue)]) -> Vec<u8> {
    certificate(|params| subject.iter().for_each(|(kind, value)| params.distinguished_name.push(kind.clone(), value.clone())))
}

fn text(text: &str) -> DnValue {
    DnValue::Utf8String(text.to_owned())
}

#[test]
fn a_certificate_is_read_as_it_stands() {
    let der = certificate(|params| {
        params.subject_alt_names = vec![
            SanType::URI("spiffe://td/a".try_into().unwrap()),
            SanType::DnsName("A.example".try_into().unwrap()),
            SanType::Rfc822Name("b@example".try_into().unwrap()),
            SanType::IpAddress([192, 0, 2, 1].into()),
            SanType::OtherName((vec![1, 2, 3], "x".into())),
        ];
        params.serial_number = Some(vec![0, 0x0a, 0xbc, 0].into());
        (params.not_before, params.not_after) = (rcgen::date_time_ymd(2020, 1, 1), rcgen::date_time_ymd(2030, 1, 1));
        params.distinguished_name.push(DnType::CommonName, "web");
        params.distinguished_name.push(DnType::OrganizationalUnitName, "platform");
    });
    let read = Document::read(&der).unwrap();
    assert_eq!((read.uris, read.hosts, read.emails), (vec!["spiffe://td/a".to_owned()], vec!["A.example".to_owned()], vec!["b@example".to_owned()]));
    assert_eq!((read.common_names, read.units), (vec!["web".to_owned()], vec!["platform".to_owned()]));
    assert_eq!((read.serial.as_str(), read.not_before, read.not_after), ("0ABC00", 1_577_836_800, 1_893_456_000));
    assert_eq!((read.subject.as_str(), read.issuer.as_str()), ("OU=platform,CN=web", "OU=platform,CN=web"));
}

#[test]
fn what_is_no_clients_certificate_is_refused() {
    let good = certificate(|_| ());
    assert!(Document::read(&good).is_ok());
    let bad: Vec<(&str, Vec<u8>)> = vec![
        ("nothing", Vec::new()),
        ("noise", vec![0x30, 3, 1, 2, 3]),
        ("cut off", good[..good.len() - 1].to_vec()),
        ("more behind it", [good.as_slice(), &[0]].concat()),
        ("an authority", certificate(|params| params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained))),
        ("no purpose", certificate(|params| params.extended_key_usages = Vec::new())),
        ("for servers", certificate(|params| params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth])),
        ("for anything", certificate(|params| params.extended_key_usages = vec![ExtendedKeyUsagePurpose::Any])),
        (
            "alternative names twice",
            certificate(|params| {
                let more = CustomExtension::from_oid_content(SUBJECT_ALT_NAME, alternative_names(&[(0x86, b"spiffe://td/b")]));
                params.custom_extensions = vec![more];
            }),
        ),
        (
            "a name that is not ASCII",
            certificate(|params| {
                params.subject_alt_names = Vec::new();
                let names = alternative_names(&[(0x86, b"spiffe://td/a"), (0x82, b"\xff.example")]);
                params.custom_extensions = vec![CustomExtension::from_oid_content(SUBJECT_ALT_NAME, names)];
            }),
        ),
        (
            "alternative names that are none",
            certificate(|params| {
                params.subject_alt_names = Vec::new();
                params.custom_extensions = vec![CustomExtension::from_oid_content(SUBJECT_ALT_NAME, vec![0x30, 5, 0x86])];
            }),
        ),
        ("a common name in another writing", named(&[(DnType::CommonName, DnValue::BmpString("web".try_into().unwrap()))])),
    ];
    for (what, der) in bad {
        assert!(Document::read(&der).is_err(), "{what}");
    }
}

#[test]
fn no_part_of_a_name_passes_for_another() {
    for (value, told) in [
        ("web", "CN=web"),
        ("web,O=admin", "CN=web\\,O\\=admin"),
        ("web+O=admin", "CN=web\\+O\\=admin"),
        ("a\\,b", "CN=a\\\\\\,b"),
        (" #a ", "CN=\\ #a\\ "),
        ("#a", "CN=\\#a"),
        ("a\"<b>;", "CN=a\\\"\\<b\\>\\;"),
        ("a\0\n", "CN=a\\00\\0a"),
        ("Zoë", "CN=Zoë"),
    ] {
        assert_eq!(Document::read(&named(&[(DnType::CommonName, text(value))])).unwrap().subject, told);
    }
    let several = named(&[
        (DnType::CountryName, text("DE")),
        (DnType::OrganizationName, text("x")),
        (DnType::CustomDnType(vec![1, 2, 3, 4]), text("y")),
        (DnType::LocalityName, DnValue::BmpString("z".try_into().unwrap())),
    ]);
    assert_eq!(Document::read(&several).unwrap().subject, "L=#1e02007a,1.2.3.4=#0c0179,O=x,C=DE");
}

fn scheme(user_from: &str, allow: &[&str]) -> ClientCertificates {
    let settings = Settings {
        user_from: user_from.to_owned(),
        allow: allow.iter().map(|text| (*text).to_owned()).collect(),
        groups: vec!["machines".to_owned()],
        scopes: vec!["read".to_owned()],
    };
    let rules = Rules::build(settings, &mut Report::default()).unwrap();
    ClientCertificates { name: "mesh".into(), rules: Arc::new(rules) }
}

#[test]
fn the_same_facts_serve_all_requests_of_a_connection_and_no_other_rules() {
    let shown = ClientCertificate::new(&certificate(|_| ()));
    let (one, stricter) = (scheme("san-uri", &[]), scheme("san-uri", &["spiffe://td/b"]));
    let first = one.subject(&shown).unwrap();
    assert!(Arc::ptr_eq(&first, &one.subject(&shown).unwrap()));
    assert_eq!(stricter.subject(&shown), Err(Refusal::Wrong("no name in the client certificate is allowed")));
    assert_eq!(*one.subject(&shown).unwrap(), *first);
    assert!(stricter.subject(&shown).is_err());
}

#[test]
fn facts_say_what_the_certificate_says_and_when_they_end() {
    let der = certificate(|params| {
        params.subject_alt_names.push(SanType::Rfc822Name("a@Example.com".try_into().unwrap()));
        params.not_after = rcgen::date_time_ymd(2030, 1, 1);
    });
    let shown = ClientCertificate::new(&der);
    let subject = scheme("san-uri", &[]).subject(&shown).unwrap();
    assert_eq!((subject.user.as_str(), subject.email.as_deref(), subject.expires), ("spiffe://td/a", Some("a@Example.com"), Some(1_893_456_000)));
    assert_eq!((subject.groups.as_slice(), subject.scopes.as_slice()), (&["machines".to_owned()][..], &["read".to_owned()][..]));
    assert_eq!(subject.claims["san_uri"], json!(["spiffe://td/a"]));
    assert_eq!(subject.claims["san_dns"], json!([]));
    assert_eq!(subject.claims["not_after"], json!(1_893_456_000));
    let by_email = scheme("san-email", &["*@example.com"]).subject(&shown).unwrap();
    assert_eq!((by_email.user.as_str(), by_email.email.as_deref()), ("a@example.com", Some("a@example.com")));
}

#[test]
fn why_a_certificate_lapsed_is_told_to_the_log_and_a_way_back_to_the_client() {
    for (why, code) in
        [(Lapse::Expired, "credentials_expired"), (Lapse::NotYetValid, "credentials_not_yet_valid"), (Lapse::Refused("revoked"), "credentials_wrong")]
    {
        let AuthError::RefusedAs(refusal, ErrorForm::Challenge(own)) = lapsed(why) else { panic!("it is refused in its own words") };
        assert_eq!((refusal.code(), own.challenge.to_str().unwrap()), (code, CHALLENGE));
    }
}

#[test]
fn a_connection_without_a_certificate_is_somebody_elses() {
    let conn = Conn::new(Peer::Unix, None, None, 0, Open::default());
    assert!(conn.client_certificate.is_none());
    assert!(scheme("cn", &[]).credentials().headers.is_empty());
}

#[test]
fn mistakes_in_the_settings_are_reported_together() {
    let settings = |user_from: &str, allow: &[&str]| Settings {
        user_from: user_from.to_owned(),
        allow: allow.iter().map(|text| (*text).to_owned()).collect(),
        groups: vec![String::new()],
        scopes: vec!["a b".to_owned()],
    };
    let mut report = Report::default();
    assert!(Rules::build(settings("san-dns", &["**", "a", "b c"]), &mut report).is_none());
    assert_eq!(report.problems().iter().map(|problem| problem.key.as_str()).collect::<Vec<_>>(), ["allow", "allow", "groups", "scopes"]);
    for unknown in ["", "CN", "san", "san-ip", "subject"] {
        assert!(Rules::build(settings(unknown, &[]), &mut Report::default()).is_none(), "{unknown}");
    }
}
