//! Verifying what the stamp wrote, as an application would: for the command line, and as a reference.

use super::{AssertionError, IdentityStamp, SignatureError, fost, hmac, message, names};

/// A request as an application received it.
#[derive(Debug)]
pub struct Received<'a> {
    /// The method.
    pub method: &'a str,
    /// Path and query.
    pub target: &'a str,
    /// Header names and values, as they came.
    pub headers: &'a [(String, Vec<u8>)],
}

/// One thing that was looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Check {
    /// What.
    pub what: &'static str,
    /// Whether it held, or why not.
    pub outcome: Result<(), String>,
}

impl Check {
    fn new(what: &'static str, outcome: Result<(), String>) -> Self {
        Self { what, outcome }
    }
}

impl IdentityStamp {
    /// Whom the request stands for, by the bytes of the user header, and every check that was made. The answer is to be
    /// believed only if no check failed. `max_age` is in seconds; `now` is Unix seconds.
    #[must_use]
    pub fn verify(&self, received: &Received<'_>, now: i64, max_age: i64) -> (Option<Vec<u8>>, Vec<Check>) {
        let mut checks = vec![Check::new("identity headers", self.plain(received))];
        let user = received.value(self.user_header.as_str());
        let named = user.map(|_| ()).ok_or_else(|| format!("the header {} is missing", self.user_header));
        checks.push(Check::new("user header", named));
        let user = user.unwrap_or_default();
        let signature = received.value(names::SIGNATURE.as_str());
        if self.signs_hmac || signature.is_some() {
            checks.push(Check::new("signature", self.check_hmac(received, signature, user, now, max_age).map_err(|why| why.to_string())));
        }
        let assertion = received.value(self.assertion_header.as_str());
        if self.assertions.is_some() || assertion.is_some() {
            checks.push(Check::new("assertion", self.check_assertion(assertion, user, now).map_err(|why| why.to_string())));
        }
        if self.signs_message {
            let host = received.value(message::FORWARDED_HOST.as_str()).unwrap_or_default();
            let stamped = self.stamped(received.method, host, received.target, |name| received.value(name.as_str()));
            let (input, signature) = (received.only(message::INPUT.as_str()), received.only(message::SIGNATURE.as_str()));
            let said = stamped.verify(&self.keys.private, input, signature, now, max_age);
            checks.push(Check::new("message signature", said.map_err(|why| why.to_string())));
        }
        if self.fost.is_some() {
            checks.push(Check::new("fost", self.check_fost(received, now, max_age).map_err(str::to_owned)));
        }
        if !self.signs_hmac && !self.signs_message && self.assertions.is_none() && self.fost.is_none() {
            checks.push(Check::new("signature", Err("the configuration signs nothing, so nothing can be verified".to_owned())));
        }
        ((!user.is_empty()).then(|| user.to_vec()), checks)
    }

    /// Headers of the request that say who somebody is and that no signature of the configuration covers.
    #[must_use]
    pub fn uncovered<'a>(&self, received: &'a Received<'_>) -> Vec<&'a str> {
        // A message signature covers them all.
        let mapped = |name: &str| !self.signs_message && self.mapped.iter().any(|(header, _)| header.as_str().eq_ignore_ascii_case(name));
        received.headers.iter().map(|(name, _)| name.as_str()).filter(|name| mapped(name)).collect()
    }

    /// Each identity header at most once, and none that an application could take for one.
    fn plain(&self, received: &Received<'_>) -> Result<(), String> {
        let written = |name: &http::HeaderName| {
            *name == self.user_header
                || *name == names::SIGNATURE
                || *name == self.assertion_header
                || self.mapped.iter().any(|(mapped, _)| mapped == name)
        };
        for reserved in self.reserved.iter() {
            let fold = names::folded(reserved.as_str());
            let alike: Vec<&str> = received.headers.iter().map(|(name, _)| name.as_str()).filter(|name| names::folded(name) == fold).collect();
            match alike.as_slice() {
                [] => {}
                [name] if name.eq_ignore_ascii_case(reserved.as_str()) && written(reserved) => {}
                // One name of ours may fold to another of ours: each is judged in its own turn.
                [name] if self.reserved.iter().any(|other| written(other) && name.eq_ignore_ascii_case(other.as_str())) => {}
                [name] => return Err(format!("the header {name:?} does not come from Doorward")),
                [first, second, ..] => return Err(format!("the headers {first:?} and {second:?} are one to an application")),
            }
        }
        Ok(())
    }

    fn check_hmac(&self, received: &Received<'_>, header: Option<&[u8]>, user: &[u8], now: i64, max_age: i64) -> Result<(), SignatureError> {
        let header = header.and_then(|header| std::str::from_utf8(header).ok()).ok_or(SignatureError::Malformed)?;
        let named = hmac::parse(header)?.key;
        let (_, state) = self.keys.shared.iter().find(|(id, _)| id == named).ok_or(SignatureError::UnknownKey)?;
        hmac::verify(state, header, received.method, received.target, user, now, max_age)
    }

    /// Only of a request without a body: the body is covered, and is not here.
    fn check_fost(&self, received: &Received<'_>, now: i64, max_age: i64) -> Result<(), &'static str> {
        let length = received.value("content-length").unwrap_or(b"0");
        if length != b"0" || received.value("transfer-encoding").is_some() {
            return Err("the signature covers the body, which is not here");
        }
        let (path, query) = received.target.split_once('?').unwrap_or((received.target, ""));
        let path = percent_encoding::percent_decode_str(path).decode_utf8().map_err(|_| "the path does not decode to UTF-8")?;
        fost::verify(&self.keys.fost, |name| received.value(name), (received.method, &path, query.as_bytes()), now, max_age)
    }

    fn check_assertion(&self, token: Option<&[u8]>, user: &[u8], now: i64) -> Result<(), AssertionError> {
        let token = token.and_then(|token| std::str::from_utf8(token).ok()).ok_or(AssertionError::Malformed("it is missing"))?;
        let assertions = self.assertions.as_ref().ok_or(AssertionError::Malformed("the configuration makes none"))?;
        let claims = assertions.read(&self.keys.private, token, now)?;
        let subject = claims.get("sub").and_then(serde_json::Value::as_str).unwrap_or_default();
        match self.encoding.value(subject) {
            Ok(name) if name.as_bytes() == user => Ok(()),
            Ok(_) | Err(_) => Err(AssertionError::Other("user")),
        }
    }
}

impl<'a> Received<'a> {
    /// The value of a header that is there once.
    fn only(&self, name: &str) -> Option<&'a [u8]> {
        let mut values = self.headers.iter().filter(|(have, _)| have.eq_ignore_ascii_case(name));
        let first = values.next();
        first.filter(|_| values.next().is_none()).map(|(_, value)| value.as_slice())
    }

    fn value(&self, name: &str) -> Option<&'a [u8]> {
        self.headers.iter().find(|(have, _)| have.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_slice())
    }
}
