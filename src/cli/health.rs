//! `doorward health`.

use std::process::ExitCode;

/// Arguments of the subcommand.
#[derive(Debug, clap::Args)]
pub struct Args {}

/// Runs it.
pub fn run(args: Args) -> anyhow::Result<ExitCode> {
    let _ = args;
    todo!()
}
