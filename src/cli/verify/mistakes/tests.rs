//! Each mistake in a canonical string of a real scheme: found by what the client signed, and named.

use sha2::{Digest as _, Sha256};

use super::super::draft::{Draft, Facts, Piece};
use super::super::explain::{explain, words};
use super::*;

const TIME: i64 = 1_790_000_000;

/// A string by its parts, `name` `text` `end`, and what is known beside it.
struct Ours {
    pieces: Vec<Piece>,
    facts: Facts,
}

fn ours(method: &str, target: &str, host: &str, body: &str, parts: &[(&str, &str, &str)]) -> Ours {
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let facts = Facts {
        method: method.to_owned(),
        host: host.to_owned(),
        path: path.to_owned(),
        query: query.to_owned(),
        body: body.as_bytes().to_vec(),
        time: Some(TIME),
    };
    let piece =
        |(name, bytes, end): &(&str, &str, &str)| Piece { name: (*name).to_owned(), bytes: bytes.as_bytes().to_vec(), end: end.as_bytes().to_vec() };
    Ours { pieces: parts.iter().map(piece).collect(), facts }
}

impl Ours {
    fn draft(&self) -> Draft<'_> {
        Draft { pieces: self.pieces.clone(), facts: &self.facts }
    }
}

fn fost() -> Ours {
    let parts = [
        ("method", "POST", " "),
        ("path", "/caf%C3%A9/x%20y", "\n"),
        ("timestamp", "2026-09-21 14:13:20", "\n"),
        ("header x-fost-headers", "X-FOST-Headers", "\n"),
        ("body", "{\"a\": 1}\n", ""),
    ];
    ours("POST", "/caf%C3%A9/x%20y?p=1", "h:8443", "{\"a\": 1}\n", &parts)
}

fn fost_lower() -> Ours {
    let parts = [("method", "GET", " "), ("path", "/caf%c3%a9/", "\n"), ("timestamp", "2026-09-21 14:13:20", "\n"), ("query", "b=%c3&a=1", "")];
    ours("GET", "/caf%c3%a9/?b=%c3&a=1", "h", "", &parts)
}

fn fost_url() -> Ours {
    let parts = [("host", "h:8443", ""), ("path", "/x", "?"), ("query", "b=2&a=1+2", "\n"), ("expiry", "1790000030", "")];
    ours("GET", "/x?b=2&a=1+2", "h:8443", "", &parts)
}

fn fost_url_without_port() -> Ours {
    ours("GET", "/x", "App.Example", "", &[("host", "App.Example", ""), ("path", "/x", "\n"), ("expiry", "1790000030", "")])
}

fn aws() -> Ours {
    let hash: String = Sha256::digest(b"{}").iter().map(|byte| format!("{byte:02x}")).collect();
    let parts = [
        ("method", "PUT", "\n"),
        ("path", "/b/k%2520x", "\n"),
        ("query", "a=%20&b=", "\n"),
        ("header content-type", "content-type:Text/Plain", "\n"),
        ("header host", "host:h:8443", "\n"),
        ("header x-amz-date", "x-amz-date:20260921T141320Z", "\n"),
        ("empty line", "", "\n"),
        ("signed headers", "content-type;host;x-amz-date", "\n"),
        ("payload hash", &hash, ""),
    ];
    ours("PUT", "/b/k%20x?b=&a=%20", "h:8443", "{}", &parts)
}

fn draft() -> Ours {
    let parts = [
        ("(request-target)", "(request-target): get /x?q=a%20b", "\n"),
        ("header host", "host: h:8443", "\n"),
        ("header date", "date: Mon, 21 Sep 2026 14:13:20 GMT", ""),
    ];
    ours("GET", "/x?q=a%20b", "h:8443", "", &parts)
}

