//! More bytes to or from a vendor than the pair ever moved.
//!
//! # Finds
//! Bulk uploads and downloads by their sum: twenty megabytes from a service that only ever read, a tenant's records pulled
//! page by page, an upload by a new endpoint of a vendor that is called all day. Over an hour, six hours and a day. At a vendor
//! that nobody here knows, more than nine pairs in ten ever moved.
//!
//! # Why it matters
//! What leaves is counted in bytes, whatever the number of calls that carry it.
//!
//! # Misses
//! Under one megabyte out, or four in, beyond the peak; pairs without a history of their own (a novelty has those).
//!
//! # Tuning
//! The share is fixed (a third of 10 % of the view's budget). A larger day in the training history raises the peak.
//!
//! # Example alert
//! `geo-svc moved more to google than ever: 20.1 MB over an hour, at most 11 kB before`.
//!
//! # What to do first
//! 1. Ask the caller's owner which job moved the data; if nobody knows, block the caller's way to the vendor.
//! 2. See which endpoints and which credential carried the bytes, and whether the destination is an account of ours.
//! 3. If it was a backfill, record the verdict, so that triage learns it.
//!
//! # When it is wrong
//! The first backfill that sends larger objects. A campaign is none: its calls are as large as ever.
//!
//! # Source
//! Sums against the largest of the pair's other days (see `models::peak`).

use super::peaks::above_peak;
use super::sentence::shifted;
use super::tracking::Shifts;
use super::words::in_bytes;
use super::{Analytic, Candidate, Category, CauseClass, Class, Context, Detector, Evaluated, Impact, Meta, Own};
use crate::models::peak::{BYTES_IN, BYTES_OUT};

static META: Meta = Meta {
    name: "bulk_transfer",
    title: "More bytes than ever",
    category: Category::Exfiltration,
    impact: Impact::High,
    analytic: Analytic::Statistical,
    correlates: &[],
    page: include_str!("bulk_transfer.rs"),
};

static BYTES_OUT_PEAK: Class = Class::new("bytes_out_peak", &META, CauseClass::DataLeft, |of| {
    shifted(of, &format!("{} sent {} more than ever", of.who(), of.whom()))
})
.technique("T1567");
static BYTES_IN_PEAK: Class = Class::new("bytes_in_peak", &META, CauseClass::DataLeft, |of| {
    shifted(of, &format!("{} fetched more from {} than ever", of.who(), of.whom()))
})
.technique("T1530");

/// More bytes than ever.
pub(super) struct BulkTransfer;

impl Detector for BulkTransfer {
    const META: &'static Meta = &META;
    const CLASSES: &'static [&'static Class] = &[&BYTES_OUT_PEAK, &BYTES_IN_PEAK];
    type Model = ();
    type Memory = ();
    type Part = Shifts;
    const TELLS_BURSTS: bool = true;

    fn evaluate(
        context: &Context<'_>,
        entity: &Evaluated<'_>,
        _own: Own<'_, Self>,
        shifts: &mut Shifts,
    ) -> Vec<Candidate> {
        let kinds = [(BYTES_OUT, &BYTES_OUT_PEAK), (BYTES_IN, &BYTES_IN_PEAK)];
        let above = |(kind, class)| above_peak(context, entity, kind, class, shifts, ("bytes", in_bytes));
        kinds.into_iter().filter_map(above).collect()
    }

    fn forget(shifts: &mut Shifts, time: i64) -> bool {
        shifts.forget(time)
    }
}
