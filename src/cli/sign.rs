//! `doorward sign`.

use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, SystemTime};

use anyhow::{Context as _, bail, ensure};
use doorward::auth::{fost, query_hmac, s3_v2};
use doorward::types::{HumanDuration, Report, Secret, SecretSource};
use http::{HeaderName, HeaderValue, Method, Uri};

/// Arguments of the subcommand.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// How to sign
    #[arg(long, value_enum, default_value_t = Scheme::Fost)]
    scheme: Scheme,
    /// The key's name
    #[arg(long, value_name = "NAME")]
    key: String,
    /// The file that holds the key's secret; one line break at its end is not part of it
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
}

/// Runs it.
pub fn run(args: Args) -> anyhow::Result<ExitCode> {
    let secret = read_secret(&args.secret_file)?;
    let lines = signed(&args, &secret, SystemTime::now().duration_since(SystemTime::UNIX_EPOCH)?)?;
    let mut out = std::io::stdout().lock();
    for line in lines {
        writeln!(out, "{line}")?;
    }
    Ok(ExitCode::SUCCESS)
}

fn read_secret(path: &PathBuf) -> anyhow::Result<Secret> {
    let mut report = Report::default();
    let secret = SecretSource { key: "secret", inline: None, file: Some(path), env: None }.load(&mut report);
    secret.with_context(|| report.problems().iter().map(|p| format!("{}; {}", p.problem, p.remedy)).collect::<Vec<_>>().join("\n"))
}

/// The lines to print. `since` is the time since 1970.
fn signed(args: &Args, secret: &Secret, since: Duration) -> anyhow::Result<Vec<String>> {
    let method = Method::from_bytes(args.method.as_bytes()).context("METHOD is not a method")?;
    // The parser would drop it without a word, and another URL would be signed than the one that was written.
    ensure!(!args.target.contains('#'), "URL holds a fragment, which is never sent: leave out '#' and what follows");
    let uri: Uri = args.target.parse().context("URL is not a URL; percent-encode what is not ASCII")?;
    ensure!(args.user.is_none() || args.scheme == Scheme::Fost, "--as: only a request of the scheme fost names a user");
    let now = i64::try_from(since.as_secs())?;
    if args.as_url {
        let expires = now.saturating_add(i64::try_from(args.expires_in.0.as_secs())?);
        let url = signed_url(args, secret, &method, &uri, expires)?;
        return Ok(vec![if args.curl { curl(&method, &[], None, &url) } else { url }]);
    }
    let body = match args.data.as_deref().map(|data| (data, data.strip_prefix('@'))) {
        None => Vec::new(),
        Some((_, Some(file))) => std::fs::read(file).with_context(|| format!("cannot read {file}"))?,
        Some((text, None)) => text.as_bytes().to_vec(),
    };
    let repeatable = [Method::GET, Method::HEAD, Method::OPTIONS].contains(&method);
    ensure!(body.is_empty() || !repeatable, "a signed {method} has no body");
    let extra = extra_headers(args)?;
    let headers = match args.scheme {
        Scheme::Fost => {
            if !body.is_empty() && uri.query().is_some_and(|query| !query.is_empty()) {
                let note = "note: the signature covers the body and not the query; Doorward refuses that unless allow_unsigned_query = true";
                writeln!(std::io::stderr(), "{note}")?;
            }
            fost::sign::request(&args.key, secret, &method, &uri, &extra, &body, now)?
        }
        Scheme::S3V2 => s3_v2::sign::request(&args.key, secret, &method, &uri, &extra, &body, now)?,
        Scheme::QueryHmac => {
            ensure!(args.headers.is_empty(), "--header: this scheme signs no headers");
            let url = query_hmac::sign::url(&args.key, secret, &uri, &body, i64::try_from(since.as_micros())?)?;
            return Ok(vec![if args.curl { curl(&method, &[], args.data.as_deref(), &url) } else { url }]);
        }
    };
    let mut lines: Vec<String> = headers.iter().map(|(name, value)| format!("{name}: {value}")).collect();
    let typed = headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("content-type"));
    if args.curl && args.scheme == Scheme::S3V2 && args.data.is_some() && !typed {
        // The type is signed, also where there is none: curl must not add the one of a form.
        lines.push("Content-Type:".to_owned());
    }
    Ok(if args.curl { vec![curl(&method, &lines, args.data.as_deref(), &args.target)] } else { lines })
}

