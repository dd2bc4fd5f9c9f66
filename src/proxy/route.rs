//! Which route a request takes: the first that matches decides. No route, no entry.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use http::Method;
use serde::Deserialize;

use super::reject::Rejection;
use super::shortlist::Shortlist;
use super::upstream::{self, Upstream};
use crate::auth::{Access, Policy, RequireSettings, Scheme};
use crate::inbound::{Conn, Inbound};
use crate::telemetry::{RouteMetrics, Telemetry};
use crate::types::{HostPattern, PathPattern, Report, some};

/// `[[route]]`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// Exact, `/prefix/**`, or with `{name}` for one segment.
    pub path: PathPattern,
    /// Hosts; all without it.
    #[serde(default, deserialize_with = "some")]
    pub hosts: Vec<HostPattern>,
    /// Methods; all without it.
    #[serde(default, deserialize_with = "some")]
    pub methods: Vec<String>,
    /// `public`: everybody, as nobody.
    pub access: Option<AccessSetting>,
    /// Names under `[auth]`, tried in this order.
    pub accept: Option<Vec<String>>,
    /// Another application than `[upstream]`: its URL.
    pub upstream: Option<String>,
    /// PEM bundle that this route's own `https` upstream is verified against.
    pub ca_file: Option<PathBuf>,
    /// Whether the application sees the credential.
    #[serde(default)]
    pub forward_credentials: bool,
    /// What the identity must be.
    #[serde(default)]
    pub require: RequireSettings,
}

/// The one word that `access` may say.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum AccessSetting {
    /// Everybody, as nobody.
    Public,
}

/// A route.
#[derive(Debug)]
pub struct Route {
    pattern: PathPattern,
    hosts: Vec<HostPattern>,
    methods: Vec<Method>,
    /// Whom it lets in.
    pub access: Access,
    /// What they must be.
    pub policy: Policy,
    /// Where it leads.
    pub upstream: Arc<Upstream>,
    /// Whether the application sees the credential.
    pub forward_credentials: bool,
    /// Its counters.
    pub metrics: Arc<RouteMetrics>,
}

/// All routes, in the order of the file.
#[derive(Debug)]
pub struct RouteTable {
    routes: Vec<Route>,
    shortlist: Shortlist,
    hosts: Vec<HostPattern>,
}

/// What routes are built from.
#[derive(Debug)]
pub struct Parts<'a> {
    /// Schemes by name; `None` for one whose own mistakes were reported already.
    pub schemes: &'a BTreeMap<String, Option<Arc<Scheme>>>,
    /// `[upstream]`.
    pub upstream: &'a upstream::Settings,
    /// How many shelves a pool has.
    pub workers: usize,
    /// Where counters come from.
    pub telemetry: &'a Telemetry,
}

impl RouteTable {
    /// Builds all routes; reports every mistake of all of them.
    pub fn build(settings: Vec<Settings>, hosts: Vec<HostPattern>, parts: &Parts<'_>, report: &mut Report) -> Option<Self> {
        if settings.is_empty() {
            report.error("", "there is no route, so nothing would be let in", "write at least one [[route]] with a path and either accept or access");
            return None;
        }
        warn_of_shadows(&settings, report);
        let mut upstreams = BTreeMap::new();
        let default = report.within("upstream", |report| Upstream::build(parts.upstream, parts.workers, report));
        upstreams.insert((parts.upstream.url.clone(), parts.upstream.ca_file.clone()), default.map(Arc::new));
        let count = settings.len();
        let routes: Vec<Route> = settings
            .into_iter()
            .enumerate()
            .filter_map(|(at, settings)| report.within(&format!("route[{at}]"), |report| Route::build(settings, parts, &mut upstreams, report)))
            .collect();
        let shortlist = Shortlist::new(routes.iter().map(|route| &route.pattern));
        (routes.len() == count).then_some(Self { routes, shortlist, hosts })
    }

    /// Whether the request's host is ours and the one of the TLS handshake: else 421.
    pub fn direct(&self, conn: &Conn, inbound: &Inbound) -> Result<(), Rejection> {
        let host = &*inbound.host().name;
        if conn.sni.as_deref().is_some_and(|sni| sni != host) {
            return Err(Rejection::Misdirected("the host is not the one of the TLS handshake"));
        }
        if !self.hosts.is_empty() && !self.hosts.iter().any(|pattern| pattern.matches(host)) {
            return Err(Rejection::Misdirected("the host is not one of listen.hosts"));
        }
        Ok(())
    }

    /// The route of a request. 404 without one.
    pub fn find(&self, inbound: &Inbound) -> Result<&Route, Rejection> {
        let mut candidates = self.shortlist.of(inbound.rule_path()).iter().filter_map(|number| self.routes.get(*number));
        candidates.find(|route| route.matches(inbound)).ok_or(Rejection::NoRoute)
    }

