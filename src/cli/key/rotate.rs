//! `doorward key rotate`.

use std::path::PathBuf;

use anyhow::bail;
use doorward::store::keys::Keys;
use doorward::store::sql::{Db, Rotation};

use super::{ConfigPath, read_public_key, shown_once};

#[derive(Debug, clap::Args)]
pub(super) struct Rotate {
    /// The key's name
    name: String,
    /// Make the new secret the only one
    #[arg(long)]
    finish: bool,
    /// The holder's new public key (PEM)
    #[arg(long, value_name = "FILE", conflicts_with = "finish")]
    public_key_file: Option<PathBuf>,
    /// Print {"name":…,"secret":…}
    #[arg(long, conflicts_with = "finish")]
    json: bool,
    #[command(flatten)]
    pub(super) config: ConfigPath,
}

pub(super) async fn rotate(db: &Db, args: &Rotate) -> anyhow::Result<String> {
    let name = &args.name;
    if args.finish {
        return match db.finish_rotation(name).await? {
            Rotation::Done => Ok(format!("key {name} has its new secret alone\n")),
            Rotation::NoSuchKey => bail!("there is no key named {name:?}, or it was revoked"),
            Rotation::NotNow => bail!("key {name:?} has no second secret; begin with: doorward key rotate {name}"),
        };
    }
    if let Some(file) = &args.public_key_file {
        return match db.begin_public_rotation(name, read_public_key(file)?).await? {
            Rotation::Done => Ok(format!("key {name} is good with its old and its new public key\n")),
            Rotation::NoSuchKey => bail!("there is no key named {name:?}, or it was revoked"),
            Rotation::NotNow => bail!("key {name:?} has no public key, or a second one already; finish with: doorward key rotate {name} --finish"),
        };
    }
    let secret = Keys::new_secret()?;
    match db.begin_rotation(name, secret.clone()).await? {
        Rotation::Done => shown_once(name, &secret, args.json),
        Rotation::NoSuchKey => bail!("there is no key named {name:?}, or it was revoked"),
        Rotation::NotNow => bail!(
            "key {name:?} has a public key and no secret (write --public-key-file), or a second secret already; \
             make that the only one with: doorward key rotate {name} --finish"
        ),
    }
}
