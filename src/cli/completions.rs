//! `apiwarden completions`: a completion script for the shell, generated from the same definitions as the help.

use std::io::Write;

use clap::{Args, CommandFactory};
use clap_complete::Shell;

use super::output::stdout;

/// Prints a completion script for a shell.
#[derive(Debug, Args)]
#[command(after_help = "Example:
  apiwarden completions bash > /etc/bash_completion.d/apiwarden")]
pub(super) struct Completions {
    /// Which shell.
    shell: Shell,
}

impl Completions {
    pub fn run(self) -> anyhow::Result<()> {
        // Generated in memory: clap_complete panics where it cannot write.
        let mut script = Vec::new();
        clap_complete::generate(self.shell, &mut super::Arguments::command(), "apiwarden", &mut script);
        stdout().write_all(&script)?;
        Ok(())
    }
}
