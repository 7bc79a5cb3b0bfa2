//! Injection: labelled attacks and harmless changes in a log of one's own, so that detection is measured on it before it goes live.
//!
//! Two passes. The first surveys the log: who calls whom, when, from where, with what. Then each scenario is assigned a victim and a time, and new
//! records are made from the victim's own. The second pass rewrites the log in the order of time with the new records, and alters, drops or
//! multiplies the few records that a scenario selects. All others are copied byte for byte.
//!
//! Not here: whole synthetic logs (`simulate`), and the evaluation of alerts against the labels (`train::evaluate`).

mod disguise;
mod draft;
mod edit;
mod labels;
mod plant;
mod scenario;
mod schedule;
mod survey;

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::io::{self, Write};

use thiserror::Error;

pub use scenario::{Kind, Scenario, ScenarioError, Strength, choose, scenarios};
pub use schedule::{Skipped, Wish};
pub use survey::Survey;

use crate::calls::{Call, FingerprintKey};
use crate::ingest::{CallReader, InputError, Inputs, RawReader};
use draft::Draft;
use plant::{Meant, Planting};

/// Why nothing could be planted.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum InjectError {
    /// A file could not be found or read.
    #[error(transparent)]
    Input(#[from] InputError),
    /// The log has no call that can be read.
    #[error("no record of the input is a call: expected ECS or CloudTrail, as JSON")]
    NoCall,
    /// None of the scenarios fits the log.
    #[error("none of the scenarios could be planted; {label}: {reason}")]
    NothingPlanted {
        /// The first of them.
        label: String,
        /// Why it could not.
        reason: String,
    },
    /// The log could not be written.
    #[error("the log could not be written")]
    Write(#[from] io::Error),
    /// The labels could not be written.
    #[error("the labels could not be written")]
    Labels(#[from] csv::Error),
}

/// Where what was planted is written to.
pub struct Outputs<'a> {
    /// The log: of `history` is given, from [`Wish::from`] on.
    pub log: &'a mut dyn Write,
    /// The log before [`Wish::from`], if it is to be apart.
    pub history: Option<&'a mut dyn Write>,
    /// Labels, CSV.
    pub labels: &'a mut dyn Write,
}

/// The result of an injection.
#[derive(Debug)]
pub struct Report {
    /// What was learned of the log.
    pub survey: Survey,
    /// What was planted, by start.
    pub planted: Vec<Planted>,
    /// What could not be planted, by name.
    pub skipped: Vec<Skipped>,
}

/// A scenario that was planted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Planted {
    /// Name and strength, as in the labels.
    pub label: String,
    /// Whether it should be found.
    pub malicious: bool,
    /// First call, microseconds since the epoch.
    pub start: i64,
    /// Last call.
    pub end: i64,
    /// The caller it happens to.
    pub caller: String,
    /// The host.
    pub host: String,
    /// Records made, altered and dropped.
    pub records: [u64; 3],
}

/// Reads the inputs twice, and writes them with all scenarios that fit the log.
///
/// # Errors
/// Input that cannot be read, a log without calls, none that fits, output that cannot be written.
pub fn inject(inputs: &Inputs, wish: &Wish, key: &FingerprintKey, outputs: Outputs<'_>) -> Result<Report, InjectError> {
    let survey = take_survey(inputs)?;
    let (mut plantings, mut skipped) = schedule::schedule(wish, &survey);
    if let (true, Some(first)) = (plantings.is_empty(), skipped.first()) {
        let Skipped { label, reason } = first.clone();
        return Err(InjectError::NothingPlanted { label, reason });
    }
    let Outputs { log, history, labels } = outputs;
    let sink =
        Sink { log, history, from: wish.from.unwrap_or(i64::MIN), now: i64::MIN, waiting: BinaryHeap::new(), next: 0 };
    write(inputs, &survey, &mut plantings, sink)?;
    labels::write(labels, &plantings, key)?;
    for planting in plantings.iter().filter(|planting| planting.effect.span.is_none()) {
        skipped.push(Skipped { label: planting.label.clone(), reason: "meant no call after all".to_owned() });
    }
    let planted = plantings.iter().filter_map(Planted::of).collect();
    Ok(Report { survey, planted, skipped })
}

