//! Labels of what was planted, as `evaluate` reads them: CSV, one row a scenario.
//!
//! Credentials are fingerprints, as in alerts. Start and end are those of the first and last call that was made, changed or taken away.
//!
//! Not here: reading them (`train::evaluate`).

use std::io;

use super::edit::instant;
use super::plant::Planting;
use super::scenario::Name;
use crate::calls::FingerprintKey;

const HEADER: [&str; 10] =
    ["scenario", "kind", "category", "malicious", "start", "end", "caller", "vendor_host", "credential", "strength"];

/// Writes a row for each planting that came to something.
pub(super) fn write(to: impl io::Write, plantings: &[Planting], key: &FingerprintKey) -> csv::Result<()> {
    let mut writer = csv::Writer::from_writer(to);
    writer.write_record(HEADER)?;
    for planting in plantings {
        let Some((start, end)) = planting.effect.span else { continue };
        let scenario = &planting.scenario;
        let name = |name| planting.name(name).unwrap_or_default();
        let credential = planting.name(Name::Credential).map(|secret| key.fingerprint(&secret)).unwrap_or_default();
        writer.write_record([
            planting.label.as_str(),
            &scenario.kind,
            scenario.category.as_str(),
            if scenario.malicious { "1" } else { "0" },
            &instant(start, 3),
            &instant(end, 3),
            &name(Name::Caller),
            &name(Name::Host),
            &credential,
            planting.strength.as_str(),
        ])?;
    }
    writer.flush()?;
    Ok(())
}