    /// All upstreams, for upkeep.
    pub fn upstreams(&self) -> impl Iterator<Item = &Arc<Upstream>> {
        self.routes.iter().map(|route| &route.upstream)
    }
}

impl Route {
    fn build(
        settings: Settings,
        parts: &Parts<'_>,
        upstreams: &mut BTreeMap<(String, Option<PathBuf>), Option<Arc<Upstream>>>,
        report: &mut Report,
    ) -> Option<Self> {
        let access = access(&settings, parts.schemes, report);
        let public = settings.access.is_some();
        let policy = report.within("require", |report| Policy::build(settings.require, public, report));
        let methods = methods(&settings.methods, report);
        if settings.upstream.is_none() && settings.ca_file.is_some() {
            report.error("ca_file", "the route names no upstream of its own", "write upstream = \"https://…\" here, or ca_file in [upstream]");
            return None;
        }
        let key = match &settings.upstream {
            Some(url) => (url.clone(), settings.ca_file.clone()),
            None => (parts.upstream.url.clone(), parts.upstream.ca_file.clone()),
        };
        let upstream = upstreams
            .entry(key)
            .or_insert_with_key(|(url, ca_file)| {
                let own = upstream::Settings { url: url.clone(), ca_file: ca_file.clone(), ..parts.upstream.clone() };
                report.within("upstream", |report| Upstream::build(&own, parts.workers, report)).map(Arc::new)
            })
            .clone();
        Some(Self {
            metrics: parts.telemetry.route(settings.path.as_str()),
            pattern: settings.path,
            hosts: settings.hosts,
            methods: methods?,
            access: access?,
            policy: policy?,
            upstream: upstream?,
            forward_credentials: settings.forward_credentials,
        })
    }

    fn matches(&self, inbound: &Inbound) -> bool {
        self.pattern.matches(inbound.rule_path())
            && (self.methods.is_empty() || self.methods.contains(inbound.method()))
            && (self.hosts.is_empty() || self.hosts.iter().any(|pattern| pattern.matches(&inbound.host().name)))
    }
}

fn access(settings: &Settings, schemes: &BTreeMap<String, Option<Arc<Scheme>>>, report: &mut Report) -> Option<Access> {
    match (&settings.access, &settings.accept) {
        (Some(AccessSetting::Public), None) => Some(Access::Public),
        (Some(AccessSetting::Public), Some(_)) => {
            report.error("access", "the route is public and asks for credentials too", "keep access = \"public\" or accept, not both");
            None
        }
        (None, None) => {
            report.error(
                "accept",
                "the route says neither whom it accepts nor that it is public",
                "write accept = [\"NAME\"] with a name under [auth], or access = \"public\"",
            );
            None
        }
        (None, Some(names)) if names.is_empty() => {
            report.error("accept", "the list is empty, so nobody could ever pass", "name at least one scheme under [auth]");
            None
        }
        (None, Some(names)) => {
            for name in names.iter().filter(|name| !schemes.contains_key(*name)) {
                let known: Vec<&str> = schemes.keys().map(String::as_str).collect();
                let remedy =
                    if known.is_empty() { "write an [auth.NAME.KIND] section".to_owned() } else { format!("write one of: {}", known.join(", ")) };
                report.error("accept", &format!("there is no [auth.{name}]"), &remedy);
            }
            let found: Option<Vec<_>> = names.iter().map(|name| schemes.get(name).cloned().flatten()).collect();
            found.map(Access::Accept)
        }
    }
}

fn methods(names: &[String], report: &mut Report) -> Option<Vec<Method>> {
    let parsed: Vec<Method> =
        names.iter().filter(|name| name.bytes().all(|b| b.is_ascii_uppercase() || b == b'-')).filter_map(|name| name.parse().ok()).collect();
    if parsed.len() == names.len() {
        return Some(parsed);
    }
    report.error("methods", "a method is not a word in upper case", "write methods = [\"GET\", \"POST\"]");
    None
}

/// A route that stands below one that matches all it matches is never reached: nearly always a mistake.
fn warn_of_shadows(settings: &[Settings], report: &mut Report) {
    for (at, route) in settings.iter().enumerate() {
        let earlier = settings.iter().take(at).find(|earlier| {
            let prefix = earlier.path.as_str().strip_suffix("/**");
            earlier.hosts.is_empty()
                && earlier.methods.is_empty()
                && (earlier.path == route.path
                    || prefix.is_some_and(|prefix| {
                        !prefix.contains('{') && (route.path.as_str() == prefix || route.path.as_str().starts_with(&format!("{prefix}/")))
                    }))
        });
        if let Some(earlier) = earlier {
            report.warn(
                &format!("route[{at}].path"),
                &format!("this route is never reached: {:?} above it matches all that it matches", earlier.path.as_str()),
                "move it up",
            );
        }
    }
}
