//! How steps follow one another: a Markov chain over classes of step.
//!
//! A person lists, then reads; a deployment reads, then writes. A thief asks who he is, lists, and then takes. The chance of
//! a class after another is a principal's own, shrunk to its role's, to the company's, to even chances.
//!
//! Source: variable-order Markov models of intrusion (Ju and Vardi 1999), at first order: counts are few.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{Principal, Role};
use crate::calls::StepClass;

/// Weight, in transitions, of the level above; of even chances.
const WEIGHT: f64 = 20.0;
const EVEN_WEIGHT: f64 = 5.0;
/// A transition adds what its `-ln p` is above this.
const USUAL: f64 = 3.0;

type Row = [u32; StepClass::ALL.len()];

/// Transitions counted.
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

    /// What a transition adds to the surprise of an hour: `-ln p` above the usual, at least 0.
    pub fn surprise(&self, principal: &Principal, role: Role, from: StepClass, to: StepClass) -> f64 {
        let shrunk = |row: Option<&Row>, above: f64, weight: f64| {
            let (seen, all) = row.map_or((0, 0), |row| (row[to as usize], row.iter().sum()));
            (f64::from(seen) + weight * above) / (f64::from(all) + weight)
        };
        let even = 1.0 / StepClass::ALL.len() as f64;
        let company = shrunk(self.company.get(&from), even, EVEN_WEIGHT);
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
        let backup = Principal { vendor: "aws".to_owned(), name: "backup".to_owned() };
        for _ in 0..500 {
            sequence.add(&backup, Role::Service, StepClass::List, StepClass::Bulk);
            sequence.add(&backup, Role::Service, StepClass::Bulk, StepClass::Delete);
        }
        assert_eq!(sequence.surprise(&backup, Role::Service, StepClass::List, StepClass::Bulk), 0.0);
        assert!(sequence.surprise(&backup, Role::Service, StepClass::List, StepClass::Share) > 3.0);
        let stranger = Principal { name: "stranger".to_owned(), ..backup };
        let of_stranger = sequence.surprise(&stranger, Role::Service, StepClass::List, StepClass::Bulk);
        assert_eq!(of_stranger, 0.0, "its role does so");
    }
}
