//! The stream: the engine, and the shell that feeds it from Kafka.
//!
//! The engine (`engine`, `judge`, `watermark`) is pure: event time in, alerts out. The shell (`run` and the rest) polls,
//! delivers, saves and commits; it alone knows clocks, partitions, crashes and the network.

pub mod admin;
mod auditor;
mod bursts;
mod cataloguer;
mod dead_letter;
mod delivery;
mod engine;
mod error;
mod evaluator;
mod group;
mod lag;
pub mod metrics;
mod outlet;
mod owners;
mod partitions;
mod preparation;
mod progress;
mod reload;
pub mod run;
mod self_watch;
mod settings;
mod shipping;
pub mod shutdown;
mod sink_watch;
mod ticks;
mod verdicts;
mod watermark;
mod workers;

pub use engine::{Counters, Engine, EngineError, LATENESS};
pub use settings::EngineSettings;