fn message() -> Ours {
    let parts = [
        ("@method", "\"@method\": GET", "\n"),
        ("@authority", "\"@authority\": h", "\n"),
        ("@target-uri", "\"@target-uri\": https://h/x?q=1", "\n"),
        ("@signature-params", "\"@signature-params\": (\"@method\" \"@authority\" \"@target-uri\");created=1790000000;keyid=\"k\"", ""),
    ];
    ours("GET", "/x?q=1", "h:443", "", &parts)
}

fn apisix_v1() -> Ours {
    let parts = [
        ("method", "GET", "\n"),
        ("path", "/x y", "\n"),
        ("query", "a=1", "\n"),
        ("key", "k", "\n"),
        ("date", "Mon, 21 Sep 2026 14:13:20 GMT", "\n"),
        ("header host", "Host:h", "\n"),
    ];
    ours("GET", "/x%20y?a=1", "h", "", &parts)
}

fn stripe() -> Ours {
    ours("POST", "/h", "h", "{}", &[("timestamp", "1790000000", ""), ("fixed text", ".", ""), ("body", "{}", "")])
}

/// Makes `mistake`, and says how its string is explained.
fn explained(ours: &Ours, mistake: &Mistake) -> Option<(Vec<u8>, Vec<String>)> {
    let mut theirs = ours.draft();
    (mistake.make)(&mut theirs).then(|| (theirs.text(), explain(&ours.draft(), &theirs.text())))
}

const HASH_OF_NOTHING: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
const HASH: &str = "44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a";

