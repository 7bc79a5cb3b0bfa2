//! The watch over windows of records, counted without a broker.

use super::*;
use crate::alerts::{Severity, from_ocsf, to_ocsf};

/// 2026-09-01, in windows.
const DAY: i64 = 1_788_220_800_000_000 / WINDOW;
const WINDOWS_A_DAY: i64 = 144;

fn tally(calls: u64, rejected: u64, not_calls: u64) -> Tally {
    let of = |name: &str, count: u64| (count > 0).then(|| (name.to_owned(), count)).into_iter().collect();
    Tally {
        calls,
        rejected: of("not_json", rejected),
        not_calls: of("inbound", not_calls),
        unreadable: BTreeMap::new(),
    }
}

/// Shows a watch a tally in each of some windows. The last one is open still.
fn show(watch: &mut SelfWatch, windows: std::ops::Range<i64>, tally: &Tally) -> Vec<Alert> {
    let tallies: Vec<(i64, Tally)> = windows.map(|window| (window, tally.clone())).collect();
    watch.observe("calls", &tallies, &BTreeMap::new(), "b")
}

/// A watch that has seen a day of a topic.
fn after_a_day(usual: &Tally) -> SelfWatch {
    let mut watch = SelfWatch::default();
    assert_eq!(show(&mut watch, DAY - WINDOWS_A_DAY..DAY, usual), []);
    watch
}

fn steps(alerts: &[Alert]) -> Vec<(Activity, Severity)> {
    alerts.iter().map(|alert| (alert.activity, alert.severity)).collect()
}

#[test]
fn a_topic_that_turns_unreadable_is_one_page_a_day_and_closed_when_it_is_quiet() {
    let (usual, broken) = (tally(100, 0, 5), tally(0, 105, 0));
    let mut watch = after_a_day(&usual);
    let alerts = show(&mut watch, DAY..DAY + 30, &broken);
    assert_eq!(steps(&alerts), [(Activity::Create, Severity::Medium)], "{alerts:?}");
    let message = "topic calls: 105 of 105 records cannot be read (105 not_json), usually 0 %; \
                   0 of 105 records are calls, usually 95 %";
    assert_eq!((alerts[0].detector.as_str(), alerts[0].message.as_str()), ("service.input_unreadable", message));

    let closed = show(&mut watch, DAY + 30..DAY + 80, &usual);
    assert_eq!(steps(&closed), [(Activity::Close, Severity::Medium)]);
    assert_eq!((closed[0].id.as_str(), closed[0].revision), (alerts[0].id.as_str(), 2));
    assert_eq!(show(&mut watch, DAY + 80..DAY + 90, &broken), [], "the day knows already");
}

#[test]
fn a_topic_without_calls_is_reported_again_on_each_day() {
    let mut watch = after_a_day(&tally(100, 0, 0));
    let alerts = show(&mut watch, DAY..DAY + 5 * WINDOWS_A_DAY + 1, &tally(0, 0, 100));
    let creates = alerts.iter().filter(|alert| alert.activity == Activity::Create);
    assert_eq!(creates.count(), 5);
}

#[test]
fn a_rise_of_a_part_is_a_notice_and_pages_once_it_is_most() {
    let mut watch = after_a_day(&tally(100, 0, 5));
    let alerts = show(&mut watch, DAY..DAY + 3, &tally(80, 20, 5));
    assert_eq!(steps(&alerts), [(Activity::Create, Severity::Low)]);
    let alerts = show(&mut watch, DAY + 3..DAY + 6, &tally(20, 80, 5));
    assert_eq!(steps(&alerts), [(Activity::Close, Severity::Low), (Activity::Create, Severity::Medium)]);
    assert_eq!(alerts[1].related[0].id, alerts[0].id);
}

