//! Credentials: a secret comes in, a keyed fingerprint goes out. Past this file no secret exists.
//!
//! The fingerprint is keyed, because key ids and short tokens could be recovered from a plain hash by brute force. Training and
//! stream compare fingerprints, so all processes and all trainings of one company share one key.
//!
//! Not here: detection of secrets in other fields (`secret`).

use std::fmt;
use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use rand::RngCore;
use rand::rngs::OsRng;
use thiserror::Error;

/// Minimum length of a passphrase, bytes.
const MIN_PASSPHRASE_BYTES: usize = 16;
/// Authentication schemes that precede a secret and are no part of it.
const SCHEME_WORDS: [&str; 7] = ["bearer", "basic", "token", "apikey", "api-key", "digest", "negotiate"];

/// Why there is no fingerprint key. Never holds what was read.
#[derive(Debug, Error)]
pub enum KeyError {
    /// The environment variable or file holds neither 64 hex digits nor a passphrase of at least 16 bytes.
    #[error("{place}: expected 64 hex digits or a passphrase of at least 16 bytes, found {length} bytes")]
    TooShort {
        /// Name of the variable or path of the file.
        place: String,
        /// Length found, bytes.
        length: usize,
    },
    /// The environment variable is not UTF-8.
    #[error("{0}: expected UTF-8")]
    NotText(String),
    /// The file could not be read or created.
    #[error("{}: {action}", path.display())]
    File {
        /// The key file.
        path: PathBuf,
        /// What was attempted.
        action: &'static str,
        /// The system's error.
        source: io::Error,
    },
    /// The system provided no randomness.
    #[error("the system provided no random bytes for a fingerprint key")]
    Randomness(#[source] rand::Error),
}

/// The key of the fingerprints: 32 bytes, never printed.
#[derive(Clone, PartialEq, Eq)]
pub struct FingerprintKey([u8; 32]);

impl fmt::Debug for FingerprintKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "FingerprintKey({})", self.id())
    }
}

impl FingerprintKey {
    /// The key in an environment variable: 64 hex digits, or any passphrase of at least 16 bytes. `None` where it is unset.
    ///
    /// # Errors
    /// Where the variable is too short or not UTF-8.
    pub fn from_env(variable: &str) -> Result<Option<Self>, KeyError> {
        match std::env::var(variable) {
            Ok(text) => Self::from_text(&text, variable).map(Some),
            Err(std::env::VarError::NotPresent) => Ok(None),
            Err(std::env::VarError::NotUnicode(_)) => Err(KeyError::NotText(variable.to_owned())),
        }
    }

    /// The key in a file: 64 hex digits, or any passphrase of at least 16 bytes; white space around it is ignored.
    ///
    /// # Errors
    /// Where the file cannot be read or is too short.
    pub fn from_file(path: &Path) -> Result<Self, KeyError> {
        let text = fs::read_to_string(path).map_err(file_error(path, "reading the fingerprint key"))?;
        Self::from_text(&text, &path.display().to_string())
    }

    /// The key in a file, created at first use from the system's randomness, readable by its owner alone. Of processes that
    /// race to create it one wins, and all read the winner's key.
    ///
    /// # Errors
    /// Where the file can be neither read nor created.
    pub fn load_or_create(path: &Path) -> Result<Self, KeyError> {
        if !path.try_exists().map_err(file_error(path, "looking for the fingerprint key"))? {
            create(path)?;
        }
        Self::from_file(path)
    }

    /// The key that `text` holds; a passphrase is hashed by BLAKE3's key derivation. `place` names the source in errors.
    pub(crate) fn from_text(text: &str, place: &str) -> Result<Self, KeyError> {
        let text = text.trim();
        match decode_hex(text) {
            Some(bytes) => Ok(Self(bytes)),
            None if text.len() >= MIN_PASSPHRASE_BYTES => {
                Ok(Self(blake3::derive_key("apiwarden 2026-11 fingerprint key from passphrase", text.as_bytes())))
            }
            None => Err(KeyError::TooShort { place: place.to_owned(), length: text.len() }),
        }
    }

    /// Public id of the key, 16 hex digits. A bundle stores it, and refuses another key.
    pub fn id(&self) -> String {
        let bytes = blake3::derive_key("apiwarden 2026-11 public id of a fingerprint key", &self.0);
        blake3::Hash::from_bytes(bytes).to_hex()[..16].to_owned()
    }

    /// `fp_` and 16 hex digits of a secret's keyed BLAKE3 hash. `Bearer k` and `k` are the same secret.
    pub fn fingerprint(&self, secret: &str) -> String {
        let hash = blake3::keyed_hash(&self.0, without_scheme(secret).as_bytes());
        format!("fp_{}", &hash.to_hex()[..16])
    }

