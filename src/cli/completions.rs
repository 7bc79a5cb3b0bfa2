//! `apiwarden completions`: for the shell, from the same list as the help.

use clap::{Args, CommandFactory};
use clap_complete::Shell;

/// Prints a completion script for a shell.
#[derive(Debug, Args)]
#[command(after_help = "Example:
  apiwarden completions bash > /etc/bash_completion.d/apiwarden")]
pub(super) struct Completions {
    /// Which shell.
    shell: Shell,
}

impl Completions {
    pub fn run(self) {
        clap_complete::generate(self.shell, &mut super::Arguments::command(), "apiwarden", &mut std::io::stdout());
    }
}
