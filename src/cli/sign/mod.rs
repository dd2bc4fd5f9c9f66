//! `doorward sign`. One file a scheme: `request`, `url`, and which headers are its own.

mod aws_v4;
mod curl;
mod fost;
mod http_signature;
mod message_signature;
mod query_hmac;
mod s3_v2;
mod webhook;

#[cfg(test)]
mod tests;

use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, SystemTime};

use anyhow::{Context as _, bail, ensure};
use clap::builder::ArgPredicate;
use doorward::auth::WithText;
use doorward::types::{HumanDuration, Report, Secret, SecretSource};
use http::{HeaderName, HeaderValue, Method, Uri};

use self::curl::curl;

/// Arguments of the subcommand.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// How to sign
    #[arg(long, value_enum, default_value_t = Scheme::Fost)]
    scheme: Scheme,
    /// The key's name
    #[arg(long, value_name = "NAME", required = false, required_unless_present = "preset", default_value_if("preset", ArgPredicate::IsPresent, ""))]
    key: String,
    /// Whose spelling, for http-signature
    #[arg(long, value_enum, default_value_t)]
    dialect: http_signature::DialectName,
    /// The hash, for http-signature
    #[arg(long, value_enum, default_value_t)]
    algorithm: http_signature::AlgorithmName,
    /// Whose deliveries, for webhook
    #[arg(long, value_enum, conflicts_with = "key")]
    preset: Option<webhook::PresetName>,
    /// The delivery's id, for webhooks that have one; made up by default
    #[arg(long, requires = "preset")]
    id: Option<String>,
    /// The file that holds the key's secret; one line break at its end is not part of it. For http-message-signature also a
    /// private key: PKCS#8, PEM
    #[arg(long, value_name = "FILE")]
    secret_file: PathBuf,
    /// The request's method
    #[arg(value_name = "METHOD")]
    method: String,
    /// Where it goes; path and query are signed exactly as they are written here
    #[arg(value_name = "URL")]
    target: String,
    /// Act for this user (the key needs `impersonate`)
    #[arg(long = "as", value_name = "USER")]
    user: Option<String>,
    /// The body, or @FILE to read it from a file
    #[arg(long, value_name = "TEXT|@FILE")]
    data: Option<String>,
    /// A further header to send and to sign; may be given several times
    #[arg(long = "header", value_name = "NAME: VALUE")]
    headers: Vec<String>,
    /// Print a signed URL instead of headers: it works by itself, for GET and HEAD, until it expires
    #[arg(long = "url", conflicts_with_all = ["user", "data", "headers"])]
    as_url: bool,
    /// How long the signed URL is good
    #[arg(long, value_name = "DURATION", default_value = "30s", requires = "as_url")]
    expires_in: HumanDuration,
    /// Print a curl command to paste
    #[arg(long)]
    curl: bool,
    /// Print the string that is signed, byte by byte, on standard output; what is printed without this goes to standard error
    #[arg(long)]
    print_canonical: bool,
    /// Sign as if it were this moment: 1790000000, or 2027-01-31T12:00:00Z [default: now]
    #[arg(long, value_name = "MOMENT")]
    at: Option<String>,
    #[command(flatten)]
    message: message_signature::Options,
    #[command(flatten)]
    aws: aws_v4::Options,
}

/// Ways to sign.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Scheme {
    /// As Fost and django-fost-authn do
    Fost,
    /// As dj-api-auth does: prints a URL that bears the signature in its query, good once
    QueryHmac,
    /// As clients of Amazon S3 did: signature version 2
    #[value(name = "s3-v2")]
    S3V2,
    /// As RFC 9421 says, covering method, host, path, query, body and the headers that are given
    HttpMessageSignature,
    /// As clients of Amazon's services do: signature version 4
    #[value(name = "aws-v4")]
    AwsV4,
    /// As the drafts before RFC 9421 say, and clients of Kong and APISIX do
    HttpSignature,
    /// As a service signs what it delivers; needs --preset, and no --key
    Webhook,
}

