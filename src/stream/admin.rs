//! The admin server: `/metrics` for Prometheus, `/healthz` for restarts, `/readyz` for traffic and alarms.
//!
//! Not here: the console (`web`).

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::Router;
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::routing::get;
use tokio::net::TcpListener;
use tokio::runtime::Runtime;

use super::metrics;

/// Whether records can be read and alerts delivered right now, and how far the service is.
#[derive(Debug)]
pub struct Health(Mutex<Status>);

/// What `/readyz` shows.
#[derive(Debug)]
struct Status {
    /// Why the service is not ready; `None` where it is.
    reason: Option<String>,
    /// When records were last read, the watermark and the time of the last checkpoint, microseconds since the epoch.
    heard: Option<i64>,
    watermark: Option<i64>,
    saved: Option<i64>,
    checkpoint_bytes: usize,
    /// Records that wait in Kafka.
    waiting: i64,
    /// The bundle in force, the group and the instance id.
    bundle: String,
    group: String,
    instance: String,
}

impl Default for Health {
    fn default() -> Self {
        Self(Mutex::new(Status {
            reason: Some("it is starting".to_owned()),
            heard: None,
            watermark: None,
            saved: None,
            checkpoint_bytes: 0,
            waiting: 0,
            bundle: String::new(),
            group: String::new(),
            instance: String::new(),
        }))
    }
}

impl Health {
    fn status(&self) -> MutexGuard<'_, Status> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Records can be read and alerts delivered.
    pub fn ready(&self) {
        self.set(None);
    }

    /// They cannot, for this reason.
    pub fn unready(&self, reason: impl Into<String>) {
        self.set(Some(reason.into()));
    }

    /// Ready as far as Kafka and the sinks are concerned, or not: `failing` names sinks that cannot deliver, with the reason.
    pub fn connected(&self, is_connected: bool, failing: &[String]) {
        let reason = "no broker answers, or the consumer group is still assigning partitions";
        let reasons = (!is_connected).then_some(reason).into_iter().chain(failing.iter().map(String::as_str));
        self.set(reasons.map(str::to_owned).reduce(|one, other| format!("{one}; {other}")));
    }

    /// Sets readiness, and logs a change.
    fn set(&self, reason: Option<String>) {
        let is_ready = reason.is_none();
        metrics::ready(is_ready);
        let mut status = self.status();
        if status.reason.is_none() != is_ready {
            tracing::info!(ready = is_ready, reason = reason.as_deref(), "readiness changed");
        }
        status.reason = reason;
    }

    /// Records were read at `now`, microseconds since the epoch.
    pub fn heard(&self, now: i64) {
        metrics::heard(now);
        self.status().heard = Some(now);
    }

    /// So many records wait in Kafka.
    pub fn waiting(&self, records: i64) {
        self.status().waiting = records;
    }

    /// All before `watermark`, microseconds since the epoch, is evaluated.
    pub fn evaluated(&self, watermark: Option<i64>) {
        self.status().watermark = watermark;
    }

    /// A checkpoint of so many bytes was written.
    pub fn saved(&self, bytes: usize) {
        let mut status = self.status();
        status.saved = Some(jiff::Timestamp::now().as_microsecond());
        status.checkpoint_bytes = bytes;
    }

    /// Which bundle, group and instance this is.
    pub fn identify(&self, bundle: &str, group: &str, instance: &str) {
        metrics::info(group, instance);
        let mut status = self.status();
        (status.bundle, status.group, status.instance) = (bundle.to_owned(), group.to_owned(), instance.to_owned());
    }

    /// Another bundle is in force.
    pub fn goes_over_to(&self, bundle: &str) {
        self.status().bundle = bundle.to_owned();
    }

