//! The log formats we read, one a file. [`FORMATS`] is the only list of them: detection, help and tests walk it.
//!
//! A format reads one JSON record into a [`Call`] that borrows from it, through typed structs and never through a generic value.
//! It returns `None` for a record that is none of its calls, and an error for one that should have been.
//!
//! Not here: unpacking (`payload`, `envelope`), and what is derived from a call's fields (`calls`).

mod cloudtrail;
mod ecs;
mod probe;
mod url;
pub(super) mod values;

pub use probe::Probe;

use super::place::RecordError;
use crate::calls::{Call, View};

/// Every format, in the order in which detection asks them: the first that recognises a record reads it.
pub static FORMATS: &[FormatKind] = &[cloudtrail::FORMAT, ecs::FORMAT];

/// A format: its name, how it is recognised, how it is read.
#[derive(Debug)]
pub struct FormatKind {
    /// The name in pipeline files, errors and metrics.
    pub name: &'static str,
    /// One line for messages and docs.
    pub summary: &'static str,
    /// Which view of the relation its records give.
    pub view: View,
    /// One whole record as the format's source writes it.
    pub sample: &'static str,
    /// Whether a record's top-level keys identify this format.
    pub looks_like: fn(&Probe<'_>) -> bool,
    /// Reads one record. `None`: a record of this format or another that is not a call.
    pub decode: Decode,
}

/// Reads one record into a call that borrows from it.
pub type Decode = for<'a> fn(&'a str) -> Result<Option<Call<'a>>, RecordError>;

impl FormatKind {
    /// The format of that name.
    pub fn named(name: &str) -> Option<&'static Self> {
        FORMATS.iter().find(|format| format.name == name)
    }

    /// The format that recognises the record.
    ///
    /// # Errors
    /// The record is not a JSON object.
    pub(super) fn detect(record: &str) -> Result<Option<&'static Self>, RecordError> {
        let probe = Probe::of(record)?;
        Ok(FORMATS.iter().find(|format| (format.looks_like)(&probe)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_format_recognises_and_reads_its_own_sample_and_its_name_is_its_own() {
        for format in FORMATS {
            let detected = FormatKind::detect(format.sample).unwrap().unwrap();
            assert_eq!(detected.name, format.name);
            let call = (format.decode)(format.sample).unwrap().unwrap();
            assert_eq!(call.view, format.view, "{}", format.name);
            assert!(!call.caller.is_empty() && !call.host.is_empty() && call.time > 0, "{}", format.name);
            assert!(std::ptr::eq(FormatKind::named(format.name).unwrap(), format));
        }
    }

    #[test]
    fn no_format_takes_the_record_of_another_for_its_own_call() {
        for format in FORMATS {
            for other in FORMATS.iter().filter(|other| other.name != format.name) {
                let read = (format.decode)(other.sample);
                assert!(!matches!(read, Ok(Some(_))), "{} reads {}", format.name, other.name);
            }
        }
    }
}
