//! A disk that is full, read-only or broken, and a checkpoint that is not what was written: the service says what to do, ends with 1, and goes on
//! where it was once that is mended. Nothing is lost or doubled.
//!
//! Disks are file systems of their own, which only root may mount: without that right one line says what was skipped.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use apiwarden::catalog::{Filter, List, Reader, RotationLimits};
use rand_xoshiro::Xoshiro256PlusPlus;
use rand_xoshiro::rand_core::SeedableRng;
use redb::{Database, ReadableTable, TableDefinition};

use super::assert_same;
use super::cluster::Cluster;
use super::continuity::{Versions, told, undisturbed, up_to};
use super::fixture::{self, Fixture, cut_at_buckets, number_from_env};
use super::service::{Deployment, Ended, Service, eventually};

/// How a file is spoilt.
type Spoil = fn(&Path);

/// Longest time for which a service goes on after its first calls before its disk fails.
const MAX_AFTERLIFE: Duration = Duration::from_millis(1500);

#[test]
fn a_disk_that_fills_up_ends_the_run_with_advice_and_loses_and_doubles_nothing() {
    let Some(cluster) = Cluster::given() else { return };
    let fixture = Fixture::shared();
    let records = fixture.stream(40_000);
    let undisturbed_run = Deployment::new(&cluster, fixture, "roomy", 4);
    let (expected, kept) = undisturbed(&cluster, &undisturbed_run, &records);
    let run = Deployment::new(&cluster, fixture, "full", 4);
    let Some(disk) = Disk::in_memory(&run.state(), 64) else { return };
    let mut reasons = Vec::new();
    disturbed(&cluster, &run, &records, |service, more| {
        disk.fill();
        more();
        let ended = disk.fill_until_the_end_of(service);
        expect(&ended, &run.state(), &["make room"]);
        reasons.push(ended.reason().to_owned());
        disk.make_room();
    });
    println!("as the disk was full: {reasons:#?}");
    assert_same(&told(&cluster, &run), &expected);
    assert!(run.kept() == kept, "the rows kept are not those of an undisturbed run");
    assert_eq!(catalogue(&run), catalogue(&undisturbed_run));
}

#[test]
fn a_disk_that_becomes_read_only_ends_the_run_with_advice_and_loses_and_doubles_nothing() {
    let Some(cluster) = Cluster::given() else { return };
    let fixture = Fixture::shared();
    let records = fixture.stream(40_000);
    let undisturbed_run = Deployment::new(&cluster, fixture, "sound", 4);
    let (expected, kept) = undisturbed(&cluster, &undisturbed_run, &records);
    let run = Deployment::new(&cluster, fixture, "read-only", 4);
    let Some(disk) = Disk::in_a_file(&run.state(), 96) else { return };
    let mut reasons = Vec::new();
    disturbed(&cluster, &run, &records, |service, more| {
        disk.become_read_only();
        more();
        for ended in [service.end(), run.start().end()] {
            expect(&ended, &run.state(), &["must be writable", "make it writable", "read-only or broken"]);
            reasons.push(ended.reason().to_owned());
        }
        disk.mend();
    });
    println!("as the disk was read-only: {reasons:#?}");
    assert_same(&told(&cluster, &run), &expected);
    assert!(run.kept() == kept, "the rows kept are not those of an undisturbed run");
    assert_eq!(catalogue(&run), catalogue(&undisturbed_run));
}

#[test]
fn a_state_that_is_read_only_or_has_no_room_is_told_at_the_start_and_goes_on_once_it_may_be_written() {
    let Some(cluster) = Cluster::given() else { return };
    let fixture = Fixture::shared();
    let run = Deployment::new(&cluster, fixture, "read-only-start", 1);
    let Some(disk) = Disk::in_memory(&run.state(), 32) else { return };
    cluster.produce(&run.calls, &fixture.stream(1000));
    let refused = || {
        disk.remount("ro");
        expect(&run.start().end(), &run.state(), &["must be writable"]);
        let checked = run.check();
        assert!(checked.code == Some(1) && checked.text.contains("make it writable"), "{}", checked.text);
        disk.remount("rw");
    };
    refused();
    disk.fill();
    expect(&run.start().end(), &run.state(), &["make room"]);
    let checked = run.check();
    assert!(checked.code == Some(1) && checked.text.contains("make room on its disk"), "{}", checked.text);
    disk.make_room();
    let service = run.start();
    service.await_calls(1000);
    assert!(service.stop().success());
    refused();
    cluster.produce(&run.calls, &fixture.stream(1100)[1000..]);
    let service = run.start();
    service.await_calls(1100);
    assert_eq!(service.metric("apiwarden_records_total"), 1100.0, "none is read again");
    assert!(service.stop().success());
}

