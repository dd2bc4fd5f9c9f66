//! What was revoked, as it is remembered and as replicas tell each other of it.
//!
//! ```text
//! member of the list    1 KIND NAME AT         KIND: token, stored, id, user, facts, key
//! its score             KEEP                   NAME: 64 hexadecimal digits of a SHA-256; never the thing itself
//! message               VERSION \n MEMBER KEEP \n …
//! ```
//!
//! AT is the time of the revocation in milliseconds, KEEP the second until which it is remembered (Unix time).

use sha2::{Digest, Sha256};

/// What kind of thing was revoked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Kind {
    /// A bearer token, by its SHA-256.
    Token,
    /// A token of Doorward's own store, by the id under which it is listed.
    Stored,
    /// A token by its issuer and `jti`.
    Id,
    /// All tokens of a user that were issued before.
    User,
    /// What is known of a user: it is to be asked for anew.
    Facts,
    /// An API key.
    Key,
}

const KINDS: [(Kind, &str); 6] =
    [(Kind::Token, "token"), (Kind::Stored, "stored"), (Kind::Id, "id"), (Kind::User, "user"), (Kind::Facts, "facts"), (Kind::Key, "key")];

/// The kind and a hash of its name: what a revocation is found by.
pub(super) type Name = (Kind, [u8; 32]);

/// One revocation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Revoked {
    pub(super) name: Name,
    /// Unix milliseconds.
    pub(super) at: i64,
    /// Unix seconds.
    pub(super) keep: i64,
}

/// SHA-256 over the kind and the length-prefixed parts of a name.
pub(super) fn name(kind: Kind, parts: &[&[u8]]) -> Name {
    let mut hash = Sha256::new_with_prefix(word(kind));
    for part in parts {
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part);
    }
    (kind, hash.finalize().into())
}

fn word(kind: Kind) -> &'static str {
    KINDS.iter().find(|(known, _)| *known == kind).map_or("", |(_, word)| word)
}

impl Revoked {
    /// The member of the list. It holds nothing of which more than a hash could be read.
    pub(super) fn member(&self) -> String {
        let (kind, name) = self.name;
        let hash: String = name.iter().map(|byte| format!("{byte:02x}")).collect();
        format!("1 {} {hash} {}", word(kind), self.at)
    }

    /// Reads a member; `None` for one that another version of Doorward, or something else, wrote.
    pub(super) fn read(member: &str, keep: i64) -> Option<Self> {
        let mut words = member.split(' ');
        let (version, kind, hash, at) = (words.next()?, words.next()?, words.next()?, words.next()?);
        if version != "1" || words.next().is_some() {
            return None;
        }
        let (kind, _) = KINDS.iter().find(|(_, word)| *word == kind)?;
        Some(Self { name: (*kind, bytes(hash)?), at: at.parse().ok()?, keep })
    }

    /// What follows the version in a message.
    #[cfg(test)]
    pub(super) fn line(&self) -> String {
        format!("{} {}", self.member(), self.keep)
    }

    pub(super) fn read_line(line: &str) -> Option<Self> {
        let (member, keep) = line.rsplit_once(' ')?;
        Self::read(member, keep.parse().ok()?)
    }
}

fn bytes(hex: &str) -> Option<[u8; 32]> {
    if hex.len() != 64 || !hex.bytes().all(|b| b.is_ascii_hexdigit()) {
        return None;
    }
    let mut all = [0; 32];
    for (byte, digits) in all.iter_mut().zip(hex.as_bytes().chunks_exact(2)) {
        *byte = u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()?;
    }
    Some(all)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn what_is_written_is_read_again(kind in 0_usize..6, hash in any::<[u8; 32]>(), at in any::<i64>(), keep in any::<i64>()) {
            let revoked = Revoked { name: (KINDS[kind].0, hash), at, keep };
            prop_assert_eq!(Revoked::read(&revoked.member(), keep), Some(revoked));
            prop_assert_eq!(Revoked::read_line(&revoked.line()), Some(revoked));
        }

        #[test]
        fn no_text_breaks_it(text in "(1 (token|user) )?[0-9a-f]{0,70}[ \\PC]{0,20}") {
            let _ = (Revoked::read(&text, 0), Revoked::read_line(&text));
        }
    }

    #[test]
    fn kinds_and_parts_are_kept_apart() {
        let names = [
            name(Kind::User, &[b"alice"]),
            name(Kind::Facts, &[b"alice"]),
            name(Kind::Key, &[b"alice"]),
            name(Kind::Id, &[b"a", b"lice"]),
            name(Kind::Id, &[b"al", b"ice"]),
            name(Kind::Id, &[b"alice", b""]),
        ];
        for (at, one) in names.iter().enumerate() {
            assert!(names.iter().skip(at + 1).all(|other| other.1 != one.1), "{at}");
        }
    }

    #[test]
    fn other_forms_are_not_read() {
        let good = Revoked { name: name(Kind::User, &[b"alice"]), at: 5, keep: 9 }.member();
        assert!(Revoked::read(&good, 9).is_some());
        for bad in
            [good.replacen('1', "2", 1), good.replacen("user", "group", 1), format!("{good} x"), good.replacen(" 5", "", 1), good.to_uppercase()]
        {
            assert!(Revoked::read(&bad, 9).is_none(), "{bad}");
        }
        assert!(!good.contains("alice"));
    }
}
