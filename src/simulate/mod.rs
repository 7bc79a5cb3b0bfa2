//! Simulated logs: what a company's calls look like on days without attack or fault of its own.
//!
//! A specification goes in, records and labels come out, a day at a time: memory holds one day. The same specification gives the same
//! bytes, and a longer run begins with the days of a shorter one. What makes real days differ (releases, campaigns, month ends,
//! outages, rotations) is in it, and each such change is labelled, so that alerts on harmless changes can be counted.
//!
//! Not here: attacks. Whoever wants them adds them to these records.

mod callers;
mod changes;
mod clock;
mod ecs;
mod random;
mod spec;
mod traffic;
mod vendors;

use std::io::{self, Write};

use jiff::Timestamp;

use changes::Company;
pub use spec::{Format, Spec, Untidiness, Vendors};

/// Bytes that are gathered before they are written.
const CHUNK: usize = 1 << 20;

/// A harmless change, and the entities that it is seen at. An empty text matches any.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Label {
    /// What happens.
    pub kind: String,
    /// First instant, microseconds since the epoch.
    pub start: i64,
    /// Last instant, microseconds since the epoch.
    pub end: i64,
    /// Who calls.
    pub caller: String,
    /// Whom it calls.
    pub vendor_host: String,
    /// The key's label.
    pub credential: String,
}

/// What was written.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Simulated {
    /// Records, one a line.
    pub records: u64,
    /// All harmless changes, by day.
    pub labels: Vec<Label>,
}

/// Writes the records of all days, by time, and returns what changed on them; `progress` hears of each day that is done.
///
/// # Errors
/// If `out` cannot be written to.
pub fn simulate(spec: &Spec, out: &mut impl Write, progress: &mut dyn FnMut(usize)) -> io::Result<Simulated> {
    let mut simulated = Simulated::default();
    let mut lines = Vec::with_capacity(CHUNK + CHUNK / 8);
    let mut company = Company::new(spec);
    for day in 0..spec.days {
        let mut today = company.begin(day);
        let exchanges = traffic::exchanges(&company, &today);
        let writer = ecs::Writer::new(&company, &today);
        for exchange in &exchanges {
            writer.write(exchange, &mut lines)?;
            if lines.len() >= CHUNK {
                out.write_all(&lines)?;
                lines.clear();
            }
        }
        simulated.records += exchanges.len() as u64;
        simulated.labels.append(&mut today.labels);
        progress(day + 1);
    }
    out.write_all(&lines)?;
    Ok(simulated)
}

/// Writes labels as `evaluate` reads them: none is malicious.
///
/// # Errors
/// If `out` cannot be written to.
pub fn write_labels(labels: &[Label], out: impl Write) -> csv::Result<()> {
    let mut rows = csv::Writer::from_writer(out);
    rows.write_record([
        "scenario",
        "kind",
        "category",
        "malicious",
        "start",
        "end",
        "caller",
        "vendor_host",
        "credential",
    ])?;
    for (number, label) in (1..).zip(labels) {
        let id = format!("B{number:04}");
        let time = |instant: i64| Timestamp::from_microsecond(instant).unwrap_or_default().to_string();
        let (start, end) = (time(label.start), time(label.end));
        rows.write_record([
            &*id,
            &*label.kind,
            "benign",
            "0",
            &*start,
            &*end,
            &*label.caller,
            &*label.vendor_host,
            &*label.credential,
        ])?;
    }
    rows.flush()?;
    Ok(())
}
