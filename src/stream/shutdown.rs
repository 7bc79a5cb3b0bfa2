//! Shutdown: requested once, seen by everything that must stop. And SIGHUP, which asks for a new bundle.
//!
//! Not here: what draining means (`run`).

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::sync::watch;

/// A request to stop, shared by those that make it and those that obey it.
#[derive(Clone, Debug)]
pub struct Shutdown {
    requested: watch::Sender<bool>,
    reload: Arc<AtomicBool>,
}

impl Default for Shutdown {
    fn default() -> Self {
        Self { requested: watch::Sender::new(false), reload: Arc::default() }
    }
}

impl Shutdown {
    /// One that SIGTERM and SIGINT request, too; SIGHUP asks for a reload. A thread listens for as long as the process lives.
    ///
    /// # Errors
    /// The thread or its listeners could not be made.
    pub fn on_signals() -> std::io::Result<Self> {
        let shutdown = Self::default();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let requester = shutdown.clone();
        std::thread::Builder::new().name("signals".to_owned()).spawn(move || {
            if let Err(error) = runtime.block_on(signal(&requester.reload)) {
                tracing::error!(%error, "signals cannot be received");
                return;
            }
            tracing::info!("shutdown requested: draining");
            requester.request();
        })?;
        Ok(shutdown)
    }

    /// Requests to stop.
    pub fn request(&self) {
        self.requested.send_replace(true);
    }

    /// Whether a reload was asked for since this was asked last.
    pub fn take_reload(&self) -> bool {
        self.reload.swap(false, Ordering::Relaxed)
    }

    /// Whether a stop was requested.
    pub fn is_requested(&self) -> bool {
        *self.requested.borrow()
    }

    /// Returns once a stop is requested.
    pub async fn wait(&self) {
        // The sender is ourselves, so the channel cannot close.
        let _ = self.requested.subscribe().wait_for(|requested| *requested).await;
    }

    /// Sleeps, but not past a request to stop.
    pub fn sleep(&self, duration: Duration) {
        const STEP: Duration = Duration::from_millis(50);
        let mut left = duration;
        while !left.is_zero() && !self.is_requested() {
            std::thread::sleep(left.min(STEP));
            left = left.saturating_sub(STEP);
        }
    }
}

#[cfg(unix)]
async fn signal(reload: &AtomicBool) -> std::io::Result<()> {
    use tokio::signal::unix::{SignalKind, signal};
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    let mut hangup = signal(SignalKind::hangup())?;
    loop {
        tokio::select! {
            _ = terminate.recv() => return Ok(()),
            _ = interrupt.recv() => return Ok(()),
            _ = hangup.recv() => {
                tracing::info!("reload requested");
                reload.store(true, Ordering::Relaxed);
            }
        }
    }
}

#[cfg(not(unix))]
async fn signal(_reload: &AtomicBool) -> std::io::Result<()> {
    tokio::signal::ctrl_c().await
}
