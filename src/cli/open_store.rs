//! The store that a configuration names, for the subcommands that change it.

use std::future::Future;
use std::io::Write;

use anyhow::{Context, anyhow};
use doorward::config::{self, Loaded};
use doorward::store::CacheSettings;
use doorward::store::revocations::{Revocation, Revocations};
use doorward::store::shared::Shared;
use doorward::store::sql::Db;
use doorward::types::{Report, Severity};
use tokio::runtime::Handle;

use super::ConfigPath;

/// As [`answer`], and tells the replicas that share a store, if they do, what `revoked` says. That they could not be told is
/// no failure: the change was made, and they find it when what they remember has aged.
pub fn answer_and_tell<F>(config: &ConfigPath, revoked: Revocation<'_>, work: impl FnOnce(Db) -> F) -> anyhow::Result<()>
where
    F: Future<Output = anyhow::Result<String>>,
{
    let cache = load(config)?.config.cache;
    answer(config, |db| async move {
        let done = work(db).await?;
        Ok(match tell(&cache, revoked).await {
            Ok(()) => done,
            Err(problem) => format!("{done}the replicas were not told ({problem}); they follow within cache.max_age\n"),
        })
    })
}

async fn tell(cache: &CacheSettings, revoked: Revocation<'_>) -> Result<(), String> {
    let mut report = Report::default();
    let shared = Shared::open(cache, Handle::current(), &mut report);
    if let Some(problem) = report.problems().iter().find(|problem| problem.severity == Severity::Error) {
        return Err(format!("{}: {}", problem.key, problem.problem));
    }
    match shared {
        Some(shared) => Revocations::telling(shared, cache).revoke(&[revoked]).await.map_err(|error| error.to_string()),
        None => Ok(()),
    }
}

fn load(config: &ConfigPath) -> anyhow::Result<Loaded> {
    config::load(&config.config).map_err(|error| anyhow!("the configuration has mistakes\n{error}"))
}

/// Opens the store of the configuration, lets `work` use it and prints what it answers. The store may be in use by a
/// Doorward that serves: it sees the change when what it remembers has aged.
pub fn answer<F>(config: &ConfigPath, work: impl FnOnce(Db) -> F) -> anyhow::Result<()>
where
    F: Future<Output = anyhow::Result<String>>,
{
    let loaded = load(config)?;
    let file = config.config.display();
    let settings = loaded.config.store.ok_or_else(|| anyhow!("{file} names no store; add a section [store] with url = \"sqlite:doorward.db\""))?;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().context("no runtime can be started")?;
    let text = runtime.block_on(async {
        let mut report = Report::default();
        let db = settings.database(runtime.handle(), &mut report);
        let db = db.ok_or_else(|| {
            anyhow!("{}", report.problems().iter().map(|p| format!("{}: {}; {}", p.key, p.problem, p.remedy)).collect::<Vec<_>>().join("\n"))
        })?;
        db.prepare().await?;
        let done = work(db.clone()).await;
        db.close().await;
        done
    })?;
    let mut out = std::io::stdout().lock();
    out.write_all(text.as_bytes()).and_then(|()| out.flush()).context("the change was made, but its answer could not be printed")
}
