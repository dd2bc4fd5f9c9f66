//! `doorward verify-identity`.

use std::io::{Read as _, Write};
use std::process::ExitCode;

use anyhow::{Context as _, bail};
use doorward::config;
use doorward::proxy::stamp::{IdentityStamp, Received, Settings};
use doorward::types::{HumanDuration, Report, Severity, unix_now};
use http::HeaderName;

/// Longest request head that is read, in bytes.
const LONGEST: u64 = 1 << 20;

/// Arguments of the subcommand.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    config: super::ConfigPath,
    /// How old a signature may be
    #[arg(long, value_name = "DURATION", default_value = "60s")]
    max_age: HumanDuration,
}

/// Runs it: reads the request line and headers as an application received them.
pub fn run(args: Args) -> anyhow::Result<ExitCode> {
    let loaded = config::load(&args.config.config).map_err(|config::ConfigError(problems)| {
        let lines =
            problems.iter().map(|p| format!("{}:{}: {}: {}; {}", p.file.display(), p.line, p.problem.key, p.problem.problem, p.problem.remedy));
        anyhow::anyhow!("the configuration does not load\n{}", lines.collect::<Vec<_>>().join("\n"))
    })?;
    let stamp = build(loaded.config.identity)?;
    let mut head = Vec::new();
    std::io::stdin().lock().take(LONGEST).read_to_end(&mut head).context("cannot read standard input")?;
    let max_age = i64::try_from(args.max_age.0.as_secs())?;
    let good = report(&stamp, &head, unix_now(), max_age, &mut std::io::stdout().lock())?;
    Ok(if good { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn build(settings: Settings) -> anyhow::Result<IdentityStamp> {
    let mut report = Report::default();
    let stamp = report.within("identity", |report| IdentityStamp::build(settings, report));
    stamp.with_context(|| {
        let errors = report.problems().iter().filter(|p| p.severity == Severity::Error);
        errors.map(|p| format!("{}: {}; {}", p.key, p.problem, p.remedy)).collect::<Vec<_>>().join("\n")
    })
}

/// Says what was found; `true` if every check held.
fn report(stamp: &IdentityStamp, head: &[u8], now: i64, max_age: i64, out: &mut impl Write) -> anyhow::Result<bool> {
    let head = RequestHead::read(head)?;
    let received = Received { method: &head.method, target: &head.target, headers: &head.headers };
    let (user, checks) = stamp.verify(&received, now, max_age);
    for check in &checks {
        match &check.outcome {
            Ok(()) => writeln!(out, "good   {}", check.what)?,
            Err(why) => writeln!(out, "WRONG  {}: {}", check.what, why.escape_debug())?,
        }
    }
    for name in stamp.uncovered(&received) {
        writeln!(out, "note   {} is not covered by the signature", name.escape_debug())?;
    }
    match user {
        Some(user) if checks.iter().all(|check| check.outcome.is_ok()) => {
            writeln!(out, "The request stands for {}", String::from_utf8_lossy(&user).escape_debug())?;
            Ok(true)
        }
        Some(_) | None => {
            writeln!(out, "Do not believe this request")?;
            Ok(false)
        }
    }
}

/// The head of a request, as text.
#[derive(Debug, PartialEq, Eq)]
struct RequestHead {
    method: String,
    target: String,
    headers: Vec<(String, Vec<u8>)>,
}

impl RequestHead {
    /// Reads up to the first empty line; lines end in LF or CRLF.
    fn read(text: &[u8]) -> anyhow::Result<Self> {
        let mut lines = text.split(|b| *b == b'\n').map(|line| line.strip_suffix(b"\r").unwrap_or(line));
        let first = lines.next().and_then(|line| std::str::from_utf8(line).ok()).unwrap_or_default();
        let mut words = first.split(' ');
        let (Some(method), Some(target), Some(version), None) = (words.next(), words.next(), words.next(), words.next()) else {
            bail!("the first line is not a request line, such as: GET /path HTTP/1.1");
        };
        if method.is_empty() || target.is_empty() || !version.starts_with("HTTP/") {
            bail!("the first line is not a request line, such as: GET /path HTTP/1.1");
        }
        let mut headers = Vec::new();
        for (at, line) in lines.take_while(|line| !line.is_empty()).enumerate() {
            let colon = line.iter().position(|b| *b == b':').and_then(|colon| line.split_at_checked(colon));
            let Some((name, value)) = colon.filter(|(name, _)| HeaderName::from_bytes(name).is_ok()) else {
                bail!("line {} is not a header, such as: Name: value", at + 2);
            };
            let value = value.strip_prefix(b":").unwrap_or(value).trim_ascii();
            headers.push((String::from_utf8_lossy(name).into_owned(), value.to_vec()));
        }
        Ok(Self { method: method.to_owned(), target: target.to_owned(), headers })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const NOW: i64 = 1_790_000_000;
    const SIGNED: &str = "v1;t=1790000000;k=2026-11;s=BuFxboPpy12lC2lPYc3Am726cn8E2SwWQNKr22gmgr8";

    /// The key of the vectors.
    fn stamp() -> IdentityStamp {
        let dir = tempfile::tempdir().unwrap();
        let secret: Vec<u8> = (0..32_u8).map(|at| (at % 16) * 0x11).collect();
        let path = dir.path().join("identity.key");
        std::fs::write(&path, secret).unwrap();
        build(toml::from_str(&format!("[headers]\nX-Forwarded-Email = \"email\"\n[keys.2026-11]\nsecret_file = {path:?}")).unwrap()).unwrap()
    }

    fn said(head: &str) -> (bool, String) {
        let mut out = Vec::new();
        let good = report(&stamp(), head.as_bytes(), NOW, 60, &mut out).unwrap();
        (good, String::from_utf8(out).unwrap())
    }

    #[test]
    fn a_request_that_doorward_signed_stands_for_its_user() {
        let head =
            format!("GET /caf%C3%A9/?q=%20 HTTP/1.1\r\nHost: h\r\nX-Forwarded-User: Zoë\r\nx-doorward-signature:  {SIGNED} \r\n\r\nbody: ignored");
        let (good, text) = said(&head);
        assert!(good && text.ends_with("The request stands for Zoë\n"), "{text}");
        assert!(said(&head.replace('\r', "")).0);
    }

    #[test]
    fn what_is_wrong_is_said() {
        let head = format!("GET /caf%C3%A9/?q=%20 HTTP/1.1\nX-Forwarded-User: Zoë\nX-Doorward-Signature: {SIGNED}\n");
        assert!(said(&head).0);
        for (from, to, what) in [
            ("Zoë", "root", "WRONG  signature: the signature does not match"),
            ("GET", "POST", "WRONG  signature: the signature does not match"),
            ("q=%20", "q=%21", "WRONG  signature: the signature does not match"),
            ("1790000000", "1789999999", "WRONG  signature: the signature does not match"),
            ("k=2026-11", "k=2026-10", "WRONG  signature: no key of that name"),
            ("v1;", "v2;", "WRONG  signature: the signature is not of the form"),
            ("X-Forwarded-User:", "X-User:", "WRONG  user header: the header x-forwarded-user is missing"),
            ("\nX-Doorward", "\nX-Forwarded-User: Zoë\nX-Doorward", "WRONG  identity headers: "),
            ("\nX-Doorward", "\nX_Forwarded_User: root\nX-Doorward", "WRONG  identity headers: "),
            ("\nX-Doorward", "\nX_Forwarded_Groups: root\nX-Doorward", "WRONG  identity headers: "),
        ] {
            let (good, text) = said(&head.replacen(from, to, 1));
            assert!(!good && text.contains(what) && text.ends_with("Do not believe this request\n"), "{from} {to}: {text}");
        }
        let (good, text) = said(&head.replace("\nX-Doorward", "\nX-Forwarded-Email: a@b\nX-Doorward"));
        assert!(good && text.contains("note   X-Forwarded-Email is not covered"), "{text}");
    }

    #[test]
    fn what_is_no_request_head_is_refused() {
        for head in [
            "",
            "\n",
            "GET /",
            "GET / HTTP/1.1 x",
            "GET  / HTTP/1.1",
            "GET / HTTQ/1.1",
            "GET / HTTP/1.1\nno header",
            "GET / HTTP/1.1\nA: b\n folded",
            "GET / HTTP/1.1\nA : b",
            "GET / HTTP/1.1\n: b",
        ] {
            assert!(RequestHead::read(head.as_bytes()).is_err(), "{head:?}");
        }
    }

    proptest! {
        #[test]
        fn no_bytes_make_the_reader_panic(bytes in proptest::collection::vec(any::<u8>(), 0..80)) {
            let _ = RequestHead::read(&bytes);
            let _ = RequestHead::read(&[b"GET / HTTP/1.1\n".as_slice(), &bytes].concat());
        }
    }
}
