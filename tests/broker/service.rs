//! apiwarden as a process: a pipeline with topics and state of its own, started and ended again and again.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus};
use std::time::{Duration, Instant};

use apiwarden::state::KeptRollups;
use tempfile::TempDir;

use super::cluster::{Alerts, Cluster};
use super::fixture::Fixture;

/// Longest wait for anything.
const PATIENCE: Duration = Duration::from_secs(180);
/// `idle_seconds` of tests that wait for idleness.
pub const IDLE: Duration = Duration::from_secs(3);
const KEY: &str = "only for the tests of this project";
/// How far calls may come late, seconds. More than the steps in which [`Deployment::run_to_the_end`] distinguishes times.
const LATENESS: f64 = 300.0;

/// A pipeline: its file, its state, its topics.
pub struct Deployment {
    /// Its consumer group.
    pub name: String,
    pub calls: String,
    pub alerts: String,
    pub dead_letters: String,
    pub checkpoint_seconds: u64,
    /// Brokers of the alerts' topic, if they are others.
    pub alert_brokers: Option<String>,
    /// Longest time between two polls before the group takes the partitions away, milliseconds.
    pub max_poll_interval_ms: u64,
    /// Time after which the group gives up a member, milliseconds.
    pub session_timeout_ms: u64,
    /// Whether several processes may share the group.
    pub keyed_by_caller: bool,
    /// Another sink, as a section of the pipeline file.
    pub other_sink: String,
    /// The file of dead letters, where they do not go to their topic.
    pub dead_letter_file: Option<PathBuf>,
    brokers: String,
    pub bundle: PathBuf,
    directory: TempDir,
}

impl Deployment {
    /// One with empty topics, `partitions` of them for calls.
    pub fn new(cluster: &Cluster, fixture: &Fixture, of: &str, partitions: i32) -> Self {
        let topic = |what: &str, partitions| {
            let name = cluster.name(&format!("{of}-{what}"));
            cluster.create(&name, partitions);
            name
        };
        Self {
            name: cluster.name(of),
            calls: topic("calls", partitions),
            alerts: topic("alerts", 3),
            dead_letters: topic("dead", 1),
            checkpoint_seconds: 1,
            alert_brokers: None,
            max_poll_interval_ms: 300_000,
            session_timeout_ms: 6000,
            keyed_by_caller: false,
            other_sink: String::new(),
            dead_letter_file: None,
            brokers: cluster.brokers.clone(),
            bundle: fixture.bundle.clone(),
            directory: tempfile::tempdir().unwrap(),
        }
    }

    /// Another process of the same group and topics, with a state of its own.
    pub fn beside(&self) -> Self {
        Self {
            name: self.name.clone(),
            calls: self.calls.clone(),
            alerts: self.alerts.clone(),
            dead_letters: self.dead_letters.clone(),
            alert_brokers: self.alert_brokers.clone(),
            other_sink: self.other_sink.clone(),
            dead_letter_file: self.dead_letter_file.clone(),
            brokers: self.brokers.clone(),
            bundle: self.bundle.clone(),
            directory: tempfile::tempdir().unwrap(),
            ..*self
        }
    }

