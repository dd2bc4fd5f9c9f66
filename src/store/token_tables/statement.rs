//! The statements: those of three Django packages, and one of the operator's own.
//!
//! A token is bound to a placeholder, never written into a statement. What is written into one are names of tables and
//! columns from the configuration, which hold letters, digits and `_` alone and are quoted.

use std::sync::Arc;

use super::database::{Dialect, dialect};
use crate::store::digest;
use crate::store::sql::Place;

/// The tables that are known by name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Preset {
    /// `oauth2_provider_accesstoken`, of django-oauth-toolkit.
    DjangoOauthToolkit,
    /// `oauth2_accesstoken`, of django-oauth2-provider.
    DjangoOauth2Provider,
    /// `authtoken_token`, of Django REST framework.
    DrfAuthtoken,
}

impl Preset {
    /// All, with their names in the configuration.
    pub const ALL: [(&'static str, Self); 3] = [
        ("django-oauth-toolkit", Self::DjangoOauthToolkit),
        ("django-oauth2-provider", Self::DjangoOauth2Provider),
        ("drf-authtoken", Self::DrfAuthtoken),
    ];
}

/// What of Django's users is read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DjangoUser {
    /// The table, with a schema before it or without.
    pub table: String,
    /// The column that is the user's name.
    pub name: String,
    /// The column that is the e-mail address.
    pub email: Option<String>,
    /// Whether the groups are read: `auth_group` through `TABLE_groups`.
    pub groups: bool,
}

/// How a token is bound.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TokenForm {
    /// As it stands.
    Plain,
    /// As the lower-case hexadecimal SHA-256 of it.
    Sha256Hex,
}

impl TokenForm {
    /// What is bound for `token`.
    pub(super) fn of(self, token: &str) -> String {
        match self {
            Self::Plain => token.to_owned(),
            Self::Sha256Hex => digest(token).iter().map(|byte| format!("{byte:02x}")).collect(),
        }
    }
}

/// One statement that looks a token up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Statement {
    pub sql: Arc<str>,
    pub form: TokenForm,
    /// How often the token is bound.
    pub binds: usize,
}

/// How a table is asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Lookup {
    /// By the one statement.
    One(Statement),
    /// By the checksum where `has_checksum` finds such a column (django-oauth-toolkit since 3.0), else by the token.
    ByChecksum { has_checksum: &'static str, checksum: Statement, token: Statement },
}

/// Whether an expired or boundless row is an accident, and how scopes are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Reading {
    /// A row without `expires` is damaged rather than good for ever.
    pub expiry_required: bool,
    /// Scopes are the bits 2 (read) and 4 (write) of a number.
    pub scope_bits: bool,
    /// Rows have a column `standing`: 1 for an active user, 2 for no user at all, anything else for nobody.
    pub standing: bool,
}

/// The look-up of a preset.
pub(super) fn preset(preset: Preset, dialect: Dialect, user: &DjangoUser) -> (Lookup, Reading) {
    let sql = Sql { dialect, user };
    match preset {
        Preset::DjangoOauthToolkit => {
            let more = "t.expires AS expires, t.scope AS scope, a.client_id AS client_id";
            let from = "oauth2_provider_accesstoken t LEFT JOIN oauth2_provider_application a ON a.id = t.application_id";
            let lookup = Lookup::ByChecksum {
                has_checksum: has_checksum(dialect),
                checksum: sql.statement("token_checksum", more, from, TokenForm::Sha256Hex),
                token: sql.statement("token", more, from, TokenForm::Plain),
            };
            (lookup, Reading { expiry_required: true, scope_bits: false, standing: true })
        }
        Preset::DjangoOauth2Provider => {
            let more = "t.expires AS expires, t.scope AS scope, a.client_id AS client_id";
            let from = "oauth2_accesstoken t LEFT JOIN oauth2_client a ON a.id = t.client_id";
            let statement = sql.statement("token", more, from, TokenForm::Plain);
            (Lookup::One(statement), Reading { expiry_required: true, scope_bits: true, standing: true })
        }
        Preset::DrfAuthtoken => {
            let statement = sql.statement("key", "", "authtoken_token t", TokenForm::Plain);
            (Lookup::One(statement), Reading { expiry_required: false, scope_bits: false, standing: true })
        }
    }
}

