//! The catalogue in formats of others: OpenAPI, CycloneDX.
//!
//! Not here: tables (`cli::rows`).

mod cyclonedx;
mod openapi;

pub use cyclonedx::cyclonedx;
pub use openapi::openapi;
