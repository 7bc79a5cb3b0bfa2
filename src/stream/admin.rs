//! The admin server: `/metrics` for Prometheus, `/healthz` for restarts, `/readyz` for traffic and alarms.
//!
//! Not here: the console (`web`).

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};

use axum::Router;
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::routing::get;
use tokio::net::TcpListener;
use tokio::runtime::Runtime;

use super::metrics;

/// Whether records can be read and alerts delivered right now.
#[derive(Debug, Default)]
pub struct Health {
    ready: AtomicBool,
    /// When records were last read, microseconds since the epoch; 0 where none were since the start.
    heard: AtomicI64,
}

impl Health {
    /// Sets readiness, and logs a change.
    pub fn set_ready(&self, is_ready: bool) {
        metrics::ready(is_ready);
        if self.ready.swap(is_ready, Ordering::Relaxed) != is_ready {
            tracing::info!(ready = is_ready, "readiness changed");
        }
    }

    /// Records were read at `now`, microseconds since the epoch.
    pub fn heard(&self, now: i64) {
        metrics::heard(now);
        self.heard.store(now, Ordering::Relaxed);
    }

    /// Readiness and the time of the last record, in two lines.
    fn to_text(&self) -> String {
        let heard = Some(self.heard.load(Ordering::Relaxed)).filter(|heard| *heard != 0);
        let heard = heard.and_then(|heard| jiff::Timestamp::from_microsecond(heard).ok());
        let heard = heard.map_or_else(|| "none since the start".to_owned(), |heard| format!("{heard:.0}"));
        let ready = if self.is_ready() { "ready" } else { "not ready" };
        format!("{ready}\nlast record: {heard}\n")
    }

    /// Readiness as set last.
    pub fn is_ready(&self) -> bool {
        self.ready.load(Ordering::Relaxed)
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
        health.set_ready(true);
        assert!(ask(admin.address, "/readyz").ends_with("ready\nlast record: none since the start\n"));
        health.heard(1_789_459_200_000_000);
        let ready = ask(admin.address, "/readyz");
        assert!(ready.starts_with("HTTP/1.1 200") && ready.ends_with("last record: 2026-09-15T08:00:00Z\n"), "{ready}");
        let metrics = ask(admin.address, "/metrics");
        assert!(metrics.contains("# HELP apiwarden_ready 1 while records can be read"), "{metrics}");
    }
}
