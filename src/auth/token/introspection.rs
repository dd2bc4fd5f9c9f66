//! `source = "introspection"`: from the settings to a server that can be asked.

use std::sync::Arc;

use sha2::{Digest, Sha256};

use super::settings::Settings;
use super::source::Source;
use crate::idp::{Client, IssuerUrl};
use crate::store::Stores;
use crate::store::introspection::{AssertionKey, ClientAuth, Discovery, Endpoints, Introspection, Server, Signed};
use crate::store::jwks;
use crate::store::mapping::Mapping;
use crate::store::sources::Mark;
use crate::types::{Report, Secret, SecretSource};

impl Settings {
    /// A hash of everything that a source is made of: of all settings, and of `more`, what files and variables hold.
    pub(super) fn mark(&self, name: &str, more: &[u8]) -> Mark {
        // Secrets print as ***; what they hold is in `more`.
        let text = format!("{name}\0{self:?}\0");
        Sha256::new().chain_update((text.len() as u64).to_be_bytes()).chain_update(text).chain_update(Sha256::digest(more)).finalize().into()
    }

    /// Which claims say who somebody is; `default` for the user's name.
    pub(super) fn mapping(&self, default: &[&str]) -> Mapping {
        Mapping {
            user: self.user_claim.clone().unwrap_or_else(|| default.iter().map(|&name| name.to_owned()).collect()),
            email: self.email_claim.clone().unwrap_or_else(|| "email".to_owned()),
            groups: self.groups_claim.clone().unwrap_or_else(|| "groups".to_owned()),
        }
    }

    /// The server that the settings describe: the one that is there, or a new one.
    pub(super) fn introspection(&self, name: &str, stores: &Arc<Stores>, report: &mut Report) -> Option<Source> {
        let mut made_of = Vec::new();
        let endpoints = self.endpoints(report);
        let client_auth = self.client_auth(&mut made_of, report);
        let signed = self.signed(stores, report);
        let client = match Client::build(self.ca_file.as_deref(), stores.aux.clone()) {
            Ok(client) => Some(client),
            Err(error) => {
                report.error("ca_file", &error, "name a PEM file of certificates, or leave it out");
                None
            }
        };
        if let Some(file) = &self.ca_file {
            made_of.extend(std::fs::read(file).unwrap_or_default());
        }
        let server = Server {
            endpoints: endpoints?,
            client_auth: client_auth?,
            hint: self.token_type_hint.clone().unwrap_or_else(|| "access_token".to_owned()),
            signed: signed?,
            mapping: self.mapping(&["username", "sub"]),
            client: client?,
        };
        let mark = self.mark(name, &made_of);
        let make = || {
            let server = Introspection::new(&mark, server, &stores.cache, &stores.aux, &stores.metrics);
            server.in_fleet(&stores.revocations, stores.shared_facts.as_ref())
        };
        Some(Source::Introspection(stores.introspection.get(mark, make)))
    }

    fn endpoints(&self, report: &mut Report) -> Option<Endpoints> {
        match (&self.introspection_url, &self.issuer) {
            (Some(urls), _) if urls.is_empty() => {
                report.error("introspection_url", "the list is empty", "write the https:// URL of the endpoint");
                None
            }
            (Some(urls), issuer) => {
                if self.issuer_check == Some(false) {
                    let remedy = if issuer.is_some() { "remove issuer_check, or issuer" } else { "remove it" };
                    report.error("issuer_check", "it is for an issuer that is there to find the endpoint", remedy);
                }
                let read = urls.iter().map(|url| url.parse::<IssuerUrl>());
                match read.collect::<Result<Arc<[_]>, String>>() {
                    Ok(urls) => Some(Endpoints::Fixed(urls)),
                    Err(why) => {
                        report.error("introspection_url", &why, "write the whole https:// URL of the endpoint");
                        None
                    }
                }
            }
            (None, Some(issuer)) => match issuer.parse() {
                Ok(url) => Some(Endpoints::Discovered(Box::new(Discovery::new(issuer.clone(), url)))),
                Err(why) => {
                    report.error("issuer", &format!("the endpoint cannot be found by it: {why}"), "write introspection_url = \"https://…\"");
                    None
                }
            },
            (None, None) => {
                report.error("introspection_url", "it is not said whom to ask", "write introspection_url = \"https://…\", or issuer = \"https://…\"");
                None
            }
        }
    }