    /// A place beside its state.
    pub fn beside_state(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// Where its state is.
    pub fn state(&self) -> PathBuf {
        self.directory.path().join("state")
    }

    /// A copy of its state.
    pub fn back_up(&self) -> TempDir {
        let backup = tempfile::tempdir().unwrap();
        succeed(Command::new("cp").arg("-a").arg(self.state()).arg(backup.path()));
        backup
    }

    /// Puts a copy in the place of its state.
    pub fn put_back(&self, backup: &TempDir) {
        std::fs::remove_dir_all(self.state()).unwrap();
        succeed(Command::new("cp").arg("-a").arg(backup.path().join("state")).arg(self.directory.path()));
    }

    /// Checks the pipeline as it would start.
    pub fn check(&self) -> Checked {
        let file = self.write_pipeline(free_port(), 600);
        let output = command().args(["check", "--pipeline"]).arg(file).output().unwrap();
        Checked { code: output.status.code(), text: String::from_utf8(output.stdout).unwrap() }
    }

    /// Starts the service. No partition falls idle meanwhile: more may come.
    pub fn start(&self) -> Service {
        self.start_with(3600)
    }

    /// Starts the service with partitions that fall idle after [`IDLE`].
    pub fn start_impatient(&self) -> Service {
        self.start_with(IDLE.as_secs())
    }

    /// Runs until all that is there was read and the newest bucket was closed, then stops.
    pub fn run_to_the_end(&self, newest: f64) {
        let service = self.start_impatient();
        // Only idleness moves the watermark past the newest call.
        eventually("the newest bucket to be closed", || {
            service.metric("apiwarden_watermark_seconds") > newest - LATENESS / 2.0
        });
        assert!(service.stop().success());
    }

    fn start_with(&self, idle_seconds: u64) -> Service {
        let port = free_port();
        let file = self.write_pipeline(port, idle_seconds);
        let log = self.directory.path().join(format!("log-{port}"));
        let mut run = command();
        run.env("APIWARDEN_LOG", "warn").args(["run", "--pipeline"]).arg(file);
        let child = run.stderr(std::fs::File::create(&log).unwrap()).spawn().unwrap();
        Service { child, admin: SocketAddr::from((Ipv4Addr::LOCALHOST, port)), log }
    }

    /// The rows that its state keeps, each with its calls; in order, but for the bucket that was open.
    pub fn kept(&self) -> Vec<(i64, u64, i64)> {
        let kept = KeptRollups::of(&self.directory.path().join("state/rollups"));
        let days = kept.days().expect("kept rollups").into_iter();
        let rows = days.flat_map(|day| kept.read(day).expect("kept rollups").into_rows());
        rows.map(|row| (row.bucket, row.relation.id(), row.calls())).collect()
    }

    /// Scans the same records from a file, with the same pipeline.
    pub fn scan(&self, records: &[&str]) -> Alerts {
        let (input, output) = (self.directory.path().join("calls.ndjson"), self.directory.path().join("alerts.ndjson"));
        std::fs::write(&input, records.join("\n")).unwrap();
        let pipeline = self.write_pipeline(0, 600);
        let mut scan = command();
        scan.arg("scan").arg("--pipeline").arg(pipeline).arg("--model").arg(&self.bundle);
        succeed(scan.arg("--input").arg(input).arg("--output").arg(&output));
        let lines = std::fs::read_to_string(output).unwrap();
        lines.lines().map(|line| (uid_of(line), line.to_owned())).collect()
    }

    fn write_pipeline(&self, port: u16, idle_seconds: u64) -> PathBuf {
        let file = self.directory.path().join("pipeline.toml");
        let Self { name, calls, alerts, dead_letters, checkpoint_seconds, brokers, bundle, .. } = self;
        let Self { max_poll_interval_ms, session_timeout_ms, keyed_by_caller, .. } = self;
        let alert_brokers = self.alert_brokers.as_ref().map_or_else(String::new, |brokers| {
            format!("brokers = \"{brokers}\"\nproperties = {{ \"message.timeout.ms\" = 1000 }}")
        });
        let bundle = bundle.display();
        let letters = match &self.dead_letter_file {
            Some(file) => format!("file = \"{}\"", file.display()),
            None => format!("topic = \"{dead_letters}\""),
        };
        let other_sink = &self.other_sink;
        let text = format!(
            r#"
            [source.kafka]
            brokers = "{brokers}"
            topics = ["{calls}"]
            group = "{name}"
            keyed_by_caller = {keyed_by_caller}
            [source.kafka.properties]
            "session.timeout.ms" = {session_timeout_ms}
            "heartbeat.interval.ms" = 1000
            "socket.timeout.ms" = 6000
            "max.poll.interval.ms" = {max_poll_interval_ms}
            [decode]
            format = "ecs"
            [model]
            bundle = "{bundle}"
            [detection]
            alerts_per_day = 100
            allowed_lateness_seconds = {LATENESS}
            [[sinks]]
            type = "kafka"
            topic = "{alerts}"
            {alert_brokers}
            {other_sink}
            [dead_letter]
            {letters}
            [state]
            checkpoint_seconds = {checkpoint_seconds}
            idle_seconds = {idle_seconds}
            [admin]
            listen = "127.0.0.1:{port}"
            "#
        );
        std::fs::write(&file, text).unwrap();
        file
    }
}

/// What a check said.
pub struct Checked {
    pub code: Option<i32>,
    pub text: String,
}

/// A running service; killed when dropped.
pub struct Service {
    child: Child,
    admin: SocketAddr,
    log: PathBuf,
}

/// How a service ended by itself.
#[derive(Debug)]
pub struct Ended {
    pub code: Option<i32>,
    log: String,
}

impl Ended {
    /// The last line of its log: why it ended.
    pub fn reason(&self) -> &str {
        self.log.lines().last().unwrap_or_default()
    }
}

/// An answer of the admin server.
pub struct Answer {
    pub status: u16,
    pub body: String,
}

impl Service {
    /// Waits for its first alert, if one comes in time.
    pub fn await_alert(&self, longest: Duration) {
        let started = Instant::now();
        while self.metric("apiwarden_alerts_total") == 0.0 && started.elapsed() < longest {
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Kills it (SIGKILL) after a while.
    pub fn kill_after(self, life: Duration) {
        std::thread::sleep(life);
    }

    /// Stops it where it stands (SIGSTOP) for a while, in which `meanwhile` happens.
    pub fn freeze(&self, time: Duration, meanwhile: impl FnOnce()) {
        self.signal("-STOP");
        meanwhile();
        std::thread::sleep(time);
        self.signal("-CONT");
    }

    /// Waits until it has taken in `count` calls, and expects that none of them came too late.
    #[track_caller]
    pub fn await_calls(&self, count: usize) {
        let metric = |name| self.metric(name) as usize;
        eventually("all calls to be read", || {
            metric("apiwarden_calls_total") + metric("apiwarden_too_late_calls_total") >= count
        });
        assert_eq!(metric("apiwarden_too_late_calls_total"), 0, "of {count} calls these were dropped as too late");
    }

    /// Asks it to look for a new bundle (SIGHUP).
    pub fn reload(&self) {
        self.signal("-HUP");
    }

    fn signal(&self, signal: &str) {
        succeed(Command::new("kill").args([signal, &self.child.id().to_string()]));
    }

    /// Asks it to stop (SIGTERM), and waits until it has.
    pub fn stop(mut self) -> ExitStatus {
        self.signal("-TERM");
        let mut ended = None;
        eventually("the service to stop", || {
            ended = self.child.try_wait().unwrap();
            ended.is_some()
        });
        ended.unwrap()
    }

    /// Waits until it has ended by itself.
    pub fn end(mut self) -> Ended {
        eventually("the service to end", || self.has_ended());
        Ended { code: self.child.wait().unwrap().code(), log: self.log() }
    }

    /// Whether it has ended by itself.
    pub fn has_ended(&mut self) -> bool {
        self.child.try_wait().unwrap().is_some()
    }

    /// What it has logged until now: warnings and errors.
    pub fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// Asks the admin server; `None` while it does not answer.
    pub fn get(&self, path: &str) -> Option<Answer> {
        let mut stream = TcpStream::connect(self.admin).ok()?;
        write!(stream, "GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").ok()?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).ok()?;
        let (head, body) = answer.split_once("\r\n\r\n")?;
        Some(Answer { status: head.split(' ').nth(1)?.parse().ok()?, body: body.to_owned() })
    }

    /// A metric, over all its labels; 0 while it is not there.
    pub fn metric(&self, name: &str) -> f64 {
        let Some(answer) = self.get("/metrics") else { return 0.0 };
        let lines = answer.body.lines().filter_map(|line| line.rsplit_once(' '));
        let is_it =
            |series: &str| series.strip_prefix(name).is_some_and(|rest| rest.is_empty() || rest.starts_with('{'));
        lines.filter(|(series, _)| is_it(series)).filter_map(|(_, value)| value.parse::<f64>().ok()).sum()
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            eprintln!("the log of the service:\n{}", self.log());
        }
    }
}

/// Learns a bundle from a file of records.
pub fn train(history: &Path, bundle: &Path) {
    succeed(command().arg("train").arg("--input").arg(history).arg("--out").arg(bundle));
}

/// Waits until something is so.
#[track_caller]
pub fn eventually(what: &str, mut is_so: impl FnMut() -> bool) {
    let started = Instant::now();
    while !is_so() {
        assert!(started.elapsed() < PATIENCE, "waited in vain for {what}");
        std::thread::sleep(Duration::from_millis(100));
    }
}

fn command() -> Command {
    let binary = std::env::var_os("APIWARDEN_BINARY").unwrap_or_else(|| env!("CARGO_BIN_EXE_apiwarden").into());
    let mut command = Command::new(binary);
    command.env("APIWARDEN_FINGERPRINT_KEY", KEY);
    command
}

#[track_caller]
fn succeed(command: &mut Command) {
    let status = command.stdout(std::process::Stdio::null()).status().unwrap();
    assert!(status.success(), "{command:?}: {status}");
}

fn uid_of(alert: &str) -> String {
    let alert: serde_json::Value = serde_json::from_str(alert).unwrap();
    alert["metadata"]["uid"].as_str().unwrap().to_owned()
}

fn free_port() -> u16 {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap().port()
}
