//! Rotation of credentials, seen without secrets: a new fingerprint in and the old one out, for the same caller and vendor.
//!
//! A credential is followed by the next one of its pair of caller and vendor that appears after it, at the latest [`MAX_GAP`] after its last
//! call. The two may overlap, and one caller may go before another. While any caller still uses the old one, the rotation is not done.
//!
//! Two credentials that a pair used from its first day on are two credentials, no rotation. Nor are tokens of an hour, or the guesses of whoever
//! tries one key after another: what is replaced was in use for a day at least.
//!
//! Not here: whether a new credential is odd (`detect`).

use std::collections::{BTreeMap, HashMap};

use super::sql::{Names, each};
use super::table::{Table, Value};
use super::time::days;
use super::{CatalogError, Reader};

const DAY: i64 = 86_400_000_000;
/// A new credential that comes later after the last call with the old one is no successor.
const MAX_GAP: i64 = 7 * DAY;

/// When a credential is overdue, idle, or out of use.
#[derive(Clone, Copy, Debug)]
pub struct RotationLimits {
    /// Oldest that a credential may be, days.
    pub max_age_days: i64,
    /// Days without a call after which it is idle.
    pub idle_days: i64,
    /// Hours for which a pair must have called without it before it is out.
    pub grace_hours: i64,
}

impl Default for RotationLimits {
    fn default() -> Self {
        Self { max_age_days: 90, idle_days: 30, grace_hours: 24 }
    }
}

/// Where a credential stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CredentialState {
    /// In use, and none came before it.
    NeverRotated,
    /// In use, in the place of another.
    Rotated,
    /// Another has come for all its callers, and it is out of use.
    Replaced,
    /// Another has come, and somebody still uses it.
    StillUsed,
    /// In use for longer than it may be.
    Overdue,
    /// Nobody uses it, and none has come.
    Idle,
}

impl CredentialState {
    /// The name in lists.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::NeverRotated => "never_rotated",
            Self::Rotated => "rotated",
            Self::Replaced => "replaced",
            Self::StillUsed => "still_used",
            Self::Overdue => "overdue",
            Self::Idle => "idle",
        }
    }
}

/// Where a credential stands, and since when it is known.
#[derive(Clone, Copy, Debug)]
pub(super) struct Standing {
    pub state: CredentialState,
    pub age_days: i64,
}

/// The calls of one caller to one vendor with one credential.
#[derive(Clone, Debug)]
pub(super) struct Use {
    pub credential: String,
    pub calls: i64,
    pub first_seen: i64,
    pub last_seen: i64,
}

/// Each pair's credentials, the oldest first.
pub(super) type Pairs = BTreeMap<(String, String), Vec<Use>>;

/// A credential that took, or takes, the place of another.
struct Rotation<'a> {
    pair: &'a (String, String),
    old: &'a Use,
    new: &'a Use,
    /// The old one is out.
    is_done: bool,
}

/// Where each credential stands.
///
/// # Errors
/// [`CatalogError`].
pub(super) fn states(reader: &Reader, limits: &RotationLimits) -> Result<HashMap<String, Standing>, CatalogError> {
    Ok(states_of(&reader.ask(pairs)?, limits))
}

/// The rotations, the newest first.
///
/// # Errors
/// [`CatalogError`].
pub fn rotations(reader: &Reader, limits: &RotationLimits) -> Result<Table, CatalogError> {
    let pairs = reader.ask(pairs)?;
    let mut found: Vec<_> = pairs.iter().flat_map(|(pair, uses)| rotations_of(pair, uses, limits)).collect();
    found.sort_by_key(|rotation| -rotation.new.first_seen);
    let columns = vec!["caller", "vendor", "old", "new", "state", "overlap_hours", "calls", "first_seen", "last_seen"];
    let row = |rotation: &Rotation<'_>| {
        let text = |text: &str| Value::Text(text.to_owned());
        let overlap = (rotation.old.last_seen - rotation.new.first_seen).max(0) / (DAY / 24);
        vec![
            text(&rotation.pair.0),
            text(&rotation.pair.1),
            text(&rotation.old.credential),
            text(&rotation.new.credential),
            text(if rotation.is_done { "done" } else { "old still used" }),
            Value::Count(overlap),
            Value::Count(rotation.new.calls),
            Value::Time(rotation.new.first_seen),
            Value::Time(rotation.new.last_seen),
        ]
    };
    Ok(Table { columns, rows: found.iter().map(row).collect() })
}

