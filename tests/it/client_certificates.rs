//! Client certificates: who is let in by one, and as whom. What ends one is in `client_certificate_ends.rs`.

use rcgen::{CertificateParams, DnType, ExtendedKeyUsagePurpose, KeyUsagePurpose};
use rustls_pki_types::CertificateDer;

use crate::support::base64url;
use crate::support::certified::{VERSIONS, WEB, calling, metric, named, setup};
use crate::support::client::{BOTH, Call};
use crate::support::pki::{Ca, Leaf, self_signed, uri};
use crate::support::setup::Setup;
use crate::support::upstream::Upstream;

#[tokio::test]
async fn a_certificate_lets_in_whom_it_names_and_tells_the_application_what_it_says() {
    let (upstream, clients) = (Upstream::echo(), Ca::new("Clients"));
    let gate = setup(&upstream, &clients, "optional")
        .section(
            "identity.headers",
            "\"X-Fingerprint\" = \"x5t#S256\"\n\"X-Subject\" = \"subject\"\n\"X-Issuer\" = \"issuer\"\n\"X-Groups\" = \"groups\"",
        )
        .replace("user_from = ", "groups = [\"machines\"]\nuser_from = ")
        .rest("[[route]]\npath = \"/platform/**\"\naccept = [\"mesh\"]\n[route.require]\nclaims = { ou = [\"platform\"] }\ngroups = [\"machines\"]")
        .rest("[[route]]\npath = \"/other/**\"\naccept = [\"mesh\"]\n[route.require]\nclaims = { ou = [\"other\"] }")
        .start()
        .await;
    let leaf = clients.issue(|params| {
        named(&[WEB])(params);
        params.distinguished_name.push(DnType::OrganizationalUnitName, "platform");
        params.distinguished_name.push(DnType::CommonName, "web, O=admin");
    });
    for proto in BOTH {
        for versions in VERSIONS {
            let config = gate.setup.ca.client_config_of(&leaf, &[], versions);
            for target in ["/mesh/x", "/both/x", "/platform/x"] {
                assert_eq!(Call::new(gate.https, config.clone(), "GET", target).proto(proto).send().await.status, 200, "{target}");
                let seen = upstream.only();
                assert_eq!(seen.user(), Some(WEB));
                let sha256 = <sha2::Sha256 as sha2::Digest>::digest(&leaf.der);
                assert_eq!(seen.one("X-Fingerprint"), base64url(sha256));
                assert_eq!(seen.one("X-Subject"), "CN=web\\, O\\=admin,OU=platform");
                assert_eq!(seen.one("X-Issuer"), "CN=Clients");
                assert_eq!(seen.one("X-Groups"), "machines");
            }
            assert_eq!(Call::new(gate.https, config.clone(), "GET", "/other/x").proto(proto).send().await.status, 403);
            assert_eq!(Call::new(gate.https, config, "GET", "/public/x").proto(proto).send().await.status, 200);
            assert_eq!(upstream.only().user(), None);
        }
    }
}

#[tokio::test]
async fn without_a_certificate_other_schemes_are_asked_and_with_one_they_are_not() {
    let (upstream, clients) = (Upstream::echo(), Ca::new("Clients"));
    let gate = setup(&upstream, &clients, "optional").start().await;
    let stranger = clients.issue(named(&["spiffe://other.local/ns/shop/sa/web"]));
    for proto in BOTH {
        let bare = gate.get("/mesh/x").proto(proto).send().await;
        assert_eq!((bare.status.as_u16(), bare.code().as_str()), (401, "unauthenticated"));
        assert_eq!(bare.header("www-authenticate"), "ClientCertificate realm=\"doorward\"");
        let password = |call: Call| call.proto(proto).basic("bob", "a password of some length");
        assert_eq!(password(gate.get("/both/x")).send().await.status, 200);
        assert_eq!(upstream.only().user(), Some("bob"));
        assert_eq!(password(gate.get("/mesh/x")).send().await.status, 401);
        for target in ["/mesh/x", "/both/x"] {
            let answer = password(calling(&gate, &stranger, target)).send().await;
            assert_eq!((answer.status.as_u16(), answer.code().as_str()), (401, "invalid_credentials"), "{target}");
        }
        assert_eq!(calling(&gate, &stranger, "/public/x").proto(proto).send().await.status, 200);
        upstream.only();
    }
    assert_eq!(upstream.count(), 4);
}