/// The operator's own statement. The error says what is wrong with it.
pub(super) fn own(sql: &str, form: TokenForm, dialect: Dialect) -> Result<(Lookup, Reading), &'static str> {
    let first = sql.split_ascii_whitespace().next().unwrap_or_default();
    if !["select", "with", "("].iter().any(|word| first.to_ascii_lowercase().starts_with(word)) {
        return Err("it is not a SELECT");
    }
    let binds = placeholders(sql, dialect)?;
    let statement = Statement { sql: sql.into(), form, binds };
    Ok((Lookup::One(statement), Reading { expiry_required: false, scope_bits: false, standing: false }))
}

/// How often the token is to be bound: placeholders outside of quotes and comments.
fn placeholders(sql: &str, dialect: Dialect) -> Result<usize, &'static str> {
    let code = without_quoted(sql);
    if code.contains(';') {
        return Err("it holds a semicolon: one statement is asked, without an end mark");
    }
    if dialect == Dialect::Postgres {
        let numbers: Vec<&str> = code.split('$').skip(1).map(|rest| rest.split(|c: char| !c.is_ascii_digit()).next().unwrap_or_default()).collect();
        return match (numbers.is_empty(), numbers.iter().all(|number| *number == "1")) {
            (false, true) => Ok(1),
            _ => Err("the token has no place in it, or others have: write $1 where the token belongs"),
        };
    }
    match code.matches('?').count() {
        0 => Err("the token has no place in it: write ? where the token belongs"),
        count => Ok(count),
    }
}

/// The statement without what stands in quotes and comments.
fn without_quoted(sql: &str) -> String {
    let mut code = String::new();
    let mut rest = sql;
    while let Some(at) = rest.find(['\'', '"', '`', '-', '/']) {
        let (before, from) = rest.split_at(at);
        code.push_str(before);
        let end = match from.chars().next() {
            Some('-') if from.starts_with("--") => from.find('\n'),
            Some('/') if from.starts_with("/*") => from.find("*/").map(|end| end + 1),
            Some('-' | '/') => {
                code.push(' ');
                Some(0)
            }
            // A doubled quote ends one text and begins the next, which comes to the same.
            Some(quote) => from.char_indices().skip(1).find(|(_, c)| *c == quote).map(|(end, _)| end),
            None => None,
        };
        rest = end.and_then(|end| from.get(end + 1..)).unwrap_or_default();
    }
    code.push_str(rest);
    code
}

/// Whether `name` may be written into a statement: letters, digits and `_`; a table also with a schema before it.
pub(super) fn is_identifier(name: &str, with_schema: bool) -> bool {
    let plain = |part: &str| {
        let letters = part.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
        !part.is_empty() && part.len() <= 63 && letters && !part.starts_with(|c: char| c.is_ascii_digit())
    };
    match name.split_once('.') {
        Some((schema, table)) => with_schema && plain(schema) && plain(table),
        None => plain(name),
    }
}

/// One of Django's users by name, with the password's hash. In `standing`, 1 is an active user.
pub(in crate::store) fn users(place: &Place, user: &DjangoUser) -> Arc<str> {
    let sql = Sql { dialect: dialect(place), user };
    let name = sql.quoted(&user.name);
    let mut columns = vec![
        format!("u.{name} AS user_name"),
        format!("u.{} AS password", sql.quoted("password")),
        "CASE WHEN u.is_active THEN 1 ELSE 0 END AS standing".to_owned(),
    ];
    columns.extend(user.email.as_ref().map(|email| format!("u.{} AS email", sql.quoted(email))));
    columns.extend(user.groups.then(|| sql.groups("u.id")));
    format!("SELECT {} FROM {} u WHERE u.{name} = {}", columns.join(", "), sql.quoted(&user.table), sql.placeholder()).into()
}

