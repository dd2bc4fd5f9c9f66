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
    let found = match doorward::config::draft(&args.config.config) {
        Ok(draft) => check(draft)?,
        Err(error) => error.0,
    };
    if problems::print(&found) {
        return bad;
    }
    println!("{}: no mistakes, {} weak choice(s)", args.config.config.display(), found.len());
    Ok(ExitCode::SUCCESS)
}

/// Builds what could be read, although it has mistakes of form: whoever mends one should not meet the next only then.
fn check(mut draft: doorward::config::Draft) -> anyhow::Result<Vec<Located>> {
    let mut report = Report::default();
    let Some(config) = draft.config.take() else { return Ok(draft.locate(&report)) };
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    // The real store is left alone: what it would hold is judged by an empty one.
    let scratch = tempfile::tempdir().context("cannot make a temporary folder")?;
    let store = config.store.as_ref().map(|_| doorward::store::Settings::at(format!("sqlite:{}", scratch.path().join("scratch.db").display())));
    if let Some(settings) = &config.store {
        settings.check(&mut report);
    }
    let _ = config.cache.read(&mut report);
    let stores = runtime.block_on(Stores::open(store.as_ref(), &config.cache.alone(), runtime.handle().clone(), &mut report));
    if let Some(stores) = stores {
        // Builders may reach for the runtime, as they do at a start.
        let _entered = runtime.enter();
        let _ = build_world(config, &stores, &Telemetry::without_output(), 1, &mut report);
    }
    Ok(draft.locate(&report))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mistakes_of_form_hide_no_others_and_bring_no_false_ones() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("config.toml");
        let text = r#"
[listen]
https = ["nonsense"]
[tls]
certificate = "none.crt"
[upstream]
url = 7
[limits]
drain_timeout = 3
[cache]
max_age = "${DOORWARD_SURELY_UNSET}"
[auth.form.jwt]
leeway = "soon"
[auth.kind.magic]
[[route]]
path = "no-slash"
accept = ["nobody", "kind"]
[[route]]
accept = []
mode = "x"
"#;
        std::fs::write(&path, text).unwrap();
        let found = check(doorward::config::draft(&path).unwrap()).unwrap();
        let found: Vec<(usize, &str)> = found.iter().map(|located| (located.line, located.problem.key.as_str())).collect();
        let wanted = [
            (3, "listen.https[0]"),
            (4, "tls.private_key"),
            (5, "tls.certificate"),
            (7, "upstream.url"),
            (9, "limits.drain_timeout"),
            (11, "cache.max_age"),
            (12, "auth.form.jwt.audience"),
            (12, "auth.form.jwt.issuer"),
            (13, "auth.form.jwt.leeway"),
            (14, "auth.kind.magic"),
            (16, "route[0].path"),
            (17, "route[0].accept"),
            (18, "route[1].path"),
            (19, "route[1].accept"),
            (20, "route[1].mode"),
        ];
        for wanted in wanted {
            assert_eq!(found.iter().filter(|found| **found == wanted).count(), 1, "{wanted:?} in {found:?}");
        }
        let others: Vec<_> = found.iter().filter(|found| !wanted.contains(found)).collect();
        assert!(others.iter().all(|(_, key)| key.starts_with("auth.form") || key.starts_with("identity")), "{others:?}");
    }
}
