//! Why a sink cannot deliver, and whether trying again can help.
//!
//! A broker that is down comes back. A record that is too large stays too large, and a right that is missing is given by somebody who has to
//! learn of it first: to try such a delivery again for ever would stop the stream without a word.
//!
//! Not here: what follows of it for alerts and dead letters (`stream`).

use std::io::{self, ErrorKind};
use std::path::PathBuf;
use std::time::Duration;

use rdkafka::error::KafkaError;
use rdkafka::types::RDKafkaErrorCode as Code;

use super::Delivery;
use crate::ingest::connection::ConnectionError;

/// Why a section is no sink.
#[derive(Debug, thiserror::Error)]
pub enum SectionError {
    /// Its fields are not the sink's.
    #[error(transparent)]
    Fields(#[from] toml::de::Error),
    /// Its fields do not make sense.
    #[error(transparent)]
    Sink(#[from] SinkError),
}

/// Why a sink cannot deliver.
#[derive(Debug, thiserror::Error)]
pub enum SinkError {
    /// The section does not say what it must.
    #[error("{0}")]
    Spec(&'static str),
    /// A value, which may be a secret, is none.
    #[error("field {field}: its value is empty, or has a line break or another control character in it")]
    Value {
        /// The field.
        field: &'static str,
    },
    /// The cluster cannot be described.
    #[error(transparent)]
    Connection(#[from] ConnectionError),
    /// The file cannot be written.
    #[error("{}: {problem}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// The error of the operating system.
        problem: io::Error,
    },
    /// Standard output cannot be written.
    #[error("standard output: {0}")]
    Stdout(io::Error),
    /// The topic cannot be reached or read.
    #[error("topic {topic}: {problem}")]
    Topic {
        /// The topic.
        topic: String,
        /// The error of librdkafka.
        problem: KafkaError,
    },
    /// The topic does not exist, and cannot be created.
    #[error("topic {topic} does not exist ({problem}): create it, or give us the right to")]
    Missing {
        /// The topic.
        topic: String,
        /// Why not.
        problem: Code,
    },
    /// A right is missing.
    #[error("topic {topic}: give us the right {right}: what is written there is read back after a restart")]
    Forbidden {
        /// The topic.
        topic: String,
        /// The right.
        right: &'static str,
    },
    /// The brokers did not acknowledge.
    #[error("topic {topic}: {count} deliveries were not acknowledged: {problem}")]
    Unacknowledged {
        /// The topic.
        topic: String,
        /// How many.
        count: usize,
        /// The error of the first.
        problem: Code,
    },
    /// One delivery is refused for what it is. Others of the same attempt may have landed.
    #[error("topic {topic}: {uid} is refused: {problem}")]
    Refused {
        /// The topic.
        topic: String,
        /// The delivery.
        uid: String,
        /// Why.
        problem: Code,
    },
    /// No answer came.
    #[error("{target}: {problem}")]
    Unreachable {
        /// The sink.
        target: String,
        /// What is known of it; never an address, which may be a secret.
        problem: String,
    },
    /// The target answers that it cannot, or may not.
    #[error("{target} answers with status {status}{}", hint(*status))]
    Http {
        /// The sink.
        target: String,
        /// HTTP's status.
        status: u16,
        /// How long it wants to be left alone.
        retry_after: Option<Duration>,
    },
    /// The mail server answers that it cannot, or may not.
    #[error("{target} answers {command} with code {code}{}", mail_hint(command))]
    Smtp {
        /// The sink.
        target: String,
        /// What it was asked.
        command: &'static str,
        /// The code.
        code: u16,
    },
    /// The target refuses a step for what it is.
    #[error("{target} refuses {uid}{}", status.map_or_else(String::new, |status| format!(" with status {status}")))]
    RefusedBy {
        /// The sink.
        target: String,
        /// The delivery.
        uid: String,
        /// HTTP's status, where it says so by one.
        status: Option<u16>,
    },
    /// The end of the topic was not reached.
    #[error("topic {topic}: reading back what had landed made no progress for {seconds} s")]
    Stalled {
        /// The topic.
        topic: String,
        /// How long nothing came.
        seconds: u64,
    },
}

/// What a status that somebody must mend asks for.
const fn hint(status: u16) -> &'static str {
    match status {
        401 | 403 => ": are token and rights right?",
        404 => ": is the url right?",
        410 => ": the webhook was removed",
        300..=399 => ": it redirects, which is not followed; write the address behind it",
        429 => ": too many requests",
        _ => "",
    }
}

/// What an answer of a mail server that somebody must mend asks for.
const fn mail_hint(command: &str) -> &'static str {
    match command.as_bytes() {
        b"AUTH" => ": are username and password right?",
        b"MAIL" => ": may we send as `from`, and without logging in?",
        b"RCPT" => ": are the recipients right?",
        b"STARTTLS" => ": does it speak TLS? See security",
        _ => "",
    }
}

/// For how long a delivery is tried again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Patience {
    /// Until it works: whatever is down comes back.
    Endless,
    /// For a while: it may be about to be set up.
    Grace,
    /// Not at all: the same attempt fails again.
    None,
}