/// What is to be signed.
#[derive(Debug, Clone, Copy)]
struct Wanted<'a> {
    args: &'a Args,
    secret: &'a Secret,
    method: &'a Method,
    uri: &'a Uri,
    /// Those of the command line, `X-FOST-User` among them; each once. None for a signed URL.
    headers: &'a [(String, String)],
    /// Empty for a signed URL.
    body: &'a [u8],
    /// Since 1970.
    since: Duration,
}

impl Wanted<'_> {
    /// Unix seconds.
    fn now(&self) -> anyhow::Result<i64> {
        Ok(i64::try_from(self.since.as_secs())?)
    }

    /// Until when a signed URL is good. Unix seconds.
    fn expires(&self) -> anyhow::Result<i64> {
        Ok(self.now()?.saturating_add(i64::try_from(self.args.expires_in.0.as_secs())?))
    }
}

/// What signing gives.
#[derive(Debug)]
enum Signed {
    /// The request's headers, those of the command line among them.
    Headers(Vec<(String, String)>),
    /// A URL to call instead.
    Url(String),
}

impl Scheme {
    /// Whether the header is part of the signature, and not the caller's to give.
    fn is_own(self, name: &HeaderName) -> bool {
        match self {
            Self::Fost => false,
            Self::S3V2 => s3_v2::is_own(name),
            Self::HttpMessageSignature => message_signature::is_own(name),
            Self::AwsV4 => aws_v4::is_own(name),
            Self::HttpSignature => http_signature::is_own(name),
            Self::QueryHmac | Self::Webhook => false,
        }
    }

    fn request(self, wanted: &Wanted<'_>) -> anyhow::Result<WithText<Signed>> {
        match self {
            Self::Fost => fost::request(wanted),
            Self::S3V2 => s3_v2::request(wanted),
            Self::HttpMessageSignature => message_signature::request(wanted),
            Self::AwsV4 => aws_v4::request(wanted),
            Self::HttpSignature => http_signature::request(wanted),
            Self::QueryHmac => query_hmac::request(wanted),
            Self::Webhook => webhook::request(wanted),
        }
    }

    /// A URL that works by itself until it expires.
    fn url(self, wanted: &Wanted<'_>) -> anyhow::Result<WithText<String>> {
        match self {
            Self::Fost => fost::url(wanted),
            Self::S3V2 => s3_v2::url(wanted),
            Self::HttpMessageSignature => message_signature::url(),
            Self::AwsV4 => aws_v4::url(wanted),
            Self::HttpSignature => http_signature::url(),
            Self::QueryHmac => query_hmac::url(),
            Self::Webhook => webhook::url(),
        }
    }

    /// Whether `Content-Type` has to be signed, or has to be absent: curl must not add the one of a form.
    fn signs_absent_type(self) -> bool {
        match self {
            Self::S3V2 | Self::AwsV4 => true,
            Self::Fost | Self::QueryHmac | Self::HttpMessageSignature | Self::HttpSignature | Self::Webhook => false,
        }
    }
}

/// Runs it.
pub fn run(args: Args) -> anyhow::Result<ExitCode> {
    let secret = read_secret(&args.secret_file)?;
    let (lines, text) = signed(&args, &secret, since(args.at.as_deref())?)?;
    let lines: String = lines.iter().map(|line| format!("{line}\n")).collect();
    let mut out = std::io::stdout().lock();
    if args.print_canonical {
        std::io::stderr().write_all(lines.as_bytes())?;
        out.write_all(&text)?;
    } else {
        out.write_all(lines.as_bytes())?;
    }
    out.flush()?;
    Ok(ExitCode::SUCCESS)
}

/// The time since 1970: of the moment that the command line names, or now.
fn since(at: Option<&str>) -> anyhow::Result<Duration> {
    let Some(at) = at else { return Ok(SystemTime::now().duration_since(SystemTime::UNIX_EPOCH)?) };
    let seconds = super::moment(at).context("--at")?;
    Ok(Duration::from_secs(u64::try_from(seconds).context("--at: before 1970 nobody signed")?))
}

