//! A survey of a sample: what its records are, which fields they fill, and what is odd about them.
//!
//! Not here: how people are told (`cli`).

use std::collections::BTreeMap;
use std::sync::Arc;

use super::decoder::Decoder;
use super::file::FileReader;
use super::formats::FormatKind;
use super::inputs::{InputError, Inputs};
use super::tally::Tally;
use crate::calls::{Call, CallsBuilder, FingerprintKey};

/// Records that are looked at of each input.
const RECORDS: u64 = 10_000;
/// Rejected records whose reasons are kept.
const MAX_REASONS: usize = 5;

/// What the records of a sample are.
#[derive(Debug, Default)]
pub struct Survey {
    /// How many records were what.
    pub tally: Tally,
    /// Calls by format.
    pub formats: BTreeMap<&'static str, u64>,
    /// Why the first of those that were rejected were.
    pub reasons: Vec<String>,
}

impl Survey {
    /// Reads the beginning of the inputs.
    ///
    /// # Errors
    /// An input cannot be read.
    pub fn of(inputs: &Inputs, mut decoder: Decoder, key: Arc<FingerprintKey>) -> Result<Self, InputError> {
        let mut reader = FileReader::new(inputs);
        let mut calls = CallsBuilder::new(key);
        calls.keep_details();
        let mut survey = Self::default();
        loop {
            let batch = reader.next_batch(&mut decoder, &mut calls, 512)?;
            survey.tally.merge(&batch.tally);
            for details in calls.take_details() {
                *survey.formats.entry(details.format).or_default() += 1;
            }
            calls.finish();
            let room = MAX_REASONS - survey.reasons.len();
            survey.reasons.extend(batch.errors.iter().take(room).map(ToString::to_string));
            if batch.finished || survey.tally.records() >= RECORDS {
                return Ok(survey);
            }
        }
    }

    /// The format of most calls.
    pub fn format(&self) -> Option<&'static FormatKind> {
        let (name, _) = self.formats.iter().max_by_key(|(_, count)| **count)?;
        FormatKind::named(name)
    }
}

/// The names of a call's fields that are filled, as `[decode.fields]` calls them.
pub fn filled(call: &Call<'_>) -> Vec<&'static str> {
    let is_text = |text: &Option<std::borrow::Cow<'_, str>>| text.as_deref().is_some_and(|text| !text.is_empty());
    let fields = [
        ("time", call.time != 0),
        ("caller", !call.caller.is_empty()),
        ("credential", is_text(&call.credential)),
        ("host", !call.host.is_empty()),
        ("method", is_text(&call.method)),
        ("path", is_text(&call.path)),
        ("operation", is_text(&call.operation)),
        ("account", is_text(&call.account)),
        ("status", call.status.is_some()),
        ("outcome", call.outcome.is_some() || call.status.is_some()),
        ("bytes_out", call.bytes_out.is_some()),
        ("bytes_in", call.bytes_in.is_some()),
        ("tokens_in", call.tokens_in.is_some()),
        ("latency_ms", call.latency_ms.is_some()),
        ("src_ip", is_text(&call.src_ip)),
        ("user_agent", is_text(&call.user_agent)),
        ("scheme", is_text(&call.scheme)),
        ("tls_version", is_text(&call.tls_version)),
        ("region", is_text(&call.region)),
        ("content_type", is_text(&call.content_type)),
        ("trace_id", is_text(&call.trace_id)),
        ("record_id", is_text(&call.record_id)),
    ];
    fields.into_iter().filter(|(_, is_filled)| *is_filled).map(|(name, _)| name).collect()
}

#[cfg(test)]
mod tests {
    use std::fmt::Write;
    use std::path::Path;

    use super::*;
    use crate::ingest::formats::LOG_FORMATS;
    use crate::ingest::{FORMATS, Reading};

    const INTRODUCTION: &str = "# Log formats\n\nWhat each format fills of a call, by its sample. Generated from the code: `UPDATE_DOCS=1 cargo test` \
        writes it anew.\nEnvelopes, and inputs that people have, stand below.\nA field that is not listed is unknown. A record may lack fields that its format has.\n\n";

    const BY_LOG_FORMAT: &str = "\n## Declared log formats\n\nFormats whose lines are as their proxy is configured: `[decode] log_format` beside `format` takes \
        the text of the directive, alone or with its\nquotes, name and pieces as it stands in the configuration. These variables fill fields; any other may be \
        named in `[decode.fields]`.\n\n| format | directive | variables |\n|---|---|---|\n";
    /// What stands behind it is written by hand.
    const END: &str = "\n<!-- Not generated from here on. -->\n";

    /// Format × fields, as `docs/formats.md` has it.
    fn page() -> String {
        let mut page = INTRODUCTION.to_owned();
        page.push_str("| format | view | what | fields |\n|---|---|---|---|\n");
        for format in FORMATS {
            let call = format.decode(format.sample).unwrap().call().unwrap();
            let (name, view, what) = (format.name, format.view.as_str(), format.summary);
            writeln!(page, "| `{name}` | {view} | {what} | {} |", filled(&call).join(", ")).unwrap();
        }
        page.push_str(BY_LOG_FORMAT);
        for (name, syntax) in LOG_FORMATS {
            let variables: Vec<_> = syntax.variables.iter().map(|(name, _)| format!("`{name}`")).collect();
            writeln!(page, "| `{name}` | `{}` | {} |", syntax.directive, variables.join(" ")).unwrap();
        }
        page
    }

    #[test]
    fn the_page_of_formats_says_what_they_fill() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/formats.md");
        let written = std::fs::read_to_string(&path).unwrap_or_default();
        let (generated, by_hand) = written.split_once(END).unwrap_or((&written, ""));
        if std::env::var_os("UPDATE_DOCS").is_some() {
            std::fs::write(&path, [&page(), END, by_hand].concat()).unwrap();
        } else {
            assert_eq!(generated, page(), "UPDATE_DOCS=1 cargo test writes it");
        }
    }

    #[test]
    fn the_sample_of_every_format_has_what_a_call_needs() {
        for format in FORMATS {
            let call = format.decode(format.sample).map(Reading::call).unwrap().unwrap();
            let fields = filled(&call);
            assert!(
                ["time", "caller", "host"].iter().all(|field| fields.contains(field)),
                "{}: {fields:?}",
                format.name
            );
        }
    }
}
