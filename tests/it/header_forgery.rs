//! No client writes a header that only Doorward may write: in no spelling, over no protocol, on no route.

use crate::support::client::{BOTH, Proto};
use crate::support::folded;
use crate::support::world::{SCHEMES, World};

/// Names that an application would read as one that Doorward sets.
const TRUSTED: [&str; 4] = ["X-Forwarded-User", "X-Doorward-Signature", "X-Doorward-Assertion", "Remote-User"];

/// Names that tell of the client's address, and those that other products obey.
const TOLD: [&str; 12] = [
    "X-Forwarded-For",
    "X-Forwarded-Proto",
    "X-Forwarded-Host",
    "X-Forwarded-Port",
    "Forwarded",
    "X-Real-IP",
    "X-Original-URL",
    "X-Rewrite-URL",
    "X-HTTP-Method-Override",
    "X-Forwarded-Client-Cert",
    "Client-Cert",
    "X-Forwarded-Prefix",
];

fn spellings(name: &str) -> Vec<String> {
    let mut all = vec![name.to_owned(), name.to_uppercase(), name.to_lowercase()];
    for separator in ["_", ".", "!", "#", "$", "%", "&", "'", "*", "+", "^", "`", "|", "~"] {
        all.push(name.replace('-', separator));
    }
    all.push(name.replacen('-', "_", 1));
    all
}

async fn world() -> World {
    World::with(|setup| setup.with("identity", "also_strip = [\"Remote-User\"]")).await
}
