//! How often principals show each class of marks: per role, and each one's own.
//!
//! `rate = (n + 10 prior) / (T + 10)` a day for a role, n principal-days that showed it of T days; a principal's own rate is
//! shrunk to its share of that: who explores daily surprises nobody, a service that never did does.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::{Class, Principal, Role};

/// Weight of a prior rate, and of the role's rate in a principal's own, in days.
const PRIOR_DAYS: f64 = 10.0;
const OWN_DAYS: f64 = 10.0;

/// Principal-days that showed each class.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Rates {
    days: usize,
    shown: BTreeMap<Class, BTreeSet<(Principal, i64)>>,
    principals: BTreeMap<Role, usize>,
}

impl Rates {
    /// Learns from the classes that principals showed on days, of `days` that were looked at.
    pub fn fit(
        days: usize,
        shown: impl IntoIterator<Item = (Class, Principal, i64)>,
        roles: impl IntoIterator<Item = Role>,
    ) -> Self {
        let mut rates = Self { days, ..Self::default() };
        for (class, principal, day) in shown {
            rates.shown.entry(class).or_default().insert((principal, day));
        }
        for role in roles {
            *rates.principals.entry(role).or_default() += 1;
        }
        rates
    }

    /// The chance that a principal shows a class on a day; a day of the history is left out of what judges it.
    pub fn p(&self, principal: &Principal, class: Class, left_out: Option<i64>) -> f64 {
        let empty = BTreeSet::new();
        let shown = self.shown.get(&class).unwrap_or(&empty);
        let counts = |day: &i64| Some(*day) != left_out;
        let all = shown.iter().filter(|(_, day)| counts(day)).count() as f64;
        let range = (principal.clone(), i64::MIN)..=(principal.clone(), i64::MAX);
        let own = shown.range(range).filter(|(_, day)| counts(day)).count() as f64;
        let days = self.days as f64 - f64::from(u8::from(left_out.is_some()));
        let rate = (all + PRIOR_DAYS * class.prior()) / (days + PRIOR_DAYS);
        let of_role = self.principals.get(&class.role).copied().unwrap_or_default().max(1) as f64;
        let own_rate = (own + OWN_DAYS * rate / of_role) / (days + OWN_DAYS);
        -(-own_rate).exp_m1()
    }
}
