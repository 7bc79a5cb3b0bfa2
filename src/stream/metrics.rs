//! The metrics of the stream, for Prometheus.
//!
//! Names and help texts are defined here and nowhere else. Labels are topics, partitions, severities, families of the budget and reasons: bounded, and
//! never a value from a record.
//!
//! Not here: how they are served (`admin`).

use std::sync::OnceLock;

use metrics::{Unit, counter, describe_counter, describe_gauge, describe_histogram, gauge, histogram};
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};

use crate::alerts::Alert;
use crate::calls::CallRow;
use crate::detect::Share;
use crate::ingest::Tally;
use crate::models::pacing::Kept;

const RECORDS: &str = "apiwarden_records_total";
const CALLS: &str = "apiwarden_calls_total";
const LATE: &str = "apiwarden_late_calls_total";
const PAST: &str = "apiwarden_calls_judged_late_total";
const TOO_LATE: &str = "apiwarden_too_late_calls_total";
const REPEATED: &str = "apiwarden_repeated_calls_total";
const REJECTED: &str = "apiwarden_rejected_records_total";
const NOT_CALLS: &str = "apiwarden_not_a_call_records_total";
const UNREADABLE: &str = "apiwarden_unreadable_fields_total";
const AHEAD: &str = "apiwarden_calls_ahead_total";
const ALERTS: &str = "apiwarden_alerts_total";
const BUDGET_ASKED: &str = "apiwarden_budget_asked";
const BUDGET_KEPT: &str = "apiwarden_budget_kept";
const BUDGET_MULTIPLIER: &str = "apiwarden_budget_threshold_multiplier";
const RETRIES: &str = "apiwarden_sink_retries_total";
const LOST_LETTERS: &str = "apiwarden_lost_dead_letters_total";
const WATERMARK_DELAY: &str = "apiwarden_watermark_delay_seconds";
const CHECKPOINT_AT: &str = "apiwarden_last_checkpoint_seconds";
const STATE: &str = "apiwarden_state_entries";
const IDENTIFIED: &str = "apiwarden_identified_records_total";
const INFO: &str = "apiwarden_info";
const WATERMARK: &str = "apiwarden_watermark_seconds";
const CATALOG_BEHIND: &str = "apiwarden_catalog_behind";
const AUDIT_BEHIND: &str = "apiwarden_audit_behind";
const HEARD: &str = "apiwarden_last_record_seconds";
const LAG: &str = "apiwarden_lag";
const READY: &str = "apiwarden_ready";
const CHECKPOINT_SECONDS: &str = "apiwarden_checkpoint_duration_seconds";
const CHECKPOINT_BYTES: &str = "apiwarden_checkpoint_bytes";
const COMMIT_FAILURES: &str = "apiwarden_commit_failures_total";
const LATENCY: &str = "apiwarden_latency_seconds";
const LOST_RECORDS: &str = "apiwarden_lost_records_total";
const SINK_UP: &str = "apiwarden_sink_up";
const SINK_BACKLOG: &str = "apiwarden_sink_backlog";
const SINK_OLDEST: &str = "apiwarden_sink_oldest_seconds";
const SINK_FAILING: &str = "apiwarden_sink_failing_seconds";
const SUPPRESSED: &str = "apiwarden_suppressed_alerts_total";
const HELD: &str = "apiwarden_suppressed_incidents";
const UNDELIVERED: &str = "apiwarden_undelivered_alerts_total";
const BUNDLE: &str = "apiwarden_bundle";
const BUNDLES_REFUSED: &str = "apiwarden_bundles_refused_total";

/// From a hundredth of a second to ten.
const SECONDS_BUCKETS: &[f64] = &[0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];

/// Installs the recorder on first use, and returns the handle that renders it.
///
/// `None` where another recorder was installed before: the metrics then go there.
pub fn install() -> Option<&'static PrometheusHandle> {
    static HANDLE: OnceLock<Option<PrometheusHandle>> = OnceLock::new();
    HANDLE.get_or_init(build).as_ref()
}