/// A URL that works by itself until it expires.
fn signed_url(args: &Args, secret: &Secret, method: &Method, uri: &Uri, expires: i64) -> anyhow::Result<String> {
    ensure!(*method == Method::GET || *method == Method::HEAD, "a signed URL is for GET and HEAD only");
    match args.scheme {
        Scheme::Fost => Ok(fost::sign::url(&args.key, secret, uri, expires)?),
        Scheme::S3V2 => Ok(s3_v2::sign::url(&args.key, secret, method, uri, expires)?),
        Scheme::QueryHmac => bail!("--url: every request of this scheme is a URL, which is good once; leave --url out"),
    }
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
        if args.scheme == Scheme::S3V2 && (known == "date" || known == "content-md5") {
            bail!("{name} is part of the signature itself");
        }
        headers.push((name, value));
    }
    for (at, (name, value)) in headers.iter().enumerate() {
        HeaderValue::from_str(value).with_context(|| format!("the value of {name} cannot be sent in a header"))?;
        ensure!(!headers.iter().skip(at + 1).any(|(other, _)| other.eq_ignore_ascii_case(name)), "{name} is given twice");
    }
    Ok(headers)
}

/// One command for a shell. Told to leave path and brackets alone: what is sent must be what was signed.
fn curl(method: &Method, headers: &[String], data: Option<&str>, url: &str) -> String {
    let mut words = vec!["curl".to_owned(), "--path-as-is".to_owned(), "--globoff".to_owned()];
    match *method {
        Method::GET => {}
        Method::HEAD => words.push("--head".to_owned()),
        _ => words.extend(["--request".to_owned(), quoted(method.as_str())]),
    }
    for header in headers {
        // curl drops a header that is written without a value, but not one that ends in a semicolon.
        let line = header.strip_suffix(": ").map_or_else(|| header.clone(), |name| format!("{name};"));
        words.extend(["--header".to_owned(), quoted(&line)]);
    }
    if let Some(data) = data {
        let option = if data.starts_with('@') { "--data-binary" } else { "--data-raw" };
        words.extend([option.to_owned(), quoted(data)]);
    }
    words.push(quoted(url));
    words.join(" ")
}

/// A word that a POSIX shell reads back as `text`.
fn quoted(text: &str) -> String {
    let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.' | b'/' | b':' | b'@' | b'=' | b'+' | b',' | b'%');
    if !text.is_empty() && text.bytes().all(plain) { text.to_owned() } else { format!("'{}'", text.replace('\'', r"'\''")) }
}

#[cfg(test)]
mod tests {
    use clap::Parser;
    use proptest::prelude::*;

    use super::*;

    #[derive(Debug, Parser)]
    struct Line {
        #[command(flatten)]
        args: Args,
    }

    const NOW: u64 = 1_232_789_760;

    fn lines(line: &[&str]) -> anyhow::Result<Vec<String>> {
        let words = ["sign", "--key", "aspnet", "--secret-file", "k"].iter().chain(line);
        signed(&Line::try_parse_from(words)?.args, &Secret::new("s3cret"), Duration::from_micros(NOW * 1_000_000 + 250_000))
    }