    /// Readiness with its reason, then how far the service is, a line each.
    fn to_text(&self) -> String {
        let status = self.status();
        let now = jiff::Timestamp::now().as_microsecond();
        let ready = status.reason.as_ref().map_or_else(|| "ready".to_owned(), |reason| format!("not ready: {reason}"));
        let time = |micros: Option<i64>, never: &str| {
            let stamp = micros.and_then(|micros| jiff::Timestamp::from_microsecond(micros).ok());
            stamp.map_or_else(|| never.to_owned(), |stamp| format!("{stamp:.0}"))
        };
        let behind = status
            .watermark
            .map_or_else(String::new, |mark| format!(", {} s behind the clock", (now - mark) / 1_000_000));
        format!(
            "{ready}\nlast record: {}\nwatermark: {}{behind}\nwaiting in Kafka: {} records\nlast checkpoint: {}, {} bytes\nversion {}, bundle {}, group {}, instance {}\n",
            time(status.heard, "none since the start"),
            time(status.watermark, "none yet"),
            status.waiting,
            time(status.saved, "none since the start"),
            status.checkpoint_bytes,
            env!("CARGO_PKG_VERSION"),
            status.bundle,
            status.group,
            status.instance,
        )
    }

    /// Readiness as set last.
    pub fn is_ready(&self) -> bool {
        self.status().reason.is_none()
    }
}

/// The admin server; it stops when dropped.
pub struct Admin {
    /// The address it listens at.
    pub address: SocketAddr,
    _runtime: Runtime,
}

impl Admin {
    /// Listens at `address` and serves on a thread of its own.
    ///
    /// # Errors
    /// The address cannot be listened at, or the thread not made.
    pub fn serve(address: SocketAddr, health: Arc<Health>) -> std::io::Result<Self> {
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).thread_name("admin").enable_all().build()?;
        let listener = runtime.block_on(TcpListener::bind(address))?;
        let address = listener.local_addr()?;
        tracing::info!(%address, "health and metrics are served");
        runtime.spawn(async move {
            if let Err(error) = axum::serve(listener, router(health)).await {
                tracing::error!(%error, "the admin server ended");
            }
        });
        Ok(Self { address, _runtime: runtime })
    }
}

fn router(health: Arc<Health>) -> Router {
    let readiness = move || async move {
        let status = if health.is_ready() { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
        (status, health.to_text())
    };
    let exposition = || async {
        let text = metrics::install().map(|handle| handle.render()).unwrap_or_default();
        ([(CONTENT_TYPE, "text/plain; version=0.0.4")], text)
    };
    Router::new()
        .route("/metrics", get(exposition))
        .route("/healthz", get(|| async { "ok\n" }))
        .route("/readyz", get(readiness))
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};

    use super::*;

    fn ask(address: SocketAddr, path: &str) -> String {
        let mut stream = std::net::TcpStream::connect(address).unwrap();
        write!(stream, "GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    }

    #[test]
    fn readiness_follows_the_run_loop_and_metrics_are_described() {
        let health = Arc::new(Health::default());
        metrics::install();
        let admin = Admin::serve(SocketAddr::from(([127, 0, 0, 1], 0)), Arc::clone(&health)).unwrap();
        assert!(ask(admin.address, "/healthz").starts_with("HTTP/1.1 200"));
        assert!(ask(admin.address, "/readyz").starts_with("HTTP/1.1 503"));
        assert!(ask(admin.address, "/readyz").contains("\r\n\r\nnot ready: it is starting\n"));
        health.ready();
        assert!(ask(admin.address, "/readyz").contains("\r\n\r\nready\nlast record: none since the start\n"));
        health.heard(1_789_459_200_000_000);
        health.unready("sink kafka:alerts: away");
        health.waiting(81_000);
        health.identify("b-1", "apiwarden", "aw-7");
        let answer = ask(admin.address, "/readyz");
        for line in [
            "not ready: sink kafka:alerts: away",
            "last record: 2026-09-15T08:00:00Z",
            "waiting in Kafka: 81000 records",
            "bundle b-1, group apiwarden, instance aw-7",
        ] {
            assert!(answer.starts_with("HTTP/1.1 503") && answer.contains(line), "{line} is missing in\n{answer}");
        }
        let metrics = ask(admin.address, "/metrics");
        assert!(metrics.contains("# HELP apiwarden_ready 1 while records can be read"), "{metrics}");
    }
}
