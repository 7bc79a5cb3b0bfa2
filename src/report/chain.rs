//! The chain of reports: each carries the hash of its own content and of the report before it.
//!
//! The seal is the last thing in a report, in every format: `apiwarden-previous:blake3:…`, then `apiwarden-seal:blake3:…`, a BLAKE3 hash of the whole
//! file with sixty-four zeros in the place of the seal. So whoever changes a byte breaks the seal; whoever seals a changed report anew breaks
//! the next one; and who replaces the whole chain must also replace the newest seal wherever it was noted.
//!
//! Not here: what a report says. There is no key: a seal shows that something was changed, not who wrote it.

use std::path::{Path, PathBuf};

use super::error::ReportError;

const SEAL: &str = "apiwarden-seal:blake3:";
const PREVIOUS: &str = "apiwarden-previous:";
const ZEROS: &str = "0000000000000000000000000000000000000000000000000000000000000000";
/// What the report before the first is called.
const NONE: &str = "none";

/// The seal of a report, 64 hexadecimal digits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seal(String);

impl Seal {
    /// The digits.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// What a page writes in the place of the seal and of that before it.
pub(super) struct Marks {
    pub seal: String,
    pub previous: String,
}

impl Marks {
    pub fn after(previous: Option<&Seal>) -> Self {
        let previous = previous.map_or_else(|| NONE.to_owned(), |seal| format!("blake3:{}", seal.0));
        Self { seal: format!("{SEAL}{ZEROS}"), previous: format!("{PREVIOUS}{previous}") }
    }
}

/// A page with its seal in the place of the zeros.
pub(super) fn sealed(mut page: String) -> (String, Option<Seal>) {
    let Some(at) = place(&page) else { return (page, None) };
    let seal = Seal(blake3::hash(page.as_bytes()).to_hex().to_string());
    page.replace_range(at..at + ZEROS.len(), &seal.0);
    (page, Some(seal))
}

/// Where the seal's digits are: names in a report may look like a seal, but the last one is its own.
fn place(page: &str) -> Option<usize> {
    let at = page.rfind(SEAL)? + SEAL.len();
    let digits = page.as_bytes().get(at..at + ZEROS.len())?;
    digits.iter().all(u8::is_ascii_hexdigit).then_some(at)
}

/// A report as read back.
struct Read {
    seal: Seal,
    /// The seal of the report before it; `None` for the first.
    previous: Option<Seal>,
    /// Whether it is as it was written.
    is_whole: bool,
}

fn read(path: &Path) -> Result<Read, ReportError> {
    let unsealed = || ReportError::Unsealed { path: path.to_owned() };
    let bytes = std::fs::read(path).map_err(ReportError::io(path))?;
    let mut page = String::from_utf8(bytes).map_err(|_| unsealed())?;
    let at = place(&page).ok_or_else(unsealed)?;
    let seal = Seal(page[at..at + ZEROS.len()].to_owned());
    let previous = page[..at].rfind(PREVIOUS).map(|at| &page[at + PREVIOUS.len()..]).ok_or_else(unsealed)?;
    let previous = match previous.strip_prefix("blake3:").and_then(|digits| digits.get(..ZEROS.len())) {
        Some(digits) => Some(Seal(digits.to_owned())),
        None if previous.starts_with(NONE) => None,
        None => return Err(unsealed()),
    };
    page.replace_range(at..at + ZEROS.len(), ZEROS);
    let is_whole = blake3::hash(page.as_bytes()).to_hex().as_str() == seal.0;
    Ok(Read { seal, previous, is_whole })
}

/// The seal that a report carries; whether it fits is for [`verify`] to say.
///
/// # Errors
/// Where the file cannot be read, or is no report.
pub fn seal_of(path: &Path) -> Result<Seal, ReportError> {
    Ok(read(path)?.seal)
}

/// The first report of a chain that does not fit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Broken {
    /// The report.
    pub path: PathBuf,
    /// What is wrong with it.
    pub problem: String,
}

/// Recomputes the seals of reports in the order in which they were written: the newest seal, or the first report that does not fit.
///
/// # Errors
/// Where a file cannot be read or is no report.
pub fn verify(reports: &[PathBuf]) -> Result<Result<Option<Seal>, Broken>, ReportError> {
    let mut last: Option<(&Path, Seal)> = None;
    for path in reports {
        let Read { seal, previous, is_whole } = read(path)?;
        let broken = |problem: String| Ok(Err(Broken { path: path.clone(), problem }));
        if !is_whole {
            return broken("its content is not what was sealed".to_owned());
        }
        match (&last, previous) {
            // The first of a chain may continue one that was put away.
            (None, _) => {}
            (Some((before, sealed)), previous) if previous.as_ref() != Some(sealed) => {
                let before = before.display();
                return broken(format!(
                    "does not continue {before}: one of the two was replaced, or one between them is missing"
                ));
            }
            (Some(_), _) => {}
        }
        last = Some((path, seal));
    }
    Ok(Ok(last.map(|(_, seal)| seal)))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A chain of three reports in a directory.
    fn chain(home: &Path) -> Vec<PathBuf> {
        let mut last = None;
        let write = |number: usize| {
            let marks = Marks::after(last.as_ref());
            // A name that looks like a seal is only a name.
            let page = format!("report {number} of {SEAL}{ZEROS}\n{}\n{}\n", marks.previous, marks.seal);
            let (page, seal) = sealed(page);
            let path = home.join(format!("{number}"));
            std::fs::write(&path, page).unwrap();
            last = seal;
            path
        };
        (0..3).map(write).collect()
    }

    fn broken(reports: &[PathBuf]) -> Option<(String, String)> {
        let broken = verify(reports).unwrap().err()?;
        Some((broken.path.file_name().unwrap().to_string_lossy().into_owned(), broken.problem))
    }

    #[test]
    fn a_chain_as_written_is_whole_and_each_byte_that_is_changed_shows() {
        let home = tempfile::tempdir().unwrap();
        let reports = chain(home.path());
        assert_eq!(verify(&reports).unwrap().unwrap(), Some(seal_of(&reports[2]).unwrap()));
        let whole = std::fs::read(&reports[1]).unwrap();
        for at in 0..whole.len() {
            let mut changed = whole.clone();
            changed[at] ^= 1;
            std::fs::write(&reports[1], changed).unwrap();
            let found = verify(&reports);
            assert!(!matches!(found, Ok(Ok(_))), "byte {at}");
        }
    }

    #[test]
    fn a_report_that_was_sealed_anew_or_taken_away_breaks_the_next() {
        let home = tempfile::tempdir().unwrap();
        let reports = chain(home.path());
        let taken = [reports[0].clone(), reports[2].clone()];
        assert_eq!(broken(&taken).unwrap().0, "2");
        let page = std::fs::read_to_string(&reports[1]).unwrap();
        let at = place(&page).unwrap();
        let forged = format!("{}{ZEROS}{}", &page[..at], &page[at + ZEROS.len()..]).replace("report 1", "report x");
        std::fs::write(&reports[1], sealed(forged).0).unwrap();
        let (report, problem) = broken(&reports).unwrap();
        assert_eq!(report, "2");
        assert!(problem.contains("does not continue"), "{problem}");
    }

    #[test]
    fn what_carries_no_seal_is_no_report() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("notes");
        std::fs::write(&path, "notes").unwrap();
        assert!(verify(&[path]).unwrap_err().to_string().contains("no seal"));
    }
}
