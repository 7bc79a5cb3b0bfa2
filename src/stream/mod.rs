//! The stream: the engine, and the shell that feeds it from Kafka.
//!
//! The engine (`engine`, `judge`, `watermark`) is pure: event time in, alerts out. The shell (`run` and the rest) polls,
//! delivers, saves and commits; it alone knows clocks, partitions, crashes and the network.

pub mod admin;
mod auditor;
mod cataloguer;
mod dead_letter;
mod engine;
mod error;
mod evaluator;
mod group;
mod lag;
pub mod metrics;
mod outlet;
mod partitions;
pub mod preflight;
mod preparation;
mod progress;
pub mod run;
mod self_watch;
mod settings;
pub mod shutdown;
mod ticks;
mod verdicts;
mod watermark;
mod workers;

pub use engine::{Counters, Engine, EngineError};
pub use settings::EngineSettings;
