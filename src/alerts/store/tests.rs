//! The alert store: what is kept, what each sink has yet to deliver, and what suppressions hold back.

use super::super::suppression::Scope;
use super::*;
use crate::alerts::{Severity, sample};

fn alert(id: &str, revision: u32, time: i64, severity: Severity) -> Alert {
    Alert { id: id.to_owned(), revision, time, severity, ..sample() }
}

fn ids(kept: &[Kept]) -> Vec<String> {
    kept.iter().map(|kept| format!("{}-{}", kept.alert.id, kept.alert.revision)).collect()
}

#[test]
fn a_step_is_kept_once_and_comes_back_as_it_was() {
    let directory = tempfile::tempdir().unwrap();
    let mut store = AlertStore::open(directory.path()).unwrap();
    let first = alert("aw-1", 1, 5, Severity::High);
    store.append(&[first.clone(), alert("aw-2", 1, 6, Severity::Low)], 0).unwrap();
    store
        .append(&[Alert { message: "changed".to_owned(), ..first.clone() }, alert("aw-1", 2, 7, Severity::High)], 0)
        .unwrap();
    let all = AlertStore::read(directory.path()).unwrap().after(0, 10).unwrap();
    assert_eq!(ids(&all), ["aw-1-1", "aw-2-1", "aw-1-2"]);
    assert_eq!(all[0].alert, first);
    assert_eq!(all[0].ocsf, to_ocsf(&first).to_string());
}

#[test]
fn each_sink_goes_on_from_its_own_place_and_a_new_one_begins_behind_what_is_there() {
    let directory = tempfile::tempdir().unwrap();
    let mut store = AlertStore::open(directory.path()).unwrap();
    assert_eq!(store.place_of("old").unwrap(), (0, Vec::new()));
    store.append(&[alert("aw-1", 1, 5, Severity::High), alert("aw-2", 1, 6, Severity::High)], 0).unwrap();
    store.move_to("old", 1, b"here").unwrap();
    let again = AlertStore::open(directory.path()).unwrap();
    assert_eq!(again.place_of("old").unwrap(), (1, b"here".to_vec()));
    assert_eq!(again.place_of("new").unwrap().0, 2);
    assert_eq!(ids(&again.after(1, 10).unwrap()), ["aw-2-1"]);
    assert_eq!(again.place_before(6).unwrap(), 1);
    // What one has not delivered stays, however old.
    again.forget_before(100, &["old".to_owned(), "new".to_owned()]).unwrap();
    assert_eq!(ids(&again.after(0, 10).unwrap()), ["aw-2-1"]);
}

#[test]
fn what_waits_for_a_sink_that_is_gone_is_told_and_kept_for_it() {
    let directory = tempfile::tempdir().unwrap();
    let mut store = AlertStore::open(directory.path()).unwrap();
    for sink in ["webhook:old", "webhook:new", "done"] {
        store.place_of(sink).unwrap();
    }
    store.append(&[alert("aw-1", 1, 5, Severity::High), alert("aw-2", 1, 6, Severity::High)], 0).unwrap();
    store.move_to("done", 2, b"").unwrap();
    let now = ["webhook:new".to_owned()];
    assert_eq!(store.abandoned(&now).unwrap(), [("done".to_owned(), 0), ("webhook:old".to_owned(), 2)]);
    store.forget_sink("done").unwrap();
    assert_eq!(store.abandoned(&now).unwrap(), [("webhook:old".to_owned(), 2)]);
    assert_eq!(store.place_of("webhook:old").unwrap().0, 0, "its name brings it back to where it was");
}

