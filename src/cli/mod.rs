//! One file a subcommand.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};

mod certs;
mod check;
mod demo;
mod health;
mod key;
mod open_store;
mod problems;
mod run;
mod sign;
mod table;
mod token;
mod user;
mod verify_identity;

/// An authenticating reverse proxy for applications that nobody wants to change.
///
/// Doorward terminates TLS in front of an application on loopback, checks who is asking, strips every header that a
/// client might forge, and passes the request on with a signed user name.
#[derive(Debug, Parser)]
#[command(name = "doorward", version, max_term_width = 100, propagate_version = true)]
pub struct CommandLine {
    #[command(subcommand)]
    command: Command,
}

/// Where the configuration is.
#[derive(Debug, Args)]
pub struct ConfigPath {
    /// The configuration file
    #[arg(long, value_name = "FILE", env = "DOORWARD_CONFIG", default_value = "config.toml")]
    pub config: PathBuf,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Stand guard: serve until SIGTERM or SIGINT
    Run(run::Args),
    /// Report every mistake and weak choice in the configuration; exit 2 if it would not start
    Check(check::Args),
    /// Show the whole thing at work: a legacy application behind Doorward, with commands to paste
    Demo(demo::Args),
    /// Ask the admin listener whether Doorward is serving; exit 0 or 1
    Health(health::Args),
    /// Make a development CA and a server certificate
    Certs(certs::Args),
    /// API keys in the store
    Key(key::Args),
    /// Users in the store
    User(user::Args),
    /// Bearer tokens in the store
    Token(token::Args),
    /// Sign a request as a client would
    Sign(sign::Args),
    /// Say whether the identity headers of a request, read from standard input, were signed by Doorward
    VerifyIdentity(verify_identity::Args),
    /// Print the version
    Version,
    /// Print a completion script for a shell
    Completions {
        /// The shell
        shell: clap_complete::Shell,
    },
}

/// Runs the chosen subcommand; prints an error's causes and returns 1 when it fails.
#[allow(clippy::print_stderr, clippy::print_stdout, reason = "a command line prints")]
pub fn dispatch(line: CommandLine) -> ExitCode {
    let done = match line.command {
        Command::Run(args) => run::run(args),
        Command::Check(args) => check::run(args),
        Command::Demo(args) => demo::run(args),
        Command::Health(args) => health::run(args),
        Command::Certs(args) => certs::run(args),
        Command::Key(args) => key::run(args),
        Command::User(args) => user::run(args),
        Command::Token(args) => token::run(args),
        Command::Sign(args) => sign::run(args),
        Command::VerifyIdentity(args) => verify_identity::run(args),
        Command::Version => {
            println!("doorward {}", env!("CARGO_PKG_VERSION"));
            Ok(ExitCode::SUCCESS)
        }
        Command::Completions { shell } => {
            clap_complete::generate(shell, &mut <CommandLine as clap::CommandFactory>::command(), "doorward", &mut std::io::stdout());
            Ok(ExitCode::SUCCESS)
        }
    };
    done.unwrap_or_else(|error: anyhow::Error| {
        eprintln!("doorward: {error:#}");
        ExitCode::FAILURE
    })
}
