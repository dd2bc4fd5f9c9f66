//! `[auth.NAME.token]`: what may stand there, and everything that can be wrong with it.

use std::path::PathBuf;
use std::sync::Arc;

use serde::Deserialize;

use super::rules::Rules;
use super::source::Source;
use crate::auth::bearer::{Carrier, one_or_many};
use crate::auth::sender::{self, Senders};
use crate::store::Stores;
use crate::store::token_tables::{self, TokenTable};
use crate::types::{HumanDuration, Report, Secret, Severity};

/// `[auth.NAME.token]`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// Where tokens are looked up: `store`, `introspection` or `sql`.
    pub(super) source: String,
    /// Words before the token in `Authorization`; default `["Bearer"]`, `""` for none.
    #[serde(default, deserialize_with = "one_or_many")]
    pub(super) prefix: Option<Vec<String>>,
    /// A header that may hold the token.
    pub(super) header: Option<String>,
    /// A cookie that may hold the token.
    pub(super) cookie: Option<String>,
    /// `access_token`, if tokens may stand in the query.
    pub(super) query_parameter: Option<String>,
    /// Whether tokens of a JWT's form are looked up, too.
    #[serde(default)]
    pub(super) jwt_form: bool,
    /// Whether tokens may be, or must be, bound to a key.
    pub(super) dpop: Option<sender::Settings>,
    /// What `iss` must be. Without `introspection_url`, its metadata names the endpoint.
    pub(super) issuer: Option<String>,
    /// `false` for servers whose answers name no issuer.
    pub(super) issuer_check: Option<bool>,
    /// `aud` must be or hold one of these.
    #[serde(default, deserialize_with = "one_or_many")]
    pub(super) audience: Option<Vec<String>>,
    /// The claims that may be the user's name: the first that is there.
    #[serde(default, deserialize_with = "one_or_many")]
    pub(super) user_claim: Option<Vec<String>>,
    /// The claim that is the e-mail address.
    pub(super) email_claim: Option<String>,
    /// The claim that lists the groups.
    pub(super) groups_claim: Option<String>,
    /// How far ahead the server's clock may be.
    pub(super) leeway: Option<HumanDuration>,
    /// Addresses that know the same tokens.
    #[serde(default, deserialize_with = "one_or_many")]
    pub(super) introspection_url: Option<Vec<String>>,
    /// `basic`, `post`, `bearer` or `private_key_jwt`.
    pub(super) client_auth: Option<String>,
    /// Doorward's name at the server.
    pub(super) client_id: Option<String>,
    /// The secret that belongs to it, or the bearer token, in place.
    pub(super) client_secret: Option<Secret>,
    /// The same, in a file.
    pub(super) client_secret_file: Option<PathBuf>,
    /// The same, in the environment.
    pub(super) client_secret_env: Option<String>,
    /// The key of `private_key_jwt`.
    pub(super) private_key_file: Option<PathBuf>,
    /// Its name at the server.
    pub(super) private_key_id: Option<String>,
    /// `aud` of what it signs; default: the endpoint's address.
    pub(super) assertion_audience: Option<String>,
    /// `token_type_hint`; default `access_token`, "" for none.
    pub(super) token_type_hint: Option<String>,
    /// `json` or `jwt`.
    pub(super) response: Option<String>,
    /// The key set of signed answers; default: the one that the issuer's metadata names.
    pub(super) jwks_url: Option<String>,
    /// Certificate authorities to trust for the server, instead of the system's.
    pub(super) ca_file: Option<PathBuf>,
    /// The table of `source = "sql"`.
    pub(super) sql: Option<token_tables::Settings>,
}

/// What a scheme is built of.
pub(super) struct Parts {
    pub carrier: Carrier,
    pub source: Source,
    pub rules: Rules,
    pub senders: Senders,
}

