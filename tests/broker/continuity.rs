//! What goes on while the service does: a new bundle, late calls, the merging of kept rows. Undisturbed, and killed in the middle of it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rand_xoshiro::Xoshiro256PlusPlus;
use rand_xoshiro::rand_core::{RngCore, SeedableRng};

use super::assert_same;
use super::cluster::{Alerts, Cluster};
use super::fixture::{self, Fixture, number_from_env};
use super::service::{Deployment, Service, eventually};

/// Kept rows, each with its calls.
pub type Kept = Vec<(i64, u64, i64)>;

/// Longest time for which a service that was seen to begin something goes on before it is killed.
const MAX_AFTERLIFE: Duration = Duration::from_millis(400);

#[test]
fn a_new_bundle_under_load_loses_and_doubles_nothing() {
    let Some(cluster) = Cluster::given() else { return };
    let fixture = Fixture::shared();
    let records = fixture.stream(40_000);
    let (expected, _) = undisturbed(&cluster, &Deployment::new(&cluster, fixture, "before-swap", 4), &records);
    let bundle = Versions::of(fixture);
    let mut run = Deployment::new(&cluster, fixture, "swap", 4);
    run.bundle = bundle.path();
    let service = run.start();
    // The stream goes on meanwhile: a pause in which nothing is judged shows as a step that takes longer.
    let longest = std::thread::scope(|scope| {
        scope.spawn(|| {
            for slice in records.chunks(400) {
                cluster.produce(&run.calls, slice);
                std::thread::sleep(Duration::from_millis(50));
            }
        });
        eventually("some calls to be judged", || service.metric("apiwarden_calls_total") > 8000.0);
        bundle.replace("other");
        service.reload();
        let (mut calls, mut since, mut longest) = (0.0, Instant::now(), Duration::ZERO);
        while calls < records.len() as f64 {
            let now = service.metric("apiwarden_calls_total");
            longest = longest.max(since.elapsed());
            if now > calls {
                (calls, since) = (now, Instant::now());
            }
            assert!(since.elapsed() < Duration::from_secs(60), "nothing is judged any more");
        }
        longest
    });
    assert!(service.stop().success());
    run.run_to_the_end(fixture::time_of(records.last().expect("records")));
    let alerts = cluster.alerts(&run.alerts);
    println!("{} calls, none judged twice; longest time without a call judged {longest:?}", records.len());
    assert_eq!(pages(&alerts), pages(&expected));
    let by = |version: &str| alerts.values().filter(|alert| alert.contains(version)).count();
    assert!(by("-other\"") > 0 && by("-other\"") < alerts.len(), "both bundles have judged");
    assert_eq!(calls_of(&run.kept()), records.len() as i64, "each call is kept once");
}

#[test]
fn a_service_that_is_killed_while_it_goes_over_to_another_bundle_loses_and_doubles_nothing() {
    let Some(cluster) = Cluster::given() else { return };
    let fixture = Fixture::shared();
    let records = fixture.stream(40_000);
    let (expected, kept) = undisturbed(&cluster, &Deployment::new(&cluster, fixture, "swaps", 4), &records);
    let bundle = Versions::of(fixture);
    let mut run = Deployment::new(&cluster, fixture, "killed-in-swap", 4);
    run.bundle = bundle.path();
    let mut random = Xoshiro256PlusPlus::seed_from_u64(13);
    killed(&cluster, &run, &records, |number, service| {
        eventually("readiness", || service.get("/readyz").is_some_and(|answer| answer.status == 200));
        bundle.replace(&format!("version-{number}"));
        service.reload();
        service.kill_after(up_to(&mut random, 2 * MAX_AFTERLIFE));
    });
    let alerts = cluster.alerts(&run.alerts);
    assert_eq!(pages(&alerts), pages(&expected));
    assert!(run.kept() == kept, "the rows kept are not those of an undisturbed run");
}

#[test]
fn a_service_that_is_killed_while_late_calls_are_judged_gives_the_alerts_of_an_undisturbed_one() {
    let Some(cluster) = Cluster::given() else { return };
    let fixture = Fixture::shared();
    let records = held_up(&fixture.stream(40_000));
    let (expected, kept) = undisturbed(&cluster, &Deployment::new(&cluster, fixture, "late", 4), &records);
    assert!(expected.values().any(|alert| alert.contains("came late")), "nothing that pages came late");
    let run = Deployment::new(&cluster, fixture, "killed-late", 4);
    let mut random = Xoshiro256PlusPlus::seed_from_u64(14);
    killed(&cluster, &run, &records, |_, service| {
        let before = service.metric("apiwarden_late_calls_total");
        let started = Instant::now();
        while service.metric("apiwarden_late_calls_total") <= before && started.elapsed() < Duration::from_secs(4) {}
        service.kill_after(up_to(&mut random, MAX_AFTERLIFE));
    });
    assert_same(&told(&cluster, &run), &expected);
    assert!(run.kept() == kept, "the rows kept are not those of an undisturbed run");
}

