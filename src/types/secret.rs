//! Secrets: bytes that reach no log, no error and no process list.

use std::fmt;
use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

use super::Report;

/// Secret bytes. Wiped when dropped; `Debug` prints nothing of them; there is no `Display` and no `Serialize`.
#[derive(Clone)]
pub struct Secret(Zeroizing<Vec<u8>>);

impl Secret {
    /// Takes the bytes over.
    #[must_use]
    pub fn new(bytes: impl Into<Vec<u8>>) -> Self {
        Self(Zeroizing::new(bytes.into()))
    }

    /// The content of a file. One trailing line break is not part of it.
    pub fn from_file(path: &Path) -> std::io::Result<Self> {
        let bytes = Zeroizing::new(std::fs::read(path)?);
        let text = bytes.strip_suffix(b"\n").unwrap_or(&bytes);
        Ok(Self::new(text.strip_suffix(b"\r").unwrap_or(text)))
    }

    /// The bytes themselves: for a MAC or a comparison in constant time, never for output.
    #[must_use]
    pub fn expose(&self) -> &[u8] {
        &self.0
    }

    /// Length in bytes.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are no bytes at all.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

/// Where the configuration says that a secret is: in place (`key`), in a file (`key_file`) or in the environment (`key_env`).
#[derive(Debug, Clone, Copy)]
pub struct SecretSource<'a> {
    /// The key's stem, such as `secret` or `next_secret`.
    pub key: &'a str,
    /// The value of `key`.
    pub inline: Option<&'a Secret>,
    /// The value of `key_file`.
    pub file: Option<&'a PathBuf>,
    /// The value of `key_env`: a variable's name.
    pub env: Option<&'a str>,
}

impl SecretSource<'_> {
    /// Whether none of the three keys is set.
    #[must_use]
    pub fn is_absent(&self) -> bool {
        self.inline.is_none() && self.file.is_none() && self.env.is_none()
    }

    /// Reads the secret. One trailing line break of a file is not part of it. Reports and returns `None` when it is missing,
    /// given twice, unreadable or empty; warns when it stands in the configuration itself.
    pub fn load(&self, report: &mut Report) -> Option<Secret> {
        let (file_key, env_key) = (format!("{}_file", self.key), format!("{}_env", self.key));
        let (key, secret) = match (self.inline, self.file, self.env) {
            (Some(secret), None, None) => {
                report.warn(self.key, "the secret stands in the configuration file", &format!("move it to a file and write {file_key} = \"PATH\""));
                (self.key, secret.clone())
            }
            (None, Some(path), None) => (file_key.as_str(), read(path, &file_key, report)?),
            (None, None, Some(name)) => match std::env::var(name) {
                Ok(value) => (env_key.as_str(), Secret::new(value)),
                Err(_) => {
                    report.error(&env_key, &format!("the environment variable {name} is not set or is not UTF-8"), "set it, or name another");
                    return None;
                }
            },
            (None, None, None) => {
                report.error(self.key, "no secret is given", &format!("write {file_key} = \"PATH\" or {env_key} = \"NAME\""));
                return None;
            }
            _ => {
                report.error(self.key, "the secret is given more than once", &format!("keep one of {}, {file_key} and {env_key}", self.key));
                return None;
            }
        };
        if secret.is_empty() {
            report.error(key, "the secret is empty", "put at least 32 random bytes there, such as the output of: openssl rand -base64 32");
            return None;
        }
        Some(secret)
    }
}

fn read(path: &Path, key: &str, report: &mut Report) -> Option<Secret> {
    let read = Secret::from_file(path);
    if let Err(error) = &read {
        report.error(key, &format!("cannot read {}: {error}", path.display()), "check the path and its permissions");
    }
    read.ok()
}

impl<'de> serde::Deserialize<'de> for Secret {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer).map(Secret::new)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_of_a_secret_prints_nothing_of_it() {
        let shown = format!("{:?} {:#?}", Secret::new("hunter2"), Secret::new("hunter2"));
        assert_eq!(shown, "*** ***");
    }

    #[test]
    fn a_secret_given_twice_is_reported_and_not_chosen() {
        let inline = Secret::new("a");
        let mut report = Report::default();
        let source = SecretSource { key: "secret", inline: Some(&inline), file: None, env: Some("HOME") };
        assert!(source.load(&mut report).is_none());
        assert!(report.has_errors());
    }

    #[test]
    fn one_line_break_at_the_end_of_a_secret_file_is_not_part_of_it() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("key");
        std::fs::write(&path, "s3cret \r\n").unwrap();
        let source = SecretSource { key: "secret", inline: None, file: Some(&path), env: None };
        assert_eq!(source.load(&mut Report::default()).unwrap().expose(), b"s3cret ");
    }
}
