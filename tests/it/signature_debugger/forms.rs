//! Each way to sign, by `doorward sign`, and a gate that knows them all.

use std::path::Path;

use sha2::{Digest as _, Sha256};

use crate::support::setup::{HOST, Setup, doorward};

pub const SECRET: &str = "whsec_bGVnYWN5LXNlY3JldC0wMTIzNDU2Nzg5YWI=";
pub const WRONG: &str = "whsec_YW5vdGhlci1zZWNyZXQtMDEyMzQ1Njc4OWE=";

/// One way to sign.
pub struct Form {
    /// Also the scheme's name and the first segment of the path.
    pub name: &'static str,
    /// `[auth.NAME.KIND]`, and what stands there.
    pub kind: &'static str,
    pub settings: &'static str,
    /// For `doorward sign`.
    pub options: &'static [&'static str],
    pub method: &'static str,
    pub query: &'static str,
    pub body: &'static str,
    /// Words that the log's list of parts holds.
    pub parts: &'static [&'static str],
}

pub const BODY: &str = "{\"amount\": \"body-text-11cc\"}";
pub const PLAIN: Form = Form { name: "", kind: "", settings: "", options: &[], method: "POST", query: "", body: BODY, parts: &[] };

pub const FORMS: &[Form] = &[
    Form {
        name: "fost",
        kind: "fost",
        options: &["--scheme", "fost", "--header", "X-Order: header-value-77aa"],
        parts: &["method 4", "path 7", "timestamp 19", "header x-order 17", "body 28"],
        ..PLAIN
    },
    Form {
        name: "fostget",
        kind: "fost",
        options: &["--scheme", "fost"],
        method: "GET",
        query: "q=query-value-5d1c",
        body: "",
        parts: &["method 3", "path 10", "timestamp 19", "header x-fost-headers 14", "query 18"],
        ..PLAIN
    },
    Form {
        name: "fosturl",
        kind: "fost",
        options: &["--scheme", "fost", "--url"],
        method: "GET",
        query: "q=query-value-5d1c",
        body: "",
        parts: &["host 15", "path 10", "query 18", "expiry 10"],
        ..PLAIN
    },
    Form {
        name: "query",
        kind: "query-hmac",
        options: &["--scheme", "query-hmac"],
        query: "q=query-value-5d1c",
        parts: &["path 8", "query ", "body 28"],
        ..PLAIN
    },
    Form {
        name: "s3",
        kind: "s3-v2",
        options: &["--scheme", "s3-v2", "--header", "x-amz-meta-order: header-value-77aa"],
        query: "versionId=query-value-5d1c",
        parts: &["method 4", "header content-md5 24", "header date 29", "header x-amz-meta-order 34", "resource 32"],
        ..PLAIN
    },
    Form {
        name: "s3url",
        kind: "s3-v2",
        options: &["--scheme", "s3-v2", "--url"],
        method: "GET",
        query: "versionId=query-value-5d1c",
        body: "",
        parts: &["method 3", "expiry 10", "resource 35"],
        ..PLAIN
    },
    Form {
        name: "aws",
        kind: "aws-v4",
        settings: "region = \"r\"\nservice = \"execute-api\"",
        options: &["--scheme", "aws-v4", "--region", "r", "--service", "execute-api", "--header", "x-order: header-value-77aa"],
        query: "q=query-value-5d1c",
        parts: &["method 4", "path 6", "query 18", "header host 20", "header x-order 25", "signed headers ", "payload hash 64"],
        ..PLAIN
    },
    Form {
        name: "awsurl",
        kind: "aws-v4",
        settings: "region = \"r\"\nservice = \"s3\"",
        options: &["--scheme", "aws-v4", "--region", "r", "--service", "s3", "--url"],
        method: "GET",
        query: "q=query-value-5d1c",
        body: "",
        parts: &["method 3", "path 9", "header host 20", "payload hash 16"],
    },
    Form {
        name: "message",
        kind: "http-message-signature",
        options: &["--scheme", "http-message-signature", "--header", "X-Order: header-value-77aa"],
        query: "q=query-value-5d1c",
        parts: &["@method 15", "@authority ", "@target-uri ", "header x-order 28", "header content-digest ", "@signature-params "],
        ..PLAIN
    },
    Form {
        name: "draft",
        kind: "http-signature",
        options: &["--scheme", "http-signature", "--header", "X-Order: header-value-77aa"],
        query: "q=query-value-5d1c",
        parts: &["(request-target) ", "header host 21", "header date 35", "header x-order 26", "header digest "],
        ..PLAIN
    },
    Form {
        name: "kong",
        kind: "http-signature",
        settings: "dialect = \"kong\"",
        options: &["--scheme", "http-signature", "--dialect", "kong"],
        query: "q=query-value-5d1c",
        parts: &["@request-target ", "header host 21"],
        ..PLAIN
    },
    Form {
        name: "apisix",
        kind: "http-signature",
        settings: "dialect = \"apisix\"",
        options: &["--scheme", "http-signature", "--dialect", "apisix"],
        query: "q=query-value-5d1c",
        parts: &["key 6", "request line 33", "header host 21"],
        ..PLAIN
    },
    Form {
        name: "apisix-v1",
        kind: "http-signature",
        settings: "dialect = \"apisix-v1\"",
        options: &["--scheme", "http-signature", "--dialect", "apisix-v1"],
        query: "q=query-value-5d1c",
        parts: &["method 4", "path 12", "query 18", "key 6", "date 29", "header host 20"],
        ..PLAIN
    },
    Form {
        name: "github",
        kind: "webhook",
        settings: "preset = \"github\"",
        options: &["--scheme", "webhook", "--preset", "github"],
        parts: &["body 28"],
        ..PLAIN
    },
    Form {
        name: "stripe",
        kind: "webhook",
        settings: "preset = \"stripe\"",
        options: &["--scheme", "webhook", "--preset", "stripe"],
        parts: &["timestamp 10", "fixed text 1", "body 28"],
        ..PLAIN
    },
    Form {
        name: "slack",
        kind: "webhook",
        settings: "preset = \"slack\"",
        options: &["--scheme", "webhook", "--preset", "slack"],
        parts: &["fixed text 3", "timestamp 10", "body 28"],
        ..PLAIN
    },
    Form {
        name: "standard",
        kind: "webhook",
        settings: "preset = \"standard-webhooks\"",
        options: &["--scheme", "webhook", "--preset", "standard-webhooks", "--id", "msg_2"],
        parts: &["id 5", "timestamp 10", "body 28"],
        ..PLAIN
    },
];

