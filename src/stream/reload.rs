//! A new bundle under a running service: noticed, read and checked beside the stream.
//!
//! SIGHUP asks for it, and a bundle whose manifest was replaced is noticed by itself. It is read on a thread of its own, so nothing waits for
//! it. One that is refused (damaged, of another key or version) is logged and counted, and not tried again until its manifest changes
//! or somebody asks: the bundle in force goes on.
//!
//! Not here: what goes over from one bundle to the next (`Engine::succeed`).

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, TryRecvError, channel};
use std::time::{Duration, Instant};

use super::metrics;
use crate::calls::VendorPack;
use crate::models::bundle::{Bundle, BundleError, manifest_bytes};

/// Time between two looks at the manifest.
const LOOK_INTERVAL: Duration = Duration::from_secs(5);

/// Watches the directory of the bundle in force.
pub(super) struct Reload {
    directory: PathBuf,
    key: String,
    vendors: Arc<VendorPack>,
    /// The manifest of the bundle in force, or of one that was refused.
    manifest: Option<Vec<u8>>,
    looked_at: Instant,
    reading: Option<Receiver<Result<Bundle, BundleError>>>,
}

impl Reload {
    /// Watches a directory, for bundles that were trained with the key of this id.
    pub fn of(directory: PathBuf, key: String, vendors: Arc<VendorPack>) -> Self {
        let manifest = manifest_bytes(&directory);
        Self { directory, key, vendors, manifest, looked_at: Instant::now(), reading: None }
    }

    /// A bundle that was read and is fit, since `version` is another. It is sought where somebody asks for it, and where the manifest is new.
    pub fn next(&mut self, is_asked: bool, version: &str) -> Option<Bundle> {
        if self.reading.is_none() && (is_asked || self.is_replaced()) {
            self.read();
        }
        let read = match self.reading.as_ref()?.try_recv() {
            Err(TryRecvError::Empty) => return None,
            Err(TryRecvError::Disconnected) => None,
            Ok(read) => Some(read),
        };
        self.reading = None;
        match read? {
            Ok(bundle) if bundle.manifest.version == version => {
                tracing::info!(version, "the bundle is the one in force");
                None
            }
            Ok(bundle) => Some(bundle),
            Err(error) => {
                refuse(&error, version);
                None
            }
        }
    }

    /// Whether the manifest is not the one that was seen last.
    fn is_replaced(&mut self) -> bool {
        if self.looked_at.elapsed() < LOOK_INTERVAL {
            return false;
        }
        self.looked_at = Instant::now();
        // A bundle that is being replaced is away for a moment.
        let found = manifest_bytes(&self.directory);
        found.is_some() && found != self.manifest
    }

    fn read(&mut self) {
        self.manifest = manifest_bytes(&self.directory);
        let (sender, receiver) = channel();
        let (directory, key, vendors) = (self.directory.clone(), self.key.clone(), Arc::clone(&self.vendors));
        std::thread::spawn(move || {
            let bundle = Bundle::load(&directory, &key).map(|mut bundle| {
                bundle.known.set_vendors(vendors);
                bundle
            });
            // Nobody listens any more where the service has ended.
            let _ = sender.send(bundle);
        });
        self.reading = Some(receiver);
    }
}

/// Says why a bundle is refused, and which goes on.
pub(super) fn refuse(error: &dyn std::error::Error, in_force: &str) {
    let causes = std::iter::successors(Some(error), |error| error.source());
    let reason = causes.map(ToString::to_string).collect::<Vec<_>>().join(": ");
    tracing::error!(reason, in_force, "the new bundle is refused: the one in force goes on");
    metrics::bundle_refused();
}