#[tokio::test]
async fn where_a_certificate_is_required_nothing_is_answered_without_one() {
    let (upstream, clients) = (Upstream::echo(), Ca::new("Clients"));
    let gate = setup(&upstream, &clients, "required").start().await;
    let leaf = clients.issue(named(&[WEB]));
    for proto in BOTH {
        for target in ["/mesh/x", "/both/x", "/public/x"] {
            assert_eq!(gate.get(target).proto(proto).status().await, None, "{target}");
            assert_eq!(calling(&gate, &leaf, target).proto(proto).status().await, Some(200), "{target}");
        }
    }
    assert_eq!(upstream.count(), 6);
    assert_eq!(metric(&gate, "doorward_connection_errors_total{kind=\"tls_client_certificate\"}").await, 6.0);
}

/// What the handshake refuses, in either mode.
#[tokio::test]
async fn certificates_that_nobody_vouches_for_end_the_handshake() {
    let (upstream, clients, others) = (Upstream::echo(), Ca::new("Clients"), Ca::new("Clients"));
    let (between, dropped) = (clients.intermediate("Between"), clients.intermediate("Dropped"));
    let revoked = clients.issue(named(&[WEB]));
    let (under, under_revoked, under_dropped) = (between.issue(named(&[WEB])), between.issue(named(&[WEB])), dropped.issue(named(&[WEB])));
    let (unlisted, at) = (clients.intermediate("Unlisted"), |days: i64| time::OffsetDateTime::now_utc() + time::Duration::days(days));
    let of_unlisted = unlisted.issue(named(&[WEB]));
    let gate = setup(&upstream, &clients, "optional")
        .with("tls", "client_crl = [\"clients.crl\", \"more.crl\"]")
        .file("clients.crl", &clients.crl(&[&revoked.der, &dropped.der()]))
        .file("more.crl", &(between.crl(&[&under_revoked.der]) + &dropped.crl(&[])))
        .start()
        .await;
    let good = clients.issue(named(&[WEB]));
    let as_authority = clients.issue(|params| {
        named(&[WEB])(params);
        params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    });
    let for_servers = clients.issue(|params| {
        named(&[WEB])(params);
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    });
    let dated = |from: i64, until: i64| {
        clients.issue(|params| {
            named(&[WEB])(params);
            (params.not_before, params.not_after) = (at(from), at(until));
        })
    };
    let (over, early, lonely, foreign) = (dated(-2, -1), dated(1, 2), self_signed(named(&[WEB])), others.issue(named(&[WEB])));
    let cases: [(&str, &Leaf, Vec<CertificateDer<'static>>, Option<u16>); 14] = [
        ("good", &good, vec![], Some(200)),
        ("good, with an authority that nobody needs", &good, vec![others.der()], Some(200)),
        ("good by an authority in between", &under, vec![between.der()], Some(200)),
        ("the authority in between is not sent", &under, vec![], None),
        ("past its notAfter", &over, vec![], None),
        ("before its notBefore", &early, vec![], None),
        ("made for servers", &for_servers, vec![], None),
        ("an authority's own", &as_authority, vec![], None),
        ("another authority of the same name", &foreign, vec![], None),
        ("self-signed", &lonely, vec![], None),
        ("revoked", &revoked, vec![], None),
        ("revoked by the authority in between", &under_revoked, vec![between.der()], None),
        ("by an authority that was revoked", &under_dropped, vec![dropped.der()], None),
        ("by an authority without a list", &of_unlisted, vec![unlisted.der()], None),
    ];
    for (what, leaf, chain, expected) in &cases {
        for versions in VERSIONS {
            for proto in BOTH {
                let config = gate.setup.ca.client_config_of(leaf, chain, versions);
                let status = Call::new(gate.https, config, "GET", "/mesh/x").proto(proto).status().await;
                assert_eq!(status, *expected, "{what} {versions:?} {proto:?}");
            }
        }
    }
    assert_eq!(upstream.count(), 3 * 4);
}

#[tokio::test]
async fn certificates_whose_name_is_not_clear_are_refused_by_the_scheme() {
    let (upstream, clients) = (Upstream::echo(), Ca::new("Clients"));
    let gate = setup(&upstream, &clients, "required").start().await;
    let mesh = |names: &[&str]| clients.issue(named(names));
    let but = |change: fn(&mut CertificateParams)| {
        clients.issue(|params| {
            named(&[WEB])(params);
            change(params);
        })
    };
    let long = format!("spiffe://cluster.local/ns/shop/sa/{}", "x".repeat(250));
    let cases: &[(&str, Leaf, u16)] = &[
        ("one that is allowed", mesh(&[WEB]), 200),
        ("one of two is allowed", mesh(&["urn:thing:1", "https://a/b"]), 200),
        ("nothing at all", mesh(&[]), 401),
        ("names of other kinds", but(|params| params.subject_alt_names = vec![rcgen::SanType::DnsName("a.example".try_into().unwrap())]), 401),
        (
            "a common name like a URI",
            but(|params| {
                params.subject_alt_names = Vec::new();
                params.distinguished_name.push(DnType::CommonName, WEB);
            }),
            401,
        ),
        ("two that are allowed", mesh(&["urn:thing:1", "urn:thing:2"]), 401),
        ("a SPIFFE ID beside another URI", mesh(&[WEB, "https://a/b"]), 401),
        ("two SPIFFE IDs", mesh(&[WEB, "spiffe://cluster.local/ns/shop/sa/db"]), 401),
        ("another trust domain", mesh(&["spiffe://cluster.local.evil/ns/shop/sa/web"]), 401),
        ("more than the pattern", mesh(&["spiffe://cluster.local/ns/shop/sa/web/x"]), 401),
        ("less than the pattern", mesh(&["spiffe://cluster.local/ns/shop/sa/"]), 401),
        ("a step up", mesh(&["spiffe://cluster.local/ns/../sa/web"]), 401),
        ("an escape", mesh(&["spiffe://cluster.local/ns/a%2fb/sa/web"]), 401),
        ("a NUL", mesh(&["spiffe://cluster.local/ns/shop/sa/web\0.evil"]), 401),
        ("a line break", mesh(&["urn:thing:1\r\nX-Forwarded-User: root"]), 401),
        ("upper case", mesh(&["SPIFFE://cluster.local/ns/shop/sa/web"]), 401),
        ("longer than any name", mesh(&[&long]), 401),
        ("no purpose", but(|params| params.extended_key_usages = Vec::new()), 401),
        ("a key that signs certificates", but(|params| params.key_usages = vec![KeyUsagePurpose::KeyCertSign]), 401),
        ("a key that signs lists", but(|params| params.key_usages = vec![KeyUsagePurpose::DigitalSignature, KeyUsagePurpose::CrlSign]), 401),
        ("a key that signs", but(|params| params.key_usages = vec![KeyUsagePurpose::DigitalSignature]), 200),
    ];
    for (what, leaf, expected) in cases {
        for proto in BOTH {
            let call = calling(&gate, leaf, "/mesh/x").proto(proto);
            let mut sender = call.connect().await;
            // The second answer comes from what was kept of the certificate.
            for _ in 0..2 {
                assert_eq!(call.send_on(&mut sender).await.unwrap().status, *expected, "{what}");
            }
        }
    }
    assert_eq!(upstream.count(), 3 * 4);
    assert_eq!(metric(&gate, "doorward_auth_total{scheme=\"mesh\",outcome=\"ok\"").await, 12.0);
}

#[tokio::test]
async fn each_kind_of_name_can_be_the_users() {
    let (upstream, clients) = (Upstream::echo(), Ca::new("Clients"));
    let leaf = clients.issue(|params| {
        params.subject_alt_names = vec![
            uri(WEB),
            rcgen::SanType::DnsName("Web.Clients.example".try_into().unwrap()),
            rcgen::SanType::Rfc822Name("Web@Example.com".try_into().unwrap()),
        ];
        params.distinguished_name.push(DnType::CommonName, "Zoë's web");
    });
    for (kind, allow, user) in [
        ("san-uri", "spiffe://other.local/**", None),
        ("san-uri", "spiffe://cluster.local/**", Some(WEB)),
        ("san-dns", "*.clients.example", Some("web.clients.example")),
        ("san-dns", "*.example", None),
        ("san-email", "*@example.com", Some("Web@example.com")),
        ("san-email", "web@example.com", None),
        ("cn", "*'s web", Some("Zoë's web")),
        ("cn", "web", None),
    ] {
        let gate = setup(&upstream, &clients, "required")
            .replace("user_from = \"san-uri\"", &format!("user_from = \"{kind}\""))
            .replace("[\"spiffe://cluster.local/ns/*/sa/*\", \"urn:thing:*\"]", &format!("[\"{allow}\"]"))
            .section("identity", "encoding = \"percent\"")
            .start()
            .await;
        let status = calling(&gate, &leaf, "/mesh/x").status().await;
        assert_eq!(status, Some(if user.is_some() { 200 } else { 401 }), "{kind} {allow}");
        if let Some(user) = user {
            let told: String = percent_encoding::percent_decode_str(upstream.only().user().unwrap()).decode_utf8().unwrap().into_owned();
            assert_eq!(told, user);
        }
    }
}

#[tokio::test]
async fn what_could_never_let_anybody_in_does_not_start() {
    let (upstream, clients) = (Upstream::echo(), Ca::new("Clients"));
    let good = || setup(&upstream, &clients, "optional").file("clients.crl", &clients.crl(&[]));
    let said = |setup: Setup| {
        let output = setup.cli(&["check"], "");
        (output.status.code(), String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned())
    };
    let (code, text) = said(good());
    assert_eq!(code, Some(0), "{text}");
    let tls = "certificate = \"certs/server.crt\"\nprivate_key = \"certs/server.key\"\n";
    for (section, key) in [
        ("", "auth.mesh.client-certificate: no client is asked"),
        ("client_auth = \"none\"", "auth.mesh.client-certificate: no client is asked"),
        ("client_auth = \"optional\"", "tls.client_ca: "),
        ("client_auth = \"optional\"\nclient_ca = \"clients.crl\"", "tls.client_ca: "),
        ("client_auth = \"optional\"\nclient_ca = \"clients.crt\"\nclient_crl = []", "tls.client_crl: "),
        ("client_auth = \"optional\"\nclient_ca = \"clients.crt\"\nclient_crl = \"gone.crl\"", "tls.client_crl: "),
        ("client_auth = \"optional\"\nclient_ca = \"clients.crt\"\nclient_crl = [\"clients.crl\", \"clients.crl\"]", "tls.client_crl: there are two"),
        ("client_crl = \"clients.crl\"", "tls.client_crl: client certificates are not asked for"),
    ] {
        let (code, text) = said(good().section("tls", &format!("{tls}{section}")));
        assert!(code == Some(2) && text.contains(key), "{section}: {text}");
        assert!(text.lines().any(|line| line.contains("config.toml:") && line.contains("error: ") && line.contains("; ")), "{text}");
    }
    for (line, with, key) in [
        ("user_from = \"san-uri\"", "", "user_from: this key is required"),
        ("\"san-uri\"", "\"san\"", "auth.mesh.client-certificate.user_from: "),
        ("user_from", "identity = \"x\"\nuser_from", "auth.mesh.client-certificate.identity: there is no key"),
        ("\"urn:thing:*\"", "\"*\"", "auth.mesh.client-certificate.allow: "),
        ("[\"spiffe://cluster.local/ns/*/sa/*\", \"urn:thing:*\"]", "[]", "auth.mesh.client-certificate.allow: "),
        ("user_from", "scopes = [\"a b\"]\ngroups = [\"\"]\nuser_from", "auth.mesh.client-certificate.scopes: "),
    ] {
        let (code, text) = said(good().replace(line, with));
        assert!(code == Some(2) && text.contains(key), "{line} -> {with}: {text}");
    }
    let (code, text) = said(good().replace("allow = [\"spiffe://cluster.local/ns/*/sa/*\", \"urn:thing:*\"]", ""));
    assert!(code == Some(0) && text.contains("warning: auth.mesh.client-certificate.allow: "), "{text}");
    let unused = good().section("tls", tls).replace("accept = [\"mesh\"]", "access = \"public\"").replace("[\"mesh\", \"staff\"]", "[\"staff\"]");
    let (code, text) = said(unused);
    assert_eq!(code, Some(0), "a scheme that no route accepts: {text}");
}

#[tokio::test]
async fn no_client_says_in_a_header_which_certificate_it_has() {
    let (upstream, clients) = (Upstream::echo(), Ca::new("Clients"));
    let gate = setup(&upstream, &clients, "optional").start().await;
    let leaf = clients.issue(named(&[WEB]));
    let names = [
        "X-Forwarded-Client-Cert",
        "Client-Cert",
        "Client-Cert-Chain",
        "SSL-Client-Cert",
        "SSL_CLIENT_CERT",
        "SSL_CLIENT_S_DN",
        "SSL-Client-Verify",
        "X-SSL-Client-Cert",
        "X-SSL-Client-Verify",
        "X-SSL-Client-S-DN",
        "X_SSL_CLIENT_DN",
        "X-SSL-Cert",
        "X-Client-Cert",
        "X-Client-Cert-Present",
        "X-Forwarded-Tls-Client-Cert",
        "X-Forwarded-Tls-Client-Cert-Info",
        "X-ARR-ClientCert",
        "X-Amzn-Mtls-Clientcert",
        "X-Amzn-Mtls-Clientcert-Leaf",
        "x.forwarded.client.cert",
        "Client_Cert",
    ];
    for proto in BOTH {
        for target in ["/mesh/x", "/public/x"] {
            for name in names {
                let call = calling(&gate, &leaf, target).proto(proto).header(name, format!("URI={WEB}x"));
                assert_eq!(call.send().await.status, 200, "{name}");
                let seen = upstream.only();
                assert!(seen.pairs().iter().all(|(_, value)| !value.contains(&format!("{WEB}x"))), "{name}: {:?}", seen.pairs());
                // And instead of a certificate it opens nothing.
                if target == "/mesh/x" {
                    assert_eq!(gate.get(target).proto(proto).header(name, format!("URI={WEB}")).send().await.status, 401, "{name}");
                }
            }
        }
    }
}
