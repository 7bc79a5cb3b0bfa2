//! apiwarden learns how a company's services use third-party APIs, and alerts on drift, abuse and data exfiltration.
//!
//! Modules are listed in the order in which data passes through them, and each uses only those before it.
//! `ARCHITECTURE.md` is the map.

#![warn(missing_docs)]
#![deny(unsafe_code)]

pub mod calls;

pub mod ingest;

pub mod rollup;

pub mod features;

pub mod models;

pub mod rules;

pub mod detect;

pub mod catalog;

pub mod protect;

pub mod alerts;

pub mod state;

pub mod report;

pub mod pipeline;

pub mod inject;

pub mod simulate;

pub mod train;

pub mod stream;

pub mod cli;