    /// The replacement for a secret found in another field: `redacted_` and 8 hex digits of its keyed hash.
    pub(super) fn redact(&self, text: &str) -> String {
        format!("redacted_{}", &blake3::keyed_hash(&self.0, text.as_bytes()).to_hex()[..8])
    }
}

pub(super) fn without_scheme(secret: &str) -> &str {
    let secret = secret.trim();
    match secret.split_once(char::is_whitespace) {
        Some((word, rest)) if SCHEME_WORDS.iter().any(|scheme| word.eq_ignore_ascii_case(scheme)) => rest.trim_start(),
        _ => secret,
    }
}

/// Whether a logged credential carries no information: absent, a dash, or masked at the source.
pub(super) fn is_masked(credential: &str) -> bool {
    let credential = without_scheme(credential);
    let inner = credential.trim_matches(|c: char| !c.is_ascii_alphanumeric());
    inner.is_empty()
        || ["redacted", "masked", "hidden", "null", "undefined"].iter().any(|mask| inner.eq_ignore_ascii_case(mask))
}

fn decode_hex(text: &str) -> Option<[u8; 32]> {
    blake3::Hash::from_hex(text).ok().map(Into::into)
}

fn file_error(path: &Path, action: &'static str) -> impl FnOnce(io::Error) -> KeyError {
    let path = path.to_owned();
    move |source| KeyError::File { path, action, source }
}

/// Writes a new key to a draft next to `path`, then hard-links it: the link fails where another process was faster.
fn create(path: &Path) -> Result<(), KeyError> {
    let mut bytes = [0; 32];
    OsRng.try_fill_bytes(&mut bytes).map_err(KeyError::Randomness)?;
    let unique = &blake3::hash(&bytes).to_hex()[..16];
    let draft = path.with_extension(format!("new-{unique}"));
    if let Some(directory) = path.parent() {
        fs::create_dir_all(directory).map_err(file_error(path, "creating the directory of the fingerprint key"))?;
    }
    let linked = write_privately(&draft, &bytes).and_then(|()| fs::hard_link(&draft, path));
    let removed = fs::remove_file(&draft);
    match linked {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
        _ => removed,
    }
    .map_err(file_error(path, "creating the fingerprint key"))
}

fn write_privately(path: &Path, bytes: &[u8; 32]) -> io::Result<()> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(path)?;
    writeln!(file, "{}", blake3::Hash::from_bytes(*bytes).to_hex())?;
    file.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key() -> FingerprintKey {
        FingerprintKey([7; 32])
    }

    #[test]
    fn the_scheme_before_a_secret_is_no_part_of_it() {
        let plain = key().fingerprint("k-123");
        assert!(plain.starts_with("fp_") && plain.len() == 19);
        for logged in ["Bearer k-123", "token  k-123", " k-123 ", "BASIC k-123"] {
            assert_eq!(key().fingerprint(logged), plain, "{logged}");
        }
        assert_ne!(key().fingerprint("Card k-123"), plain);
        assert_ne!(FingerprintKey([8; 32]).fingerprint("k-123"), plain);
    }

    #[test]
    fn printing_a_key_shows_its_public_id_alone() {
        assert_eq!(format!("{:?}", key()), format!("FingerprintKey({})", key().id()));
        assert!(!format!("{:?}", key()).contains("0707"));
    }

    #[test]
    fn racing_processes_end_with_one_private_key() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("keys").join("fingerprint.key");
        let keys: Vec<_> = std::thread::scope(|scope| {
            let racers: Vec<_> =
                (0..8).map(|_| scope.spawn(|| FingerprintKey::load_or_create(&path).unwrap())).collect();
            racers.into_iter().map(|racer| racer.join().unwrap()).collect()
        });
        assert!(keys.windows(2).all(|pair| pair[0] == pair[1]));
        assert_eq!(fs::read_dir(folder.path().join("keys")).unwrap().count(), 1, "drafts are removed");
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        }
    }

    #[test]
    fn a_short_passphrase_is_refused_without_being_printed() {
        let error = FingerprintKey::from_text("hunter2", "KEY").unwrap_err().to_string();
        assert!(error.contains("7 bytes") && !error.contains("hunter2"), "{error}");
        assert!(FingerprintKey::from_text("correct horse battery", "KEY").is_ok());
    }

    #[test]
    fn a_masked_credential_is_no_credential() {
        for masked in ["", "-", "****", "Bearer ****", "[REDACTED]", "Basic [redacted]"] {
            assert!(is_masked(masked), "{masked}");
        }
        assert!(!is_masked("k-123"));
    }
}