#[test]
fn steps_are_found_by_what_they_are() {
    let directory = tempfile::tempdir().unwrap();
    let mut store = AlertStore::open(directory.path()).unwrap();
    let steps = [(1, 1, Severity::High), (2, 1, Severity::Low), (1, 2, Severity::High), (3, 1, Severity::Medium)];
    for (time, (id, revision, severity)) in (1..).zip(steps) {
        store.append(&[alert(&format!("aw-{id}"), revision, time, severity)], 0).unwrap();
    }
    let reader = AlertStore::read(directory.path()).unwrap();
    let find = |filter: Filter| ids(&reader.find(&filter).unwrap());
    assert_eq!(find(Filter { route: Route::of_pages(), ..Filter::default() }), ["aw-1-1", "aw-1-2", "aw-3-1"]);
    assert_eq!(find(Filter { newest_only: true, ..Filter::default() }), ["aw-2-1", "aw-1-2", "aw-3-1"]);
    assert_eq!(find(Filter { since: Some(2), limit: Some(2), ..Filter::default() }), ["aw-1-2", "aw-3-1"]);
    assert_eq!(find(Filter { until: Some(3), ..Filter::default() }), ["aw-1-1", "aw-2-1"]);
    assert_eq!(find(Filter { incident: Some("aw-2".to_owned()), ..Filter::default() }), ["aw-2-1"]);
    store.append(&[step("aw-1", 3, Activity::Close)], 0).unwrap();
    assert_eq!(find(Filter { open_only: true, newest_only: true, ..Filter::default() }), ["aw-2-1", "aw-3-1"]);
    assert_eq!(find(Filter { open_only: true, limit: Some(1), ..Filter::default() }), ["aw-3-1"]);
}

/// A suppression of everything for the times from 10 up to 20.
fn window(store: &AlertStore) -> i64 {
    let wanted = Wanted {
        scope: Scope { vendor: vec!["drop*".to_owned()], ..Scope::default() },
        reason: "a move".to_owned(),
        author: "ann".to_owned(),
        starts: 10,
        ends: 20,
    };
    store.suppress(&wanted, 1).unwrap()
}

fn step(id: &str, revision: u32, activity: Activity) -> Alert {
    Alert { activity, ..alert(id, revision, i64::from(revision), Severity::High) }
}

/// Uids of the steps behind a place that go out, in their order.
fn out(store: &AlertStore, place: i64) -> Vec<String> {
    ids(&store
        .after(place, 100)
        .unwrap()
        .into_iter()
        .filter(|kept| kept.alert.suppression.is_none())
        .collect::<Vec<_>>())
}

#[test]
fn what_is_suppressed_stays_marked_and_an_open_incident_goes_out_when_it_is_over() {
    let directory = tempfile::tempdir().unwrap();
    let mut store = AlertStore::open(directory.path()).unwrap();
    let id = window(&store);
    let held =
        [step("aw-1", 1, Activity::Create), step("aw-1", 2, Activity::Update), step("aw-1", 3, Activity::Update)];
    let over = [step("aw-2", 1, Activity::Create), step("aw-2", 2, Activity::Close)];
    assert_eq!(store.append(&[step("aw-0", 1, Activity::Create)], 9).unwrap().held, 0);
    assert_eq!(store.append(&held, 15).unwrap(), Appended { newest: Some(4), held: 3 });
    assert_eq!(store.append(&over, 15).unwrap().held, 2);
    assert_eq!(out(&store, 0), ["aw-0-1"]);
    assert_eq!(store.held().unwrap(), 1);
    let marked = store.find(&Filter { suppression: Some(id), ..Filter::default() }).unwrap();
    assert_eq!(ids(&marked), ["aw-1-1", "aw-2-1", "aw-1-2", "aw-2-2", "aw-1-3"]);
    assert!(marked.iter().all(|kept| kept.ocsf.contains("\"suppression\":1")));
    assert_eq!((store.settle(19).unwrap(), store.settle(20).unwrap(), store.settle(21).unwrap()), (0, 1, 0));
    // The step that opened it, and how it stands; what is over by then stays where it is.
    let newest = store.newest().unwrap();
    assert_eq!(out(&store, 6), ["aw-1-1", "aw-1-3"]);
    assert!(!store.after(6, 10).unwrap()[0].ocsf.contains("\"suppression\":1"));
    assert_eq!(
        store.append(&[step("aw-1", 4, Activity::Close), step("aw-1", 3, Activity::Update)], 22).unwrap().newest,
        Some(newest + 1)
    );
    assert_eq!(out(&store, newest), ["aw-1-4"]);
    let audited = &store.suppressions(None).unwrap()[0];
    assert_eq!(
        (audited.held, audited.author.as_str(), audited.reason.as_str(), audited.state(21)),
        (5, "ann", "a move", "over")
    );
    assert!(store.suppressions(Some(21)).unwrap().is_empty());
}

