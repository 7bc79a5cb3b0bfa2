//! The schema registry: schemas by their id, over the HTTP API that Confluent's registry defines and Karapace and Apicurio have too.
//!
//! A schema never changes under its id, so what was fetched stays, up to a thousand; that an id is not known is asked again after a
//! while, for a producer registers before it writes. A registry that does not answer says nothing of a record: the problem it leaves is
//! one that passes ([`Problem::is_transient`]), and the stream waits and reads the record again. Requests are blocking, one at a time,
//! bounded in time and length; after a failure the next records fail at once for a second, instead of each waiting for its own.
//!
//! Not here: how records are framed (`framing`), what a schema means (`avro`, `protobuf`), and who waits (`stream`).

use std::collections::HashMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::{Duration, Instant};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Deserialize;
use ureq::tls::{RootCerts, TlsConfig};

use super::connection::{ConnectionError, Property, resolve};
use super::place::Problem;
use super::roots::roots_in;
use super::{avro, protobuf};

/// Most ids that are remembered; beyond, all are forgotten and asked for again.
const MAX_SCHEMAS: usize = 1_000;
/// Most schemas that one refers to, directly or through others.
const MAX_REFERENCES: usize = 256;
/// Longest answer, bytes.
const MAX_ANSWER: u64 = 4 << 20;
/// How long an answer may take.
const TIMEOUT: Duration = Duration::from_secs(5);
/// How long an id that is not known, or a schema that cannot be read, is not asked for again.
const ASK_AGAIN: Duration = Duration::from_secs(30);
/// How long a registry that did not answer is not asked again.
const PAUSE: Duration = Duration::from_secs(1);
const ACCEPT: &str = "application/vnd.schemaregistry.v1+json, application/json";

/// `[source.registry]` as written.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Spec {
    /// Where it listens; of several, the first that answers is asked.
    pub url: Urls,
    /// User of basic authentication.
    pub username: Option<String>,
    /// Password of basic authentication: text, `${NAME}` or `file:PATH`.
    pub password: Option<Property>,
    /// Certificates in PEM that are trusted, instead of the usual authorities.
    pub ca_file: Option<PathBuf>,
}

/// One URL, or several.
#[derive(Clone, Debug, Deserialize)]
#[serde(untagged)]
pub enum Urls {
    /// One.
    One(String),
    /// Several.
    Several(Vec<String>),
}