fn read_secret(path: &PathBuf) -> anyhow::Result<Secret> {
    let mut report = Report::default();
    let secret = SecretSource { key: "secret", inline: None, file: Some(path), env: None }.load(&mut report);
    secret.with_context(|| report.problems().iter().map(|p| format!("{}; {}", p.problem, p.remedy)).collect::<Vec<_>>().join("\n"))
}

/// The lines to print, and the bytes that were signed. `since` is the time since 1970.
fn signed(args: &Args, secret: &Secret, since: Duration) -> anyhow::Result<WithText<Vec<String>>> {
    let method = Method::from_bytes(args.method.as_bytes()).context("METHOD is not a method")?;
    // The parser would drop it without a word, and another URL would be signed than the one that was written.
    ensure!(!args.target.contains('#'), "URL holds a fragment, which is never sent: leave out '#' and what follows");
    let uri: Uri = args.target.parse().context("URL is not a URL; percent-encode what is not ASCII")?;
    ensure!(args.preset.is_none() || args.scheme == Scheme::Webhook, "--preset: for --scheme webhook only");
    ensure!(args.user.is_none() || args.scheme == Scheme::Fost, "--as: only a request of the scheme fost names a user");
    ensure!(args.message.is_unused() || args.scheme == Scheme::HttpMessageSignature, "--tag, --nonce and --alg: of http-message-signature alone");
    if args.as_url {
        ensure!(method == Method::GET || method == Method::HEAD, "a signed URL is for GET and HEAD only");
        let (url, text) = args.scheme.url(&Wanted { args, secret, method: &method, uri: &uri, headers: &[], body: &[], since })?;
        return Ok((vec![if args.curl { curl(&method, &[], None, &url) } else { url }], text));
    }
    let body = match args.data.as_deref().map(|data| (data, data.strip_prefix('@'))) {
        None => Vec::new(),
        Some((_, Some(file))) => std::fs::read(file).with_context(|| format!("cannot read {file}"))?,
        Some((text, None)) => text.as_bytes().to_vec(),
    };
    let repeatable = [Method::GET, Method::HEAD, Method::OPTIONS].contains(&method);
    ensure!(body.is_empty() || !repeatable, "a signed {method} has no body");
    let extra = extra_headers(args)?;
    let wanted = Wanted { args, secret, method: &method, uri: &uri, headers: &extra, body: &body, since };
    let (headers, text) = match args.scheme.request(&wanted)? {
        (Signed::Headers(headers), text) => (headers, text),
        (Signed::Url(url), text) => return Ok((vec![if args.curl { curl(&method, &[], args.data.as_deref(), &url) } else { url }], text)),
    };
    let mut lines: Vec<String> = headers.iter().map(|(name, value)| format!("{name}: {value}")).collect();
    let typed = headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("content-type"));
    if args.curl && args.scheme.signs_absent_type() && args.data.is_some() && !typed {
        lines.push("Content-Type:".to_owned());
    }
    Ok((if args.curl { vec![curl(&method, &lines, args.data.as_deref(), &args.target)] } else { lines }, text))
}

fn extra_headers(args: &Args) -> anyhow::Result<Vec<(String, String)>> {
    let mut headers: Vec<(String, String)> = args.user.iter().map(|user| ("X-FOST-User".to_owned(), user.clone())).collect();
    for header in &args.headers {
        let (name, value) = header.split_once(':').with_context(|| format!("{header:?} is not of the form 'Name: value'"))?;
        let (name, value) = (name.to_owned(), value.trim_matches([' ', '\t']).to_owned());
        let known = HeaderName::try_from(&name).with_context(|| format!("{name:?} is not the name of a header"))?;
        if known == "authorization" || known.as_str().starts_with("x-fost-") {
            bail!("{name} is part of the signature itself; write --as USER for X-FOST-User");
        }
        ensure!(!args.scheme.is_own(&known), "{name} is part of the signature itself");
        headers.push((name, value));
    }
    for (at, (name, value)) in headers.iter().enumerate() {
        HeaderValue::from_str(value).with_context(|| format!("the value of {name} cannot be sent in a header"))?;
        ensure!(!headers.iter().skip(at + 1).any(|(other, _)| other.eq_ignore_ascii_case(name)), "{name} is given twice");
    }
    Ok(headers)
}
