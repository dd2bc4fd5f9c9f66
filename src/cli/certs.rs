//! `doorward certs`.

use std::path::PathBuf;
use std::process::ExitCode;

use doorward::server::devcerts;

/// Arguments of the subcommand.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The folder for ca.crt, ca.key, server.crt and server.key; made if it is not there
    #[arg(long, value_name = "DIR", default_value = "certs")]
    out: PathBuf,
    /// A host name or address that the certificate is for; may be given several times [default: localhost, 127.0.0.1, ::1]
    #[arg(long = "name", value_name = "NAME")]
    names: Vec<String>,
    /// Replace server.crt and server.key if they exist; the CA is always kept
    #[arg(long)]
    force: bool,
}

/// Runs it.
#[allow(clippy::print_stdout, reason = "a command line prints")]
pub fn run(args: Args) -> anyhow::Result<ExitCode> {
    let made = devcerts::make(&args.out, &args.names, args.force)?;
    println!(
        "{} {}\nmade {}\nmade {}",
        if made.ca_reused { "used" } else { "made" },
        made.ca.display(),
        made.certificate.display(),
        made.private_key.display()
    );
    println!("For development: let your clients trust {}, such as curl --cacert {0}", made.ca.display());
    Ok(ExitCode::SUCCESS)
}
