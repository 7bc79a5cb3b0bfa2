//! What can be asked of a cluster before anything is read: who else reads in the group, and which topics there are.
//!
//! Nothing is created and no group is joined.
//!
//! Not here: reading (`Consumer`), and what follows from the answers (`stream`, `cli`).

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::error::KafkaResult;
use regex::Regex;

use super::{SESSION_TIMEOUT, Source};

/// How long a broker may take to answer.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);
const INSTANCE: &str = "group.instance.id";

/// Another member of a group.
#[derive(Clone, Debug)]
pub struct Member {
    id: String,
    client: String,
    host: String,
}

impl fmt::Display for Member {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} at {}", self.client, self.host)
    }
}

impl Member {
    /// Members in words.
    pub fn names(members: &[Self]) -> String {
        members.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
    }

    /// Whether it comes before the process of a name. Of two processes each finds the same.
    pub fn is_before(&self, name: &str) -> bool {
        self.id < begin_of_id(name)
    }
}

/// Kafka makes a member's id of its name, or of its client's where it has none.
fn begin_of_id(name: &str) -> String {
    format!("{name}-")
}

impl Source {
    /// The name under which a process reads in the group: that of the properties, else its own.
    pub fn instance<'a>(&'a self, own: &'a str) -> &'a str {
        self.connection.property(INSTANCE).unwrap_or(own)
    }

    /// How long the group waits for a member that says nothing any more.
    pub fn session_timeout(&self) -> Duration {
        let milliseconds = self.connection.property("session.timeout.ms").and_then(|text| text.parse().ok());
        milliseconds.map_or(SESSION_TIMEOUT, Duration::from_millis)
    }

    fn client(&self) -> KafkaResult<BaseConsumer> {
        self.connection.client(&[], &[]).create()
    }
}

/// The other members of a source's group; `own` is the name of this process, where the properties give it no other.
///
/// # Errors
/// Where no broker answers.
pub fn other_members(source: &Source, own: &str) -> KafkaResult<Vec<Member>> {
    let groups = source.client()?.fetch_group_list(Some(&source.group), ANSWER_TIMEOUT)?;
    let ours = begin_of_id(source.instance(own));
    let members = groups.groups().iter().flat_map(|group| group.members());
    let others = members.filter(|member| !member.id().starts_with(&ours));
    Ok(others
        .map(|member| Member {
            id: member.id().to_owned(),
            client: member.client_id().to_owned(),
            host: member.client_host().trim_start_matches('/').to_owned(),
        })
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_two_members_each_finds_the_same_to_be_the_first() {
        let member = |name: &str| Member { id: format!("{name}-4d7e"), client: String::new(), host: String::new() };
        for (one, other) in [("apiwarden-0f", "apiwarden-f0"), ("a", "a1"), ("rdkafka", "apiwarden-00")] {
            assert_ne!(member(one).is_before(other), member(other).is_before(one), "{one} and {other}");
        }
    }
}
