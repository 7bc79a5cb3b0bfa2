//! Parses the command line, runs its command, prints what went wrong with its causes, and sets the exit code.

use std::process::ExitCode;

use clap::Parser;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    if std::env::var_os("POLARS_MAX_THREADS").is_none() {
        // Frames are small: a second thread in polars costs more than it brings, and only this variable says so.
        // SAFETY: no other thread exists yet.
        unsafe { std::env::set_var("POLARS_MAX_THREADS", "1") };
    }
    match apiwarden::cli::Arguments::parse().run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("apiwarden: {error:#}");
            ExitCode::FAILURE
        }
    }
}