/// A string, what of it the client wrote in another way, and what is said of that.
type Case = (fn() -> Ours, &'static str, &'static str, &'static str);

const CASES: &[Case] = &[
    (fost, "/caf%C3%A9/x%20y", "/café/x y", "signed the path decoded"),
    (apisix_v1, "/x y", "/x%20y", "signed the path as it is sent"),
    (fost, "/caf%C3%A9/x%20y", "/caf%25C3%25A9/x%2520y", "signed the path percent-encoded once more"),
    (fost, "/caf%C3%A9/x%20y", "/caf%c3%a9/x%20y", "signed percent-encodings in lower case"),
    (
        fost_lower,
        "/caf%c3%a9/\n2026-09-21 14:13:20\nb=%c3&a=1",
        "/caf%C3%A9/\n2026-09-21 14:13:20\nb=%C3&a=1",
        "signed percent-encodings in upper case",
    ),
    (fost, "x%20y\n", "x%20y/\n", "signed the path with a slash at its end"),
    (fost_lower, "%a9/\n", "%a9\n", "signed the path without the slash at its end"),
    (fost_url, "?b=2&a=1+2", "", "signed the path without its query"),
    (message, "/x?q=1\n", "/x\n", "signed the path without its query"),
    (fost, "/caf%C3%A9/x%20y", "https://h:8443/caf%C3%A9/x%20y", "signed the whole URL in the place of the path"),
    (fost_url, "b=2&a=1+2", "a=1+2&b=2", "signed the query with its parameters sorted"),
    (aws, "a=%20&b=", "b=&a=%20", "signed the query with its parameters not sorted"),
    (draft, "q=a%20b", "q=a b", "signed the query decoded"),
    (draft, "q=a%20b", "q=a+b", "wrote a blank of the query as + instead of %20"),
    (fost_url, "a=1+2", "a=1%202", "wrote a blank of the query as %20 instead of +"),
    (fost_url, "a=1+2", "a=1%2B2", "escaped more of the query than is sent escaped"),
    (aws, "&b=\n", "&b\n", "left the = out of a parameter without a value"),
    (fost, "POST ", "post ", "signed the method in lower case"),
    (draft, "get ", "GET ", "signed the method in upper case"),
    (fost_url, "h:8443/", "h/", "signed a Host without its port"),
    (draft, "host: h:8443", "host: h", "signed a Host without its port"),
    (fost_url_without_port, "App.Example/", "App.Example:443/", "signed a Host with the port 443"),
    (fost_url_without_port, "App.Example/", "App.Example:8443/", "signed a Host with the port 8443"),
    (fost_url_without_port, "App.Example/", "app.example/", "signed a Host in lower case"),
    (message, "https://h/x", "http://h/x", "signed http:// in the place of https://"),
    (draft, "GMT", "GMT\n", "signed a trailing newline"),
    (apisix_v1, "Host:h\n", "Host:h", "left the last newline out"),
    (draft, "\n", "\r\n", "ended lines in CRLF instead of LF"),
    (draft, "\n", "\\n", "wrote a backslash and an n where a line ends"),
    (apisix_v1, "Host:h", "Host: h", "did not trim the value of a header: a blank stands behind the colon"),
    (draft, "host: h:8443\ndate: ", "host:h:8443\ndate:", "left the blank behind the colon of a header out"),
    (apisix_v1, "Host:h", "Host:h ", "did not trim the value of a header: a blank stands at its end"),
    (apisix_v1, "Host:h", "host:h", "wrote the names of headers in lower case"),
    (draft, "host: h:8443\ndate: ", "Host: h:8443\nDate: ", "wrote the names of headers in upper case or as titles"),
    (
        aws,
        "Text/Plain\nhost:h:8443\nx-amz-date:20260921T141320Z",
        "text/plain\nhost:h:8443\nx-amz-date:20260921t141320z",
        "signed the values of headers in lower case",
    ),
    (fost, "{\"a\": 1}\n", "", "signed an empty body"),
    (aws, HASH, HASH_OF_NOTHING, "signed an empty body"),
    (stripe, "{}", "{}\n", "signed a trailing newline"),
    (aws, HASH, "ca3d163bab055381827226140568f3bef7eaac187cebd76878e0b63e9e442356", "signed a body that ends in a newline more"),
    (fost, "{\"a\": 1}\n", "{\"a\": 1}", "left the last newline out"),
    (stripe, "{}", HASH, "signed the SHA-256 of the body in its place"),
    (aws, HASH, "UNSIGNED-PAYLOAD", "signed UNSIGNED-PAYLOAD in the place of the body's hash"),
    (aws, HASH, "44136FA355B3678A1146AD16F7E8649E94FB4FC21FE77E8310C060F61CAAFF8A", "signed the hash of the body in upper case"),
    (fost, "{\"a\": 1}\n", "p=1{\"a\": 1}\n", "signed the query beside the body"),
    (fost, "{\"a\": 1}\n", "p=1", "signed the query in the place of the body"),
    (
        fost,
        "2026-09-21 14:13:20",
        "Mon, 21 Sep 2026 14:13:20 GMT",
        "signed the date in another format: as HTTP has it, Sun, 22 Nov 2026 06:00:00 GMT",
    ),
    (fost, "2026-09-21 14:13:20", "2026-09-21T14:13:20Z", "signed the date in another format: 2026-11-22T06:00:00Z"),
    (draft, "Mon, 21 Sep 2026 14:13:20 GMT", "2026-09-21 14:13:20", "signed the date in another format: 2026-11-22 06:00:00"),
    (draft, "Mon, 21 Sep 2026 14:13:20 GMT", "20260921T141320Z", "signed the date in another format: 20261122T060000Z"),
    (aws, "20260921T141320Z", "20260921", "signed the day alone: 20261122"),
    (fost, "2026-09-21 14:13:20", "1790000000", "signed the date in another format: seconds since 1970"),
    (stripe, "1790000000", "1790000000000", "signed the date in another format: milliseconds since 1970"),
    (fost, "2026-09-21 14:13:20", "", "left the date out"),
];

#[test]
fn a_mistake_is_named_by_what_the_client_signed() {
    let mut seen = Vec::new();
    for (make, from, to, did) in CASES {
        let ours = make();
        let text = String::from_utf8(ours.draft().text()).unwrap();
        assert!(text.contains(from), "{from} in {text}");
        let said = explain(&ours.draft(), text.replace(from, to).as_bytes());
        let mistake = all().find(|mistake| mistake.did == *did).unwrap_or_else(|| panic!("no mistake {did}"));
        assert_eq!(said, [words(mistake)], "{from} {to}");
        seen.push(mistake.did);
    }
    // What the table cannot tell from another one.
    let alike =
        ["signed a body without the newline at its end", "signed the hash of the body that it sends, and another one in X-Amz-Content-Sha256"];
    for mistake in all() {
        assert!(seen.contains(&mistake.did) || alike.contains(&mistake.did), "{} is not tested", mistake.did);
    }
}

#[test]
fn a_hash_of_another_body_is_named() {
    let mut ours = aws();
    ours.facts.body = b"other\n".to_vec();
    for (body, did) in [
        ("other\n", "signed the hash of the body that it sends, and another one in X-Amz-Content-Sha256"),
        ("other", "signed a body without the newline at its end"),
    ] {
        let hash: String = Sha256::digest(body).iter().map(|byte| format!("{byte:02x}")).collect();
        let theirs = String::from_utf8(ours.draft().text()).unwrap().replace(HASH, &hash);
        let mistake = all().find(|mistake| mistake.did == did).unwrap();
        assert_eq!(explain(&ours.draft(), theirs.as_bytes()), [words(mistake)]);
    }
}

#[test]
fn several_mistakes_are_named_one_by_one_the_first_one_first() {
    let ours = fost();
    let theirs = "post /café/x y\n2026-09-21T14:13:20Z\nX-FOST-Headers\n{\"a\": 1}\n";
    let said = explain(&ours.draft(), theirs.as_bytes()).join("; ");
    let order: Vec<Option<usize>> = ["method in lower case", "path decoded", "2026-11-22T06:00:00Z"].map(|what| said.find(what)).to_vec();
    assert!(order.iter().all(Option::is_some), "{said}");
    assert_eq!(said.matches("the client signed").count(), 3, "{said}");
}

#[test]
fn what_no_mistake_explains_is_shown_where_it_begins() {
    for (theirs, said) in [
        (
            "PUT /caf%C3%A9/x%20y\n",
            "differs at byte 2, line 1 (in: method): the server has \"OST /caf%C3%A9/x%20y\\n\", the client has \"UT /caf%C3%A9/x%20y\\n\"",
        ),
        (
            "POST /caf%C3%A9/x%20y\n2026-09-21 14:13:21\nX-FOST-Headers\n{\"a\": 1}\n",
            "differs at byte 41, line 2 (in: timestamp): the server has \"0\\n\", the client has \"1\\n\"",
        ),
        (
            "POST /caf%C3%A9/x%20y\n",
            "differs at byte 23, line 2 (in: timestamp): the server has \"2026-09-21 14:13:20\\n\", the client has nothing more",
        ),
        (
            "POST /caf%C3%A9/x%20y\n2026-09-21 14:13:20\nX-FOST-Headers\n{\"a\": 1}\n\u{1b}[2J",
            "differs at byte 67, line 5 (behind its end): the server has nothing more, the client has \"\\x1b[2J\"",
        ),
    ] {
        assert_eq!(explain(&fost().draft(), theirs.as_bytes()), [said], "{theirs:?}");
    }
}

#[test]
fn the_right_string_has_no_difference_and_each_mistake_has_one() {
    for ours in [fost(), fost_lower(), fost_url(), fost_url_without_port(), aws(), draft(), message(), apisix_v1(), stripe()] {
        assert!(explain(&ours.draft(), &ours.draft().text()).is_empty());
        for mistake in all() {
            let Some((text, said)) = explained(&ours, mistake) else { continue };
            assert!(text != ours.draft().text() && said.len() == 1, "{}: {said:?}", mistake.did);
            assert!(!said[0].starts_with("differs"), "{}: {said:?}", mistake.did);
        }
    }
}
