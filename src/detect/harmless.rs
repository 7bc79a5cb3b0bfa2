//! What an unusual window most likely is, where that is harmless and known: then it is a notice.
//!
//! Three things are known without anybody's word: that trouble at a vendor passes within minutes, as most of it does (`lasting`); that a
//! service went live some days ago, and what its peers get says little of what it gets; that a caller released a new version, and its
//! errors are hours old (`releases`). None of them excuses what an attack needs: bytes that leave, denied calls, many failures, more data
//! than services fetch.
//!
//! Not here: outages and campaigns (`explanation`), and what first-seen things look like together (`benign`).

use super::benign::Benign;
use super::candidate::Candidate;
use super::detector::Context;
use super::lasting::{is_over, lasts};
use super::memory::State;
use crate::features::Column;
use crate::models::baseline::Verdict;
use crate::models::peak::{BYTES_IN, excess};
use crate::models::statistic::Kind;
use crate::rollup::{BUCKETS_PER_DAY, BUCKETS_PER_HOUR};

/// Buckets for which a service is new: three days. What it shows for a day becomes its level meanwhile (`models::adaptation`).
const NEW: i64 = 3 * BUCKETS_PER_DAY;
/// Buckets within which a release is repaired or taken back, and within which its traces may lie in a window of six hours: two hours, and
/// eight.
const TO_REPAIR: i64 = 2 * BUCKETS_PER_HOUR;
const RELEASED: i64 = 8 * BUCKETS_PER_HOUR;
/// Share of calls that fail from which nothing excuses them: a fifth, as of an outage.
const MANY: f64 = 0.2;

/// What the candidate that `verdict` leads to most likely is; `judged` is the entity whose tests it is of, `subject` the pair that shows most
/// of it.
pub(super) fn likely(
    context: &Context<'_>,
    candidate: &Candidate,
    (judged, subject): (&State, &State),
    verdict: &Verdict,
) -> Option<Benign> {
    if candidate.class.must_last && !lasts(judged, verdict, context.bucket) {
        return Some(Benign::Passing);
    }
    if candidate.subject.caller.is_empty() || !is_small(context, subject, verdict) {
        return None;
    }
    let is_released = || was_released(context, subject, verdict);
    is_new(context, subject).then_some(Benign::NewService).or_else(|| is_released().then_some(Benign::Deploy))
}

/// Whether the caller released a new version so little ago that it may not know yet what it broke, or what it broke was repaired.
fn was_released(context: &Context<'_>, pair: &State, verdict: &Verdict) -> bool {
    let age = context.releases.age(pair.entity.view, &pair.entity.caller, context.bucket);
    age.is_some_and(|age| age < TO_REPAIR || (age < RELEASED && is_over(pair, verdict, context.bucket)))
}

/// Whether a pair went live at a known vendor some days ago, and nothing was learned of it.
fn is_new(context: &Context<'_>, pair: &State) -> bool {
    let Context { bundle, bucket, .. } = *context;
    let entity = &pair.entity;
    let is_known = bundle.baselines.get(entity.id()).is_some_and(|known| known.is_known);
    !is_known && bucket - pair.since < NEW && bundle.known.has_vendor(entity.view, &entity.vendor)
}

/// Whether a change is one that a caller's own work may bring: other answers, but not more data than it ever fetched (a new one: than nine
/// services in ten ever did); another mix of calls; a few failures, none of them denied.
fn is_small(context: &Context<'_>, pair: &State, verdict: &Verdict) -> bool {
    let Context { bundle, bucket, .. } = *context;
    match verdict.test.statistic().kind {
        Kind::Mean(Column::LatencyResidual, _) | Kind::Mix => true,
        Kind::Mean(Column::BytesInResidual, _) => {
            let own = bundle.baselines.get(pair.entity.id()).and_then(|known| known.peaks);
            let peaks = own.or_else(|| Some(bundle.views.get(&pair.entity.view)?.usual_peaks));
            peaks.is_some_and(|peaks| excess(&peaks, &pair.windows.sums(bucket), BYTES_IN, false).is_none())
        }
        Kind::Count(failures, _) if failures != Column::Denied => {
            let of = |column: Column| pair.sum(column, verdict.test.window, bucket) as f64;
            of(failures) < MANY * of(Column::Calls)
        }
        _ => false,
    }
}
