//! What may be wrong with a credential, and the lines of the table: every kind of scheme, with each source it can have.

/// What is wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Wrong {
    Nothing,
    Absent,
    Malformed,
    Forged,
    /// Over, or too far behind our clock.
    Expired,
    /// Not begun, or too far before our clock.
    NotYetValid,
    /// Meant for somebody else: another audience, another path.
    Elsewhere,
    /// Was good, and was taken back.
    Revoked,
    /// Good, but its source hangs up.
    SourceDown,
    /// Good, but its source never answers.
    SourceSlow,
    /// Good, but its source talks nonsense.
    SourceGarbage,
}

/// What is wrong with the credential itself.
pub const CREDENTIAL: [Wrong; 7] =
    [Wrong::Nothing, Wrong::Absent, Wrong::Malformed, Wrong::Forged, Wrong::Expired, Wrong::NotYetValid, Wrong::Elsewhere];

/// What is wrong with its source.
pub const SOURCE: [Wrong; 3] = [Wrong::SourceDown, Wrong::SourceSlow, Wrong::SourceGarbage];

impl Wrong {
    /// How a scheme of this kind answers it; `None`: the gateway hangs up.
    pub fn expected(self, kind: &str) -> Option<u16> {
        Some(match self {
            Self::Nothing => 200,
            Self::Absent => 401,
            // Its certificate is looked at in the handshake, which is refused.
            Self::Forged | Self::Expired | Self::NotYetValid | Self::Revoked if kind == "client-certificate" => return None,
            // Its clients know 403 and a text.
            Self::Malformed | Self::Forged | Self::Expired | Self::NotYetValid | Self::Elsewhere | Self::Revoked if kind == "query-hmac" => 403,
            Self::Malformed | Self::Forged | Self::Expired | Self::NotYetValid | Self::Elsewhere | Self::Revoked => 401,
            Self::SourceDown | Self::SourceSlow | Self::SourceGarbage => 503,
        })
    }
}

/// A line: the route `/NAME/**` accepts the scheme `NAME`, which is of this kind.
#[derive(Debug, Clone, Copy)]
pub struct Row {
    pub name: &'static str,
    pub kind: &'static str,
    /// What cannot be wrong with it, each with the reason in `ROWS`. A new scheme has to decide.
    pub never: &'static [Wrong],
}

const fn row(name: &'static str, kind: &'static str, never: &'static [Wrong]) -> Row {
    Row { name, kind, never }
}

const UNDATED: [Wrong; 3] = [Wrong::Expired, Wrong::NotYetValid, Wrong::Elsewhere];

/// All lines; a test makes sure that every kind is among them.
pub const ROWS: &[Row] = &[
    // Keys of the store, on PostgreSQL.
    row("fost", "fost", &[]),
    row("query-hmac", "query-hmac", &[]),
    row("s3-v2", "s3-v2", &[]),
    row("http-message-signature", "http-message-signature", &[]),
    row("aws-v4", "aws-v4", &[]),
    row("http-signature", "http-signature", &[]),
    // Its key stands in the configuration: nobody is asked.
    row("fost-config", "fost", &SOURCE),
    // So does its secret; it is taken back by a reload without it.
    row("webhook", "webhook", &[Wrong::Revoked, Wrong::SourceDown, Wrong::SourceSlow, Wrong::SourceGarbage]),
    // The issuer's keys from their own address, by discovery, from a file.
    row("jwt", "jwt", &[]),
    row("jwt-discovery", "jwt", &[]),
    row("jwt-file", "jwt", &SOURCE),
    // Doorward's own tokens begin when they are given out, and are for whatever Doorward stands before.
    row("token", "token", &[Wrong::NotYetValid, Wrong::Elsewhere]),
    row("introspection", "token", &[]),
    // The same is true of Django's, on MariaDB.
    row("token-table", "token", &[Wrong::NotYetValid, Wrong::Elsewhere]),
    // Of when a token begins the API server's word is taken: it does not authenticate one before.
    row("kubernetes-token-review", "kubernetes-token-review", &[Wrong::NotYetValid]),
    // A password has no date and no audience.
    row("basic", "basic", &UNDATED),
    // A file that cannot be read leaves the last one in force; a start without it is refused.
    row(
        "basic-htpasswd",
        "basic",
        &[Wrong::Expired, Wrong::NotYetValid, Wrong::Elsewhere, Wrong::SourceDown, Wrong::SourceSlow, Wrong::SourceGarbage],
    ),
    // On another PostgreSQL database.
    row("basic-django", "basic", &UNDATED),
    // The authority and its list of revoked certificates are files.
    row("client-certificate", "client-certificate", &SOURCE),
];
