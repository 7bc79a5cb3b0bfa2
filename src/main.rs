//! Parses the command line, runs the command, prints an error with its causes, and sets the exit code.
//!
//! Not here: the commands (`cli`).

use std::process::ExitCode;

use clap::Parser;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    if std::env::var_os("POLARS_MAX_THREADS").is_none() {
        // Frames are small, so a second polars thread costs more than it saves. Only this variable sets the number.
        // SAFETY: no other thread exists yet.
        unsafe { std::env::set_var("POLARS_MAX_THREADS", "1") };
    }
    match apiwarden::cli::Arguments::parse().run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            apiwarden::cli::report(&error);
            ExitCode::FAILURE
        }
    }
}
