//! Verifying: the senders' published examples, every bit of them, and what they leave out.

mod forms;
mod settings;

use http::{HeaderMap, HeaderName, HeaderValue, Method};

use super::*;

/// What the senders publish: name, preset, secret, headers, body, the time at which it was signed.
struct Example {
    name: &'static str,
    preset: &'static str,
    secret: &'static str,
    headers: &'static [(&'static str, &'static str)],
    body: &'static str,
    now: i64,
}

const EXAMPLES: [Example; 4] = [
    // "Testing the webhook payload validation" in GitHub's documentation.
    Example {
        name: "github",
        preset: "preset = \"github\"",
        secret: "It's a Secret to Everybody",
        headers: &[("x-hub-signature-256", "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17")],
        body: "Hello, World!",
        now: 0,
    },
    // "Verifying requests from Slack" in Slack's documentation.
    Example {
        name: "slack",
        preset: "preset = \"slack\"",
        secret: "8f742231b10e8888abcd99yyyzzz85a5",
        headers: &[
            ("x-slack-request-timestamp", "1531420618"),
            ("x-slack-signature", "v0=a2114d57b48eac39b9ad189dd8316235a7b4a8d21a10bd27519666489c69b503"),
        ],
        body: "token=xyzz0WbapA4vBCDEFasx0q6G&team_id=T1DC2JH3J&team_domain=testteamnow&channel_id=G8PSS9T3V&channel_name=foobar\
               &user_id=U2CERLKJA&user_name=roadrunner&command=%2Fwebhook-collect&text=&response_url=https%3A%2F%2Fhooks.slack.com\
               %2Fcommands%2FT1DC2JH3J%2F397700885554%2F96rGlfmibIGlgcZRskXaIFfN&trigger_id=398738663015.47445629121.803a0bc887a14d10d2c447fce8b6703c",
        now: 1_531_420_618,
    },
    // The test of the reference libraries of Standard Webhooks, which is Svix's.
    Example {
        name: "standard-webhooks",
        preset: "preset = \"standard-webhooks\"",
        secret: "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
        headers: &[
            ("webhook-id", "msg_p5jXN8AQM9LWM0D4loKWxJek"),
            ("webhook-timestamp", "1614265330"),
            ("webhook-signature", "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="),
        ],
        body: "{\"test\": 2432232314}",
        now: 1_614_265_330,
    },
    // The body and secret of stripe-python's tests, signed by its library at the time of the example of Stripe's documentation.
    Example {
        name: "stripe",
        preset: "preset = \"stripe\"",
        secret: "whsec_test_secret",
        headers: &[(
            "stripe-signature",
            "t=1492774577,v1=d21d91b425674689e03346536b8fec6384a8721d43ebe269a1689a3ad22cba9c,v0=6ffbb59b2300aae63f272406069a9788598b792a944a07aba816edb039989a39",
        )],
        body: "{\n  \"id\": \"evt_test_webhook\",\n  \"object\": \"event\",\n  \"data\": { \"object\": { \"id\": \"rdr_123\", \"object\": \"terminal.reader\" } }\n}",
        now: 1_492_774_577,
    },
];

fn try_rules(toml: &str) -> (Option<Rules>, Vec<(crate::types::Severity, String)>) {
    let mut report = Report::default();
    let rules = Rules::build("hooks", toml::from_str(toml).unwrap(), &mut report);
    (rules, report.problems().iter().map(|p| (p.severity, p.key.clone())).collect())
}

fn rules(toml: &str) -> Rules {
    let (rules, problems) = try_rules(toml);
    rules.unwrap_or_else(|| panic!("{toml}: {problems:?}"))
}

fn of(example: &Example) -> Rules {
    rules(&format!("{}\nsecret = \"{}\"\npaths = [\"/hooks\"]", example.preset, example.secret))
}

/// A delivery as it reaches the scheme.
#[derive(Debug, Clone)]
struct Case {
    method: Method,
    path: String,
    query: Option<String>,
    headers: HeaderMap,
    body: Vec<u8>,
}