#[test]
fn a_checkpoint_that_is_not_what_was_written_is_refused_with_what_to_do() {
    let Some(cluster) = Cluster::given() else { return };
    let fixture = Fixture::shared();
    let bundle = Versions::of(fixture);
    let mut run = Deployment::new(&cluster, fixture, "spoilt", 1);
    run.bundle = bundle.path();
    cluster.produce(&run.calls, &fixture.stream(2000));
    let service = run.start();
    service.await_calls(2000);
    assert!(service.stop().success());
    let backup = run.back_up();
    let checkpoint = run.state().join("checkpoint.redb");
    let spoil: [(&str, Spoil); 5] = [
        ("the checkpoint is damaged (the file is empty); put the [state] directory of a backup back", |file| {
            fs::write(file, "").unwrap()
        }),
        ("the checkpoint is damaged", |file| cut(file, 2)),
        ("the checkpoint is damaged", |file| cut(file, 100)),
        ("the checkpoint is damaged", alter),
        ("is unknown (this program reads ", write_next_format),
    ];
    for (reason, spoil) in spoil {
        spoil(&checkpoint);
        let checked = run.check();
        assert!(checked.code == Some(1) && checked.text.contains(reason), "{reason}: {}", checked.text);
        expect(&run.start().end(), &checkpoint, &[reason]);
        run.put_back(&backup);
    }
    // One that another bundle has left is no obstacle.
    bundle.replace("next");
    cluster.produce(&run.calls, &fixture.stream(2100)[2000..]);
    let service = run.start();
    service.await_calls(2100);
    assert_eq!(service.metric("apiwarden_records_total"), 2100.0, "the account goes on");
    assert!(service.get("/metrics").expect("metrics").body.contains("-next\""), "the new bundle is in force");
    assert!(service.stop().success());
}

#[test]
fn a_file_on_a_full_disk_holds_up_no_other_sink_and_gets_all_alerts_once_there_is_room() {
    let Some(cluster) = Cluster::given() else { return };
    let fixture = Fixture::shared();
    let records = fixture.stream(12_000);
    let mut run = Deployment::new(&cluster, fixture, "full-sink", 2);
    let place = run.beside_state("sinks");
    let (alerts, letters) = (place.join("alerts.ndjson"), place.join("letters.ndjson"));
    run.other_sink = format!("[[sinks]]\ntype = \"file\"\npath = \"{}\"", alerts.display());
    run.dead_letter_file = Some(letters.clone());
    let Some(disk) = Disk::in_memory(&place, 4) else { return };
    disk.fill();
    let service = run.start();
    cluster.produce(&run.calls, &records);
    cluster.produce(&run.calls, &["neither"]);
    service.await_calls(records.len());
    eventually("the dead letter to be lost", || service.metric("apiwarden_lost_dead_letters_total") == 1.0);
    let failing = format!("apiwarden_sink_up{{sink=\"file:{}\"}} 0", alerts.display());
    eventually("the file to fail", || service.get("/metrics").is_some_and(|answer| answer.body.contains(&failing)));
    let all = || service.metric("apiwarden_alerts_total");
    let in_kafka = || cluster.ends(&run.alerts).values().sum::<i64>() as f64;
    eventually("Kafka to have all alerts", || all() > 0.0 && in_kafka() == all());
    assert_eq!(fs::read_to_string(&alerts).unwrap(), "", "half a line helps nobody");

    disk.make_room();
    eventually("the file to have them, too", || service.metric("apiwarden_sink_backlog") == 0.0);
    cluster.produce(&run.calls, &["nor"]);
    eventually("a dead letter", || fs::read_to_string(&letters).unwrap().lines().count() == 1);
    assert_eq!(service.metric("apiwarden_lost_dead_letters_total"), 1.0, "only those of a full disk are lost");
    assert!(service.stop().success());
    let text = fs::read_to_string(&alerts).unwrap();
    let in_file: Vec<&str> = text.lines().collect();
    let in_topic = cluster.alerts(&run.alerts);
    assert_eq!(in_file.len(), in_topic.len());
    assert!(in_topic.values().all(|alert| in_file.contains(&alert.as_str())));
}