fn pairs(connection: &rusqlite::Connection) -> rusqlite::Result<Pairs> {
    let mut names = Names::new(connection)?;
    let mut pairs = Pairs::new();
    let sql = "SELECT caller, vendor, credential, sum(calls), min(first_seen), max(last_seen) FROM usage GROUP BY caller, vendor, credential";
    each(connection, sql, |row| {
        let credential = names.text(row.get(2)?)?;
        if credential.is_empty() || credential == super::MORE {
            return Ok(());
        }
        let pair = (names.text(row.get(0)?)?, names.text(row.get(1)?)?);
        let (calls, first_seen, last_seen) = (row.get(3)?, row.get(4)?, row.get(5)?);
        pairs.entry(pair).or_default().push(Use { credential, calls, first_seen, last_seen });
        Ok(())
    })?;
    for uses in pairs.values_mut() {
        uses.sort_by(|a, b| (a.first_seen, &a.credential).cmp(&(b.first_seen, &b.credential)));
    }
    Ok(pairs)
}

/// Which of a pair's credentials takes the place of which.
fn rotations_of<'a>(pair: &'a (String, String), uses: &'a [Use], limits: &RotationLimits) -> Vec<Rotation<'a>> {
    let grace = limits.grace_hours * DAY / 24;
    let mut found = Vec::new();
    for (at, old) in uses.iter().enumerate() {
        // One that was used for less than a day is no key that anybody rotates: a token of an hour, or a guess.
        if old.last_seen - old.first_seen < DAY {
            continue;
        }
        let follows = |new: &&Use| {
            let comes = old.first_seen + DAY..=old.last_seen + MAX_GAP;
            // In use as long as the old one, but for a day: which of the two made the last call of all says nothing.
            comes.contains(&new.first_seen) && new.last_seen + DAY >= old.last_seen
        };
        if let Some(new) = uses[at + 1..].iter().find(follows) {
            // Out: the pair went on without it for a while, or it ended before the new one came.
            let is_done = old.last_seen < new.first_seen || new.last_seen - old.last_seen >= grace;
            found.push(Rotation { pair, old, new, is_done });
        }
    }
    found
}

