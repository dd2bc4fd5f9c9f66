//! Publishes what the stores and the key sets count, as metrics.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::store::{CacheCounts, Stores};
use crate::telemetry::{Kind, Sample, Telemetry};
use crate::types::unix_now;

/// How often a configuration was read anew.
#[derive(Debug, Default)]
pub struct Reloads {
    /// The new one is in force.
    pub done: AtomicU64,
    /// The new one was refused and the old one stays in force.
    pub refused: AtomicU64,
}

/// Registers all sources. Called once at start; they outlive every reload.
pub fn publish(telemetry: &Telemetry, stores: &Arc<Stores>, reloads: &Arc<Reloads>) {
    let (of_caches, of_keys, of_sources, of_reloads) = (Arc::clone(stores), Arc::clone(stores), Arc::clone(stores), Arc::clone(reloads));
    telemetry.register_source(Box::new(move || caches(&of_caches)));
    telemetry.register_source(Box::new(move || key_sets(&of_keys)));
    telemetry.register_source(Box::new(move || sources(&of_sources)));
    telemetry.register_source(Box::new(move || configurations(&of_reloads)));
}

fn caches(stores: &Stores) -> Vec<Sample> {
    let metrics = &stores.metrics;
    let all: [(&str, &CacheCounts); 4] =
        [("jwt", &metrics.jwt), ("keys", &metrics.keys), ("tokens", &metrics.tokens), ("passwords", &metrics.passwords)];
    let mut samples = vec![gauge(
        "doorward_replay_entries",
        "Signatures that are remembered because they may be used once",
        Vec::new(),
        count(stores.replay.len() as u64),
    )];
    let alone = "Signatures let in by this process's memory alone, because the shared store did not answer";
    samples.push(total("doorward_replay_local_total", alone, Vec::new(), stores.replay.alone()));
    for (cache, counts) in all {
        let label = || vec![("cache", cache.to_owned())];
        samples.push(counter("doorward_cache_hits_total", "Look-ups that were answered from what is known", label(), &counts.hits));
        samples.push(counter("doorward_cache_misses_total", "Look-ups that had to ask their source", label(), &counts.misses));
    }
    samples
}

fn sources(stores: &Stores) -> Vec<Sample> {
    let mut samples = vec![gauge("doorward_revocations", "Revocations that are remembered", Vec::new(), count(stores.revocations.len() as u64))];
    if let Some(facts) = &stores.shared_facts {
        let (name, help) = ("doorward_shared_facts_total", "Look-ups among the facts that replicas share");
        let (hits, misses) = facts.counts();
        for (outcome, number) in [("hit", hits), ("miss", misses)] {
            samples.push(total(name, help, vec![("outcome", outcome.to_owned())], number));
        }
    }
    for source in stores.sources(unix_now()) {
        let label = || vec![("source", source.name.clone())];
        if let Some(ok) = source.ok {
            samples.push(gauge("doorward_source_up", "Whether a source answered when it was last asked", label(), f64::from(u8::from(ok))));
        }
        if let Some(age) = source.age_seconds {
            samples.push(gauge("doorward_source_age_seconds", "Since a source last answered", label(), count(age)));
        }
        samples.push(total("doorward_source_failures_total", "Times that a source did not answer", label(), source.failures_total));
    }
    samples
}

fn key_sets(stores: &Stores) -> Vec<Sample> {
    let mut samples = Vec::new();
    for set in stores.jwks.status() {
        let label = || vec![("source", set.name.clone())];
        samples.push(gauge("doorward_jwks_keys", "Usable keys of an issuer", label(), count(set.keys as u64)));
        samples.push(total("doorward_jwks_failures_total", "Fetches of an issuer's keys that failed", label(), set.failures_total));
        if let Some(age) = set.age_seconds {
            samples.push(gauge("doorward_jwks_age_seconds", "Since an issuer's keys were fetched", label(), count(age)));
        }
    }
    samples
}

fn configurations(reloads: &Reloads) -> Vec<Sample> {
    let (name, help) = ("doorward_config_reloads_total", "How often the configuration was read anew");
    [("ok", &reloads.done), ("refused", &reloads.refused)]
        .into_iter()
        .map(|(outcome, counted)| counter(name, help, vec![("outcome", outcome.to_owned())], counted))
        .collect()
}

fn gauge(name: &'static str, help: &'static str, labels: Vec<(&'static str, String)>, value: f64) -> Sample {
    Sample { name, help, kind: Kind::Gauge, labels, value }
}

fn counter(name: &'static str, help: &'static str, labels: Vec<(&'static str, String)>, counted: &AtomicU64) -> Sample {
    total(name, help, labels, counted.load(Ordering::Relaxed))
}

fn total(name: &'static str, help: &'static str, labels: Vec<(&'static str, String)>, number: u64) -> Sample {
    Sample { name, help, kind: Kind::Counter, labels, value: count(number) }
}

#[allow(clippy::cast_precision_loss, reason = "counts are far below the 53 bits that a float keeps")]
fn count(number: u64) -> f64 {
    number as f64
}