impl Case {
    fn new(headers: &[(&str, &str)], body: &[u8]) -> Self {
        let empty = Self { method: Method::POST, path: "/hooks".to_owned(), query: None, headers: HeaderMap::new(), body: body.to_vec() };
        headers.iter().fold(empty, |case, (name, value)| case.header(name, value))
    }

    fn of(example: &Example) -> Self {
        Self::new(example.headers, example.body.as_bytes())
    }

    fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.append(HeaderName::try_from(name).unwrap(), HeaderValue::from_str(value).unwrap());
        self
    }

    fn set(mut self, name: &str, value: &[u8]) -> Self {
        self.headers.insert(HeaderName::try_from(name).unwrap(), HeaderValue::from_bytes(value).unwrap());
        self
    }

    fn without(mut self, name: &str) -> Self {
        self.headers.remove(name);
        self
    }

    /// What the scheme does, without replay memory and sockets; what it would remember.
    fn judge(&self, rules: &Rules, now: i64) -> Result<[u8; 32], Refusal> {
        let head = Head { method: &self.method, host: "a.example", path: &self.path, query: self.query.as_deref(), headers: &self.headers };
        rules.admits(head, &self.path)?;
        let delivery = rules.read(head)?;
        rules.in_time(&delivery, now)?;
        let mut measures = rules.begin(&delivery);
        self.body.chunks(7).for_each(|chunk| measures.update(chunk));
        measures.update(&delivery.after);
        let whole = [delivery.before.as_slice(), &self.body, &delivery.after].concat();
        let good = rules.matches(&delivery, &measures) || rules.has_public(&delivery) && rules.verifies(&delivery, &whole);
        if good { Ok(rules.memory(measures)) } else { Err(Refusal::Wrong("the signature does not match")) }
    }
}

#[test]
fn the_senders_published_examples_are_accepted() {
    for example in EXAMPLES {
        assert!(Case::of(&example).judge(&of(&example), example.now).is_ok(), "{}", example.name);
    }
}

#[test]
fn every_bit_of_a_body_and_of_every_header_that_takes_part_counts() {
    let mut flips = 0;
    for example in EXAMPLES {
        let (rules, good) = (of(&example), Case::of(&example));
        for bit in 0..good.body.len() * 8 {
            let mut flipped = good.clone();
            flipped.body[bit / 8] ^= 1 << (bit % 8);
            assert!(flipped.judge(&rules, example.now).is_err(), "{} body bit {bit}", example.name);
            flips += 1;
        }
        for (name, value) in example.headers {
            for bit in 0..value.len() * 8 {
                let mut flipped = value.as_bytes().to_vec();
                flipped[bit / 8] ^= 1 << (bit % 8);
                if HeaderValue::from_bytes(&flipped).is_err() {
                    continue;
                }
                // Hexadecimal digits may be written in either case; of Stripe's header, the old signature is not looked at.
                let digit = !name.starts_with("webhook") && bit % 8 == 5 && (b'a'..=b'f').contains(&value.as_bytes()[bit / 8]);
                let old = value.find("v0=").filter(|_| example.name == "stripe").is_some_and(|at| bit / 8 >= at);
                let judged = good.clone().set(name, &flipped).judge(&rules, example.now);
                assert!(judged.is_err() || digit || old, "{} {name} bit {bit}", example.name);
                flips += 1;
            }
            assert!(good.clone().without(name).judge(&rules, example.now).is_err(), "{} without {name}", example.name);
            assert!(good.clone().header(name, value).judge(&rules, example.now).is_err(), "{} {name} twice", example.name);
        }
        for changed in [
            Case { body: [good.body.as_slice(), b" "].concat(), ..good.clone() },
            Case { body: Vec::new(), ..good.clone() },
            Case { method: Method::PUT, ..good.clone() },
            Case { method: Method::GET, ..good.clone() },
            Case { path: "/hooks/other".to_owned(), ..good.clone() },
            Case { query: Some("admin=1".to_owned()), ..good.clone() },
        ] {
            assert!(changed.judge(&rules, example.now).is_err(), "{} {changed:?}", example.name);
        }
        assert!(Case { query: Some(String::new()), ..good }.judge(&rules, example.now).is_ok());
    }
    assert!(flips > 4000, "{flips}");
}

