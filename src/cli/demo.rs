//! `doorward demo`: the whole thing at work, from nothing, in one command.

mod application;
mod script;

use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::Context as _;
use aws_lc_rs::rand;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use tokio::signal::unix::{SignalKind, signal};

use doorward::types::unix_now;

/// Arguments of `doorward demo`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Keep everything in this folder, a new or an empty one, instead of a temporary one
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
}

/// Everything that the demonstration shows.
#[derive(Debug)]
pub(super) struct Stage {
    dir: PathBuf,
    https: SocketAddr,
    password: String,
    token: String,
    jwt: String,
    expired_jwt: String,
}

/// How often the folder is removed until it is gone.
const MOST_SWEEPS: u32 = 1000;

/// Sets the stage, starts the application and Doorward before it, prints what to paste, and serves until Ctrl-C.
pub fn run(args: Args) -> anyhow::Result<ExitCode> {
    // Dropped at the end, and everything in it with it; a folder that was named is kept.
    let temporary = args.dir.is_none().then(tempfile::tempdir).transpose()?;
    let dir = match (&temporary, args.dir) {
        (Some(temporary), _) => temporary.path().to_owned(),
        (None, Some(dir)) => {
            take_over(&dir)?;
            std::path::absolute(dir)?
        }
        (None, None) => anyhow::bail!("no folder"),
    };
    let serving = Arc::new(AtomicBool::new(false));
    let sweep = {
        let temporary = temporary.as_ref().map(|temporary| temporary.path().to_owned());
        move || {
            // Whoever still sets the stage may put a file where everything was just removed.
            let mut tries = 0..MOST_SWEEPS;
            while temporary.as_ref().is_some_and(|dir| std::fs::remove_dir_all(dir).is_err() && dir.exists()) && tries.next().is_some() {}
        }
    };
    leave_nothing_behind(Arc::clone(&serving), sweep.clone())?;
    let application = application::start()?;
    let (https, http, admin) = (free_port(8443)?, free_port(8080)?, free_port(9901)?);
    let mut stage = set(&dir, https)?;
    let config = dir.join("config.toml");
    std::fs::write(&config, script::config(application, https, http, admin))?;
    script::populate(&config, &mut stage)?;
    let ready = move || {
        serving.store(true, Ordering::Release);
        script::print(&stage, application, http, admin);
    };
    super::run::serve(&config, ready, sweep)
}

/// Makes the folder, or takes that of an earlier demonstration. What somebody else keeps in a folder is never overwritten.
fn take_over(dir: &Path) -> anyhow::Result<()> {
    std::fs::create_dir_all(dir)?;
    if std::fs::read_dir(dir)?.next().is_none() {
        return Ok(());
    }
    let ours = std::fs::read_to_string(dir.join("config.toml")).is_ok_and(|text| text.starts_with(script::FIRST_LINE));
    anyhow::ensure!(ours, "{} is not empty, and nothing in it is overwritten; name a new folder", dir.display());
    for file in ["doorward.db", "doorward.db-wal", "doorward.db-shm"] {
        match std::fs::remove_file(dir.join(file)) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error.into()),
            Ok(()) | Err(_) => {}
        }
    }
    Ok(())
}

/// Ends the demonstration cleanly where `doorward run` would not: when a signal comes before it serves, and when the terminal
/// is closed.
#[allow(clippy::exit, reason = "what is to be cleaned up is cleaned up before")]
fn leave_nothing_behind(serving: Arc<AtomicBool>, sweep: impl FnOnce() + Send + 'static) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let mut signals = {
        let _entered = runtime.enter();
        (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?, signal(SignalKind::hangup())?)
    };
    std::thread::Builder::new().name("signals".to_owned()).spawn(move || {
        runtime.block_on(async move {
            loop {
                let hung_up = tokio::select! {
                    _ = signals.0.recv() => false,
                    _ = signals.1.recv() => false,
                    _ = signals.2.recv() => true,
                };
                if hung_up || !serving.load(Ordering::Acquire) {
                    sweep();
                    std::process::exit(130);
                }
            }
        });
    })?;
    Ok(())
}

