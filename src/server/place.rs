//! Where to listen, as it is written in the configuration.
//!
//! ```text
//! "0.0.0.0:8443"   TCP; port 0 takes any free one
//! "unix:/run/x"    a socket file, mode 0660; a stale one is replaced
//! "fd:3"           a socket that systemd opened
//! ```

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::str::FromStr;

/// Where to listen, as it is written in the configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// `ADDRESS:PORT`
    Tcp(SocketAddr),
    /// `unix:/path`
    Unix(PathBuf),
    /// `fd:N`, N counted from 3.
    Fd(usize),
}

impl FromStr for Place {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if let Some(path) = text.strip_prefix("unix:") {
            return if path.starts_with('/') {
                Ok(Self::Unix(PathBuf::from(path)))
            } else {
                Err(format!("{text:?} does not name an absolute path; write \"unix:/run/doorward.sock\""))
            };
        }
        if let Some(number) = text.strip_prefix("fd:") {
            return match number.parse() {
                Ok(fd @ 3..=1023) => Ok(Self::Fd(fd)),
                _ => Err(format!("{text:?} is not a socket that systemd passes; they are numbered from \"fd:3\"")),
            };
        }
        text.parse().map(Self::Tcp).map_err(|_| {
            format!("{text:?} is not an address to listen on; write \"ADDRESS:PORT\" such as \"0.0.0.0:8443\", \"unix:/path\" or \"fd:3\"")
        })
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => address.fmt(f),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
            Self::Fd(number) => write!(f, "fd:{number}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_read_as_documented_and_no_other_way() {
        assert_eq!("127.0.0.1:0".parse(), Ok(Place::Tcp("127.0.0.1:0".parse().unwrap())));
        assert_eq!("[::1]:443".parse(), Ok(Place::Tcp("[::1]:443".parse().unwrap())));
        assert_eq!("unix:/run/a b".parse(), Ok(Place::Unix("/run/a b".into())));
        assert_eq!("fd:3".parse(), Ok(Place::Fd(3)));
        for text in
            ["", "8443", ":8443", "localhost:8443", "0.0.0.0", "0.0.0.0:65536", "unix:", "unix:run/x", "fd:", "fd:2", "fd:-1", "fd:x", "https://a:1"]
        {
            assert!(text.parse::<Place>().is_err(), "{text}");
        }
    }
}