impl Settings {
    /// Reads them. Every mistake is reported, not only the first. Asks nobody anything.
    pub(super) fn parts(&self, name: &str, stores: &Arc<Stores>, report: &mut Report) -> Option<Parts> {
        let before = report.problems().len();
        self.check_keys(report);
        let rules = self.rules(report);
        let mut prefix = self.prefix.clone();
        let source = match self.source.as_str() {
            "store" => self.store(stores, report),
            "introspection" => self.introspection(name, stores, report),
            "sql" => self.sql.as_ref().and_then(|sql| {
                let table = report.within("sql", |report| sql.table(report))?;
                if table.says_token() {
                    prefix.get_or_insert_with(|| vec!["Token".to_owned()]);
                }
                let mark = self.mark(name, table.made_of());
                let mapping = self.mapping(&["username"]);
                let make = || {
                    let table = TokenTable::new(&mark, &table, mapping, &stores.cache, &stores.aux, &stores.metrics);
                    table.in_fleet(&stores.revocations, stores.shared_facts.as_ref())
                };
                Some(Source::Sql(stores.token_tables.get(mark, make)))
            }),
            other => {
                report.error("source", &format!("tokens cannot be looked up in {other:?}"), "write source = \"store\", \"introspection\" or \"sql\"");
                None
            }
        };
        let carrier = Carrier::build(prefix, self.header.clone(), self.cookie.clone(), report);
        let carrier = carrier.and_then(|carrier| carrier.with_query_parameter(self.query_parameter.as_deref(), report));
        let senders = sender::build(self.dpop.as_ref(), rules.leeway, report);
        let failed = report.problems().iter().skip(before).any(|problem| problem.severity == Severity::Error);
        (!failed).then_some(())?;
        Some(Parts { carrier: carrier?, source: source?, rules, senders: senders? })
    }

    /// A key that means nothing for this source was written in the belief that it does.
    fn check_keys(&self, report: &mut Report) {
        let any = ["introspection", "sql"].as_slice();
        let asked = ["introspection"].as_slice();
        let keys = [
            ("jwt_form", self.jwt_form, any),
            ("dpop", self.dpop.is_some(), any),
            ("issuer", self.issuer.is_some(), any),
            ("issuer_check", self.issuer_check.is_some(), asked),
            ("audience", self.audience.is_some(), any),
            ("user_claim", self.user_claim.is_some(), any),
            ("email_claim", self.email_claim.is_some(), any),
            ("groups_claim", self.groups_claim.is_some(), any),
            ("leeway", self.leeway.is_some(), asked),
            ("introspection_url", self.introspection_url.is_some(), asked),
            ("client_auth", self.client_auth.is_some(), asked),
            ("client_id", self.client_id.is_some(), asked),
            ("client_secret", self.client_secret.is_some(), asked),
            ("client_secret_file", self.client_secret_file.is_some(), asked),
            ("client_secret_env", self.client_secret_env.is_some(), asked),
            ("private_key_file", self.private_key_file.is_some(), asked),
            ("private_key_id", self.private_key_id.is_some(), asked),
            ("assertion_audience", self.assertion_audience.is_some(), asked),
            ("token_type_hint", self.token_type_hint.is_some(), asked),
            ("response", self.response.is_some(), asked),
            ("jwks_url", self.jwks_url.is_some(), asked),
            ("ca_file", self.ca_file.is_some(), asked),
            ("sql", self.sql.is_some(), ["sql"].as_slice()),
        ];
        for (key, _, sources) in keys.iter().filter(|(_, given, sources)| *given && !sources.contains(&self.source.as_str())) {
            let problem = format!("it means nothing with source = {:?}", self.source);
            report.error(key, &problem, &format!("remove it, or write source = \"{}\"", sources.join("\" or \"")));
        }
        if self.source == "sql" && self.sql.is_none() {
            report.error("sql", "it is not said which table to read", "write sql = { url = \"…\", preset = \"django-oauth-toolkit\" }");
        }
    }

    fn rules(&self, report: &mut Report) -> Rules {
        if self.audience.as_ref().is_some_and(|all| all.is_empty() || all.iter().any(String::is_empty)) {
            report.error("audience", "an audience is empty, or there is none", "write the value of your tokens' aud, or leave it out");
        }
        if self.issuer.as_deref() == Some("") {
            report.error("issuer", "it is empty", "write the value of your tokens' iss, or leave it out");
        }
        if self.user_claim.as_ref().is_some_and(|all| all.is_empty() || all.iter().any(String::is_empty)) {
            report.error("user_claim", "it names no claim", "write user_claim = [\"username\", \"sub\"], or leave it out");
        }
        let leeway = self.leeway.map_or(10, |leeway| leeway.0.as_secs());
        if leeway > 300 {
            report.warn("leeway", "tokens are good minutes before they should be", "set the clocks right and write leeway = \"10s\"");
        }
        Rules {
            issuer: self.issuer.clone().filter(|_| self.issuer_check != Some(false)),
            audience: self.audience.clone(),
            leeway: i64::try_from(leeway).unwrap_or(0),
            expiry_required: self.source == "store",
        }
    }

    fn store(&self, stores: &Arc<Stores>, report: &mut Report) -> Option<Source> {
        if stores.tokens.is_none() {
            report.error("source", "there is no store", "add a section [store] with url = \"sqlite:FILE\"");
        }
        stores.tokens.clone().map(Source::Store)
    }
}
