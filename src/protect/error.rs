//! Why a policy cannot be proposed or checked, and what to do about it.
//!
//! Not here: what is left out of a policy (`proposal`).

use std::path::PathBuf;

use thiserror::Error;

use crate::catalog::CatalogError;

/// Why a policy cannot be proposed or checked.
#[derive(Debug, Error)]
pub enum ProtectError {
    /// The catalogue cannot be read.
    #[error(transparent)]
    Catalog(#[from] CatalogError),
    /// No call left the house.
    #[error(
        "the catalogue has no call to a third party; build it from logs of proxies, gateways or clients (`apiwarden catalog build`)"
    )]
    NoCalls,
    /// The catalogue does not reach back far enough.
    #[error(
        "the catalogue covers {hours} hours, so nothing in it is {days} days old: build it from more logs, or write --min-days 0"
    )]
    TooShort {
        /// What it covers.
        hours: i64,
        /// The least age of an entry.
        days: u32,
    },
    /// Nothing is left to allow.
    #[error("no entry is left for {format}: {reasons}")]
    NothingLeft {
        /// The format.
        format: &'static str,
        /// How many entries were left out for what.
        reasons: String,
    },
    /// An option that would not be what the gateway understands.
    #[error("{option}: {problem}")]
    Identity {
        /// The option.
        option: &'static str,
        /// What to write instead.
        problem: &'static str,
    },
    /// The policy cannot be read.
    #[error("{}: {problem}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// The system's error.
        problem: std::io::Error,
    },
    /// No format has written such a file.
    #[error("{}: no policy that `apiwarden protect propose` writes ({formats})", path.display())]
    Unrecognised {
        /// The file.
        path: PathBuf,
        /// The formats that there are.
        formats: String,
    },
    /// The policy says something that cannot be judged here.
    #[error("{}:{line}: {problem}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Line, from 1.
        line: usize,
        /// What is wrong.
        problem: String,
    },
}
