//! How a Kafka cluster is reached: brokers and librdkafka properties, with passwords read from the environment or from files.
//!
//! A property's value may be `${NAME}` (an environment variable) or `file:PATH`, so that no password stands in a pipeline
//! file. Properties that delivery guarantees depend on (acknowledgements, commits) cannot be set.
//!
//! Not here: what is read or written (`kafka`, `alerts::sinks`).

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

use rdkafka::ClientConfig;
use serde::Deserialize;

/// librdkafka properties as the pipeline file has them.
pub type Properties = BTreeMap<String, Property>;

/// Longest value in a file, bytes.
const MAX_VALUE_BYTES: u64 = 1 << 20;

/// Properties that the pipeline file may not set, and what to write instead.
const RESERVED: &[(&str, &str)] = &[
    ("bootstrap.servers", "write `brokers`"),
    ("metadata.broker.list", "write `brokers`"),
    ("group.id", "write `group`"),
    ("auto.offset.reset", "write `start`"),
    ("enable.auto.commit", "leave it out: offsets are committed once alerts and state are durable"),
    ("enable.auto.offset.store", "leave it out: offsets are committed once alerts and state are durable"),
    ("enable.partition.eof", "leave it out: the end of a partition is asked of its leader"),
    ("enable.idempotence", "leave it out: it is always on"),
    ("acks", "leave it out: it is always `all`"),
    ("request.required.acks", "leave it out: it is always `all`"),
];

/// The value of a property: what TOML lets people write for one.
#[derive(Clone, Deserialize)]
#[serde(untagged)]
pub enum Property {
    /// Text, `${NAME}` or `file:PATH`.
    Text(String),
    /// A whole number.
    Number(i64),
    /// True or false.
    Flag(bool),
}

impl fmt::Debug for Property {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("…")
    }
}

/// Why a cluster could not be described. Never holds a value.
#[derive(Debug, thiserror::Error)]
pub enum ConnectionError {
    /// The list of brokers is empty.
    #[error("names no broker: write `host:port`, several with commas between")]
    NoBrokers,
    /// The property cannot be set in the pipeline file.
    #[error("property {property} cannot be set here: {instead}")]
    Reserved {
        /// Its name.
        property: String,
        /// What to write instead.
        instead: &'static str,
    },
    /// The variable that holds the value is not set.
    #[error("property {property}: environment variable {variable} is not set")]
    Environment {
        /// Name of the property.
        property: String,
        /// Name of the variable.
        variable: String,
    },
    /// The file that holds the value cannot be read.
    #[error("property {property}: {}: {problem}", path.display())]
    File {
        /// Name of the property.
        property: String,
        /// The file.
        path: PathBuf,
        /// The system's error.
        problem: std::io::Error,
    },
    /// librdkafka does not know the property, or rejects its value.
    #[error("property {property}: librdkafka does not know it, or refuses its value; see its CONFIGURATION.md")]
    Refused {
        /// Name of the property.
        property: String,
    },
}

/// A cluster, ready to be connected to: every value resolved and known to librdkafka.
#[derive(Clone)]
pub struct Connection {
    values: BTreeMap<String, String>,
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.values.keys()).finish()
    }
}

impl Connection {
    /// Resolves `properties`; files are sought relative to `directory`.
    ///
    /// # Errors
    /// No broker, a reserved or unknown property, or a value that cannot be read from the environment or a file.
    pub fn new(brokers: &str, properties: &Properties, directory: &Path) -> Result<Self, ConnectionError> {
        if brokers.split(',').all(|broker| broker.trim().is_empty()) {
            return Err(ConnectionError::NoBrokers);
        }
        let values = BTreeMap::from([("bootstrap.servers".to_owned(), brokers.to_owned())]);
        Self { values }.with(properties, directory)
    }

    /// The same cluster, with more properties.
    ///
    /// # Errors
    /// As [`Connection::new`].
    pub fn with(mut self, properties: &Properties, directory: &Path) -> Result<Self, ConnectionError> {
        for (property, value) in properties {
            if let Some((_, instead)) = RESERVED.iter().find(|(reserved, _)| reserved == property) {
                return Err(ConnectionError::Reserved { property: property.clone(), instead });
            }
            let value = resolve(property, value, directory)?;
            let probe = ClientConfig::from_iter([(property.clone(), value.clone())]);
            if probe.create_native_config().is_err() {
                return Err(ConnectionError::Refused { property: property.clone() });
            }
            self.values.insert(property.clone(), value);
        }
        Ok(self)
    }

    /// A property as the user gave it.
    pub(crate) fn property(&self, name: &str) -> Option<&str> {
        self.values.get(name).map(String::as_str)
    }