    #[test]
    fn the_headers_are_those_of_the_vectors() {
        let json: serde_json::Value = serde_json::from_str(include_str!("../../tests/vectors/fost-request.json")).unwrap();
        let mut signed = 0;
        for vector in json.as_array().unwrap() {
            let text = |name: &str| vector[name].as_str().unwrap();
            if !["get-no-query", "get-query-as-user", "post-json", "empty-post-signs-query", "two-signed-headers"].contains(&text("name")) {
                continue;
            }
            let url = format!("https://h{}{}{}", text("path"), if text("query").is_empty() { "" } else { "?" }, text("query"));
            let body = if text("name") == "post-json" { r#"{"username": "some_name"}"# } else { "" };
            let mut line = vec![text("method"), url.as_str()];
            if !body.is_empty() {
                line.extend(["--data", body]);
            }
            if vector["headers"].get("X-FOST-User").is_some() {
                line.extend(["--as", "kirit"]);
            }
            if vector["headers"].get("Accept").is_some() {
                line.extend(["--header", "Accept: application/json"]);
            }
            let mut want: Vec<String> =
                vector["headers"].as_object().unwrap().iter().map(|(name, value)| format!("{name}: {}", value.as_str().unwrap())).collect();
            let mut have = lines(&line).unwrap();
            want.sort();
            have.sort();
            assert_eq!(have, want, "{}", text("name"));
            signed += 1;
        }
        assert_eq!(signed, 5);
    }

    #[test]
    fn a_signed_url_is_the_vectors() {
        let line = ["GET", "https://app.example.com:8443/reports/?b=2&a=1&a=0", "--url"];
        let want = "https://app.example.com:8443/reports/?b=2&a=1&a=0&_k=aspnet&_e=1232789790&_s=Rwpu27yGj02%2BR3gLdnuV%2BaZaOFk%3D";
        assert_eq!(lines(&line).unwrap(), [want]);
        let none = lines(&["HEAD", "https://app.example.com:8443/reports/", "--url", "--curl"]).unwrap();
        assert_eq!(
            none,
            [
                "curl --path-as-is --globoff --head 'https://app.example.com:8443/reports/?_k=aspnet&_e=1232789790&_s=KwE%2FvQ4sJbEbKdhiknUg5cM2GGQ%3D'"
            ]
        );
    }

    #[test]
    fn a_query_signed_url_is_the_one_that_python_makes() {
        let url = lines(&["--scheme", "query-hmac", "POST", "https://h/goodbye/?q=a+b", "--data", "{}"]).unwrap().concat();
        assert_eq!(
            url,
            "https://h/goodbye/?q=a+b&timestamp=1232789760.250000&apikey=aspnet&signature=xquGow02ExukAkEn6ny4ZC1Q8RekmRKe8SN3UV3Vu5I%3D"
        );
    }

    #[test]
    fn an_s3_request_is_the_one_that_python_makes() {
        let all = lines(&["--scheme", "s3-v2", "PUT", "https://h/b/k?acl", "--data", "{}", "--header", "x-amz-acl: private"]).unwrap();
        let want = [
            "Date: Sat, 24 Jan 2009 09:36:00 GMT",
            "x-amz-acl: private",
            "Content-MD5: mZFLkyvTelC5g8XnyQrpOw==",
            "Authorization: AWS aspnet:rr9zV2CrxjapMx0xp4suwf/o6Hc=",
        ];
        assert_eq!(all, want);
        let line =
            |more: &[&str]| lines(&[&["--scheme", "s3-v2", "PUT", "https://h/b/k", "--data", "{}", "--curl"], more].concat()).unwrap().concat();
        assert!(line(&[]).contains(" --header Content-Type: --data-raw "), "{}", line(&[]));
        assert!(!line(&["--header", "content-type: text/plain"]).contains("Content-Type:"));
        let url = lines(&["--scheme", "s3-v2", "GET", "https://h/b/k?acl", "--url"]).unwrap().concat();
        assert_eq!(url, "https://h/b/k?acl&AWSAccessKeyId=aspnet&Expires=1232789790&Signature=utBXNnNRRuo9W8XjrJaqu0bbb9I%3D");
    }

    #[test]
    fn a_curl_line_holds_everything_quoted_for_a_shell() {
        let line = lines(&["POST", "https://h/api/accounts/", "--as", "O'Hara", "--data", "a'b $x", "--curl"]).unwrap().concat();
        assert!(line.starts_with("curl --path-as-is --globoff --request POST --header 'X-FOST-Headers: X-FOST-Headers X-FOST-User' "), "{line}");
        assert!(line.contains(r" 'X-FOST-User: O'\''Hara' "), "{line}");
        assert!(line.ends_with(r" --data-raw 'a'\''b $x' https://h/api/accounts/"), "{line}");
    }

    #[test]
    fn what_the_gate_would_refuse_is_not_signed() {
        for line in [
            vec!["GET", "https://h/", "--data", "x"],
            vec!["POST", "https://h/", "--url"],
            vec!["GET", "/relative", "--url"],
            vec!["GET", "https://h/?_s=1", "--url"],
            vec!["GET", "https://h/?_sort=1", "--url"],
            vec!["GET", "https://h/", "--url", "--as", "a"],
            vec!["GET", "https://h/", "--expires-in", "5s"],
            vec!["GET", "https://h/#x"],
            vec!["GET", "https://h/ x"],
            vec!["G T", "https://h/"],
            vec!["GET", "https://h/", "--header", "Accept"],
            vec!["GET", "https://h/", "--header", "Acc ept: x"],
            vec!["GET", "https://h/", "--header", "Accept: x", "--header", "accept: y"],
            vec!["GET", "https://h/", "--header", "Authorization: x"],
            vec!["GET", "https://h/", "--header", "X-FOST-User: x"],
            vec!["GET", "https://h/", "--as", "a\nb"],
            vec!["POST", "https://h/", "--data", "@/does/not/exist"],
            vec!["--scheme", "query-hmac", "GET", "https://h/", "--url"],
            vec!["--scheme", "query-hmac", "GET", "https://h/", "--as", "a"],
            vec!["--scheme", "query-hmac", "GET", "https://h/", "--header", "Accept: x"],
            vec!["--scheme", "query-hmac", "GET", "https://h/", "--data", "x"],
            vec!["--scheme", "query-hmac", "GET", "https://h/?a="],
            vec!["--scheme", "query-hmac", "GET", "https://h/?apikey=a"],
            vec!["--scheme", "s3-v2", "GET", "https://h/?page=2"],
            vec!["--scheme", "s3-v2", "GET", "https://h/", "--as", "a"],
            vec!["--scheme", "s3-v2", "PUT", "https://h/", "--header", "Date: x"],
            vec!["--scheme", "s3-v2", "PUT", "https://h/", "--url"],
        ] {
            assert!(lines(&line).is_err(), "{line:?}");
        }
    }

    proptest! {
        #[test]
        fn a_quoted_word_is_one_word_again(text in "[^\\x00]{0,20}") {
            let shell = std::process::Command::new("sh").arg("-c").arg(format!("printf %s {}", quoted(&text))).output().unwrap();
            prop_assert_eq!(shell.stdout, text.into_bytes());
        }
    }
}
