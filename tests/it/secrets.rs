//! At the most talkative level, no output holds a secret: not of good credentials, not of bad ones, not of ours.

use crate::support::aws::{self, Aws};
use crate::support::client::BOTH;
use crate::support::fost::{self, Fost};
use crate::support::idp;
use crate::support::s3::{self, S3};
use crate::support::setup::{HOST, IDENTITY_SECRET};
use crate::support::world::{PASSWORD, SCHEMES, World, bearer};
use crate::support::{now, query_hmac};

#[tokio::test]
async fn no_output_holds_a_secret() {
    let world = World::with(|setup| {
        let key = rcgen::KeyPair::generate().unwrap().serialize_pem();
        setup
            .section("log", "level = \"trace\"")
            .with("identity", "signature = [\"hmac\", \"jwt\"]\naudience = \"app\"")
            .file("secrets/identity.pem", &key)
            .section("identity.keys.j1", "private_key_file = \"secrets/identity.pem\"")
            .file("secrets/query.key", query_hmac::SECRET)
            .file("secrets/s3.key", s3::SECRET)
            .rest(&format!("[auth.q.query-hmac.keys.{}]\nsecret_file = \"secrets/query.key\"", query_hmac::KEY))
            .rest(&format!("[auth.s.s3-v2.keys.{}]\nsecret_file = \"secrets/s3.key\"", s3::KEY))
            .route("/query-hmac/**", &["q"])
            .route("/s3-v2/**", &["s"])
            .file("secrets/aws.key", aws::SECRET)
            .rest(&aws::schemes())
            .route("/aws-v4/**", &["api"])
    })
    .await;
    let mut secrets: Vec<String> = vec![
        fost::SECRET.into(),
        query_hmac::SECRET.into(),
        s3::SECRET.into(),
        IDENTITY_SECRET.into(),
        PASSWORD.into(),
        crate::support::base64(format!("bob:{PASSWORD}")),
        world.token.clone(),
        "wrong-guess-81f2".into(),
    ];
    let server_key = std::fs::read_to_string(world.setup.path("certs/server.key")).unwrap();
    secrets.push(server_key.lines().nth(1).unwrap().to_owned());
    let identity_key = std::fs::read_to_string(world.setup.path("secrets/identity.pem")).unwrap();
    secrets.push(identity_key.lines().nth(1).unwrap().to_owned());

    let mut last = 0;
    for proto in BOTH {
        for scheme in SCHEMES {
            let target = format!("/{scheme}/x?q=query-value-5d1c");
            let mut credentials = vec![world.good(scheme, "GET", &target), World::forged(scheme, "GET", &target)];
            credentials.push(match scheme {
                "basic" => crate::support::world::basic("bob", "wrong-guess-81f2"),
                "fost" => Fost::new().skewed(-4000).sign("GET", "/fost/x", b""),
                _ => bearer("malformed-token-93be"),
            });
            for headers in credentials {
                world.get(&target).proto(proto).headers(&headers).send().await;
                world
                    .call("POST", "/any/x")
                    .proto(proto)
                    .headers(&headers)
                    .header("Cookie", "session=cookie-value-77aa")
                    .body("body-text-11cc")
                    .send()
                    .await;
                secrets.extend(headers.into_iter().filter(|(name, _)| name == "Authorization").map(|(_, value)| {
                    let credential = value.split_once(' ').map_or(value.clone(), |(_, rest)| rest.to_owned());
                    // Of a FOST header, the key's name is no secret.
                    credential.rsplit(':').next().unwrap().to_owned()
                }));
                last += 2;
            }
        }
        let url = Fost::new().url(HOST, "/fost/x", "", &(now() + 30).to_string());
        world.get(&url).proto(proto).send().await;
        secrets.push(url.rsplit("_s=").next().unwrap().to_owned());
        for time in [query_hmac::timestamp(0), query_hmac::timestamp(-4000), "nan".to_owned()] {
            let url = query_hmac::sign(query_hmac::KEY, query_hmac::SECRET, "/query-hmac/x?q=query-value-5d1c", &time, b"");
            for target in [&url, &url.replace("hmac/x", "hmac/y")] {
                world.get(target).proto(proto).send().await;
                last += 1;
            }
            secrets.push(url.rsplit("signature=").next().unwrap().to_owned());
        }
        for s3 in [S3::new(), S3::new().skewed(-4000), S3::new().key(s3::KEY, "wrong-guess-81f2")] {
            let headers = s3.sign("GET", "/s3-v2/x", None);
            world.get("/s3-v2/x").proto(proto).headers(&headers).send().await;
            let url = s3.url("GET", "/s3-v2/x", now() + 30);
            world.get(&url).proto(proto).send().await;
            secrets.extend([headers[0].1.rsplit(':').next().unwrap().to_owned(), url.rsplit("Signature=").next().unwrap().to_owned()]);
            last += 2;
        }
        for aws in [Aws::api(), Aws::api().skewed(-4000), Aws::api().key(aws::KEY, "wrong-guess-81f2")] {
            let headers = aws.sign("GET", "/aws-v4/x", b"");
            world.get("/aws-v4/x").proto(proto).headers(&headers).send().await;
            let url = aws.url("GET", "/aws-v4/x", 30);
            world.get(&url).proto(proto).send().await;
            let all = headers.iter().map(|(_, value)| value.as_str()).chain([url.as_str()]);
            secrets.extend(all.filter_map(|text| text.split_once("Signature=")).map(|(_, signature)| signature.to_owned()));
            last += 2;
        }
        let expired = world.key.token(&idp::claims_but("carol", "exp", 1_000_000_000.into()));
        world.get("/jwt/x").proto(proto).bearer(&expired).send().await;
        secrets.push(expired);
        last += 2;
    }
    secrets.extend(["query-value-5d1c", "cookie-value-77aa", "body-text-11cc", "malformed-token-93be"].map(str::to_owned));
    for seen in world.upstream.take() {
        for name in ["X-Doorward-Signature", "X-Doorward-Assertion"] {
            secrets.extend(seen.all(name).iter().map(|value| (*value).to_owned()));
        }
    }
    let mut lines = world.stdout.subscribe();
    crate::support::within("the whole access log", lines.wait_for(|lines| lines.len() >= last)).await.unwrap();
    world.admin("/metrics").send().await;

    let output = format!("{}\n{}", world.output(), world.admin("/metrics").send().await.text());
    for secret in secrets.iter().filter(|secret| secret.len() > 8) {
        assert!(!output.contains(secret.as_str()), "{secret} is in: {}", output.lines().find(|line| line.contains(secret.as_str())).unwrap());
    }
    assert!(output.contains("listening") && output.contains("/fost/x"));
}

#[tokio::test]
async fn a_wrong_configuration_does_not_print_its_secrets() {
    let setup = crate::support::setup::Setup::new("http://127.0.0.1:1")
        .rest("[auth.p.fost]\n[auth.p.fost.keys.k]\nsecret = \"inline-secret-2b7e1516\"\nusser = 3")
        .rest("[auth.j.jwt]\nissuer = \"https://x.example/\"\naudience = [\"a\"]\nsecret = \"inline-hs-secret-0123456789abcdef01234\"\nsecret_env = \"GONE\"")
        .rest("[[route]]\npath = \"/**\"\naccept = [\"p\"]");
    let output = setup.cli(&["check"], "");
    assert_eq!(output.status.code(), Some(2));
    let text = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    for secret in ["inline-secret-2b7e1516", "inline-hs-secret"] {
        assert!(!text.contains(secret), "{text}");
    }
}
