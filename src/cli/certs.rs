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
    /// Make client.crt and client.key instead, for a client of this name: a URI such as spiffe://cluster.local/ns/shop/sa/web,
    /// an e-mail address or a host name
    #[arg(long, value_name = "NAME", conflicts_with = "names")]
    client: Option<String>,
    /// Replace the certificate and its key if they exist; the CA is always kept
    #[arg(long)]
    force: bool,
}

/// Runs it.
#[allow(clippy::print_stdout, reason = "a command line prints")]
pub fn run(args: Args) -> anyhow::Result<ExitCode> {
    let made = match &args.client {
        Some(name) => devcerts::make_client(&args.out, name, args.force)?,
        None => devcerts::make(&args.out, &args.names, args.force)?,
    };
    println!(
        "{} {}\nmade {}\nmade {}",
        if made.ca_reused { "used" } else { "made" },
        made.ca.display(),
        made.certificate.display(),
        made.private_key.display()
    );
    let [ca, certificate, key] = [&made.ca, &made.certificate, &made.private_key].map(|path| path.display());
    if args.client.is_some() {
        println!(
            "For development: name {ca} in tls.client_ca, and let the client show its certificate, such as curl --cert {certificate} --key {key}"
        );
    } else {
        println!("For development: let your clients trust {ca}, such as curl --cacert {ca}");
    }
    Ok(ExitCode::SUCCESS)
}
