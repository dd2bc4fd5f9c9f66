//! What a database's URL says behind its question mark.

use std::net::IpAddr;

use super::{OpenError, Server};

/// How much is asked of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Protection {
    Plain,
    IfOffered,
    Unverified,
    Authority,
    Full,
}

/// What a URL says behind its question mark.
#[derive(Default)]
pub(super) struct Told {
    pub(super) protection: Option<Protection>,
    pub(super) authority: Option<String>,
    pub(super) certificate: Option<String>,
    pub(super) key: Option<String>,
    pub(super) search_path: Option<String>,
    pub(super) cache: Option<usize>,
}

impl Told {
    pub(super) fn take(&mut self, server: &mut Server, postgres: bool, name: &str, value: String) -> Result<(), OpenError> {
        match name {
            "sslmode" | "ssl-mode" => self.protection = Some(protection(&value)?),
            "sslrootcert" | "ssl-ca" => self.authority = Some(readable(name, value)?),
            "sslcert" | "ssl-cert" => self.certificate = Some(readable(name, value)?),
            "sslkey" | "ssl-key" => self.key = Some(readable(name, value)?),
            "host" if postgres && value.starts_with('/') => server.socket = Some(value),
            "socket" if !postgres => server.socket = Some(value),
            "search_path" if postgres => self.search_path = Some(value),
            "statement-cache-capacity" => {
                let number = value
                    .parse()
                    .map_err(|_| OpenError::new(format!("the option {name} is no number"), "write 0 behind a proxy that shares connections"))?;
                self.cache = Some(number);
            }
            _ => {
                let known =
                    "sslmode, sslrootcert, sslcert, sslkey, statement-cache-capacity, and host=/FOLDER and search_path (postgres) or socket (mysql)";
                return Err(OpenError::new(format!("the url has an option {name:?}, which is not known"), format!("known are {known}")));
            }
        }
        Ok(())
    }
}

fn protection(mode: &str) -> Result<Protection, OpenError> {
    match mode.to_ascii_lowercase().replace('_', "-").as_str() {
        "disable" | "disabled" => Ok(Protection::Plain),
        "prefer" | "preferred" => Ok(Protection::IfOffered),
        "require" | "required" => Ok(Protection::Unverified),
        "verify-ca" => Ok(Protection::Authority),
        "verify-full" | "verify-identity" => Ok(Protection::Full),
        _ => Err(OpenError::new("the url asks for an unknown mode of TLS", "write sslmode=verify-full, verify-ca, require, prefer or disable")),
    }
}

/// A file that can be read now: a wrong name should be found by `doorward check`, not when the database is needed.
fn readable(option: &str, file: String) -> Result<String, OpenError> {
    match std::fs::File::open(&file) {
        Ok(_) => Ok(file),
        Err(error) => {
            Err(OpenError::new(format!("the file of the url's option {option} cannot be read: {error}"), "check the path and its permissions"))
        }
    }
}

pub(super) fn is_loopback(host: &str) -> bool {
    host.eq_ignore_ascii_case("localhost") || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}
