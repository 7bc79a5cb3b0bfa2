//! `apiwarden sinks`: where alerts go, whether a target takes one, and alerts sent again.
//!
//! Not here: how a target is spoken to (`alerts::sinks`).

use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use clap::{Args, Subcommand};

use super::output::{print_line, print_row, print_text, report};
use crate::alerts::sinks::{Delivery, Routed, SINKS};
use crate::alerts::store::AlertStore;
use crate::alerts::trial;
use crate::catalog::Since;
use crate::pipeline::{self, Plan};

/// Steps that are sent at once.
const AT_ONCE: u32 = 500;
/// The time at which all that a sink gathers is due.
const NO_LATER: i64 = i64::MAX;

/// Lists sinks, tries one, and sends alerts again.
#[derive(Debug, Args)]
pub(super) struct Sinks {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    List(List),
    Test(Test),
    Replay(Replay),
}

/// Lists the kinds of sinks, or those of a pipeline with how far each is.
#[derive(Debug, Args)]
struct List {
    /// The pipeline file.
    #[arg(long, value_name = "FILE")]
    pipeline: Option<PathBuf>,
}

/// Sends an alert that is marked as a test to a sink, and ends its incident.
#[derive(Debug, Args)]
#[command(after_help = "Example:
  apiwarden sinks test pagerduty --pipeline pipelines/egress-ecs.toml

Exit codes: 0 the target took it, 1 it did not.")]
struct Test {
    /// The sink, as `sinks list --pipeline` names it.
    name: String,
    /// The pipeline file.
    #[arg(long, value_name = "FILE")]
    pipeline: PathBuf,
}

/// Sends alerts of the alert store again to a sink, such as one that is new.
#[derive(Debug, Args)]
#[command(after_help = "Example:
  apiwarden sinks replay opensearch --since 7d --pipeline pipelines/egress-ecs.toml

Targets that know an alert by its key have it once; others have it again.")]
struct Replay {
    /// The sink, as `sinks list --pipeline` names it.
    name: String,
    /// From when on: a span before the newest alert (12h, 7d), a date or a time in RFC 3339.
    #[arg(long, value_name = "TIME")]
    since: Since,
    /// The pipeline file.
    #[arg(long, value_name = "FILE")]
    pipeline: PathBuf,
}

impl Sinks {
    pub fn run(self) -> anyhow::Result<()> {
        match self.command {
            Command::List(command) => command.run(),
            Command::Test(command) => command.run(),
            Command::Replay(command) => command.run(),
        }
    }
}

impl List {
    fn run(self) -> anyhow::Result<()> {
        let Some(pipeline) = self.pipeline else {
            return SINKS.iter().try_for_each(|kind| print_line(format_args!("{:<13} {}", kind.name, kind.summary)));
        };
        let plan = pipeline::load(&pipeline)?;
        let store = AlertStore::read(&plan.state.directory).ok();
        for sink in &plan.sinks {
            let name = sink.plan.name();
            let waiting = store.as_ref().and_then(|store| Some(store.newest().ok()? - store.known_place(&name).ok()??));
            let waiting = waiting.map_or_else(|| "not started yet".to_owned(), |count| format!("{count} waiting"));
            print_row(format_args!("{name:<40} {waiting}"))?;
        }
        let names: Vec<String> = plan.sinks.iter().map(|sink| sink.plan.name()).collect();
        for (name, count) in store.as_ref().and_then(|store| store.abandoned(&names).ok()).unwrap_or_default() {
            print_row(format_args!("{name:<40} {count} waiting, and no longer in the pipeline"))?;
        }
        match store.as_ref().and_then(|store| store.held().ok()) {
            Some(held) if held > 0 => print_text(format_args!(
                "{held} open incidents are held back by suppressions: see `apiwarden alerts suppressions list`"
            )),
            _ => Ok(()),
        }
    }
}

impl Test {
    fn run(self) -> anyhow::Result<()> {
        let plan = pipeline::load(&self.pipeline)?;
        let sink = named(&plan, &self.name)?;
        refuse_file(sink)?;
        let messages: Vec<Delivery> = trial(jiff::Timestamp::now().as_microsecond()).iter().map(Delivery::of).collect();
        let told = sink.plan.open().and_then(|mut open| {
            open.deliver(&messages)?;
            open.rest(NO_LATER)
        });
        told.context("the target did not take it")?;
        print_text(format_args!("{} took an alert that is marked as a test, and its end", self.name))
    }
}

impl Replay {
    fn run(self) -> anyhow::Result<()> {
        let plan = pipeline::load(&self.pipeline)?;
        let sink = named(&plan, &self.name)?;
        refuse_file(sink)?;
        let (count, refused) = replay(&plan.state.directory, sink, self.since)?;
        print_text(format_args!("{count} alerts were sent to {} again", self.name))?;
        if refused > 0 {
            bail!("{} refused {refused} others", self.name);
        }
        Ok(())
    }
}

/// The service knows how long its file is, and cuts off what somebody else appends.
fn refuse_file(sink: &Routed) -> anyhow::Result<()> {
    if sink.plan.file().is_some() {
        bail!("only the service writes to its file; to have alerts in another one, see `apiwarden alerts export`");
    }
    Ok(())
}

fn named<'a>(plan: &'a Plan, name: &str) -> anyhow::Result<&'a Routed> {
    let known: Vec<String> = plan.sinks.iter().map(|sink| sink.plan.name()).collect();
    let found = plan.sinks.iter().find(|sink| sink.plan.name() == name);
    match found {
        Some(sink) => Ok(sink),
        None => bail!("the pipeline has no sink {name}: it has {}", known.join(", ")),
    }
}

/// Sends what the store has since a time, as far as the sink's route lets it through: how many it took, and how many it refused for what they
/// are.
fn replay(directory: &Path, sink: &Routed, since: Since) -> anyhow::Result<(usize, usize)> {
    let store = AlertStore::read(directory)?;
    let mut place = store.place_before(since.time(store.newest_time()?))?;
    let (mut open, mut count, mut refused) = (sink.plan.open()?, 0, 0);
    loop {
        let next = store.after(place, AT_ONCE)?;
        let Some(last) = next.last().map(|kept| kept.seq) else {
            open.rest(NO_LATER)?;
            return Ok((count, refused));
        };
        let wanted = next.iter().filter(|kept| sink.wants(kept));
        let mut messages: Vec<Delivery> = wanted.map(|kept| Delivery::kept(&kept.alert, kept.ocsf.clone())).collect();
        while let Err(problem) = open.deliver(&messages) {
            // As a run does: what the target refuses for what it is holds up nothing else.
            match problem.refused_of(&messages) {
                Some(index) => drop(messages.remove(index)),
                None => return Err(problem).with_context(|| format!("after {count} alerts")),
            }
            refused += 1;
            report(problem);
        }
        (place, count) = (last, count + messages.len());
    }
}
