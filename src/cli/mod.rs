//! The command line: one file a command.
//!
//! Commands read arguments, call the modules below, and print. Results go to standard output (`output`), all else to standard
//! error.
//!
//! Not here: anything that decides. A command that computes more than it prints belongs in a module.

mod alerts;
mod audit;
mod catalog;
mod check;
mod completions;
mod decode;
mod demo;
mod detectors;
mod evaluate;
mod formats;
mod impact;
mod init;
mod inject;
mod model;
mod output;
mod output_file;
mod protect;
mod reading;
mod rows;
mod rules;
mod run;
mod scan;
mod simulate;
mod sinks;
mod train;

use clap::{Parser, Subcommand};

/// Environment variable for the log filter of long-running commands, as in `APIWARDEN_LOG=debug`.
const LOG_VARIABLE: &str = "APIWARDEN_LOG";

/// Learns how your services use third-party APIs, and alerts on drift, abuse and data exfiltration.
#[derive(Debug, Parser)]
#[command(name = "apiwarden", version, max_term_width = 100, after_help = EXAMPLES)]
pub struct Arguments {
    #[command(subcommand)]
    command: Command,
}

const EXAMPLES: &str = "Examples:
  apiwarden demo
  apiwarden train --input logs/2026-09/ --out models/egress
  apiwarden scan --model models/egress --input today.ndjson.zst --output alerts.ndjson
  apiwarden run --pipeline pipelines/egress-ecs.toml

Environment:
  RAYON_NUM_THREADS  number of worker threads [default: one per core]; results do not depend on it
  APIWARDEN_LOG      log filter of long-running commands, as in debug [default: info]";

#[derive(Debug, Subcommand)]
enum Command {
    Demo(demo::Demo),
    Train(train::Train),
    Scan(scan::Scan),
    Run(run::Run),
    Check(check::Check),
    Sinks(sinks::Sinks),
    Evaluate(evaluate::Evaluate),
    Alerts(alerts::Alerts),
    Audit(Box<audit::Audit>),
    Catalog(catalog::Catalog),
    Impact(impact::Impact),
    Protect(protect::Protect),
    Model(model::Model),
    Decode(decode::Decode),
    Formats(formats::Formats),
    Init(init::Init),
    Detectors(detectors::Detectors),
    Rules(rules::Rules),
    Inject(inject::Inject),
    Simulate(simulate::Simulate),
    Completions(completions::Completions),
}

/// Prints an error with its causes to standard error.
pub fn report(error: &anyhow::Error) {
    output::report(format_args!("{error:#}"));
}

impl Arguments {
    /// Runs the command. A closed standard output, as in `apiwarden detectors | head`, ends it quietly.
    ///
    /// # Errors
    /// Whatever stopped the command, with its causes.
    pub fn run(self) -> anyhow::Result<()> {
        output::end(match self.command {
            Command::Demo(command) => command.run(),
            Command::Train(command) => command.run(),
            Command::Scan(command) => command.run(),
            Command::Run(command) => command.run(),
            Command::Check(command) => command.run(),
            Command::Sinks(command) => command.run(),
            Command::Evaluate(command) => command.run(),
            Command::Alerts(command) => command.run(),
            Command::Audit(command) => command.run(),
            Command::Catalog(command) => command.run(),
            Command::Impact(command) => command.run(),
            Command::Protect(command) => command.run(),
            Command::Model(command) => command.run(),
            Command::Decode(command) => command.run(),
            Command::Formats(command) => command.run(),
            Command::Init(command) => command.run(),
            Command::Detectors(command) => command.run(),
            Command::Rules(command) => command.run(),
            Command::Inject(command) => command.run(),
            Command::Simulate(command) => command.run(),
            Command::Completions(command) => command.run(),
        })
    }
}

/// Structured logs on standard error: text on a terminal, JSON elsewhere.
fn log() {
    use std::io::IsTerminal;
    use tracing_subscriber::EnvFilter;
    let filter = EnvFilter::try_from_env(LOG_VARIABLE).unwrap_or_else(|_| EnvFilter::new("info,librdkafka=warn"));
    let subscriber = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    // In tests another subscriber may be set already.
    let _ = if std::io::stderr().is_terminal() {
        subscriber.try_init()
    } else {
        subscriber.json().flatten_event(true).try_init()
    };
}
