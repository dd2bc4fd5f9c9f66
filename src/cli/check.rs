//! `doorward check`: every mistake and every weak choice at once.

use std::process::ExitCode;

use anyhow::Context as _;

use doorward::config::Located;
use doorward::reload::build_world;
use doorward::store::Stores;
use doorward::telemetry::Telemetry;
use doorward::types::Report;

use super::problems;

/// Arguments of `doorward check`.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    config: super::ConfigPath,
}

/// Builds the whole world as a start would, but opens no listener and touches no store.
#[allow(clippy::print_stdout, reason = "a command line prints")]
pub fn run(args: Args) -> anyhow::Result<ExitCode> {
    let bad = Ok(ExitCode::from(problems::BAD_CONFIGURATION));
    let Some(loaded) = problems::load(&args.config.config) else { return bad };
    let found = check(loaded)?;
    if problems::print(&found) {
        return bad;
    }
    println!("{}: no mistakes, {} weak choice(s)", args.config.config.display(), found.len());
    Ok(ExitCode::SUCCESS)
}

fn check(loaded: doorward::config::Loaded) -> anyhow::Result<Vec<Located>> {
    let (config, lines) = loaded.split();
    let mut report = Report::default();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    // The real store is left alone: what it would hold is judged by an empty one.
    let scratch = tempfile::tempdir().context("cannot make a temporary folder")?;
    let store = config.store.as_ref().map(|_| doorward::store::Settings { url: format!("sqlite:{}", scratch.path().join("scratch.db").display()) });
    if let Some(settings) = &config.store {
        settings.check(&mut report);
    }
    let stores = runtime.block_on(Stores::open(store.as_ref(), &config.cache, runtime.handle().clone(), &mut report));
    if let Some(stores) = stores {
        // Builders may reach for the runtime, as they do at a start.
        let _entered = runtime.enter();
        let _ = build_world(config, &stores, &Telemetry::without_output(), 1, &mut report);
    }
    Ok(lines.locate(&report))
}