/// Asks the catalogue for the column `token_checksum`.
fn has_checksum(dialect: Dialect) -> &'static str {
    match dialect {
        Dialect::Sqlite => "SELECT count(*) AS n FROM pragma_table_info('oauth2_provider_accesstoken') WHERE name = 'token_checksum'",
        Dialect::Postgres => {
            "SELECT count(*) AS n FROM pg_catalog.pg_attribute WHERE attrelid = to_regclass('oauth2_provider_accesstoken') AND attname = 'token_checksum' AND NOT attisdropped"
        }
        Dialect::Mysql => {
            "SELECT count(*) AS n FROM information_schema.columns WHERE table_schema = DATABASE() AND table_name = 'oauth2_provider_accesstoken' AND column_name = 'token_checksum'"
        }
    }
}

struct Sql<'s> {
    dialect: Dialect,
    user: &'s DjangoUser,
}

impl Sql<'_> {
    fn statement(&self, key: &str, more: &str, from: &str, form: TokenForm) -> Statement {
        let (key, user) = (self.quoted(key), self.user);
        let mut columns = vec![
            format!("t.{key} AS token"),
            format!("u.{} AS user_name", self.quoted(&user.name)),
            "CASE WHEN t.user_id IS NULL THEN 2 WHEN u.is_active THEN 1 ELSE 0 END AS standing".to_owned(),
        ];
        columns.extend((!more.is_empty()).then(|| more.to_owned()));
        columns.extend(user.email.as_ref().map(|email| format!("u.{} AS email", self.quoted(email))));
        columns.extend(user.groups.then(|| self.groups("t.user_id")));
        let placeholder = self.placeholder();
        let table = self.quoted(&user.table);
        let sql = format!("SELECT {} FROM {from} LEFT JOIN {table} u ON u.id = t.user_id WHERE t.{key} = {placeholder}", columns.join(", "));
        Statement { sql: sql.into(), form, binds: 1 }
    }

    fn placeholder(&self) -> &'static str {
        if self.dialect == Dialect::Postgres { "$1" } else { "?" }
    }

    /// A JSON list of the names, in one column.
    fn groups(&self, of: &str) -> String {
        let list = match self.dialect {
            Dialect::Sqlite => "json_group_array(g.name)",
            Dialect::Postgres => "json_agg(g.name)",
            Dialect::Mysql => "JSON_ARRAYAGG(g.name)",
        };
        // Django names the table between after the model's table, and its column after the model.
        let between = format!("{}_groups", self.user.table);
        let model = self.user.table.rsplit('.').next().unwrap_or_default().rsplit('_').next().unwrap_or_default();
        let (between, column) = (self.quoted(&between), self.quoted(&format!("{model}_id")));
        format!("(SELECT {list} FROM {between} ug JOIN auth_group g ON g.id = ug.group_id WHERE ug.{column} = {of}) AS group_names")
    }

    fn quoted(&self, name: &str) -> String {
        let quote = if self.dialect == Dialect::Mysql { '`' } else { '"' };
        name.split('.').map(|part| format!("{quote}{part}{quote}")).collect::<Vec<_>>().join(".")
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn user() -> DjangoUser {
        DjangoUser { table: "auth_user".to_owned(), name: "username".to_owned(), email: None, groups: false }
    }

    #[test]
    fn every_preset_asks_in_every_dialect_with_one_placeholder() {
        for (_, which) in Preset::ALL {
            for dialect in [Dialect::Sqlite, Dialect::Postgres, Dialect::Mysql] {
                let statements = match preset(which, dialect, &user()).0 {
                    Lookup::One(one) => vec![one],
                    Lookup::ByChecksum { checksum, token, .. } => vec![checksum, token],
                };
                for statement in statements {
                    assert_eq!(placeholders(&statement.sql, dialect), Ok(statement.binds), "{}", statement.sql);
                }
            }
        }
    }

    #[test]
    fn a_custom_user_model_gives_its_own_names() {
        let custom = DjangoUser { table: "app.accounts_member".to_owned(), name: "email".to_owned(), email: Some("email".to_owned()), groups: true };
        let (Lookup::One(statement), _) = preset(Preset::DrfAuthtoken, Dialect::Mysql, &custom) else { panic!() };
        assert!(statement.sql.contains("u.`email` AS user_name") && statement.sql.contains("u.`email` AS email"), "{}", statement.sql);
        assert!(statement.sql.contains("LEFT JOIN `app`.`accounts_member` u") && statement.sql.contains("t.`key` = ?"), "{}", statement.sql);
        assert!(statement.sql.contains("FROM `app`.`accounts_member_groups` ug") && statement.sql.contains("ug.`member_id`"), "{}", statement.sql);
    }

    #[test]
    fn names_are_letters_digits_and_underlines() {
        for (name, with_schema, good) in [
            ("auth_user", false, true),
            ("_x1", false, true),
            ("a.b", true, true),
            ("a.b", false, false),
            ("a.b.c", true, false),
            ("", true, false),
            (".", true, false),
            ("1a", false, false),
            ("a b", false, false),
            ("a\"b", false, false),
            ("a`b", false, false),
            ("a;b", false, false),
            ("é", false, false),
        ] {
            assert_eq!(is_identifier(name, with_schema), good, "{name}");
        }
        assert!(!is_identifier(&"a".repeat(64), false));
    }

    #[test]
    fn an_own_statement_is_one_select_with_a_place_for_the_token() {
        for (sql, dialect, binds) in [
            ("SELECT u AS user_name FROM t WHERE k = ?", Dialect::Sqlite, 1),
            ("select u from t where k = ? and binary k = ?", Dialect::Mysql, 2),
            ("WITH x AS (SELECT 1) SELECT u FROM t WHERE k = ? AND v <> '?'", Dialect::Mysql, 1),
            ("(SELECT 1 WHERE ? = 'it''s; --' -- ;?\n)", Dialect::Sqlite, 1),
            ("SELECT a - b / c FROM t WHERE k = ?/* ? ; */", Dialect::Sqlite, 1),
            ("SELECT \"?\" FROM t WHERE k = $1 OR h = $1", Dialect::Postgres, 1),
            ("  \n SELECT 1 WHERE $1 = 'a$2'", Dialect::Postgres, 1),
        ] {
            let (Lookup::One(statement), _) = own(sql, TokenForm::Plain, dialect).unwrap() else { panic!() };
            assert_eq!(statement.binds, binds, "{sql}");
        }
        for (sql, dialect) in [
            ("", Dialect::Sqlite),
            ("SELECT 1", Dialect::Sqlite),
            ("SELECT '?'", Dialect::Sqlite),
            ("SELECT 1 -- ?", Dialect::Sqlite),
            ("DELETE FROM t WHERE k = ?", Dialect::Sqlite),
            ("PRAGMA x(?)", Dialect::Sqlite),
            ("SELECT 1 WHERE k = ?; DROP TABLE t", Dialect::Sqlite),
            ("SELECT 1 WHERE k = ?;", Dialect::Mysql),
            ("SELECT 1 WHERE k = ?", Dialect::Postgres),
            ("SELECT 1 WHERE k = $1 AND l = $2", Dialect::Postgres),
            ("SELECT 1 WHERE k = $11", Dialect::Postgres),
            ("SELECT 1 WHERE k = $x", Dialect::Postgres),
            ("SELECT 1 WHERE k = '$1'", Dialect::Postgres),
        ] {
            assert!(own(sql, TokenForm::Plain, dialect).is_err(), "{sql}");
        }
    }

    #[test]
    fn a_token_is_bound_as_it_stands_or_as_its_hash() {
        assert_eq!(TokenForm::Plain.of("aB' OR 1"), "aB' OR 1");
        assert_eq!(TokenForm::Sha256Hex.of("abc"), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    }

    proptest! {
        #[test]
        fn no_statement_makes_it_panic(sql in "[a-z?$1'\"`;/* é\n-]{0,40}") {
            for dialect in [Dialect::Sqlite, Dialect::Postgres, Dialect::Mysql] {
                let _ = own(&sql, TokenForm::Plain, dialect);
            }
        }
    }
}
