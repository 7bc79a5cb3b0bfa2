//! How often principals show each class of marks: by role, and each principal by itself.
//!
//! Gamma-Poisson rates (Gelman et al., Bayesian Data Analysis, 2013, section 2.6): `rate = (n + 10 prior) / (T + 10)` a day for a
//! role, n being the principal-days of T days that showed the class; a principal's own rate is shrunk to its share of that. So an
//! engineer who does something new every day is no surprise, and a service that never did is.
//!
//! Not here: the priors (`marks`), and what a rare mark means (`evidence`).

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::{Class, Principal, Role};

/// Weight of the prior in a role's rate, and of the role's rate in a principal's own, in days.
const PRIOR_DAYS: f64 = 10.0;
const OWN_DAYS: f64 = 10.0;

/// Principal-days that showed each class.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Rates {
    /// Number of days looked at.
    days: usize,
    /// Principals and days (since the epoch) that showed each class.
    shown: BTreeMap<Class, BTreeSet<(Principal, i64)>>,
    /// Number of principals of each role.
    principals: BTreeMap<Role, usize>,
}

impl Rates {
    /// Learns from the classes that were `shown` by principals on days since the epoch (n_marks, any order), of `days` that were looked at, and
    /// from the role of each principal (n_principals).
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

    /// Chance, 0 to 1, that a principal shows a class on a day; a day (since the epoch) of the history is left out of what judges it.
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::calls::StepClass;
    use crate::models::audit::Group;

    fn principal(name: &str) -> Principal {
        Principal { vendor: "aws".into(), account: "".into(), name: name.into() }
    }

    const WRITE: Class = Class { group: Group::Operation, grade: 0, step: Some(StepClass::Write), role: Role::Service };

    /// Thirty days in which one of ten services did something new every day.
    fn rates() -> Rates {
        let explorer = |day| (WRITE, principal("explorer"), day);
        Rates::fit(30, (0..30).map(explorer), [Role::Service; 10])
    }

    #[test]
    fn who_explores_daily_is_no_surprise_and_who_never_did_is() {
        let rates = rates();
        let (explorer, other) =
            (rates.p(&principal("explorer"), WRITE, None), rates.p(&principal("other"), WRITE, None));
        assert!(explorer > 0.5 && other < 0.05, "{explorer} {other}");
        assert!(other > 0.0, "never impossible");
    }

    #[test]
    fn without_a_history_the_prior_is_shared_by_the_role() {
        let p = Rates::default().p(&principal("other"), WRITE, None);
        assert!((p - (1.0 - (-WRITE.prior()).exp())).abs() < 1e-12, "{p}");
        let shared = Rates::fit(0, [], [Role::Service; 10]).p(&principal("other"), WRITE, None);
        assert!((shared - (1.0 - (-WRITE.prior() / 10.0).exp())).abs() < 1e-12, "{shared}");
    }

    #[test]
    fn a_day_does_not_vouch_for_itself() {
        let once = Rates::fit(30, [(WRITE, principal("once"), 3)], [Role::Service; 10]);
        let (with, without) = (once.p(&principal("once"), WRITE, None), once.p(&principal("once"), WRITE, Some(3)));
        assert!(without < with, "{without} {with}");
        assert!(once.p(&principal("once"), WRITE, Some(4)) > with, "a day less of the same count");
    }

    #[test]
    fn the_same_day_counts_once_however_often_it_showed_a_class() {
        let twice = Rates::fit(30, [(WRITE, principal("once"), 3), (WRITE, principal("once"), 3)], [Role::Service; 10]);
        let once = Rates::fit(30, [(WRITE, principal("once"), 3)], [Role::Service; 10]);
        assert_eq!(twice.p(&principal("once"), WRITE, None), once.p(&principal("once"), WRITE, None));
    }
}
