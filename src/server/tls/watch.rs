//! Notices changed certificate files by their contents: works for renamed, linked and mounted files alike.

use std::sync::{Arc, PoisonError};
use std::time::Duration;

use tokio::time::MissedTickBehavior;

use super::dates::Overdue;
use super::material::{Fingerprint, Material};
use super::{Certificates, ReloadError};
use crate::telemetry::Telemetry;
use crate::types::unix_now;

/// How often the files are read.
const EVERY: Duration = Duration::from_secs(2);

/// What one look at the files found.
#[derive(Debug)]
pub(super) enum Found {
    Same,
    Swapped,
    /// Not usable, and not reported before.
    Bad(ReloadError),
    /// Not usable, but maybe only half written: it is reported if it stays so.
    Unsettled(Fingerprint),
}

impl Certificates {
    /// Takes changed files into service, for ever. Files that cannot be used are logged and counted once, and the old ones stay
    /// in service.
    pub async fn watch(self: Arc<Self>, telemetry: Telemetry) {
        self.watch_every(EVERY, telemetry).await;
    }

    pub(super) async fn watch_every(self: Arc<Self>, every: Duration, telemetry: Telemetry) {
        let mut tick = tokio::time::interval(every);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut unsettled = None;
        let mut told = Overdue::default();
        loop {
            tick.tick().await;
            for list in told.news(&self.lists(), unix_now()) {
                tracing::error!(issuer = list, "a revocation list is past its nextUpdate; the clients that it speaks of are refused");
            }
            let certificates = Arc::clone(&self);
            let before = unsettled.take();
            match tokio::task::spawn_blocking(move || certificates.look(before)).await {
                Ok(Found::Same) => {}
                Ok(Found::Swapped) => tracing::info!("new certificates are in service"),
                Ok(Found::Unsettled(fingerprint)) => unsettled = Some(fingerprint),
                Ok(Found::Bad(error)) => {
                    telemetry.certificate_reload_failed();
                    tracing::error!(%error, "new certificate files cannot be used; the old ones stay in service");
                }
                Err(error) => tracing::error!(%error, "looking at the certificate files failed"),
            }
        }
    }

    /// `unsettled` is what the last look could not use. A certificate and its key are rarely replaced in the same instant.
    pub(super) fn look(&self, unsettled: Option<Fingerprint>) -> Found {
        let fingerprint = {
            let source = self.source.lock().unwrap_or_else(PoisonError::into_inner);
            let fingerprint = Material::read(&source.settings).fingerprint();
            if fingerprint == self.current.load().fingerprint || source.refused == Some(fingerprint) {
                return Found::Same;
            }
            fingerprint
        };
        match self.reload() {
            Ok(true) => Found::Swapped,
            Ok(false) => Found::Same,
            Err(error) if unsettled == Some(fingerprint) => Found::Bad(error),
            Err(_) => {
                self.source.lock().unwrap_or_else(PoisonError::into_inner).refused = None;
                Found::Unsettled(fingerprint)
            }
        }
    }
}
