//! A new bundle under a running service: noticed, read and checked beside the stream.
//!
//! SIGHUP asks for it, and a bundle whose manifest was replaced is noticed by itself. It is read on a thread of its own, so nothing waits for
//! it. One that is refused (damaged, half copied, of another key or version) is logged and counted, and not tried again until one of its files
//! changes or somebody asks: the bundle in force goes on.
//!
//! Not here: what goes over from one bundle to the next (`Engine::succeed`).

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, TryRecvError, channel};
use std::time::{Duration, Instant, SystemTime};

use super::metrics;
use crate::calls::VendorPack;
use crate::models::bundle::{Bundle, BundleError, manifest_bytes};

/// Time between two looks at the manifest.
const LOOK_INTERVAL: Duration = Duration::from_secs(5);

/// Names, sizes and times of a bundle's files.
type Files = BTreeMap<OsString, (u64, Option<SystemTime>)>;

/// Watches the directory of the bundle in force.
pub(super) struct Reload {
    directory: PathBuf,
    key: String,
    vendors: Arc<VendorPack>,
    /// The manifest of the bundle in force, or of one that was refused.
    manifest: Option<Vec<u8>>,
    /// The files of the one that was read last, as of before it was, and whether it was refused: it may have been half copied.
    files: Files,
    was_refused: bool,
    looked_at: Instant,
    reading: Option<Receiver<Result<Bundle, BundleError>>>,
}

impl Reload {
    /// Watches a directory, for bundles that were trained with the key of this id.
    pub fn of(directory: PathBuf, key: String, vendors: Arc<VendorPack>) -> Self {
        let manifest = manifest_bytes(&directory);
        Self {
            directory,
            key,
            vendors,
            manifest,
            files: Files::new(),
            was_refused: false,
            looked_at: Instant::now(),
            reading: None,
        }
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
                self.was_refused = true;
                None
            }
        }
    }

    /// Whether the manifest is not the one that was seen last, or a file of a bundle that was refused is another.
    fn is_replaced(&mut self) -> bool {
        if self.looked_at.elapsed() < LOOK_INTERVAL {
            return false;
        }
        self.looked_at = Instant::now();
        // A bundle that is being replaced is away for a moment.
        let found = manifest_bytes(&self.directory);
        let is_mended = || self.was_refused && files_of(&self.directory) != self.files;
        found.is_some() && (found != self.manifest || is_mended())
    }

    fn read(&mut self) {
        self.manifest = manifest_bytes(&self.directory);
        (self.files, self.was_refused) = (files_of(&self.directory), false);
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

fn files_of(directory: &Path) -> Files {
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    let of = |entry: fs::DirEntry| {
        let about = entry.metadata().ok()?;
        Some((entry.file_name(), (about.len(), about.modified().ok())))
    };
    entries.filter_map(of).collect()
}

/// Says why a bundle is refused, and which goes on.
pub(super) fn refuse(error: &dyn std::error::Error, in_force: &str) {
    let causes = std::iter::successors(Some(error), |error| error.source());
    let reason = causes.map(ToString::to_string).collect::<Vec<_>>().join(": ");
    tracing::error!(reason, in_force, "the new bundle is refused: the one in force goes on");
    metrics::bundle_refused();
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Waits until what is being read was read; what is refused gives no bundle.
    fn read(reload: &mut Reload, is_asked: bool) {
        assert!(reload.next(is_asked, "in force").is_none());
        while reload.reading.is_some() {
            std::thread::sleep(Duration::from_millis(5));
            assert!(reload.next(false, "in force").is_none());
        }
    }

    /// Whether it reads at its next look.
    fn looks_again(reload: &mut Reload) -> bool {
        reload.looked_at = Instant::now().checked_sub(LOOK_INTERVAL).expect("the machine is up for longer");
        reload.is_replaced()
    }

    #[test]
    fn a_bundle_that_was_refused_half_copied_is_looked_at_again_with_its_next_file_and_not_before() {
        let home = tempfile::tempdir().unwrap();
        let mut reload = Reload::of(home.path().to_owned(), String::new(), VendorPack::embedded());
        fs::write(home.path().join("manifest.json"), "{}").unwrap();
        assert!(looks_again(&mut reload), "a new manifest");
        read(&mut reload, true);
        assert!(reload.was_refused && !looks_again(&mut reload), "nothing has changed");
        fs::write(home.path().join("baselines.zst"), "the rest").unwrap();
        assert!(looks_again(&mut reload));
        read(&mut reload, true);
        assert!(!looks_again(&mut reload));
    }
}
