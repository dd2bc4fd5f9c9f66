//! `doorward demo`: the whole thing at work, from nothing, in one command.

mod application;
mod script;

use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context as _;
use aws_lc_rs::rand;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use doorward::types::unix_now;

/// Arguments of `doorward demo`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Keep everything in this folder instead of a temporary one
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

/// Sets the stage, starts the application and Doorward before it, prints what to paste, and serves until Ctrl-C.
pub fn run(args: Args) -> anyhow::Result<ExitCode> {
    // Dropped at the end, and everything in it with it; a folder that was named is kept.
    let temporary = args.dir.is_none().then(tempfile::tempdir).transpose()?;
    let dir = match (&temporary, args.dir) {
        (Some(temporary), _) => temporary.path().to_owned(),
        (None, Some(dir)) => {
            std::fs::create_dir_all(&dir)?;
            std::path::absolute(dir)?
        }
        (None, None) => anyhow::bail!("no folder"),
    };
    let application = application::start()?;
    let (https, http, admin) = (free_port(8443)?, free_port(8080)?, free_port(9901)?);
    let mut stage = set(&dir, https)?;
    let config = dir.join("config.toml");
    std::fs::write(&config, script::config(application, https, http, admin))?;
    script::populate(&config, &mut stage)?;
    super::run::serve(&config, move || script::print(&stage, application, http, admin))
}

fn set(dir: &Path, https: SocketAddr) -> anyhow::Result<Stage> {
    let names = ["localhost".to_owned(), "127.0.0.1".to_owned(), "::1".to_owned()];
    doorward::server::devcerts::make(&dir.join("certs"), &names, true)?;
    let secrets = dir.join("secrets");
    std::fs::create_dir_all(&secrets)?;
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