fn build() -> Option<PrometheusHandle> {
    let recorder = PrometheusBuilder::new().set_buckets(SECONDS_BUCKETS).ok()?.build_recorder();
    let handle = recorder.handle();
    metrics::set_global_recorder(recorder).ok()?;
    describe();
    Some(handle)
}

fn describe() {
    describe_counter!(
        RECORDS,
        Unit::Count,
        "Records read, by topic: calls, records that are no calls, and rejected ones."
    );
    describe_counter!(CALLS, Unit::Count, "Calls that the engine counted, since the state was begun.");
    describe_counter!(LATE, Unit::Count, "Calls that came out of order but in time to count.");
    describe_counter!(
        PAST,
        Unit::Count,
        "Calls whose bucket had been judged and was judged again, by how late they came."
    );
    describe_counter!(TOO_LATE, Unit::Count, "Calls that came too late to count: see late_calls_hours.");
    describe_counter!(REPEATED, Unit::Count, "Calls skipped because the same record had been read before.");
    describe_counter!(
        REJECTED,
        Unit::Count,
        "Records that could not be read and became dead letters, by topic and reason."
    );
    describe_counter!(NOT_CALLS, Unit::Count, "Records that tell of no call of ours, by topic and kind.");
    describe_counter!(
        UNREADABLE,
        Unit::Count,
        "Fields that could not be read and are unknown, by topic and field; their calls count."
    );
    describe_counter!(AHEAD, Unit::Count, "Calls of callers whose clock runs ahead, which counted at their arrival.");
    describe_counter!(ALERTS, Unit::Count, "Alerts that are durable in the alert store, by severity.");
    describe_gauge!(BUDGET_ASKED, Unit::Count, "Pages a day asked for, by view and family.");
    describe_gauge!(BUDGET_KEPT, Unit::Count, "Pages a day over the last seven days, by view and family.");
    describe_gauge!(BUDGET_MULTIPLIER, "Threshold in force over the calibrated one, by view and family.");
    describe_counter!(RETRIES, Unit::Count, "Attempts of a sink that failed and were made again.");
    describe_counter!(
        LOST_LETTERS,
        Unit::Count,
        "Dead letters that could not be kept, by reason: a full disk, or a sink that refuses them."
    );
    describe_gauge!(
        WATERMARK,
        Unit::Seconds,
        "Event time up to which everything is evaluated, seconds since the epoch."
    );
    describe_gauge!(WATERMARK_DELAY, Unit::Seconds, "How far the watermark is behind the clock.");
    describe_gauge!(CHECKPOINT_AT, Unit::Seconds, "When the last checkpoint was written, seconds since the epoch.");
    describe_gauge!(STATE, Unit::Count, "Entries of the state, by kind.");
    describe_counter!(
        IDENTIFIED,
        Unit::Count,
        "Calls since the start by whether their record has an id, so that a repetition is known: known is yes or no."
    );
    describe_gauge!(INFO, "1, with the version of the program, the consumer group and the instance id as labels.");
    describe_gauge!(CATALOG_BEHIND, "1 while the catalogue cannot be written, else 0; nothing is lost meanwhile.");
    describe_gauge!(AUDIT_BEHIND, "1 while an audit report that is due cannot be written, else 0; it is tried again.");
    describe_gauge!(HEARD, Unit::Seconds, "When records were last read, seconds since the epoch.");
    describe_gauge!(
        LAG,
        Unit::Count,
        "Records in Kafka that were not read yet; asked of the brokers while delivery is held up."
    );
    describe_gauge!(READY, "1 while records can be read and alerts delivered, else 0.");
    describe_histogram!(CHECKPOINT_SECONDS, Unit::Seconds, "Time that a checkpoint took.");
    describe_gauge!(CHECKPOINT_BYTES, Unit::Bytes, "Size of the last checkpoint.");
    describe_histogram!(
        LATENCY,
        Unit::Seconds,
        "Time since a call: until the newest of some records arrived in Kafka, until an alert on it was judged, until every sink had it."
    );
    describe_counter!(LOST_RECORDS, Unit::Count, "Records that Kafka had deleted before they were read.");
    describe_gauge!(SINK_UP, "1 while a sink delivers, else 0.");
    describe_gauge!(SINK_BACKLOG, Unit::Count, "Alerts in the store that a sink has not delivered yet.");
    describe_gauge!(
        SINK_OLDEST,
        Unit::Seconds,
        "For how long the oldest alert that a sink has not delivered has waited."
    );
    describe_gauge!(SINK_FAILING, Unit::Seconds, "For how long a sink cannot deliver; 0 while it does.");
    describe_counter!(SUPPRESSED, Unit::Count, "Alerts that a suppression holds back: they stay in the store.");
    describe_gauge!(HELD, Unit::Count, "Open incidents that suppressions hold back.");
    describe_counter!(
        UNDELIVERED,
        Unit::Count,
        "Alerts that a target refuses for what they are: they stay in the store."
    );
    describe_gauge!(BUNDLE, "1 for the model bundle in force, by version.");
    describe_counter!(BUNDLES_REFUSED, Unit::Count, "New bundles that did not fit: the one in force went on.");
    describe_counter!(COMMIT_FAILURES, Unit::Count, "Commits that Kafka refused; the checkpoint holds all the same.");
}

