//! `doorward verify`: why does a recorded request's signature not match?

mod draft;
mod explain;
mod mistakes;
mod recording;
mod verdict;

use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Context as _, anyhow};
use doorward::auth::{Presented, Scheme};
use doorward::config::{self, Config};
use doorward::inbound::{Conn, Open, Peer};
use doorward::proxy::{Proxy, Recorded, Unjudged};
use doorward::reload::{Gate, build_gate};
use doorward::server::{Limits, read_recorded};
use doorward::store::{CacheSettings, Settings, Stores};
use doorward::telemetry::Telemetry;
use doorward::types::{HumanDuration, Report, Severity, unix_now};
use tokio::runtime::Handle;

use self::draft::Facts;
use self::recording::Recording;
use self::verdict::{Judged, Outcome};

/// The exit code for what cannot be judged.
const BAD: u8 = 2;
/// The longest body that is kept, to show what it changes.
const LONGEST_BODY: u64 = 64 << 20;

/// Arguments of the subcommand.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The recorded request: raw HTTP/1.1; - for standard input
    #[arg(long, value_name = "FILE")]
    request: PathBuf,
    /// The key that it was signed with, of the configuration or the store [default: the one that the request names]
    #[arg(long, value_name = "NAME")]
    key: Option<String>,
    /// The string that the client signed, to be compared byte by byte; - for standard input
    #[arg(long, value_name = "FILE")]
    theirs: Option<PathBuf>,
    /// Judge it as if it were this moment: 1790000000, or 2027-01-31T12:00:00Z [default: the moment that the request says]
    #[arg(long, value_name = "MOMENT")]
    at: Option<String>,
    /// The scheme under [auth] to judge by [default: those of the request's route]
    #[arg(long, value_name = "NAME")]
    scheme: Option<String>,
    #[command(flatten)]
    config: super::ConfigPath,
}

/// Runs it. Opens no listener, forwards nothing, and writes nothing into the store.
#[allow(clippy::print_stderr, reason = "a command line prints")]
pub fn run(args: Args) -> anyhow::Result<ExitCode> {
    match verify(&args) {
        Ok(judged) => {
            let mut out = std::io::stdout().lock();
            let good = judged.print(&mut out)?;
            out.flush()?;
            Ok(if good { ExitCode::SUCCESS } else { ExitCode::FAILURE })
        }
        Err(error) => {
            eprintln!("doorward: {error:#}");
            Ok(ExitCode::from(BAD))
        }
    }
}

fn verify(args: &Args) -> anyhow::Result<Judged> {
    let recording = Recording::read(&args.request)?;
    let theirs = args.theirs.as_deref().map(recording::read).transpose()?;
    let at = args.at.as_deref().map(super::moment).transpose().context("--at")?;
    let config = config::load(&args.config.config).map_err(|error| anyhow!("the configuration has mistakes\n{error}"))?.config;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().context("no runtime can be started")?;
    runtime.block_on(judged(args, config, recording, theirs, at))
}

async fn judged(args: &Args, config: Config, recording: Recording, theirs: Option<Vec<u8>>, at: Option<i64>) -> anyhow::Result<Judged> {
    let (limits, store) = (config.limits.clone(), config.store.clone());
    // The real store is asked for one key; replays, uses and all else are noted in one that is thrown away.
    let scratch = tempfile::tempdir().context("cannot make a temporary folder")?;
    let own = store.as_ref().map(|_| Settings::at(format!("sqlite:{}", scratch.path().join("scratch.db").display())));
    let mut report = Report::default();
    let none = HumanDuration::from_secs(0);
    let cache = CacheSettings { max_age: none, negative_max_age: none, ..config.cache.alone() };
    let stores = Stores::open(own.as_ref(), &cache, Handle::current(), &mut report).await;
    let gate = stores.as_ref().and_then(|stores| build_gate(config, stores, &Telemetry::without_output(), 1, &mut report));
    let (Some(stores), Some(Gate { proxy, schemes })) = (stores, gate) else { return Err(mistakes_of(&report)) };
    stores.debugging.always();
    let scheme = match &args.scheme {
        None => None,
        Some(name) => {
            let known = || schemes.iter().filter(|(_, scheme)| scheme.is_signed()).map(|(name, _)| name.as_str()).collect::<Vec<_>>().join(", ");
            let scheme = schemes.get(name).filter(|scheme| scheme.is_signed());
            Some(Arc::clone(scheme.with_context(|| format!("--scheme: no scheme {name:?} whose clients sign; there are: {}", known()))?))
        }
    };
    let judge = Judge { proxy, stores, store, scheme, key: args.key.clone(), theirs, at, notes: recording.notes };
    run_recorded(&recording.bytes, &limits, judge).await
}