    /// A client's configuration: `defaults`, which the properties may change, then `fixed`, which they may not.
    pub(crate) fn client(&self, defaults: &[(&str, &str)], fixed: &[(&str, &str)]) -> ClientConfig {
        let mut config = ClientConfig::new();
        config.set("client.id", "apiwarden");
        for (property, value) in defaults {
            config.set(*property, *value);
        }
        for (property, value) in &self.values {
            config.set(property, value);
        }
        for (property, value) in fixed {
            config.set(*property, *value);
        }
        config
    }
}

pub(crate) fn resolve(property: &str, value: &Property, directory: &Path) -> Result<String, ConnectionError> {
    let text = match value {
        Property::Number(number) => return Ok(number.to_string()),
        Property::Flag(flag) => return Ok(flag.to_string()),
        Property::Text(text) => text,
    };
    if text.contains("${") {
        return from_environment(property, text);
    }
    if let Some(path) = text.strip_prefix("file:") {
        let path = directory.join(path);
        return match read_small(&path) {
            Ok(content) => Ok(content.trim_end_matches(['\r', '\n']).to_owned()),
            Err(problem) => Err(ConnectionError::File { property: property.to_owned(), path, problem }),
        };
    }
    Ok(text.clone())
}

/// The text of a file, as long as a value may be. What is no regular file may have no end.
fn read_small(path: &Path) -> std::io::Result<String> {
    let about = std::fs::metadata(path)?;
    if !about.is_file() || about.len() > MAX_VALUE_BYTES {
        return Err(std::io::Error::other("is no regular file of a mebibyte at most"));
    }
    std::fs::read_to_string(path)
}

/// A text with the values of the variables that it names: `Bearer ${TOKEN}`. What a value holds is not read again.
fn from_environment(property: &str, text: &str) -> Result<String, ConnectionError> {
    let mut whole = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("${") {
        let (variable, behind) = after.split_once('}').unwrap_or((after, ""));
        let value = std::env::var(variable).map_err(|_| ConnectionError::Environment {
            property: property.to_owned(),
            variable: variable.to_owned(),
        })?;
        whole.extend([before, &value]);
        rest = behind;
    }
    Ok(whole + rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_variable_stands_for_its_value_also_within_a_longer_text() {
        let of = |text: &str| resolve("authorization", &Property::Text(text.to_owned()), Path::new("."));
        let home = std::env::var("PATH").unwrap();
        assert_eq!(of("${PATH}").unwrap(), home);
        assert_eq!(of("Bearer ${PATH}, ${PATH}.").unwrap(), format!("Bearer {home}, {home}."));
        assert_eq!(of("50$ {PATH}").unwrap(), "50$ {PATH}");
        for wrong in ["Bearer ${APIWARDEN_TEST_NOT_SET}", "Bearer ${PATH_WITHOUT_END"] {
            assert!(matches!(of(wrong), Err(ConnectionError::Environment { .. })), "{wrong}");
        }
    }

    fn connect(property: &str, value: &str) -> Result<Connection, ConnectionError> {
        let properties = Properties::from([(property.to_owned(), Property::Text(value.to_owned()))]);
        Connection::new("localhost:9092", &properties, Path::new("/nowhere"))
    }

    #[test]
    fn a_password_is_read_from_a_file_and_no_message_shows_it() {
        let directory = tempfile::tempdir().unwrap();
        std::fs::write(directory.path().join("password"), "hunter2\n").unwrap();
        let properties = Properties::from([("sasl.password".into(), Property::Text("file:password".into()))]);
        let connection = Connection::new("localhost:9092", &properties, directory.path()).unwrap();
        assert_eq!(connection.client(&[], &[]).get("sasl.password"), Some("hunter2"));
        assert!(!format!("{connection:?}").contains("hunter2"));

        let missing = connect("sasl.password", "${APIWARDEN_TEST_NOT_SET}").unwrap_err();
        assert_eq!(
            missing.to_string(),
            "property sasl.password: environment variable APIWARDEN_TEST_NOT_SET is not set"
        );
        let refused = connect("security.protocol", "hunter2").unwrap_err();
        assert!(!refused.to_string().contains("hunter2"), "{refused}");
    }

    #[test]
    fn properties_that_guarantees_depend_on_cannot_be_set() {
        let error = connect("enable.auto.commit", "true").unwrap_err();
        assert!(matches!(error, ConnectionError::Reserved { .. }), "{error}");
        assert!(matches!(connect("no.such.property", "1"), Err(ConnectionError::Refused { .. })));
    }
}