/// What is wrong with a [`Spec`]. Never holds a password.
#[derive(Debug, thiserror::Error)]
pub enum RegistryError {
    /// No URL, or none of HTTP, or one with a password in it.
    #[error("write `http://host:port` or `https://host:port`, without a user: `username` and `password` say that")]
    Url,
    /// A user without a password, or the other way round.
    #[error("write both `username` and `password`, or none of them")]
    HalfAUser,
    /// The password cannot be read.
    #[error("{0}")]
    Password(#[source] ConnectionError),
    /// The file of certificates cannot be read.
    #[error("{}: {problem}", path.display())]
    Certificates {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
}

impl RegistryError {
    /// The field that is wrong.
    pub const fn field(&self) -> &'static str {
        match self {
            Self::Url => "url",
            Self::HalfAUser => "username",
            Self::Password(_) => "password",
            Self::Certificates { .. } => "ca_file",
        }
    }
}

impl Spec {
    /// Resolves passwords and certificates; files are sought relative to `directory`. Connects to nothing.
    ///
    /// # Errors
    /// [`RegistryError`].
    pub fn check(self, directory: &Path) -> Result<Registry, RegistryError> {
        let urls = match self.url {
            Urls::One(url) => vec![url],
            Urls::Several(urls) => urls,
        };
        let urls: Vec<String> = urls.iter().map(|url| url.trim_end_matches('/').to_owned()).collect();
        if urls.is_empty() || !urls.iter().all(|url| is_plain(url)) {
            return Err(RegistryError::Url);
        }
        let authorization = match (self.username, self.password) {
            (None, None) => None,
            (Some(user), Some(password)) => {
                let password = resolve("password", &password, directory).map_err(RegistryError::Password)?;
                Some(format!("Basic {}", STANDARD.encode(format!("{user}:{password}"))))
            }
            _ => return Err(RegistryError::HalfAUser),
        };
        let roots = self.ca_file.map(|path| certificates(directory.join(path))).transpose()?;
        let tls = TlsConfig::builder().root_certs(roots.unwrap_or(RootCerts::WebPki)).build();
        let config = ureq::Agent::config_builder()
            .timeout_global(Some(TIMEOUT))
            .http_status_as_error(false)
            .max_redirects(0)
            .tls_config(tls)
            .build();
        Ok(Registry {
            urls,
            agent: config.new_agent(),
            authorization,
            known: RwLock::default(),
            failed: Mutex::default(),
        })
    }
}

/// Whether a URL is one of HTTP, without a user.
fn is_plain(url: &str) -> bool {
    let authority = url.strip_prefix("http://").or_else(|| url.strip_prefix("https://"));
    authority.is_some_and(|rest| !rest.is_empty() && !rest.starts_with('/') && !rest.contains(['@', '?', '#', ' ']))
}

fn certificates(path: PathBuf) -> Result<RootCerts, RegistryError> {
    let problem = match roots_in(&path) {
        Ok(Some(roots)) => return Ok(roots),
        Ok(None) => "holds no certificate in PEM".to_owned(),
        Err(problem) => problem.to_string(),
    };
    Err(RegistryError::Certificates { path, problem })
}

/// A schema, ready to read records.
#[derive(Debug)]
pub(super) enum Schema {
    Avro(avro::Schema),
    Protobuf(protobuf::Schema),
    /// The record is JSON; what its schema says of it does not matter.
    Json,
}

/// A registry, and what it has answered.
pub struct Registry {
    urls: Vec<String>,
    agent: ureq::Agent,
    authorization: Option<String>,
    known: RwLock<HashMap<u32, Known>>,
    /// When it last did not answer. Whoever holds this is the one who asks.
    failed: Mutex<Option<Instant>>,
}

/// What is known of an id, and for how long if not for ever.
struct Known {
    schema: Result<Arc<Schema>, Problem>,
    until: Option<Instant>,
}

impl fmt::Debug for Registry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(&self.urls).finish()
    }
}

/// A schema as the registry has it.
#[derive(Deserialize)]
struct Registered {
    schema: String,
    #[serde(rename = "schemaType")]
    kind: Option<String>,
    #[serde(default)]
    references: Vec<Reference>,
}

/// Another schema that one refers to.
#[derive(Deserialize)]
struct Reference {
    name: String,
    subject: String,
    version: i64,
}

/// Why a schema could not be had.
enum Failure {
    /// The registry does not know it.
    Unknown,
    /// It refers to something that is not there, or to too much, or is none.
    Unusable,
    /// The registry did not answer as it should.
    NoAnswer(String),
}

impl Registry {
    /// The schema of that id.
    ///
    /// # Errors
    /// The registry does not know it, it cannot be read, or the registry does not answer.
    pub(super) fn schema(&self, id: u32) -> Result<Arc<Schema>, Problem> {
        if let Some(known) = self.known(id) {
            return known;
        }
        let mut failed = self.failed.lock().unwrap_or_else(PoisonError::into_inner);
        // Somebody else may have asked meanwhile.
        if let Some(known) = self.known(id) {
            return known;
        }
        if failed.is_some_and(|at| at.elapsed() < PAUSE) {
            return Err(Problem::NoAnswerOfRegistry);
        }
        let schema = match self.load(id) {
            Ok(schema) => Ok(Arc::new(schema)),
            Err(Failure::Unknown) => Err(Problem::UnknownSchema { id }),
            Err(Failure::Unusable) => Err(Problem::UnusableSchema { id }),
            Err(Failure::NoAnswer(problem)) => {
                tracing::warn!(id, problem, "the schema registry does not answer");
                *failed = Some(Instant::now());
                return Err(Problem::NoAnswerOfRegistry);
            }
        };
        *failed = None;
        let mut all = self.known.write().unwrap_or_else(PoisonError::into_inner);
        if all.len() >= MAX_SCHEMAS {
            all.clear();
        }
        let until = schema.is_err().then(|| Instant::now() + ASK_AGAIN);
        all.insert(id, Known { schema: schema.clone(), until });
        schema
    }

