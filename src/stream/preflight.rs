//! What would fail at the start of a run, all of it at once. Consumes nothing and creates nothing.
//!
//! A start stops at the first failure, and waits for what may come back; here everything is tried, once. Each check names the thing, and where
//! it fails, what to do.
//!
//! Not here: how the answers are printed (`cli`).

use std::fmt::Display;
use std::net::TcpListener;
use std::path::Path;
use std::sync::Arc;

use super::{Engine, EngineSettings, group};
use crate::alerts::sinks::may_write;
use crate::alerts::triage::Triage;
use crate::calls::{FingerprintKey, Owners};
use crate::ingest::kafka::{Cluster, Source};
use crate::models::bundle::Bundle;
use crate::pipeline::{self, DeadLetterPlan, Plan};
use crate::state::{Store, existing_instance};

/// One thing that a start needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Check {
    /// What was checked.
    pub what: String,
    /// What is wrong and what to do; `None` where a start would go past it.
    pub problem: Option<String>,
}

/// The checks so far.
#[derive(Default)]
struct Checks(Vec<Check>);

impl Checks {
    /// Notes how a check ended, and returns what it gave.
    fn note<T>(&mut self, what: impl Into<String>, result: Result<T, impl Display>) -> Option<T> {
        let (value, problem) = match result {
            Ok(value) => (Some(value), None),
            Err(problem) => (None, Some(format!("{problem:#}"))),
        };
        self.0.push(Check { what: what.into(), problem });
        value
    }
}

/// Checks all that a run of this pipeline file needs at its start.
pub fn preflight(file: &Path) -> Vec<Check> {
    let mut checks = Checks::default();
    let what = format!("pipeline file {}", file.display());
    if let Some(plan) = checks.note(what, pipeline::load(file)) {
        local(&mut checks, &plan);
        source(&mut checks, &plan);
        sinks(&mut checks, &plan);
    }
    checks.0
}

/// Files, directories and ports.
fn local(checks: &mut Checks, plan: &Plan) {
    let key = match plan.existing_key() {
        Ok(Some(key)) => Ok(key),
        Ok(None) => Err(format!(
            "{} does not exist, and a key made anew fits no bundle: put the key there that the bundle was trained with",
            plan.key_file.display()
        )),
        Err(problem) => Err(problem.to_string()),
    };
    let key = checks.note("fingerprint key", key);
    let bundle = key.and_then(|key| bundle(checks, plan, &key));
    checks.note("owner databases", Owners::open(&plan.owners));
    if let Some(model) = plan.triage.model.as_deref() {
        checks.note(format!("triage model {}", model.display()), Triage::load(model));
    }
    state(checks, plan, bundle);
    let listen = TcpListener::bind(plan.admin.listen)
        .map_err(|problem| format!("{problem}: stop what listens there, or write another [admin] listen"));
    checks.note(format!("admin address {}", plan.admin.listen), listen);
}

fn bundle(checks: &mut Checks, plan: &Plan, key: &FingerprintKey) -> Option<Arc<Bundle>> {
    let loaded = Bundle::load(&plan.bundle, &key.id());
    let mut bundle = checks.note(format!("model bundle {}", plan.bundle.display()), loaded)?;
    bundle.known.set_vendors(Arc::clone(&plan.vendors));
    Some(Arc::new(bundle))
}

/// The directory of the state, and whether what is there goes on with this bundle.
fn state(checks: &mut Checks, plan: &Plan, bundle: Option<Arc<Bundle>>) {
    let directory = &plan.state.directory;
    let writable =
        may_write(directory).map_err(|problem| format!("{problem}: give the service a directory that it may write"));
    checks.note(format!("state directory {}", directory.display()), writable);
    // Opening makes a file where there is none.
    if !directory.join("checkpoint.redb").is_file() {
        return;
    }
    let saved = Store::open(directory).and_then(|store| store.load());
    let Some(Some(saved)) = checks.note("checkpoint", saved) else { return };
    let Some(bundle) = bundle else { return };
    let settings = EngineSettings::from(&plan.detection);
    checks.note("checkpoint fits the bundle", Engine::restore(bundle, settings, &saved.engine).map(drop));
}

/// Brokers, topics to read, and the group.
fn source(checks: &mut Checks, plan: &Plan) {
    let Source { connection, topics, group: name, .. } = &plan.source;
    let asked = Cluster::new(connection).and_then(|cluster| Ok((cluster.topics()?, cluster)));
    let asked = asked
        .map_err(|problem| format!("{problem}: check `brokers`, the network, and the properties that authenticate"));
    let Some((found, cluster)) = checks.note("brokers of the source", asked) else { return };
    for topic in topics {
        checks.note(format!("topic {topic}"), may_read(&cluster, topic, &found));
    }
    if let Some((source, _)) = &plan.triage.verdicts {
        for topic in &source.topics {
            checks.note(format!("topic of verdicts {topic}"), may_read(&cluster, topic, &found));
        }
    }
    let alone = existing_instance(&plan.state.directory).map_err(|problem| problem.to_string()).and_then(|instance| {
        group::expect_alone(&plan.source.read_by(&instance.unwrap_or_default())).map_err(|problem| problem.to_string())
    });
    checks.note(format!("consumer group {name}"), alone);
}

/// Whether a topic can be read; a regular expression must match one at least.
fn may_read(cluster: &Cluster, topic: &str, found: &[String]) -> Result<(), String> {
    let matching: Vec<&str> = if topic.starts_with('^') {
        let pattern = regex::Regex::new(topic).map_err(|problem| problem.to_string())?;
        found.iter().map(String::as_str).filter(|name| pattern.is_match(name)).collect()
    } else {
        vec![topic]
    };
    if matching.is_empty() {
        return Err("matches no topic that may be seen: create one, or write another expression".to_owned());
    }
    for name in matching {
        if !cluster.has_topic(name).map_err(|problem| format!("{name}: {problem}"))? {
            return Err("does not exist: create it, or write another in [source.kafka] topics".to_owned());
        }
        let rights = cluster.rights(name).map_err(|problem| format!("{name}: {problem}"))?;
        if !rights.read {
            return Err(format!("{name} may not be read: grant this client READ"));
        }
    }
    Ok(())
}

fn sinks(checks: &mut Checks, plan: &Plan) {
    let dead_letters = match &plan.dead_letter {
        DeadLetterPlan::Topic(sink) | DeadLetterPlan::File(sink) => sink,
    };
    for sink in &plan.sinks {
        checks.note(format!("sink {}", sink.name()), sink.probe());
    }
    checks.note(format!("dead letters {}", dead_letters.name()), dead_letters.probe());
}
