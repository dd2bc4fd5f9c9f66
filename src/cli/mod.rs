//! One file a subcommand.

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};

mod certs;
mod check;
mod demo;
mod health;
mod help;
mod key;
mod open_store;
mod problems;
mod run;
mod sign;
mod table;
mod token;
mod user;
mod verify;
mod verify_identity;

/// An authenticating reverse proxy for applications that nobody wants to change.
///
/// Doorward terminates TLS in front of an application on loopback, checks who is asking, strips every header that a
/// client might forge, and passes the request on with a signed user name. What is not let in explicitly stays out.
#[derive(Debug, Parser)]
#[command(name = "doorward", version, max_term_width = 100, propagate_version = true, after_long_help = help::DOORWARD)]
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
    ///
    /// Opens the listeners, and lets through to the application whom the routes of the configuration let in. A configuration
    /// with a mistake starts nothing.
    #[command(after_long_help = help::RUN)]
    Run(run::Args),
    /// Report every mistake and weak choice in the configuration; exit 2 if it would not start
    ///
    /// Builds all that a start would build, files included, but opens no listener, touches no store and asks no other machine.
    /// All problems are reported at once.
    #[command(after_long_help = help::CHECK)]
    Check(check::Args),
    /// Show the whole thing at work: a legacy application behind Doorward, with commands to paste
    ///
    /// Makes certificates, a store, keys, a user and tokens in a temporary folder, starts a small application that believes
    /// every header, and Doorward before it, and prints what to try. All of it is on loopback, and Ctrl-C leaves nothing behind.
    #[command(after_long_help = help::DEMO)]
    Demo(demo::Args),
    /// Ask the admin listener whether Doorward is serving; exit 0 or 1
    ///
    /// Asks for /readyz at listen.admin of the configuration. For health checks of containers and of init systems.
    #[command(after_long_help = help::HEALTH)]
    Health(health::Args),
    /// Make a development CA and a server certificate, or a client's
    ///
    /// Writes ca.crt, ca.key, server.crt and server.key, the keys readable by their owner alone; with --client, client.crt and
    /// client.key by the same CA. Nothing that exists is overwritten without --force, and the CA not even then: clients that
    /// trust it go on doing so. Not for production.
    #[command(after_long_help = help::CERTS)]
    Certs(certs::Args),
    /// API keys in the store
    ///
    /// Keys sign requests and URLs (schemes fost, query-hmac, s3-v2, aws-v4). They are kept in the store that the configuration names under [store]; a
    /// Doorward that serves follows each change within cache.max_age. A secret is shown once, when it is made.
    #[command(after_long_help = help::KEY)]
    Key(key::Args),
    /// Users in the store
    ///
    /// Users come in by name and password (scheme basic); of the password only a hash is kept (Argon2id). They are kept in the
    /// store that the configuration names under [store]; a Doorward that serves follows each change within cache.max_age.
    #[command(after_long_help = help::USER)]
    User(user::Args),
    /// Bearer tokens in the store
    ///
    /// Opaque tokens for programs (scheme token); of each only a hash is kept, in the store that the configuration names under
    /// [store]. A token is shown once, when it is issued.
    #[command(after_long_help = help::TOKEN)]
    Token(token::Args),
    /// Sign a request as a client would
    ///
    /// Prints the headers that sign the request, a signed URL (--url), or a curl command (--curl). Nothing is sent.
    #[command(after_long_help = help::SIGN)]
    Sign(sign::Args),
    /// Say why the signature of a recorded request does not match
    ///
    /// Reads one raw HTTP/1.1 request and judges it as Doorward would, by the configuration, its keys and those of its store. Where
    /// the signature does not match, it prints what should have been signed, and which mistake the client made: found by itself, or
    /// by comparing the string that the client signed (--theirs). Nothing is listened on, sent or written.
    #[command(after_long_help = help::VERIFY)]
    Verify(verify::Args),
    /// Say whether the identity headers of a request, read from standard input, were signed by Doorward
    ///
    /// Checks the HMAC signature and the assertion with the keys under [identity] of the configuration, as an application
    /// should, and says what of the request they do not cover.
    #[command(after_long_help = help::VERIFY_IDENTITY)]
    VerifyIdentity(verify_identity::Args),
    /// Print the version
    Version,
    /// Print a completion script for a shell
    ///
    /// Where the script belongs depends on the shell and the system; the examples are the usual places.
    #[command(after_long_help = help::COMPLETIONS)]
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
        Command::Verify(args) => verify::run(args),
        Command::VerifyIdentity(args) => verify_identity::run(args),
        Command::Version => say(format!("doorward {}\n", env!("CARGO_PKG_VERSION")).as_bytes()),
        Command::Completions { shell } => {
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut <CommandLine as clap::CommandFactory>::command(), "doorward", &mut script);
            say(&script)
        }
    };
    done.unwrap_or_else(|error: anyhow::Error| {
        eprintln!("doorward: {error:#}");
        ExitCode::FAILURE
    })
}