impl Planted {
    fn of(planting: &Planting) -> Option<Self> {
        let (start, end) = planting.effect.span?;
        let effect = planting.effect;
        Some(Self {
            label: planting.label.clone(),
            malicious: planting.scenario.malicious,
            start,
            end,
            caller: planting.victim.caller.clone(),
            host: planting.victim.host.clone(),
            records: [effect.added, effect.altered, effect.dropped],
        })
    }
}

fn take_survey(inputs: &Inputs) -> Result<Survey, InjectError> {
    let mut reader = RawReader::new(inputs);
    let mut calls = CallReader::default();
    let mut survey = Survey::default();
    while let Some(record) = reader.next_record()? {
        survey.records += 1;
        calls.read(&record, |format, call| survey.add(format.name, call, &record));
    }
    if survey.calls == 0 { Err(InjectError::NoCall) } else { Ok(survey) }
}

/// The second pass.
fn write(inputs: &Inputs, survey: &Survey, plantings: &mut [Planting], mut sink: Sink<'_>) -> Result<(), InjectError> {
    let mut calls = CallReader::default();
    for planting in &mut *plantings {
        for (time, line) in planting.additions(survey, &mut calls) {
            sink.wait(time, line);
        }
    }
    let mut reader = RawReader::new(inputs);
    while let Some(record) = reader.next_record()? {
        let read = calls.read(&record, |_, call| (call.time, meant_by(plantings, call)));
        let Some((time, meant)) = read else {
            sink.put_last(&record)?;
            continue;
        };
        sink.pass(time)?;
        let draft = if meant.is_empty() { None } else { Draft::of(&record, &mut calls) };
        let Some(draft) = draft else {
            sink.put(time, &record)?;
            continue;
        };
        let is_altered = meant.iter().any(|(_, meant)| meant.alters_the_record());
        let mut kept = Some(draft);
        for (at, meant) in &meant {
            let (Some(planting), Some(draft)) = (plantings.get_mut(*at), kept.take()) else { break };
            let (altered, following) = planting.act(meant, draft, survey);
            for copy in following {
                sink.wait(copy.time, copy.into_line());
            }
            kept = altered;
        }
        match kept {
            Some(draft) if is_altered => sink.put(time, &draft.into_line())?,
            Some(_) => sink.put(time, &record)?,
            None => {}
        }
    }
    sink.finish()?;
    Ok(())
}

/// The plantings that mean the call: one of the time, and such as last.
fn meant_by(plantings: &mut [Planting], call: &Call<'_>) -> Vec<(usize, Meant)> {
    let on = plantings.iter_mut().enumerate().filter(|(_, planting)| planting.is_on(call.time));
    let mut host = None;
    on.filter_map(|(at, planting)| {
        let host = host.get_or_insert_with(|| survey::host_of(call));
        Some((at, planting.means(call, host)?))
    })
    .collect()
}

/// The log as it is written: what was made waits for its time.
struct Sink<'a> {
    log: &'a mut dyn Write,
    history: Option<&'a mut dyn Write>,
    from: i64,
    /// The time up to which was written.
    now: i64,
    waiting: BinaryHeap<Reverse<(i64, u64, String)>>,
    next: u64,
}

impl Sink<'_> {
    fn wait(&mut self, time: i64, line: String) {
        self.waiting.push(Reverse((time, self.next, line)));
        self.next += 1;
    }

    /// Writes what has waited for a time up to this.
    fn pass(&mut self, time: i64) -> io::Result<()> {
        self.now = self.now.max(time);
        while self.waiting.peek().is_some_and(|Reverse((due, ..))| *due <= time) {
            if let Some(Reverse((due, _, line))) = self.waiting.pop() {
                self.put(due, &line)?;
            }
        }
        Ok(())
    }

    fn put(&mut self, time: i64, line: &str) -> io::Result<()> {
        let to = match &mut self.history {
            Some(history) if time < self.from => history,
            _ => &mut self.log,
        };
        to.write_all(line.as_bytes())?;
        to.write_all(b"\n")
    }

    /// A record without a time stays where it is.
    fn put_last(&mut self, line: &str) -> io::Result<()> {
        self.put(self.now, line)
    }

    fn finish(&mut self) -> io::Result<()> {
        self.pass(i64::MAX)?;
        self.log.flush()?;
        self.history.as_mut().map_or(Ok(()), |history| history.flush())
    }
}

#[cfg(test)]
mod tests;