/// Where each credential of these pairs stands.
pub(super) fn states_of(pairs: &Pairs, limits: &RotationLimits) -> HashMap<String, Standing> {
    /// What is known of a credential over all its pairs.
    #[derive(Default)]
    struct Known {
        first_seen: Option<i64>,
        last_seen: i64,
        pairs: usize,
        followed: usize,
        done: usize,
        follows: bool,
    }
    let mut known: HashMap<&str, Known> = HashMap::new();
    let newest = pairs.values().flatten().map(|used| used.last_seen).max().unwrap_or_default();
    for (pair, uses) in pairs {
        for used in uses {
            let of_one = known.entry(&used.credential).or_default();
            of_one.first_seen = Some(of_one.first_seen.map_or(used.first_seen, |first| first.min(used.first_seen)));
            of_one.last_seen = of_one.last_seen.max(used.last_seen);
            of_one.pairs += 1;
        }
        for rotation in rotations_of(pair, uses, limits) {
            let old = known.entry(&rotation.old.credential).or_default();
            old.followed += 1;
            old.done += usize::from(rotation.is_done);
            known.entry(&rotation.new.credential).or_default().follows = true;
        }
    }
    let standing = |of_one: &Known| {
        let age_days = days(newest - of_one.first_seen.unwrap_or(newest));
        let state = if of_one.done == of_one.pairs {
            CredentialState::Replaced
        } else if days(newest - of_one.last_seen) >= limits.idle_days {
            CredentialState::Idle
        } else if of_one.followed > 0 {
            CredentialState::StillUsed
        } else if age_days > limits.max_age_days {
            CredentialState::Overdue
        } else if of_one.follows {
            CredentialState::Rotated
        } else {
            CredentialState::NeverRotated
        };
        Standing { state, age_days }
    };
    known.iter().map(|(credential, of_one)| ((*credential).to_owned(), standing(of_one))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Uses as `caller vendor credential first last`, in days.
    fn states_by(text: &str) -> Vec<String> {
        let mut pairs = Pairs::new();
        for line in text.lines() {
            let words: Vec<_> = line.split_whitespace().collect();
            let day = |at: usize| (words[at].parse::<f64>().unwrap() * DAY as f64) as i64;
            let used = Use { credential: words[2].into(), calls: 1, first_seen: day(3), last_seen: day(4) };
            pairs.entry((words[0].into(), words[1].into())).or_default().push(used);
        }
        for uses in pairs.values_mut() {
            uses.sort_by_key(|used| used.first_seen);
        }
        let states = states_of(&pairs, &RotationLimits::default());
        let mut states: Vec<_> = states.iter().map(|(key, known)| format!("{key} {}", known.state.as_str())).collect();
        states.sort();
        states
    }

    #[test]
    fn a_new_key_in_and_the_old_one_out_is_a_rotation_with_or_without_overlap() {
        assert_eq!(states_by("crm stripe a 0 20\ncrm stripe b 18 40"), ["a replaced", "b rotated"]);
        assert_eq!(states_by("crm stripe a 0 20\ncrm stripe b 20.1 20.2"), ["a replaced", "b rotated"]);
        assert_eq!(states_by("crm stripe a 0 39.9\ncrm stripe b 18 40"), ["a still_used", "b rotated"]);
        assert_eq!(states_by("crm stripe a 0 40\ncrm stripe b 18 39.9"), ["a still_used", "b rotated"]);
    }

    #[test]
    fn a_rotation_in_stages_is_done_when_the_last_caller_has_changed() {
        let staged = "crm stripe a 0 20\ncrm stripe b 20 40\nweb stripe a 0 LAST\nweb stripe b 30 40";
        assert_eq!(states_by(&staged.replace("LAST", "31")), ["a replaced", "b rotated"]);
        assert_eq!(states_by(&staged.replace("LAST", "40")), ["a still_used", "b rotated"]);
        assert_eq!(
            states_by("crm stripe a 0 20\ncrm stripe b 20 40\nweb stripe a 0 40"),
            ["a still_used", "b rotated"]
        );
    }

    #[test]
    fn two_keys_side_by_side_are_no_rotation_and_old_ones_are_overdue_or_idle() {
        assert_eq!(states_by("crm stripe a 0 40\ncrm stripe b 0.3 40"), ["a never_rotated", "b never_rotated"]);
        assert_eq!(states_by("crm stripe a 0 120\ncrm adyen b 0 40"), ["a overdue", "b idle"]);
    }

    #[test]
    fn guesses_and_short_tokens_that_follow_each_other_are_no_rotations() {
        let guesses: Vec<_> =
            (0..50).map(|n| format!("web auth0 g{n:02} {0} {0}", 10.0 + f64::from(n) / 100.0)).collect();
        let states = states_by(&format!("web auth0 a 0 20\n{}", guesses.join("\n")));
        assert!(states.len() == 51 && states.iter().all(|state| state.ends_with("never_rotated")), "{states:?}");
    }

    #[test]
    fn two_hundred_rotations_are_all_recognised() {
        for n in 0..200 {
            // With an overlap of up to 13 days, or a gap of up to 6.
            let (old_ends, new_begins) = (36.0 + f64::from(n % 20) * 0.7, 36.0 + f64::from(n % 7));
            let text =
                format!("crm stripe a 0 {old_ends}\ncrm stripe b {new_begins} {}", old_ends.max(new_begins) + 5.0);
            assert_eq!(states_by(&text), ["a replaced", "b rotated"], "{text}");
        }
    }
}
