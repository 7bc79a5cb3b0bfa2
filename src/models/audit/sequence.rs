//! How steps follow one another: a first-order Markov chain over the twelve classes of step.
//!
//! A person lists, then reads; a deployment reads, then writes; a thief checks the identity, lists, and then copies. The
//! probability of a transition is a principal's own, shrunk to its role's, to the company's, to the uniform distribution
//! (Dirichlet smoothing: MacKay & Peto, Natural Language Engineering 1, 1995). Markov chains of commands as models of an intruder:
//! Ju & Vardi, NISS technical report 92, 1999; at first order, as counts are few.
//!
//! Not here: which steps follow one another closely enough (`tick`).

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{Principal, Role};
use crate::calls::StepClass;

/// Weight of the level above, and of the uniform distribution, in transitions.
const WEIGHT: f64 = 20.0;
const UNIFORM_WEIGHT: f64 = 5.0;
/// Surprise of a usual transition, in nats: only what is above it counts.
const USUAL: f64 = 3.0;

/// Numbers of transitions to each class (12).
type Row = [u32; StepClass::ALL.len()];

/// Transitions, counted by the class that they start from.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Sequence {
    own: BTreeMap<(Principal, StepClass), Row>,
    role: BTreeMap<(Role, StepClass), Row>,
    company: BTreeMap<StepClass, Row>,
}

impl Sequence {
    /// Counts a transition of a principal.
    pub fn add(&mut self, principal: &Principal, role: Role, from: StepClass, to: StepClass) {
        let rows = [
            self.own.entry((principal.clone(), from)).or_default(),
            self.role.entry((role, from)).or_default(),
            self.company.entry(from).or_default(),
        ];
        for row in rows {
            row[to as usize] = row[to as usize].saturating_add(1);
        }
    }

    /// Surprise of a transition, in nats: `-ln p` above the usual, at least 0.
    pub fn surprise(&self, principal: &Principal, role: Role, from: StepClass, to: StepClass) -> f64 {
        let shrunk = |row: Option<&Row>, above: f64, weight: f64| {
            let (seen, all) = row.map_or((0, 0), |row| (row[to as usize], row.iter().sum()));
            (f64::from(seen) + weight * above) / (f64::from(all) + weight)
        };
        let uniform = 1.0 / StepClass::ALL.len() as f64;
        let company = shrunk(self.company.get(&from), uniform, UNIFORM_WEIGHT);
        let role = shrunk(self.role.get(&(role, from)), company, WEIGHT);
        let own = shrunk(self.own.get(&(principal.clone(), from)), role, WEIGHT);
        (-own.ln() - USUAL).max(0.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_that_never_followed_surprises_and_a_usual_one_does_not() {
        let mut sequence = Sequence::default();
        let backup = Principal { vendor: "aws".into(), account: "".into(), name: "backup".into() };
        for _ in 0..500 {
            sequence.add(&backup, Role::Service, StepClass::List, StepClass::Bulk);
            sequence.add(&backup, Role::Service, StepClass::Bulk, StepClass::Delete);
        }
        assert_eq!(sequence.surprise(&backup, Role::Service, StepClass::List, StepClass::Bulk), 0.0);
        assert!(sequence.surprise(&backup, Role::Service, StepClass::List, StepClass::Share) > 3.0);
        let stranger = Principal { name: "stranger".into(), ..backup };
        let of_stranger = sequence.surprise(&stranger, Role::Service, StepClass::List, StepClass::Bulk);
        assert_eq!(of_stranger, 0.0, "its role does so");
    }

    fn principal(name: &str) -> Principal {
        Principal { vendor: "aws".into(), account: "".into(), name: name.into() }
    }

    #[test]
    fn without_a_history_every_transition_is_usual() {
        // Twelve classes are ln 12 = 2.5 nats.
        for to in StepClass::ALL {
            assert_eq!(Sequence::default().surprise(&principal("a"), Role::Human, StepClass::Login, to), 0.0);
        }
    }

    #[test]
    fn the_more_often_a_transition_was_seen_the_less_it_surprises() {
        let mut sequence = Sequence::default();
        (0..1_000).for_each(|_| sequence.add(&principal("a"), Role::Service, StepClass::Read, StepClass::Write));
        let surprise =
            |sequence: &Sequence| sequence.surprise(&principal("a"), Role::Service, StepClass::Read, StepClass::Grant);
        let mut before = surprise(&sequence);
        assert!(before > 0.0);
        for _ in 0..20 {
            sequence.add(&principal("a"), Role::Service, StepClass::Read, StepClass::Grant);
            assert!(surprise(&sequence) <= before);
            before = surprise(&sequence);
        }
    }

    #[test]
    fn another_roles_habit_helps_less_than_ones_own() {
        let mut sequence = Sequence::default();
        (0..200).for_each(|_| sequence.add(&principal("a"), Role::Builder, StepClass::Read, StepClass::Delete));
        (0..200).for_each(|_| sequence.add(&principal("b"), Role::Service, StepClass::Read, StepClass::Write));
        let surprise = |role| sequence.surprise(&principal("new"), role, StepClass::Read, StepClass::Delete);
        assert!(surprise(Role::Builder) <= surprise(Role::Service));
    }
}