#[test]
fn an_incident_that_was_seen_to_open_is_seen_to_end_and_one_that_grows_beyond_the_scope_goes_out_from_its_beginning() {
    let directory = tempfile::tempdir().unwrap();
    let mut store = AlertStore::open(directory.path()).unwrap();
    window(&store);
    store.append(&[step("aw-1", 1, Activity::Create)], 5).unwrap();
    store.append(&[step("aw-1", 2, Activity::Update), step("aw-1", 3, Activity::Close)], 15).unwrap();
    assert_eq!(out(&store, 0), ["aw-1-1", "aw-1-3"]);
    store.append(&[step("aw-2", 1, Activity::Create), step("aw-2", 2, Activity::Update)], 15).unwrap();
    let mut wider = step("aw-2", 3, Activity::Update);
    wider.involved[0].vendor = "stripe".to_owned();
    store.append(&[wider], 16).unwrap();
    assert_eq!(out(&store, 3), ["aw-2-1", "aw-2-3"]);
}

#[test]
fn a_suppression_ends_before_its_time_by_hand_and_another_that_covers_the_same_takes_over() {
    let directory = tempfile::tempdir().unwrap();
    let mut store = AlertStore::open(directory.path()).unwrap();
    let (first, second) = (window(&store), window(&store));
    store.append(&[step("aw-1", 1, Activity::Create)], 12).unwrap();
    assert!(store.end_suppression(first, "bob", 13).unwrap());
    assert!(!store.end_suppression(first, "bob", 14).unwrap(), "it is over");
    assert_eq!(store.settle(14).unwrap(), 0);
    let kept = &store.after(0, 10).unwrap()[0];
    assert_eq!((kept.suppression, kept.is_released), (Some(second), false));
    assert_eq!(store.settle(20).unwrap(), 1);
    assert_eq!(out(&store, 0), ["aw-1-1"]);
    assert_eq!(store.suppressions(None).unwrap()[0].ended_by.as_deref(), Some("bob"));
}

#[test]
fn a_store_of_an_earlier_version_is_read_and_goes_on() {
    let directory = tempfile::tempdir().unwrap();
    let old = Connection::open(directory.path().join(FILE)).unwrap();
    old.execute_batch(SCHEMA).unwrap();
    let bytes = postcard::to_stdvec(&sample()).unwrap();
    let insert = "INSERT INTO alerts (uid, incident, revision, activity, severity, time, view, detector, vendor, message, ocsf, alert)
                  VALUES ('aw-7f3c-1', 'aw-7f3c', 1, 1, 4, 5, 'egress', 'burst', 'dropbox', '', '{}', ?1)";
    old.execute(insert, [bytes]).unwrap();
    drop(old);
    let kept = AlertStore::read(directory.path()).unwrap().after(0, 10).unwrap();
    assert_eq!((&kept[0].alert, kept[0].suppression), (&sample(), None));
    let mut store = AlertStore::open(directory.path()).unwrap();
    assert_eq!(store.append(&[sample(), alert("aw-2", 1, 6, Severity::Low)], 9).unwrap().newest, Some(2));
    assert_eq!(
        (store.oldest_after(0).unwrap(), store.oldest_after(1).unwrap(), store.oldest_after(2).unwrap()),
        (Some(5), Some(9), None)
    );
}

#[test]
fn owners_are_kept_with_an_alert() {
    let directory = tempfile::tempdir().unwrap();
    let mut store = AlertStore::open(directory.path()).unwrap();
    let owner = Owner { team: "storage".to_owned(), vendor: Some("dropbox".to_owned()), ..Owner::default() };
    let owned = Alert { owners: vec![owner], ..sample() };
    store.append(std::slice::from_ref(&owned), 1).unwrap();
    assert_eq!(store.after(0, 1).unwrap()[0].alert, owned);
}
