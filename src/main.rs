//! The command line: parse, dispatch, exit code.

use std::process::ExitCode;

use clap::Parser;

mod cli;

// Faster than the C library's, where a request asks for more than 1 KiB at a time, and than musl's everywhere.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    // Everything that speaks TLS or signs reads the process's default provider, so it is set before anything else.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    cli::dispatch(cli::CommandLine::parse())
}