#[test]
fn a_service_that_is_killed_while_kept_rows_are_merged_keeps_each_call_once() {
    let Some(cluster) = Cluster::given() else { return };
    let fixture = Fixture::shared();
    let records = fixture.stream(40_000);
    let (expected, kept) = undisturbed(&cluster, &Deployment::new(&cluster, fixture, "merged", 4), &records);
    let run = Deployment::new(&cluster, fixture, "killed-in-merging", 4);
    let mut random = Xoshiro256PlusPlus::seed_from_u64(15);
    let (mut merged, kills) = (0, number_from_env("APIWARDEN_KILLS", 4));
    let mut slices = records.chunks(records.len().div_ceil(kills + 1));
    for slice in slices.by_ref().take(kills) {
        let service = run.start();
        eventually("readiness", || service.get("/readyz").is_some_and(|answer| answer.status == 200));
        let (before, started) = (merged_files(&run.state()), Instant::now());
        std::thread::scope(|scope| {
            // In pieces, so that a day has several checkpoints: its newest part is not merged yet.
            scope.spawn(|| {
                for piece in slice.chunks(500) {
                    cluster.produce(&run.calls, piece);
                    std::thread::sleep(Duration::from_millis(300));
                }
            });
            while merged_files(&run.state()) == before && started.elapsed() < Duration::from_secs(10) {}
            merged += usize::from(merged_files(&run.state()) != before);
            service.kill_after(up_to(&mut random, Duration::from_millis(20)));
        });
    }
    slices.for_each(|slice| cluster.produce(&run.calls, slice));
    run.run_to_the_end(newest(&records));
    println!("{merged} of the kills were in the middle of a merge or right behind it");
    assert!(merged > 0, "no merge was seen");
    assert_same(&told(&cluster, &run), &expected);
    assert!(run.kept() == kept, "the rows kept are not those of an undisturbed run");
}

/// The alerts and the kept rows of a run that nothing disturbs.
pub fn undisturbed(cluster: &Cluster, run: &Deployment, records: &[&str]) -> (Alerts, Kept) {
    cluster.produce(&run.calls, records);
    run.run_to_the_end(newest(records));
    let (alerts, kept) = (told(cluster, run), run.kept());
    assert!(alerts.len() >= 20, "too few alerts to compare: {}", alerts.len());
    assert_eq!(calls_of(&kept), records.len() as i64, "each call is kept once");
    (alerts, kept)
}

/// The alerts of a run, none of them twice. Those about the stream itself name its topic.
pub fn told(cluster: &Cluster, run: &Deployment) -> Alerts {
    let alerts = cluster.alerts(&run.alerts).into_iter();
    alerts.map(|(uid, alert)| (uid, alert.replace(&run.calls, "calls"))).collect()
}

/// Runs with a kill for each slice of the records, then to the end; `amid` ends each life.
fn killed(cluster: &Cluster, run: &Deployment, records: &[&str], mut amid: impl FnMut(usize, Service)) {
    let kills = number_from_env("APIWARDEN_KILLS", 4);
    let mut slices = records.chunks(records.len().div_ceil(kills + 1));
    for (number, slice) in slices.by_ref().take(kills).enumerate() {
        cluster.produce(&run.calls, slice);
        amid(number, run.start());
    }
    slices.for_each(|slice| cluster.produce(&run.calls, slice));
    run.run_to_the_end(newest(records));
}

fn newest(records: &[&str]) -> f64 {
    records.iter().map(|record| fixture::time_of(record)).fold(f64::MIN, f64::max)
}

fn calls_of(kept: &Kept) -> i64 {
    kept.iter().map(|(_, _, calls)| calls).sum()
}

pub fn up_to(random: &mut Xoshiro256PlusPlus, longest: Duration) -> Duration {
    Duration::from_millis(random.next_u64() % longest.as_millis() as u64)
}

/// Records in the order in which they come if those of one caller are held up until four hours are over.
fn held_up<'r>(records: &[&'r str]) -> Vec<&'r str> {
    const PERIOD: f64 = 14_400.0;
    let comes = |record: &str| {
        let time = fixture::time_of(record);
        if fixture::caller_of(record) == "billing-worker" { ((time / PERIOD).floor() + 1.0) * PERIOD } else { time }
    };
    let mut order = records.to_vec();
    order.sort_by(|a, b| comes(a).total_cmp(&comes(b)));
    order
}

/// Whom the incidents that page are about.
fn pages(alerts: &Alerts) -> BTreeSet<String> {
    let mut of_incidents = BTreeMap::new();
    for alert in alerts.values() {
        let alert: serde_json::Value = serde_json::from_str(alert).unwrap();
        if alert["severity_id"].as_u64() >= Some(3) {
            let about = format!("{} {}", alert["resources"][0]["name"], alert["finding_info"]["analytic"]["name"]);
            of_incidents.entry(alert["finding_info"]["uid"].to_string()).or_insert(about);
        }
    }
    of_incidents.into_values().collect()
}

/// Files of kept rows that hold several parts.
fn merged_files(state: &Path) -> usize {
    let entries = |path: &Path| {
        std::fs::read_dir(path).into_iter().flatten().flatten().map(|entry| entry.path()).collect::<Vec<PathBuf>>()
    };
    let days = entries(&state.join("rollups"));
    let name = |path: &Path| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("until-"));
    days.iter().flat_map(|day| entries(day)).filter(|file| name(file)).count()
}

/// A bundle that is replaced by others of the same content under another version.
pub struct Versions {
    directory: tempfile::TempDir,
    version: String,
}

impl Versions {
    pub fn of(fixture: &Fixture) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let status = std::process::Command::new("cp").arg("-a").arg(&fixture.bundle).arg(directory.path()).status();
        assert!(status.unwrap().success());
        let manifest = std::fs::read(fixture.bundle.join("manifest.json")).unwrap();
        let manifest: serde_json::Value = serde_json::from_slice(&manifest).unwrap();
        Self { directory, version: manifest["version"].as_str().unwrap().to_owned() }
    }

    pub fn path(&self) -> PathBuf {
        self.directory.path().join("bundle")
    }

    pub fn replace(&self, name: &str) {
        let path = self.path().join("manifest.json");
        let mut manifest: serde_json::Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
        manifest["version"] = format!("{}-{name}", self.version).into();
        let beside = self.path().join("manifest.new");
        std::fs::write(&beside, manifest.to_string()).unwrap();
        std::fs::rename(beside, path).unwrap();
    }
}