impl SinkError {
    /// For how long to try again.
    pub fn patience(&self) -> Patience {
        match self {
            Self::Spec(_) | Self::Value { .. } | Self::Connection(_) | Self::Refused { .. } => Patience::None,
            Self::Missing { .. } | Self::Forbidden { .. } => Patience::None,
            Self::File { problem, .. } | Self::Stdout(problem) => of_system(problem.kind()),
            Self::Topic { problem: KafkaError::ClientConfig(..), .. } => Patience::None,
            Self::Topic { problem: KafkaError::ClientCreation(_), .. } => Patience::Grace,
            Self::Topic { problem, .. } => problem.rdkafka_error_code().map_or(Patience::Endless, of_kafka),
            Self::Unacknowledged { problem, .. } => of_kafka(*problem),
            Self::Stalled { .. } | Self::Unreachable { .. } => Patience::Endless,
            Self::Http { status: 401 | 403 | 404 | 410 | 300..=399, .. } => Patience::None,
            Self::Smtp { code: 500.., .. } => Patience::None,
            Self::Http { .. } | Self::Smtp { .. } => Patience::Endless,
            Self::RefusedBy { .. } => Patience::None,
        }
    }

    /// How long the target wants to be left alone, where it says so.
    pub fn pause(&self) -> Option<Duration> {
        match self {
            Self::Http { retry_after, .. } => *retry_after,
            _ => None,
        }
    }

    /// The place among these deliveries of the one that is refused for what it is.
    pub fn refused_of(&self, deliveries: &[Delivery]) -> Option<usize> {
        let refused = self.refused()?;
        deliveries.iter().position(|delivery| delivery.uid == refused)
    }

    /// The delivery that is refused for what it is, by its uid.
    pub fn refused(&self) -> Option<&str> {
        match self {
            Self::Refused { uid, .. } | Self::RefusedBy { uid, .. } => Some(uid),
            _ => None,
        }
    }

    /// Whether no space is left.
    pub fn is_disk_full(&self) -> bool {
        let full = [ErrorKind::StorageFull, ErrorKind::QuotaExceeded, ErrorKind::FileTooLarge];
        matches!(self, Self::File { problem, .. } if full.contains(&problem.kind()))
    }
}

fn of_system(kind: ErrorKind) -> Patience {
    match kind {
        ErrorKind::PermissionDenied
        | ErrorKind::IsADirectory
        | ErrorKind::NotADirectory
        | ErrorKind::ReadOnlyFilesystem
        | ErrorKind::InvalidFilename
        | ErrorKind::InvalidInput
        | ErrorKind::NotSeekable
        // Whoever read standard output is gone, and does not come back to it.
        | ErrorKind::BrokenPipe => Patience::None,
        _ => Patience::Endless,
    }
}

fn of_kafka(code: Code) -> Patience {
    match code {
        Code::TopicAuthorizationFailed
        | Code::ClusterAuthorizationFailed
        | Code::InvalidTopic
        | Code::InvalidRequiredAcks
        | Code::UnsupportedForMessageFormat => Patience::None,
        code if is_of_record(code) => Patience::None,
        Code::UnknownTopic | Code::UnknownPartition | Code::UnknownTopicOrPartition => Patience::Grace,
        _ => Patience::Endless,
    }
}

/// Whether the code blames the record, not the topic or the way to it.
pub(super) fn is_of_record(code: Code) -> bool {
    matches!(
        code,
        Code::MessageSizeTooLarge
            | Code::InvalidMessageSize
            | Code::MessageBatchTooLarge
            | Code::InvalidRecord
            | Code::InvalidTimestamp
            | Code::PolicyViolation
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_comes_back_is_awaited_and_what_stays_as_it_is_is_not() {
        let of_kafka = |problem| SinkError::Unacknowledged { topic: "t".into(), count: 1, problem }.patience();
        for code in [Code::MessageTimedOut, Code::NotEnoughReplicas, Code::BrokerTransportFailure, Code::QueueFull] {
            assert_eq!(of_kafka(code), Patience::Endless, "{code:?}");
        }
        for code in [Code::MessageSizeTooLarge, Code::InvalidRecord, Code::TopicAuthorizationFailed] {
            assert_eq!(of_kafka(code), Patience::None, "{code:?}");
        }
        assert_eq!(of_kafka(Code::UnknownTopicOrPartition), Patience::Grace);

        let of_file = |kind: ErrorKind| SinkError::File { path: "f".into(), problem: kind.into() };
        assert_eq!(of_file(ErrorKind::PermissionDenied).patience(), Patience::None);
        assert_eq!(of_file(ErrorKind::IsADirectory).patience(), Patience::None);
        assert_eq!(of_file(ErrorKind::StorageFull).patience(), Patience::Endless);
        assert!(of_file(ErrorKind::StorageFull).is_disk_full());
    }
}
