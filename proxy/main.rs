//! The program: read the command line, do what it says, end with its exit code.

use std::process::ExitCode;

use clap::Parser;
use tidegate::app::cli::Cli;

/// Fewer microseconds a request than the system's allocator.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    tidegate::app::main(Cli::parse())
}
