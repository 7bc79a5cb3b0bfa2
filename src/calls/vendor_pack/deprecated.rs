//! What a vendor retires: endpoints by pattern, versions of its API by number or date.
//!
//! Not here: which, of whom (`datasets/vendors`), and what a company itself calls deprecated (`rules`).

use super::pattern::Pattern;

/// An endpoint or versions that a vendor retires.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Deprecation {
    /// `None`: every endpoint of the versions.
    pub(super) pattern: Option<Pattern>,
    /// The oldest version that is not retired.
    pub(super) below: Option<Version>,
    /// What to call instead.
    pub instead: String,
}

impl Deprecation {
    /// Whether it is about a call to an endpoint in a version; the version is empty where it is not known.
    pub(super) fn covers(&self, endpoint: &str, version: &str) -> bool {
        let is_meant = self.pattern.as_ref().is_none_or(|pattern| pattern.name_of(endpoint).is_some());
        is_meant
            && self.below.as_ref().is_none_or(|below| Version::parse(version).is_some_and(|own| own.is_before(below)))
    }
}

/// The version of an API, as numbers: `v18.0`, `2024-10`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Version {
    is_date: bool,
    numbers: Vec<u32>,
}

impl Version {
    /// Reads a version; `None` for what is none.
    pub fn parse(text: &str) -> Option<Self> {
        let (numbers, mark) = match text.strip_prefix(['v', 'V']) {
            Some(numbers) => (numbers, '.'),
            None if text.contains('-') => (text, '-'),
            None => (text, '.'),
        };
        // `2023-05-15-preview` is of its day.
        let numbers = numbers.split(mark).map_while(|number| number.parse().ok());
        let numbers: Vec<u32> = numbers.collect();
        (!numbers.is_empty()).then_some(Self { is_date: mark == '-', numbers })
    }

    /// Whether it came before another of its kind.
    pub fn is_before(&self, other: &Self) -> bool {
        self.is_date == other.is_date && self.numbers < other.numbers
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_ordered_by_number_and_by_date_and_never_across() {
        let is_before = |one: &str, other: &str| {
            Version::parse(one).is_some_and(|one| Version::parse(other).is_some_and(|other| one.is_before(&other)))
        };
        for (one, other) in [("v9.0", "v18.0"), ("2023-05-15-preview", "2024-02-01"), ("v1", "v1.1"), ("2.1", "v3")] {
            assert!(is_before(one, other) && !is_before(other, one), "{one} {other}");
        }
        assert!(!is_before("v1", "2024-10") && !is_before("2024-10", "v1") && !is_before("latest", "v1"));
    }
}
