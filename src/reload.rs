//! Config -> a running world. Start-up and reload run the same code; any failure keeps the old world.

use std::collections::BTreeMap;
use std::sync::Arc;

use arc_swap::ArcSwap;
use http::HeaderValue;

use crate::auth::{CredentialNames, Scheme};
use crate::config::Config;
use crate::inbound::{Cleaning, ReservedNames};
use crate::payload::PayloadLimits;
use crate::proxy::route::{self, Parts};
use crate::proxy::stamp::IdentityStamp;
use crate::proxy::{Proxy, RequestIds, RouteTable, Stamp};
use crate::server::World;
use crate::server::tls::{self, Certificates, Prepared};
use crate::store::Stores;
use crate::telemetry::Telemetry;
use crate::types::Report;

/// What one configuration builds: whole, and not in force yet.
#[derive(Debug)]
pub struct Built {
    proxy: Proxy,
    certificates: Prepared,
}

impl Built {
    /// Starts a world with it.
    #[must_use]
    pub fn start(self) -> World {
        World { proxy: ArcSwap::from_pointee(self.proxy), certificates: Arc::new(Certificates::new(self.certificates)) }
    }

    /// Puts it in force in place of what `world` had. Requests under way end in the old one.
    pub fn replace(self, world: &World) {
        world.certificates.install(self.certificates);
        world.proxy.store(Arc::new(self.proxy));
    }
}

/// Builds everything that one configuration describes. Reports every mistake and builds nothing if there is one: there is no half world.
/// `stores` outlive the world; `workers` is the number of threads that will serve it.
pub fn build_world(config: Config, stores: &Arc<Stores>, telemetry: &Telemetry, workers: usize, report: &mut Report) -> Option<Built> {
    config.listen.check(report);
    config.limits.check(report);
    let _ = config.admin.read(config.listen.admin.is_some(), report);
    config.log.check(report);
    let certificates = Certificates::prepare(&config.tls, report);
    let gate = build_gate(config, stores, telemetry, workers, report);
    Some(Built { proxy: gate?.proxy, certificates: certificates? })
}

/// Who judges requests.
#[derive(Debug)]
pub struct Gate {
    /// Routes, schemes, policies.
    pub proxy: Proxy,
    /// The schemes by their names, also those that no route accepts.
    pub schemes: BTreeMap<String, Arc<Scheme>>,
}

/// Builds what judges requests, without the listeners and certificates that bring them. Reports every mistake, also those that `report`
/// holds already, and builds nothing if there is one.
pub fn build_gate(config: Config, stores: &Arc<Stores>, telemetry: &Telemetry, workers: usize, report: &mut Report) -> Option<Gate> {
    let identity = report.within("identity", |report| IdentityStamp::build(config.identity, report));
    let schemes: BTreeMap<String, Option<Arc<Scheme>>> = config
        .auth
        .into_iter()
        .map(|(name, settings)| {
            let scheme = report.within(&format!("auth.{name}"), |report| Scheme::build(&name, settings, stores, report));
            (name, scheme.map(Arc::new))
        })
        .collect();
    check_client_certificates(&config.tls, &config.route, &schemes, report);
    let hsts = hsts(&config.listen.hsts, report);
    let parts = Parts { schemes: &schemes, upstream: &config.upstream, workers, telemetry };
    let routes = RouteTable::build(config.route, config.listen.hosts, &parts, report);
    let (identity, routes) = (identity?, routes?);
    let mut credentials = credentials(&schemes);
    credentials.headers.extend(identity.shared_names());
    let reserved = ReservedNames::new(identity.reserved(), &credentials.headers);
    for name in credentials.headers.iter().filter(|name| reserved.holds(name)) {
        let problem = format!("a scheme reads the header {name}, which is taken off every request before any scheme sees it");
        report.error("auth", &problem, "let the scheme read another header");
    }
    if report.has_errors() {
        return None;
    }
    let max_body = config.limits.max_body.0;
    let cleaning = Cleaning {
        reserved: Arc::new(reserved),
        max_headers: config.limits.max_headers,
        payload: PayloadLimits { max_bytes: if max_body == 0 { u64::MAX } else { max_body }, timeout: config.limits.body_timeout.0 },
        trusted_proxies: config.listen.trusted_proxies,
    };
    let parameters = schemes.values().flatten().flat_map(|scheme| scheme.parameters());
    let stamp = Stamp::new(identity, credentials).without_parameters(parameters.copied());
    let proxy = Proxy { cleaning, routes, stamp, hsts, telemetry: telemetry.clone(), ids: RequestIds::default() };
    let schemes = schemes.into_iter().filter_map(|(name, scheme)| Some((name, scheme?))).collect();
    Some(Gate { proxy, schemes })
}

/// A scheme that routes accept and that could never let anybody in is a mistake.
fn check_client_certificates(tls: &tls::Settings, routes: &[route::Settings], schemes: &BTreeMap<String, Option<Arc<Scheme>>>, report: &mut Report) {
    if tls.asks_for_certificates() {
        return;
    }
    let accepted = |name: &String| routes.iter().filter_map(|route| route.accept.as_ref()).any(|names| names.contains(name));
    for (name, _) in schemes.iter().filter(|(name, scheme)| scheme.as_ref().is_some_and(|it| it.needs_client_certificates()) && accepted(name)) {
        let problem = "no client is asked for a certificate, so nobody could ever pass";
        let remedy = "write client_auth = \"optional\" (or \"required\") and client_ca = \"PATH\" under [tls]";
        report.error(&format!("auth.{name}.client-certificate"), problem, remedy);
    }
}

/// Where the credentials of all schemes travel, also of those that no route accepts.
fn credentials(schemes: &BTreeMap<String, Option<Arc<Scheme>>>) -> CredentialNames {
    let mut all = CredentialNames::default();
    for scheme in schemes.values().flatten() {
        let mut names = scheme.credentials();
        all.headers.append(&mut names.headers);
        all.cookies.append(&mut names.cookies);
    }
    all
}

fn hsts(text: &str, report: &mut Report) -> Option<HeaderValue> {
    if text.is_empty() {
        report.warn("listen.hsts", "browsers are not told to insist on HTTPS", "leave hsts out for its default, max-age=31536000");
        return None;
    }
    let value = HeaderValue::from_str(text).ok().filter(|_| text.contains("max-age="));
    if value.is_none() {
        report.error("listen.hsts", "this is not a value for Strict-Transport-Security", "write \"max-age=31536000\"");
    }
    value
}
