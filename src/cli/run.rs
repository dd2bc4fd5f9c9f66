//! `doorward run`: serve until told to stop.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::signal::unix::{Signal, SignalKind, signal};

use doorward::config::{Config, Lines};
use doorward::observe::{self, Reloads};
use doorward::proxy::upstream::SWEEP_EVERY;
use doorward::reload::build_world;
use doorward::server::{self, Desk, Listeners, World, worker_count};
use doorward::store::Stores;
use doorward::telemetry::Telemetry;
use doorward::types::Report;

use super::problems;

/// Arguments of `doorward run`.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    config: super::ConfigPath,
}

/// Serves. SIGTERM or SIGINT drains and ends with 0, a second one ends at once; SIGHUP reads the configuration anew.
pub fn run(args: Args) -> anyhow::Result<ExitCode> {
    serve(&args.config.config, || {}, || {})
}

/// Serves the configuration in `path`; calls `ready` once every listener stands, and `leave` before a second signal ends
/// the process at once.
pub fn serve(path: &Path, ready: impl FnOnce(), leave: impl FnOnce() + Send + 'static) -> anyhow::Result<ExitCode> {
    let bad = Ok(ExitCode::from(problems::BAD_CONFIGURATION));
    let Some(loaded) = problems::load(path) else { return bad };
    let (config, lines) = loaded.split();
    let mut report = Report::default();
    let Some(telemetry) = Telemetry::start(&config.log, &mut report) else {
        problems::print(&lines.locate(&report));
        return bad;
    };
    // Everything that waits for others runs here; requests are served by the workers' own runtimes.
    let aux = tokio::runtime::Builder::new_multi_thread().worker_threads(2).thread_name("doorward-aux").enable_all().build()?;
    let code = aux.block_on(start(path, (config, lines), telemetry, report, ready, leave));
    aux.shutdown_timeout(Duration::from_secs(1));
    code
}

async fn start(
    path: &Path,
    (config, lines): (Config, Lines),
    telemetry: Telemetry,
    mut report: Report,
    ready: impl FnOnce(),
    leave: impl FnOnce() + Send + 'static,
) -> anyhow::Result<ExitCode> {
    // Before anybody can know that Doorward is there: a signal that came earlier would end it the rough way.
    let (stop, hangup) = (stop_signal(leave)?, signal(SignalKind::hangup())?);
    let (listen, limits, admin) = (config.listen.clone(), config.limits.clone(), config.admin.clone());
    let opened = Stores::open(config.store.as_ref(), &config.cache, Handle::current(), &mut report).await;
    let built = opened.as_ref().and_then(|stores| build_world(config, stores, &telemetry, worker_count(), &mut report));
    let listeners = if built.is_some() { Listeners::bind(&listen, &mut report) } else { None };
    problems::print(&lines.locate(&report));
    let (Some(stores), Some(built), Some(listeners)) = (opened, built, listeners) else {
        return Ok(ExitCode::from(problems::BAD_CONFIGURATION));
    };
    let world = Arc::new(built.start());
    let reloads = Arc::new(Reloads::default());
    observe::publish(&telemetry, &stores, &reloads);
    stores.jwks.prefetch();
    // Read a second time: whatever is wrong with it was reported when the world was built.
    let desk = Desk::new(Arc::clone(&stores), admin.read(true, &mut Report::default()).as_ref());
    tokio::spawn(Arc::clone(&world.certificates).watch(telemetry.clone()));
    tokio::spawn(sweep(Arc::clone(&world)));
    let reloading = Reloading { path: path.to_owned(), stores, world: Arc::clone(&world), telemetry: telemetry.clone(), reloads };
    tokio::spawn(reloading.watch(hangup));
    let _ = sd_notify::notify(&[sd_notify::NotifyState::Ready]);
    ready();
    server::serve(listeners.with_desk(desk), world, telemetry, limits, stop).await?;
    Ok(ExitCode::SUCCESS)
}

async fn sweep(world: Arc<World>) {
    let mut tick = tokio::time::interval(SWEEP_EVERY);
    loop {
        tick.tick().await;
        for upstream in world.proxy.load().routes.upstreams() {
            upstream.sweep();
        }
    }
}

/// Resolves at the first SIGTERM or SIGINT. The second one calls `leave` and ends the process at once.
#[allow(clippy::exit, reason = "a second signal means: now")]
fn stop_signal(leave: impl FnOnce() + Send + 'static) -> std::io::Result<impl Future<Output = ()>> {
    let (mut term, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    let (tell, told) = tokio::sync::oneshot::channel();
    tokio::spawn(async move {
        tokio::select! { _ = term.recv() => {}, _ = interrupt.recv() => {} }
        let _ = sd_notify::notify(&[sd_notify::NotifyState::Stopping]);
        let _ = tell.send(());
        tokio::select! { _ = term.recv() => {}, _ = interrupt.recv() => {} }
        leave();
        std::process::exit(130);
    });
    Ok(async move {
        let _ = told.await;
    })
}

struct Reloading {
    path: PathBuf,
    stores: Arc<Stores>,
    world: Arc<World>,
    telemetry: Telemetry,
    reloads: Arc<Reloads>,
}

impl Reloading {
    /// Reads the configuration anew on every SIGHUP.
    async fn watch(self, mut hangup: Signal) {
        while hangup.recv().await.is_some() {
            self.once();
        }
    }

    /// The new world whole, or the old one as it was. Listeners, limits of connections, the store and the log keep what
    /// they were started with.
    fn once(&self) {
        let mut report = Report::default();
        let found = match doorward::config::load(&self.path) {
            Err(error) => error.0,
            Ok(loaded) => {
                let (config, lines) = loaded.split();
                if let Some(built) = build_world(config, &self.stores, &self.telemetry, worker_count(), &mut report) {
                    built.replace(&self.world);
                    self.stores.jwks.prefetch();
                    self.reloads.done.fetch_add(1, Ordering::Relaxed);
                    tracing::info!("reloaded: the new configuration is in force");
                    return;
                }
                lines.locate(&report)
            }
        };
        self.reloads.refused.fetch_add(1, Ordering::Relaxed);
        for problem in found {
            tracing::error!(%problem, "the new configuration is refused; the old one stays in force");
        }
    }
}