#[test]
fn a_moment_may_be_five_minutes_away() {
    for example in EXAMPLES {
        let (rules, good) = (of(&example), Case::of(&example));
        let dated = example.name != "github";
        for (away, near) in [(0, true), (300, true), (-300, true), (301, false), (-301, false), (i64::MAX, false), (i64::MIN, false)] {
            let now = example.now.saturating_add(away);
            assert_eq!(good.judge(&rules, now).is_ok(), near || !dated, "{} {away}", example.name);
        }
    }
}

#[test]
fn a_delivery_is_remembered_while_it_is_good_or_as_long_as_is_asked() {
    let slack = |more: &str| rules(&format!("preset = \"slack\"\nsecret = \"sixteen bytes and\"\npaths = [\"/\"]\n{more}"));
    let github = |more: &str| rules(&format!("preset = \"github\"\nsecret = \"sixteen bytes and\"\npaths = [\"/\"]\n{more}"));
    let remembered = |rules: &Rules, time: i64, now: i64| {
        let time = time.to_string();
        let case = Case::new(&[("x-slack-request-timestamp", &time), ("x-slack-signature", "v0=00"), ("x-hub-signature-256", "sha256=00")], b"");
        let head = Head { method: &case.method, host: "", path: "", query: None, headers: &case.headers };
        rules.remembered(&rules.read(head).unwrap(), now)
    };
    for (rules, time, now, expected) in [
        (slack(""), 1000, 1000, Some(1300)),
        (slack(""), 1300, 1000, Some(1600)),
        (slack(""), 700, 1000, Some(1300)),
        (slack("once_within = \"1h\""), 1000, 1000, Some(4600)),
        (slack("once_within = \"1s\""), 1000, 1000, Some(1300)),
        (slack("once_within = \"0s\""), 1000, 1000, None),
        (github(""), 0, 1000, None),
        (github("once_within = \"0s\""), 0, 1000, None),
        (github("once_within = \"1h\""), 0, 1000, Some(4600)),
        (github("once_within = \"36500d\""), 0, i64::MAX, Some(i64::MAX)),
    ] {
        assert_eq!(remembered(&rules, time, now), expected, "{time} {now}");
    }
}

#[test]
fn a_delivery_with_another_of_its_signatures_is_the_same_delivery() {
    let both = rules("preset = \"stripe\"\nsecret = \"the first of the secrets\"\nnext_secret = \"the second of the secrets\"\npaths = [\"/hooks\"]");
    let header = |secret: &str| {
        let mut signed = sign::delivery(Preset::Stripe, &Secret::new(secret), "", b"body", 1000).unwrap();
        signed.remove(0).1
    };
    let (first, second) = (header("the first of the secrets"), header("the second of the secrets"));
    let tag = second.split_once(',').unwrap().1;
    let memories: Vec<_> = [first.clone(), second.clone(), format!("{first},{tag}"), format!("{first},v1=00"), format!("t=1000,v1=00,{tag}")]
        .iter()
        .map(|value| Case::new(&[("stripe-signature", value)], b"body").judge(&both, 1000).unwrap())
        .collect();
    assert!(memories.windows(2).all(|pair| pair[0] == pair[1]));
    assert_ne!(memories[0], Case::of(&EXAMPLES[3]).judge(&of(&EXAMPLES[3]), EXAMPLES[3].now).unwrap());
    assert!(Case::new(&[("stripe-signature", &header("another secret"))], b"body").judge(&both, 1000).is_err());
}
