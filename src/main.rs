//! The command line: parse, dispatch, exit code.

use std::process::ExitCode;

use clap::Parser;

mod cli;

// Takes a few per cent less of the time than the C library's (docs/performance.md); musl's own is slow.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    // Everything that speaks TLS or signs reads the process's default provider, so it is set before anything else.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    cli::dispatch(cli::CommandLine::parse())
}