    fn known(&self, id: u32) -> Option<Result<Arc<Schema>, Problem>> {
        let all = self.known.read().unwrap_or_else(PoisonError::into_inner);
        let known = all.get(&id).filter(|known| known.until.is_none_or(|until| Instant::now() < until))?;
        Some(known.schema.clone())
    }

    fn load(&self, id: u32) -> Result<Schema, Failure> {
        let registered = self.get(&format!("/schemas/ids/{id}"))?;
        let kind = registered.kind.as_deref().unwrap_or("AVRO");
        if kind == "JSON" {
            return Ok(Schema::Json);
        }
        let mut others = Vec::new();
        self.follow(&registered.references, &mut others, 0)?;
        let schema = match kind {
            "AVRO" => {
                let others: Vec<&str> = others.iter().map(|(_, schema)| schema.as_str()).collect();
                avro::Schema::parse(&registered.schema, &others).map(Schema::Avro)
            }
            "PROTOBUF" => {
                let others: Vec<_> = others.iter().map(|(name, schema)| (name.as_str(), schema.as_str())).collect();
                protobuf::Schema::compile(&registered.schema, &others).map(Schema::Protobuf)
            }
            _ => None,
        };
        schema.ok_or(Failure::Unusable)
    }

    /// Fetches what is referred to, each after what it refers to itself.
    fn follow(&self, references: &[Reference], found: &mut Vec<(String, String)>, depth: usize) -> Result<(), Failure> {
        for Reference { name, subject, version } in references {
            if found.iter().any(|(known, _)| known == name) {
                continue;
            }
            if found.len() + depth >= MAX_REFERENCES {
                return Err(Failure::Unusable);
            }
            let subject = utf8_percent_encode(subject, NON_ALPHANUMERIC);
            let other =
                self.get(&format!("/subjects/{subject}/versions/{version}")).map_err(|failure| match failure {
                    Failure::Unknown => Failure::Unusable,
                    other => other,
                })?;
            self.follow(&other.references, found, depth + 1)?;
            found.push((name.clone(), other.schema));
        }
        Ok(())
    }

    /// Asks one after another, until one answers.
    fn get(&self, path: &str) -> Result<Registered, Failure> {
        let mut failure = Failure::Unusable;
        for url in &self.urls {
            match self.ask(&format!("{url}{path}")) {
                Err(Failure::NoAnswer(problem)) => failure = Failure::NoAnswer(problem),
                answer => return answer,
            }
        }
        Err(failure)
    }

    fn ask(&self, url: &str) -> Result<Registered, Failure> {
        let no_answer = |problem: ureq::Error| Failure::NoAnswer(problem.to_string());
        let mut request = self.agent.get(url).header("accept", ACCEPT);
        if let Some(authorization) = &self.authorization {
            request = request.header("authorization", authorization);
        }
        let mut answer = request.call().map_err(no_answer)?;
        match answer.status().as_u16() {
            200 => {
                let body = answer.body_mut().with_config().limit(MAX_ANSWER).read_to_vec().map_err(no_answer)?;
                serde_json::from_slice(&body).map_err(|_| Failure::NoAnswer("its answer is no schema".to_owned()))
            }
            404 => Err(Failure::Unknown),
            // The schema may be there, and be had once somebody has set right what is wrong.
            status => Err(Failure::NoAnswer(format!("its answer is status {status}"))),
        }
    }
}

#[cfg(test)]
pub(crate) mod double;
#[cfg(test)]
mod tests;
