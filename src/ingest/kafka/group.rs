//! What can be asked of a cluster before anything is read: who else reads in the group, and which topics there are.
//!
//! Nothing is created and no group is joined.
//!
//! Not here: reading (`Consumer`), and what follows from the answers (`stream`, `cli`).

use std::collections::BTreeMap;
use std::time::Duration;

use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::error::KafkaResult;
use regex::Regex;

use super::Source;

/// How long a broker may take to answer.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);
const INSTANCE: &str = "group.instance.id";

impl Source {
    /// The name under which a process reads in the group: that of the properties, else its own.
    pub fn instance<'a>(&'a self, own: &'a str) -> &'a str {
        self.connection.property(INSTANCE).unwrap_or(own)
    }

    fn client(&self) -> KafkaResult<BaseConsumer> {
        self.connection.client(&[], &[]).create()
    }
}

/// The other members of a source's group, by client and host; `own` is the name of this process, where the properties give it no other.
///
/// # Errors
/// Where no broker answers.
pub fn other_members(source: &Source, own: &str) -> KafkaResult<Vec<String>> {
    let groups = source.client()?.fetch_group_list(Some(&source.group), ANSWER_TIMEOUT)?;
    // Kafka makes a member's id of its name, or of its client's where it has none.
    let ours = format!("{}-", source.instance(own));
    let members = groups.groups().iter().flat_map(|group| group.members());
    let others = members.filter(|member| !member.id().starts_with(&ours));
    Ok(others
        .map(|member| format!("{} at {}", member.client_id(), member.client_host().trim_start_matches('/')))
        .collect())
}

/// What a cluster has of a source's topics.
#[derive(Debug, Default)]
pub struct Sources {
    /// Topics that are read → their partitions.
    pub topics: BTreeMap<String, usize>,
    /// Topics and expressions that nothing is found of.
    pub missing: Vec<String>,
}

/// Looks the topics of a source up.
///
/// # Errors
/// Where no broker answers.
pub fn sources(source: &Source) -> KafkaResult<Sources> {
    let client = source.client()?;
    let metadata = client.fetch_metadata(None, ANSWER_TIMEOUT)?;
    let there: BTreeMap<&str, usize> =
        metadata.topics().iter().map(|topic| (topic.name(), topic.partitions().len())).collect();
    let mut found = Sources::default();
    for wanted in &source.topics {
        // As librdkafka: what begins so is an expression.
        let pattern = wanted.starts_with('^').then(|| Regex::new(wanted).ok()).flatten();
        let is_wanted = |name: &str| pattern.as_ref().map_or(name == wanted, |pattern| pattern.is_match(name));
        let before = found.topics.len();
        let own = there.iter().filter(|(name, _)| is_wanted(name));
        found.topics.extend(own.map(|(name, partitions)| ((*name).to_owned(), *partitions)));
        if found.topics.len() == before {
            found.missing.push(wanted.clone());
        }
    }
    Ok(found)
}