fn set(dir: &Path, https: SocketAddr) -> anyhow::Result<Stage> {
    let names = ["localhost".to_owned(), "127.0.0.1".to_owned(), "::1".to_owned()];
    doorward::server::devcerts::make(&dir.join("certs"), &names, true)?;
    let secrets = dir.join("secrets");
    // Not with its parents: a stage that was swept away is not set anew.
    match std::fs::create_dir(&secrets) {
        Err(error) if error.kind() != std::io::ErrorKind::AlreadyExists => return Err(error.into()),
        Ok(()) | Err(_) => {}
    }
    private(&secrets.join("identity.key"), &random()?)?;
    let assertion_key = rcgen::KeyPair::generate()?;
    private(&secrets.join("identity.pem"), &assertion_key.serialize_pem())?;
    private(&secrets.join("fost.key"), &random()?)?;
    let issuer_key = rcgen::KeyPair::generate()?;
    private(&secrets.join("issuer.pem"), &issuer_key.serialize_pem())?;
    std::fs::write(dir.join("issuer.pub.pem"), issuer_key.public_key_pem())?;
    Ok(Stage {
        dir: dir.to_owned(),
        https,
        password: random()?,
        token: String::new(),
        jwt: jwt(&issuer_key, unix_now() + 8 * 3600)?,
        expired_jwt: jwt(&issuer_key, unix_now() - 3600)?,
    })
}

fn jwt(key: &rcgen::KeyPair, exp: i64) -> anyhow::Result<String> {
    let claims = serde_json::json!({
        "iss": "https://id.example.com/", "aud": "demo", "sub": "carol", "iat": unix_now() - 7200, "exp": exp,
        "email": "carol@example.com", "groups": ["staff"], "scope": "read",
    });
    let key = jsonwebtoken::EncodingKey::from_ec_pem(key.serialize_pem().as_bytes())?;
    Ok(jsonwebtoken::encode(&jsonwebtoken::Header::new(jsonwebtoken::Algorithm::ES256), &claims, &key)?)
}

/// The usual port where it is free, so that the lines read well; else any.
fn free_port(usual: u16) -> anyhow::Result<SocketAddr> {
    let listener = TcpListener::bind(("127.0.0.1", usual)).or_else(|_| TcpListener::bind(("127.0.0.1", 0))).context("no free port on 127.0.0.1")?;
    Ok(listener.local_addr()?)
}

fn random() -> anyhow::Result<String> {
    let mut bytes = [0; 32];
    rand::fill(&mut bytes).map_err(|_| anyhow::anyhow!("the system has no randomness"))?;
    Ok(URL_SAFE_NO_PAD.encode(bytes))
}

fn private(path: &Path, text: &str) -> anyhow::Result<()> {
    use std::io::Write;
    use std::os::unix::fs::OpenOptionsExt;
    let mut file = std::fs::OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(path)
        .with_context(|| format!("cannot write {}", path.display()))?;
    Ok(file.write_all(text.as_bytes())?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_that_holds_anything_else_is_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        take_over(&dir.path().join("new")).unwrap();
        take_over(&dir.path().join("new")).unwrap();
        assert!(take_over(dir.path()).unwrap_err().to_string().contains("not empty"));
        std::fs::write(dir.path().join("config.toml"), "[listen]").unwrap();
        assert!(take_over(dir.path()).is_err());

        std::fs::write(dir.path().join("config.toml"), format!("{}\n[listen]", script::FIRST_LINE)).unwrap();
        std::fs::write(dir.path().join("doorward.db"), "of the last time").unwrap();
        take_over(dir.path()).unwrap();
        assert!(!dir.path().join("doorward.db").exists());
    }
}