#[test]
fn a_checkpoint_older_than_the_catalogue_beside_it_has_it_skip_and_double_nothing() {
    let Some(cluster) = Cluster::given() else { return };
    let fixture = Fixture::shared();
    // Of one day: no kept rows are merged meanwhile.
    let stream = fixture.stream(12_000);
    let records: Vec<&str> = stream.iter().copied().filter(|record| record[15..25] == stream[6000][15..25]).collect();
    let newest = fixture::time_of(records.last().expect("records"));
    let parts = cut_at_buckets(&records, &[3000, 6000]);
    let undisturbed_run = Deployment::new(&cluster, fixture, "newest", 2);
    cluster.produce(&undisturbed_run.calls, &records);
    undisturbed_run.run_to_the_end(newest);
    let run = Deployment::new(&cluster, fixture, "older", 2);
    cluster.produce(&run.calls, &parts[0]);
    let service = run.start();
    service.await_calls(parts[0].len());
    assert!(service.stop().success());
    let backup = run.back_up();
    cluster.produce(&run.calls, &parts[1]);
    let service = run.start();
    service.await_calls(parts[0].len() + parts[1].len());
    // A checkpoint is due each second: the catalogue has what it counted.
    service.kill_after(Duration::from_secs(4));
    let older = backup.path().join("state/checkpoint.redb");
    fs::copy(older, run.state().join("checkpoint.redb")).unwrap();
    cluster.produce(&run.calls, &parts[2]);
    run.run_to_the_end(newest);
    assert_same(&told(&cluster, &run), &told(&cluster, &undisturbed_run));
    assert!(run.kept() == undisturbed_run.kept(), "the rows kept are not those of an undisturbed run");
    assert_eq!(catalogue(&run), catalogue(&undisturbed_run));
}

/// Runs with a disturbance in the middle of each slice of the records, then to the end; `amid` is given the rest of the slice to put in.
fn disturbed(cluster: &Cluster, run: &Deployment, records: &[&str], mut amid: impl FnMut(Service, &dyn Fn())) {
    let lives = number_from_env("APIWARDEN_KILLS", 4);
    let mut random = Xoshiro256PlusPlus::seed_from_u64(16);
    let mut slices = records.chunks(records.len().div_ceil(lives + 1));
    for slice in slices.by_ref().take(lives) {
        let (before, after) = slice.split_at(slice.len() / 2);
        cluster.produce(&run.calls, before);
        let service = run.start();
        eventually("calls to be judged", || service.metric("apiwarden_calls_total") > 0.0);
        std::thread::sleep(up_to(&mut random, MAX_AFTERLIFE));
        amid(service, &|| cluster.produce(&run.calls, after));
    }
    slices.for_each(|slice| cluster.produce(&run.calls, slice));
    run.run_to_the_end(fixture::time_of(records.last().expect("records")));
}

/// A run that ended with 1, and a reason that names a file, and says one of several.
#[track_caller]
fn expect(ended: &Ended, file: &Path, advice: &[&str]) {
    let reason = ended.reason();
    let is_said = reason.contains(&*file.to_string_lossy()) && advice.iter().any(|one| reason.contains(one));
    assert!(ended.code == Some(1) && is_said, "{advice:?}: {ended:?}");
}

/// What the catalogue of a run tells.
fn catalogue(run: &Deployment) -> Vec<serde_json::Value> {
    let reader = Reader::open(&run.state().join("catalog")).unwrap();
    let rows = |list| {
        let rows = List::named(list).unwrap().rows(&reader, &Filter::default(), &RotationLimits::default());
        rows.unwrap().json()
    };
    ["callers", "vendors", "endpoints"].into_iter().flat_map(rows).collect()
}

fn cut(file: &Path, divisor: usize) {
    let whole = fs::read(file).unwrap();
    fs::write(file, &whole[..whole.len() / divisor]).unwrap();
}

/// Flips a bit in each 256 bytes behind the header.
fn alter(file: &Path) {
    let mut content = fs::read(file).unwrap();
    content.iter_mut().skip(4096).step_by(256).for_each(|byte| *byte ^= 4);
    fs::write(file, content).unwrap();
}

