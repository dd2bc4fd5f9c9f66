//! The command line: parse, dispatch, exit code.

use std::process::ExitCode;

use clap::Parser;

mod cli;

// musl's own allocator is slow. Others are as fast as this one and take less memory.
#[cfg(target_env = "musl")]
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    // Everything that speaks TLS or signs reads the process's default provider, so it is set before anything else.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    cli::dispatch(cli::CommandLine::parse())
}