/// Sets what a topic's records were, which lives in the checkpoint.
pub(super) fn tally(topic: &str, tally: &Tally) {
    counter!(RECORDS, "topic" => topic.to_owned()).absolute(tally.records());
    for (kind, count) in &tally.not_calls {
        counter!(NOT_CALLS, "topic" => topic.to_owned(), "kind" => kind.clone()).absolute(*count);
    }
    for (reason, count) in &tally.rejected {
        counter!(REJECTED, "topic" => topic.to_owned(), "reason" => reason.clone()).absolute(*count);
    }
    for (field, count) in &tally.unreadable {
        counter!(UNREADABLE, "topic" => topic.to_owned(), "field" => field.clone()).absolute(*count);
    }
}

/// Counts calls after their arrival.
pub(super) fn ahead(calls: u64) {
    counter!(AHEAD).increment(calls);
}

/// Sets the engine's counters, which live in the checkpoint, and the watermark (microseconds since the epoch).
pub(super) fn engine(counters: &super::Counters, watermark: Option<i64>) {
    counter!(CALLS).absolute(counters.calls);
    counter!(LATE).absolute(counters.late);
    for (by, calls) in super::LATENESS.iter().zip(counters.past) {
        counter!(PAST, "up_to" => *by).absolute(calls);
    }
    counter!(TOO_LATE).absolute(counters.too_late);
    counter!(REPEATED).absolute(counters.repeated);
    if let Some(micros) = watermark {
        gauge!(WATERMARK).set(micros as f64 / 1e6);
        let now = jiff::Timestamp::now().as_microsecond();
        gauge!(WATERMARK_DELAY).set((now - micros) as f64 / 1e6);
    }
}

/// Sets how pages keep to the budget.
pub(super) fn budget(kept: &[Kept<Share>]) {
    for Kept { kind: (view, family), asked, kept, multiplier } in kept {
        for (name, value) in [(BUDGET_ASKED, asked), (BUDGET_KEPT, kept), (BUDGET_MULTIPLIER, multiplier)] {
            gauge!(name, "view" => view.as_str(), "family" => family.as_str()).set(*value);
        }
    }
}

/// Sets whether the catalogue lacks what is kept.
pub(super) fn catalog_behind(is_behind: bool) {
    gauge!(CATALOG_BEHIND).set(f64::from(u8::from(is_behind)));
}

/// Sets whether an audit report that is due could not be written.
pub(super) fn audit_behind(is_behind: bool) {
    gauge!(AUDIT_BEHIND).set(f64::from(u8::from(is_behind)));
}

/// Sets when records were last read, microseconds since the epoch.
pub(super) fn heard(now: i64) {
    gauge!(HEARD).set(now as f64 / 1e6);
}

/// Counts an alert.
pub(super) fn alert(severity: &'static str) {
    counter!(ALERTS, "severity" => severity).increment(1);
}

/// Counts a failed attempt of a sink.
pub(super) fn retry(sink: &str) {
    counter!(RETRIES, "sink" => sink.to_owned()).increment(1);
}

