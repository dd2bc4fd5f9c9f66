//! The pieces of a request's life, each with what it needs: for whoever times them and whoever counts their allocations.

mod gate;
mod signers;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use doorward::inbound::Inbound;
use doorward::store::facts::{Facts, Subject};
use doorward::types::unix_now;

use gate::{Arrived, Gate};
use signers::{Fost, Signer, claims};

/// Requests that hold the loop of a piece, and keep nothing but their connection afterwards.
pub type Once = Box<dyn FnOnce() -> Option<gate::Connection>>;

/// What is measured.
pub enum Work {
    /// Leaves everything as it was.
    Again(Box<dyn Fn()>),
    /// Uses its request up: each time on a new one, which is made before the clock starts.
    Once(Box<dyn Fn() -> Once>),
}

/// One piece.
pub struct Piece {
    pub name: String,
    pub work: Work,
}

fn again(name: &str, work: impl Fn() + 'static) -> Piece {
    Piece { name: name.to_owned(), work: Work::Again(Box::new(work)) }
}

fn once<W: FnOnce() -> Option<gate::Connection> + 'static>(name: &str, prepare: impl Fn() -> W + 'static) -> Piece {
    Piece { name: name.to_owned(), work: Work::Once(Box::new(move || Box::new(prepare()))) }
}

/// All pieces, in the order in which a request meets them.
pub fn all() -> Vec<Piece> {
    let (rsa, ec, secret) = (Signer::rsa(), Signer::ec(), Signer::secret());
    let keys = |gate: gate::Builder| gate.jwt("rs256", &rsa).jwt("es256", &ec).jwt("hs256", &secret);
    let known = Arc::new(keys(Gate::builder()).build());
    let forgetful = Arc::new(keys(Gate::builder().remembering("0s")).build());
    let asserting = Arc::new(keys(Gate::builder().asserting()).build());
    let mut all = vec![clean("clean: a bare request", &known, &[]), clean("clean: a browser's request", &known, BROWSER)];
    all.extend([10, 100, 1000].map(route));
    for (scheme, signer) in [("rs256", &rsa), ("es256", &ec), ("hs256", &secret)] {
        let token = signer.token(&claims());
        all.push(verify(&format!("verify: {scheme}, a token that is not known"), &forgetful, scheme, &token));
        all.push(verify(&format!("verify: {scheme}, a known token"), &known, scheme, &token));
    }
    let opaque = known.issue("alice");
    all.push(verify("verify: a known opaque token", &known, "token", &opaque));
    all.push(fost("verify: fost, a body of 1 KiB", &known));
    all.push(stamp("stamp: headers and an HMAC", &known, &secret.token(&claims())));
    all.push(stamp("stamp: headers and a known assertion", &asserting, &secret.token(&claims())));
    all.extend(facts());
    all
}

/// What a browser says beside what it wants.
const BROWSER: &[(&str, &str)] = &[
    ("User-Agent", "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"),
    ("Accept", "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"),
    ("Accept-Language", "en-GB,en;q=0.7,de;q=0.3"),
    ("Accept-Encoding", "gzip, deflate, br, zstd"),
    ("Referer", "https://gate.example.test/orders?page=2"),
    ("Cookie", "theme=dark; session=0123456789abcdef0123456789abcdef; consent=yes"),
    ("Connection", "keep-alive"),
    ("Upgrade-Insecure-Requests", "1"),
    ("Sec-Fetch-Dest", "document"),
    ("Sec-Fetch-Mode", "navigate"),
    ("Sec-Fetch-Site", "same-origin"),
    ("Priority", "u=0, i"),
];

fn clean(name: &str, gate: &Arc<Gate>, headers: &'static [(&'static str, &'static str)]) -> Piece {
    let gate = Arc::clone(gate);
    once(name, move || {
        let (gate, arrived) = (Arc::clone(&gate), gate.get("/public/orders", headers));
        move || {
            let Arrived { request, connection } = arrived;
            drop(gate.clean(request));
            Some(connection)
        }
    })
}

/// The last of so many routes: all others are looked at before it, if they are looked at one after the other.
fn route(count: usize) -> Piece {
    let gate = Gate::builder().routes(count).build();
    let inbound = gate.cleaned(&format!("/r{:04}/orders", count - 1), &[]);
    again(&format!("route: the last of {count}"), move || {
        std::hint::black_box(gate.proxy.routes.find(std::hint::black_box(&inbound)).is_ok());
    })
}

fn verify(name: &str, gate: &Arc<Gate>, scheme: &str, token: &str) -> Piece {
    let bearer = format!("Bearer {token}");
    let inbound = gate.cleaned(&format!("/{scheme}/"), &[("Authorization", &bearer)]);
    let (gate, inbound) = (Arc::clone(gate), std::cell::RefCell::new(inbound));
    // Asks the store where there is one, and warms the cache.
    gate.runtime.block_on(gate.authenticate(&mut inbound.borrow_mut())).expect("the token is good");
    again(name, move || {
        let identity = gate.at_once(gate.authenticate(&mut inbound.borrow_mut()));
        assert!(identity.is_ok_and(|identity| identity.is_some()));
    })
}

/// Each request is signed anew: a POST is let in once.
fn fost(name: &str, gate: &Arc<Gate>) -> Piece {
    let (gate, signer, number) = (Arc::clone(gate), Fost::of_the_gate(), AtomicU64::new(0));
    once(name, move || {
        let body = format!("{:01024}", number.fetch_add(1, Ordering::Relaxed));
        let headers = signer.sign("/fost/", &body);
        let headers: Vec<(&str, &str)> = headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let arrived = gate.post("/fost/", &headers, &body);
        let gate = Arc::clone(&gate);
        let mut inbound = gate.clean(arrived.request);
        move || {
            let identity = gate.runtime.block_on(gate.authenticate(&mut inbound));
            assert!(identity.is_ok_and(|identity| identity.is_some()));
            Some(arrived.connection)
        }
    })
}

fn stamp(name: &str, gate: &Arc<Gate>, token: &str) -> Piece {
    let (gate, bearer) = (Arc::clone(gate), format!("Bearer {token}"));
    once(name, move || {
        let gate = Arc::clone(&gate);
        let mut inbound: Inbound = gate.cleaned("/hs256/", &[("Authorization", &bearer)]);
        let permit = gate.permit(&mut inbound);
        move || {
            assert!(gate.stamp(&mut inbound, &permit));
            None
        }
    })
}

fn facts() -> [Piece; 2] {
    let (known, now) = (Facts::new(100_000), unix_now());
    let token = Signer::rsa().token(&claims());
    let subject = || Subject { user: "alice".to_owned(), claims: claims().as_object().cloned().unwrap_or_default(), ..Subject::default() };
    for number in 0..10_000_u32 {
        known.insert(Facts::key("rs256", &number.to_be_bytes()), Arc::new(subject()), now + 3600, token.len());
    }
    let key = Facts::key("rs256", token.as_bytes());
    known.insert(key, Arc::new(subject()), now + 3600, token.len());
    [
        again(&format!("facts: the key of a token of {} bytes", token.len()), move || {
            std::hint::black_box(Facts::key("rs256", std::hint::black_box(token.as_bytes())));
        }),
        again("facts: a hit among 10,000", move || assert!(known.get(std::hint::black_box(&key), now).is_some())),
    ]
}
