//! The store that a configuration names, for the subcommands that change it.

use std::future::Future;
use std::io::Write;

use anyhow::{Context, anyhow};
use doorward::config;
use doorward::store::sql::Db;
use doorward::types::Report;

use super::ConfigPath;

/// Opens the store of the configuration, lets `work` use it and prints what it answers. The store may be in use by a
/// Doorward that serves: it sees the change when what it remembers has aged.
pub fn answer<F>(config: &ConfigPath, work: impl FnOnce(Db) -> F) -> anyhow::Result<()>
where
    F: Future<Output = anyhow::Result<String>>,
{
    let loaded = config::load(&config.config).map_err(|error| anyhow!("the configuration has mistakes\n{error}"))?;
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