/// Counts dead letters that could not be kept.
pub(super) fn lost_letters(reason: &'static str, count: u64) {
    counter!(LOST_LETTERS, "reason" => reason).increment(count);
}

/// Sets a partition's lag.
pub(super) fn lag(topic: &str, partition: i32, records: i64) {
    gauge!(LAG, "topic" => topic.to_owned(), "partition" => partition.to_string()).set(records as f64);
}

/// Sets whether the service is ready.
pub(super) fn ready(is_ready: bool) {
    gauge!(READY).set(f64::from(u8::from(is_ready)));
}

/// Records a checkpoint.
pub(super) fn checkpoint(seconds: f64, bytes: usize) {
    histogram!(CHECKPOINT_SECONDS).record(seconds);
    gauge!(CHECKPOINT_BYTES).set(bytes as f64);
    gauge!(CHECKPOINT_AT).set(jiff::Timestamp::now().as_microsecond() as f64 / 1e6);
}

/// Sets how many entries of a kind the state has.
pub(super) fn state(kind: &'static str, entries: usize) {
    gauge!(STATE, "kind" => kind).set(entries as f64);
}

/// Counts calls whose records have an id, and calls whose records have none.
pub(super) fn identified(calls: &[CallRow]) {
    let known = calls.iter().filter(|call| call.record.is_some()).count();
    counter!(IDENTIFIED, "known" => "yes").increment(known as u64);
    counter!(IDENTIFIED, "known" => "no").increment((calls.len() - known) as u64);
}

/// Sets who this is.
pub(super) fn info(group: &str, instance: &str) {
    let version = env!("CARGO_PKG_VERSION");
    gauge!(INFO, "version" => version, "group" => group.to_owned(), "instance" => instance.to_owned()).set(1.0);
}

/// So many microseconds lie between a call and a stage of its way: `arrival`, `judged`, `delivered`. What is older than a day, as in a replay, says
/// nothing.
pub(super) fn latency(stage: &'static str, micros: i64) {
    if (0..86_400_000_000).contains(&micros) {
        histogram!(LATENCY, "stage" => stage).record(micros as f64 / 1e6);
    }
}

/// Records were deleted before they were read.
pub(super) fn lost_records(count: u64) {
    counter!(LOST_RECORDS).increment(count);
}

/// How a sink does: for how long it cannot deliver, if it cannot, how many alerts wait for it, and for how long the oldest.
pub(super) fn sink(name: &str, failing_seconds: Option<f64>, backlog: i64, oldest_seconds: f64) {
    gauge!(SINK_UP, "sink" => name.to_owned()).set(f64::from(u8::from(failing_seconds.is_none())));
    gauge!(SINK_FAILING, "sink" => name.to_owned()).set(failing_seconds.unwrap_or_default());
    gauge!(SINK_BACKLOG, "sink" => name.to_owned()).set(backlog as f64);
    gauge!(SINK_OLDEST, "sink" => name.to_owned()).set(oldest_seconds);
}

/// Counts alerts that suppressions hold back.
pub(super) fn suppressed(count: u64) {
    counter!(SUPPRESSED).increment(count);
}

/// So many open incidents are held back.
pub(super) fn held(incidents: u64) {
    gauge!(HELD).set(incidents as f64);
}

/// A sink has delivered an alert.
pub(super) fn delivered(alert: &Alert) {
    latency("delivered", jiff::Timestamp::now().as_microsecond() - alert.last_seen);
}

/// A target will not take an alert.
pub(super) fn undelivered(name: &str) {
    counter!(UNDELIVERED, "sink" => name.to_owned()).increment(1);
}

/// A bundle is in force, after another one.
pub fn bundle(version: &str, before: Option<&str>) {
    if let Some(before) = before {
        gauge!(BUNDLE, "version" => before.to_owned()).set(0);
    }
    gauge!(BUNDLE, "version" => version.to_owned()).set(1);
}

/// A new bundle did not fit.
pub fn bundle_refused() {
    counter!(BUNDLES_REFUSED).increment(1);
}

/// Counts a commit that failed.
pub(super) fn commit_failure() {
    counter!(COMMIT_FAILURES).increment(1);
}