    /// Notes in `made_of` what the credential is made of.
    fn client_auth(&self, made_of: &mut Vec<u8>, report: &mut Report) -> Option<ClientAuth> {
        let kind = self.client_auth.as_deref().unwrap_or(if self.private_key_file.is_some() { "private_key_jwt" } else { "basic" });
        if !["basic", "post", "bearer", "private_key_jwt"].contains(&kind) {
            let remedy = "write client_auth = \"basic\", \"post\", \"bearer\" or \"private_key_jwt\"";
            report.error("client_auth", &format!("{kind:?} is not known"), remedy);
            return None;
        }
        let by_key = kind == "private_key_jwt";
        for (key, given, wanted) in
            [("client_id", self.client_id.is_some(), kind != "bearer"), ("private_key_file", self.private_key_file.is_some(), by_key)]
        {
            if given != wanted {
                let (problem, remedy) = if wanted { ("needs it", "add it") } else { ("does not use it", "remove it") };
                report.error(key, &format!("client_auth = \"{kind}\" {problem}"), remedy);
            }
        }
        for (key, given) in [("private_key_id", self.private_key_id.is_some()), ("assertion_audience", self.assertion_audience.is_some())] {
            if given && !by_key {
                report.error(key, &format!("client_auth = \"{kind}\" does not use it"), "remove it");
            }
        }
        let id = self.client_id.clone().unwrap_or_default();
        if by_key {
            return self.assertion(id, made_of, report);
        }
        let secret = self.secret_source().load(report)?;
        made_of.extend(secret.expose());
        let auth = match kind {
            "post" if std::str::from_utf8(secret.expose()).is_ok() => Some(ClientAuth::Post { id, secret }),
            "basic" => ClientAuth::basic(&id, &secret),
            "bearer" => ClientAuth::bearer(&secret),
            _ => None,
        };
        if auth.is_none() {
            report.error("client_secret", "it cannot be sent so: it is not a line of text", "see that the file holds the secret alone");
        }
        auth
    }

    fn assertion(&self, id: String, made_of: &mut Vec<u8>, report: &mut Report) -> Option<ClientAuth> {
        if !self.secret_source().is_absent() {
            report.error("client_secret", "client_auth = \"private_key_jwt\" does not use it", "remove it");
        }
        let pem: Secret = SecretSource { key: "private_key", inline: None, file: Some(self.private_key_file.as_ref()?), env: None }.load(report)?;
        made_of.extend(pem.expose());
        match AssertionKey::from_pem(&pem, self.private_key_id.clone()) {
            Ok(key) => Some(ClientAuth::PrivateKeyJwt { id, key, audience: self.assertion_audience.clone() }),
            Err(why) => {
                report.error("private_key_file", why, "make one with: openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out FILE");
                None
            }
        }
    }

    fn secret_source(&self) -> SecretSource<'_> {
        SecretSource {
            key: "client_secret",
            inline: self.client_secret.as_ref(),
            file: self.client_secret_file.as_ref(),
            env: self.client_secret_env.as_deref(),
        }
    }

    /// What signed answers must be; the inner `None` where answers are plain.
    fn signed(&self, stores: &Arc<Stores>, report: &mut Report) -> Option<Option<Signed>> {
        match self.response.as_deref() {
            None | Some("json") => {
                if self.jwks_url.is_some() {
                    report.error("jwks_url", "plain answers are not signed", "remove it, or write response = \"jwt\"");
                }
                return Some(None);
            }
            Some("jwt") => {}
            Some(_) => {
                report.error(
                    "response",
                    "it is neither \"json\" nor \"jwt\"",
                    "write response = \"jwt\" for answers that the server signs (RFC 9701)",
                );
                return None;
            }
        }
        let (Some(issuer), Some(audience)) = (&self.issuer, &self.client_id) else {
            report.error("response", "signed answers name the server and Doorward", "write issuer = \"…\" and client_id = \"…\"");
            return None;
        };
        let (key, url) = self.jwks_url.as_ref().map_or(("issuer", issuer), |url| ("jwks_url", url));
        let url: IssuerUrl = match url.parse() {
            Ok(url) => url,
            Err(why) => {
                report.error(key, &format!("the server's keys cannot be found by it: {why}"), "write jwks_url = \"https://…\"");
                return None;
            }
        };
        let access = jwks::Access { ca_file: self.ca_file.clone(), ..jwks::Access::default() };
        let source = match self.jwks_url {
            Some(_) => jwks::Source::Url { url, access },
            None => jwks::Source::Issuer { issuer: issuer.clone(), url, access },
        };
        match stores.jwks.source(source) {
            Ok(keys) => Some(Some(Signed { keys, issuer: issuer.clone(), audience: audience.clone() })),
            Err(why) => {
                report.error("ca_file", &why, "name a PEM file of certificates, or leave it out");
                None
            }
        }
    }
}
