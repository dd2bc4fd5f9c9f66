//! The identity as an RFC 9421 signature: the application can check it with the published key alone.

use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED, UnparsedPublicKey};

use crate::support::client::BOTH;
use crate::support::message_signature::{Key, Signature};
use crate::support::setup::HOST;
use crate::support::upstream::Seen;
use crate::support::world::World;
use crate::support::{from_base64, from_base64url};

const SECRET: &str = "a shared secret of some length!!";

async fn world() -> World {
    World::with(|setup| {
        let key = rcgen::KeyPair::generate().unwrap().serialize_pem();
        setup
            .file("secrets/identity.pem", &key)
            .file("secrets/m.key", SECRET)
            .with("identity", "signature = [\"hmac\", \"http-message-signature\"]")
            .section("identity.keys.j1", "private_key_file = \"secrets/identity.pem\"")
            .section("identity.headers", "\"X-Forwarded-Groups\" = \"groups\"")
            .rest("[auth.m.http-message-signature.keys.shared]\nsecret_file = \"secrets/m.key\"\ngroups = [\"ops\"]")
            .route("/m/**", &["m"])
            .rest("[[route]]\npath = \"/open/**\"\naccess = \"public\"\nforward_credentials = true")
            .rest("[[route]]\npath = \"/both/**\"\naccept = [\"m\"]\nforward_credentials = true")
    })
    .await
}

/// What an application signs anew: the covered components with their values in what it received.
fn base(seen: &Seen) -> String {
    let input = seen.one("signature-input").strip_prefix("doorward=").unwrap();
    let (list, _) = input.strip_prefix('(').unwrap().split_once(')').unwrap();
    let mut base = String::new();
    for name in list.split(' ') {
        let value = match name.trim_matches('"') {
            "@method" => seen.method.clone(),
            "@target-uri" => format!("https://{}{}", seen.one("x-forwarded-host"), seen.target),
            name => seen.one(name).to_owned(),
        };
        base += &format!("{name}: {value}\n");
    }
    base + &format!("\"@signature-params\": {input}")
}

#[tokio::test]
async fn the_application_verifies_the_identity_with_the_published_key() {
    let world = world().await;
    let jwks = world.get("/.doorward/jwks.json").send().await.json();
    let [x, y] = ["x", "y"].map(|name| from_base64url(jwks["keys"][0][name].as_str().unwrap()));
    let point = [&[4], x.as_slice(), &y].concat();
    let key = UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, &point);
    for (proto, tag) in BOTH.into_iter().zip(["1", "2"]) {
        let secret = Key::secret(SECRET);
        for target in ["/m/x?a=1", "/both/x?a=%20", "/basic/x"] {
            let headers = if target.starts_with("/basic") {
                world.good("basic", "PUT", target)
            } else {
                Signature::new("shared", &secret).more(&format!(";tag=\"{tag}\"")).sign("PUT", target, 0)
            };
            assert_eq!(world.call("PUT", target).headers(&headers).proto(proto).send().await.status, 200, "{proto:?} {target}");
            let seen = world.upstream.only();
            let (user, groups) = if target.starts_with("/basic") { ("bob", "staff") } else { ("shared", "ops") };
            assert_eq!((seen.user(), seen.one("x-forwarded-groups"), seen.one("x-forwarded-host")), (Some(user), groups, HOST));
            let input = seen.one("signature-input");
            assert!(input.starts_with(r#"doorward=("@method" "@target-uri" "x-forwarded-user" "x-forwarded-groups");created="#), "{input}");
            assert!(input.ends_with(r#";keyid="j1";alg="ecdsa-p256-sha256";tag="doorward""#), "{input}");
            let signature = from_base64(seen.one("signature").strip_prefix("doorward=:").unwrap().strip_suffix(':').unwrap());
            let base = base(&seen);
            key.verify(base.as_bytes(), &signature).unwrap();
            for (from, to) in [("PUT", "POST"), (target, "/other"), (user, "root"), (groups, "admin")] {
                assert!(key.verify(base.replacen(from, to, 1).as_bytes(), &signature).is_err(), "{from}");
            }
            let head = format!("{} {} HTTP/1.1\n{}\n\n", seen.method, seen.target, seen.lines.join("\n"));
            let checked = world.setup.cli_ok(&["verify-identity"], &head);
            assert!(checked.contains("good   message signature") && !checked.contains("not covered"), "{checked}");
            assert!(!world.setup.cli(&["verify-identity"], &head.replace(groups, "admin")).status.success());
        }
    }
}

#[tokio::test]
async fn a_client_cannot_send_such_a_signature() {
    let world = world().await;
    for proto in BOTH {
        for name in ["Signature", "Signature-Input", "signature_input"] {
            let answer = world.get("/open/x").header(name, "doorward=:AQI=:").proto(proto).send().await;
            assert_eq!(answer.status, 200);
            let seen = world.upstream.only();
            assert!(seen.folding_to(name).is_empty(), "{name}: {:?}", seen.lines);
        }
    }
}