#[test]
fn nights_few_records_new_topics_and_a_small_rise_are_no_news() {
    let usual = tally(1_000, 2, 50);
    for harmless in [tally(3, 0, 50), tally(0, 0, 50), tally(5, 14, 0), tally(960, 60, 50)] {
        let mut watch = after_a_day(&usual);
        assert_eq!(show(&mut watch, DAY..DAY + 30, &harmless), [], "{harmless:?}");
    }
    assert_eq!(show(&mut SelfWatch::default(), DAY..DAY + 30, &tally(0, 100, 0)), []);
}

#[test]
fn batches_and_checkpoints_do_not_show() {
    let windows = || {
        let usual = (DAY - 20..DAY).map(|window| (window, tally(100, 0, 0)));
        usual.chain((DAY..DAY + 9).map(|window| (window, tally(30, 70, 0)))).collect::<Vec<_>>()
    };
    let whole = SelfWatch::default().observe("calls", &windows(), &BTreeMap::new(), "b");
    let mut watch = SelfWatch::default();
    let mut pieces = Vec::new();
    for (window, tally) in windows() {
        for _ in 0..tally.calls / 10 {
            let part = Tally { calls: 10, ..Tally::default() };
            pieces.extend(watch.observe("calls", &[(window, part)], &BTreeMap::new(), "b"));
        }
        let rest = Tally { calls: 0, ..tally };
        pieces.extend(watch.observe("calls", &[(window, rest)], &BTreeMap::new(), "b"));
        watch = SelfWatch::restore(&watch.snapshot().unwrap()).unwrap();
    }
    let written = |alerts: &[Alert]| alerts.iter().map(|alert| to_ocsf(alert).to_string()).collect::<Vec<_>>();
    assert_eq!(written(&whole), written(&pieces));
    assert_eq!(steps(&whole), [(Activity::Create, Severity::Medium)]);
}

#[test]
fn a_clock_that_runs_ahead_is_a_notice_once_a_day_for_its_caller() {
    let mut watch = SelfWatch::default();
    let mut on = |window: i64, caller: &str| {
        let early = Early { arrived: window * WINDOW, calls: 3 };
        watch.observe("calls", &[], &[((day_at(early.arrived), caller.to_owned()), early)].into(), "b")
    };
    let first = on(DAY, "crm");
    assert_eq!(steps(&first), [(Activity::Create, Severity::Low)]);
    assert_eq!((first[0].caller.as_deref(), first[0].vendor.as_str()), (Some("crm"), "calls"));
    assert_eq!(on(DAY + 10, "crm"), []);
    assert_eq!(steps(&on(DAY + 10, "billing")), [(Activity::Create, Severity::Low)]);
    let next = on(DAY + WINDOWS_A_DAY, "crm");
    assert_eq!(steps(&next), [(Activity::Close, Severity::Low), (Activity::Create, Severity::Low)]);
    assert_ne!(next[1].id, first[0].id);
}

#[test]
fn a_caller_that_is_ahead_of_all_others_is_the_same_notice() {
    let mut watch = SelfWatch::default();
    let others = DAY * WINDOW;
    let ahead = [Ahead { caller: "crm".into(), time: others + 120 * MINUTE, others }];
    let told = watch.ahead_of_others("calls", &ahead, "b");
    assert_eq!(steps(&told), [(Activity::Create, Severity::Low)]);
    assert!(told[0].message.contains("120 minutes ahead"), "{}", told[0].message);
    assert_eq!(watch.ahead_of_others("calls", &ahead, "b"), []);
}

#[test]
fn a_notice_comes_back_from_ocsf_with_its_reasons() {
    let mut watch = after_a_day(&tally(100, 0, 5));
    let alert = show(&mut watch, DAY..DAY + 2, &tally(0, 105, 0)).remove(0);
    let read = from_ocsf(&to_ocsf(&alert)).unwrap();
    assert_eq!(
        (&read.detector, &read.category, &read.contributions),
        (&alert.detector, &alert.category, &alert.contributions)
    );
    assert!(read.alarms_per_day.is_nan());
}