/// Unix seconds of a moment on the command line: the seconds themselves, or a date.
fn moment(text: &str) -> anyhow::Result<i64> {
    match text.parse() {
        Ok(seconds) => Ok(seconds),
        Err(_) => text.parse::<doorward::types::Moment>().map(|moment| moment.0).map_err(|error| anyhow::anyhow!("{error}")),
    }
}

/// Prints. Whoever reads may have stopped reading, as `head` does: that is no failure.
fn say(text: &[u8]) -> anyhow::Result<ExitCode> {
    match std::io::stdout().write_all(text) {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => Err(error.into()),
        _ => Ok(ExitCode::SUCCESS),
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_sound_and_its_help_explains_each_subcommand_at_length() {
        let mut line = CommandLine::command();
        line.clone().debug_assert();
        line.build();
        for command in line.get_subcommands_mut().filter(|command| !["version", "help"].contains(&command.get_name())) {
            let name = command.get_name().to_owned();
            assert!(command.get_long_about().is_some(), "{name}");
            let help = command.render_long_help().to_string();
            assert!(help.contains("Examples:") && help.lines().all(|line| line.len() <= 100), "{name}");
            assert!(name == "completions" || help.contains("Exit codes:"), "{name}");
        }
    }

    #[test]
    fn the_forms_that_are_promised_are_accepted() {
        for line in [
            "run",
            "run --config F",
            "check --config F",
            "demo",
            "demo --dir D",
            "health --config F",
            "certs --out certs --name a.example --name 10.0.0.1 --force",
            "key add NAME --user U --impersonate --path /a/** --path /b --json --config F",
            "key list --config F",
            "key revoke NAME --config F",
            "key rotate NAME --config F",
            "user add NAME --group a --group b --password-stdin --config F",
            "user list --config F",
            "user disable NAME --config F",
            "user passwd NAME --config F",
            "token issue --user U --scope a --scope b --ttl 1h --json --config F",
            "token list --config F",
            "token revoke ID --config F",
            "sign --scheme fost --key K --secret-file F GET https://a/ --as U --data @F --curl",
            "sign --scheme query-hmac --key K --secret-file F GET https://a/",
            "sign --scheme s3-v2 --key K --secret-file F GET https://a/ --url --expires-in 1h",
            "sign --scheme aws-v4 --region r --service s --key K --secret-file F PUT https://a/ --data x --curl",
            "key debug NAME --for 10m --config F",
            "key debug NAME --off",
            "sign --key K --secret-file F GET https://a/ --print-canonical --at 2027-01-31T12:00:00Z",
            "verify --request F --key NAME --config F --theirs F --at 1790000000 --scheme S",
            "verify --request -",
            "verify-identity --config F",
            "version",
            "completions bash",
        ] {
            let parsed = CommandLine::try_parse_from(std::iter::once("doorward").chain(line.split(' ')));
            assert!(parsed.is_ok(), "{line}: {}", parsed.unwrap_err());
        }
    }
}