async fn run_recorded(bytes: &[u8], limits: &Limits, judge: Judge) -> anyhow::Result<Judged> {
    let read = read_recorded(bytes, limits, |request, head| async move {
        let conn = Conn::new(Peer::Unix, None, None, 0, Open::default());
        let recorded = judge.proxy.recorded(&conn, request, head, judge.scheme.clone());
        judge.judge(&conn, recorded).await
    });
    read.await.map_err(|why| anyhow!("the recorded request cannot be read: {why}"))?
}

fn mistakes_of(report: &Report) -> anyhow::Error {
    let errors = report.problems().iter().filter(|problem| problem.severity == Severity::Error);
    anyhow!("the configuration has mistakes\n{}", errors.map(|p| format!("{}: {}; {}", p.key, p.problem, p.remedy)).collect::<Vec<_>>().join("\n"))
}

/// All that a request is judged with.
struct Judge {
    proxy: Proxy,
    stores: Arc<Stores>,
    store: Option<Settings>,
    scheme: Option<Arc<Scheme>>,
    key: Option<String>,
    theirs: Option<Vec<u8>>,
    at: Option<i64>,
    notes: Vec<String>,
}

impl Judge {
    async fn judge(self, conn: &Conn, recorded: Result<Recorded, Unjudged>) -> anyhow::Result<Judged> {
        let mut recorded = recorded?;
        let presented = recorded.presented();
        let (scheme, said) = presented.map_or((None, Presented::default()), |(scheme, said)| (Some(scheme), said));
        let mut notes = self.notes.clone();
        notes.extend(recorded.misdirected.take().map(|why| format!("Doorward would not even look at it (421): {why}")));
        let now = unix_now();
        let at = self.at.or(said.time).unwrap_or(now);
        self.stores.clock.stop_at(at);
        notes.push(verdict::how_far(at, now, self.at.is_some()));
        if let (Some(wanted), Some(named)) = (&self.key, &said.key)
            && wanted != named
        {
            notes.push(format!("the request names the key {named:?}, not {wanted:?}"));
            return Ok(Judged { notes, outcome: Outcome::OtherKey });
        }
        if let Some(name) = said.key.as_ref().or(self.key.as_ref()) {
            self.fetch(name).await?;
        }
        let facts = recorded.inbound();
        let mut facts = Facts {
            method: facts.method().to_string(),
            host: facts.host().raw.to_str().unwrap_or_default().to_owned(),
            path: facts.path().to_owned(),
            query: facts.query().unwrap_or_default().to_owned(),
            body: Vec::new(),
            time: said.time,
        };
        notes.push(format!("judged by {}", recorded.scheme_names().join(", ")));
        let outcome = match recorded.judge(conn).await {
            Ok(identity) => Outcome::Good { user: identity.subject.user.clone() },
            Err(error) => {
                let trial = match &scheme {
                    Some(scheme) => recorded.trial(scheme).await.ok().flatten(),
                    None => None,
                };
                facts.body = recorded.body(LONGEST_BODY).await.unwrap_or_default();
                Outcome::of(error, facts, trial, self.theirs)
            }
        };
        Ok(Judged { notes, outcome })
    }

    /// Takes a key of the real store over into the one that is thrown away, unless it is not there.
    async fn fetch(&self, name: &str) -> anyhow::Result<()> {
        let (Some(real), Some(own)) = (&self.store, &self.stores.database) else { return Ok(()) };
        let mut report = Report::default();
        let db = real.database(&Handle::current(), &mut report).ok_or_else(|| mistakes_of(&report))?;
        let found = db.key(name).await;
        db.close().await;
        if let Some(key) = found.context("the key cannot be looked up")? {
            own.add_key(&key).await?;
        }
        Ok(())
    }
}