/// As a later version of the program would leave it.
fn write_next_format(file: &Path) {
    let checkpoint: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("checkpoint");
    let database = Database::open(file).unwrap();
    let transaction = database.begin_write().unwrap();
    {
        let mut table = transaction.open_table(checkpoint).unwrap();
        let format = table.get("format").unwrap().expect("a format").value().to_vec();
        let next = u32::from_le_bytes(format.try_into().unwrap()) + 1;
        table.insert("format", next.to_le_bytes().as_slice()).unwrap();
    }
    transaction.commit().unwrap();
}

/// A file system of its own at a path, for as long as this lives.
struct Disk {
    at: PathBuf,
    /// The file that it is in, if it is in one.
    image: Option<tempfile::NamedTempFile>,
}

impl Disk {
    /// One in memory. `None`, and a line that says so, where this user may not mount any.
    fn in_memory(at: &Path, megabytes: u32) -> Option<Self> {
        fs::create_dir_all(at).unwrap();
        let disk = Self { at: at.to_owned(), image: None };
        let is_mounted = disk.run("mount", &["-t", "tmpfs", "-o", &format!("size={megabytes}m"), "none"]);
        disk.unless_skipped(is_mounted, "a disk in memory")
    }

    /// One that errors make read-only, as those of most systems do.
    fn in_a_file(at: &Path, megabytes: u64) -> Option<Self> {
        fs::create_dir_all(at).unwrap();
        let image = tempfile::NamedTempFile::new().unwrap();
        image.as_file().set_len(megabytes << 20).unwrap();
        let is_made = is_done(Command::new("mkfs.ext4").arg("-q").arg(image.path()));
        let disk = Self { at: at.to_owned(), image: Some(image) };
        let is_mounted = is_made && disk.mount_image() && disk.trigger().is_some_and(|trigger| trigger.exists());
        disk.unless_skipped(is_mounted, "an ext4 in a file that can be made to fail")
    }

    fn unless_skipped(self, is_there: bool, what: &str) -> Option<Self> {
        if !is_there {
            let line = format!("SKIPPED: a test that needs {what}, which this user may not mount\n");
            std::io::stderr().write_all(line.as_bytes()).unwrap();
        }
        is_there.then_some(self)
    }

    fn mount_image(&self) -> bool {
        let Some(image) = &self.image else { return false };
        let image = image.path().to_string_lossy().into_owned();
        self.run("mount", &["-o", "loop,errors=remount-ro", &image])
    }

    fn run(&self, program: &str, arguments: &[&str]) -> bool {
        is_done(Command::new(program).args(arguments).arg(&self.at))
    }

    fn remount(&self, options: &str) {
        assert!(self.run("mount", &["-o", &format!("remount,{options}")]));
    }

    fn filler(&self) -> PathBuf {
        self.at.join("filler")
    }

    /// Takes all room that is left.
    fn fill(&self) {
        let mut filler = fs::File::options().create(true).append(true).open(self.filler()).unwrap();
        for size in [1 << 20, 4096, 1] {
            while filler.write(&vec![1; size]).is_ok_and(|written| written > 0) {}
        }
    }

    /// Takes all room that is left, and what the service gives up meanwhile, until it ends.
    fn fill_until_the_end_of(&self, mut service: Service) -> Ended {
        eventually("the service to end", || {
            self.fill();
            service.has_ended()
        });
        service.end()
    }

    fn make_room(&self) {
        fs::remove_file(self.filler()).unwrap();
    }

    /// Where an error of the file system can be made.
    fn trigger(&self) -> Option<PathBuf> {
        let output = Command::new("findmnt").args(["-n", "-o", "SOURCE"]).arg(&self.at).output().ok()?;
        let device = String::from_utf8(output.stdout).ok()?;
        Some(Path::new("/sys/fs/ext4").join(device.trim().strip_prefix("/dev/")?).join("trigger_fs_error"))
    }

    fn become_read_only(&self) {
        fs::write(self.trigger().expect("an ext4"), "an error of a test").unwrap();
    }

    fn mend(&self) {
        assert!(self.run("umount", &[]));
        let image = self.image.as_ref().expect("a file").path();
        let checked = Command::new("e2fsck")
            .args(["-f", "-y"])
            .arg(image)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status()
            .unwrap();
        assert!(checked.code().is_some_and(|code| code < 4), "{checked}");
        assert!(self.mount_image());
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        self.run("umount", &["-l"]);
    }
}

fn is_done(command: &mut Command) -> bool {
    command.stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok_and(|status| status.success())
}