/// A signed request, and the string that was signed.
pub struct Signed {
    pub target: String,
    pub headers: Vec<(String, String)>,
    pub canonical: Vec<u8>,
}

impl Form {
    pub fn webhook(&self) -> bool {
        self.kind == "webhook"
    }

    pub fn path(&self) -> String {
        format!("/{}/x", self.name)
    }

    pub fn target(&self) -> String {
        if self.query.is_empty() { self.path() } else { format!("{}?{}", self.path(), self.query) }
    }

    /// By `doorward sign`, at this moment.
    pub fn sign(&self, dir: &Path, key: &str, secret: &str, at: i64) -> Signed {
        let (url, at) = (format!("https://{HOST}{}", self.target()), at.to_string());
        let mut line = vec!["sign", "--secret-file", secret, "--print-canonical", "--at", &at];
        line.extend(self.options);
        if !self.webhook() {
            line.extend(["--key", key]);
        }
        line.extend([self.method, &url]);
        if !self.body.is_empty() {
            line.extend(["--data", self.body]);
        }
        let output = doorward(&line, "", dir, &[]);
        assert!(output.status.success(), "{line:?}: {output:?}");
        let printed = String::from_utf8(output.stderr).unwrap();
        let url = printed.trim_end().strip_prefix(&format!("https://{HOST}")).map(str::to_owned);
        let headers = printed.lines().filter_map(|line| line.split_once(": ")).map(|(name, value)| (name.to_owned(), value.to_owned()));
        let headers = if url.is_some() { Vec::new() } else { headers.collect() };
        Signed { target: url.unwrap_or_else(|| self.target()), headers, canonical: output.stdout }
    }

    /// As raw HTTP/1.1.
    pub fn recording(&self, signed: &Signed) -> String {
        let mut raw = format!("{} {} HTTP/1.1\r\nHost: {HOST}\r\n", self.method, signed.target);
        for (name, value) in &signed.headers {
            raw.push_str(&format!("{name}: {value}\r\n"));
        }
        if !self.body.is_empty() {
            raw.push_str(&format!("Content-Length: {}\r\n", self.body.len()));
        }
        format!("{raw}\r\n{}", self.body)
    }
}

/// A scheme and a route for each form; `debug` is what a key, or a webhook, says of being debugged.
pub fn setup(upstream: &str, debug: &str) -> Setup {
    let setup = Setup::new(upstream).file("right.key", SECRET).file("wrong.key", WRONG);
    FORMS.iter().fold(setup, |setup, form| {
        let Form { name, kind, settings, .. } = form;
        let own = if form.webhook() {
            format!("[auth.{name}.{kind}]\n{settings}\nsecret_file = \"right.key\"\npaths = [\"/{name}/**\"]\n{debug}")
        } else {
            format!("[auth.{name}.{kind}]\n{settings}\n[auth.{name}.{kind}.keys.aspnet]\nsecret_file = \"right.key\"\n{debug}")
        };
        setup.rest(&own).route(&format!("/{name}/**"), &[name])
    })
}

pub fn hex(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}
