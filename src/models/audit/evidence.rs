//! Evidence: all that a principal showed within an hour, as one rate.
//!
//! At most one piece per group counts. Groups are independent under the null hypothesis, so the product of their p-values has
//! the exact distribution of a product of uniforms (Fisher, Statistical Methods for Research Workers, 1925), with a Bonferroni
//! correction for choosing the `m` smallest of `G` groups (as the rank truncated product of Dudbridge & Koeleman, Genetic
//! Epidemiology 25, 2003, bounded): `p = min over m of C(G, m) Q(m, -ln product)`, Q the regularised upper incomplete gamma function
//! (Abramowitz & Stegun 6.5.13 for whole m). Two pieces need no second one: the first sensitive operation, and a machine's
//! principal in a new network while the old one is still in use.
//!
//! Continuity (network, client, console) alone never pages, and a person whose network, client and console are all known is
//! judged only by what can harm: that is where incident response, audits and ad-hoc scripts end.
//!
//! Not here: which threshold a rate is compared with (`Audit::threshold`), nor words (`detect`).

use std::collections::BTreeMap;

use super::counts::Over;
use super::{Class, Group, Role, Tick};
use crate::calls::Name;
use crate::models::calibration::MIN_P;

/// Number of groups of evidence that are chosen from.
const GROUPS: u32 = 10;
/// P-value below which a piece joins the product.
const MAX_PIECE_P: f64 = 0.2;
/// Tests are dependent: they amount to about so many independent ones of scale, and of novelty.
const SCALE_TESTS: f64 = 10.0;
const NOVELTY_TESTS: f64 = 3.0;

/// One piece of evidence.
#[derive(Clone, Debug)]
pub enum Evidence {
    /// A novelty: its class, the new thing and the operation that showed it.
    Mark(Class, String, Name),
    /// A count over its expectation.
    Over(Over),
}

impl Evidence {
    /// Whether it is of the trailing day, and so returns bucket after bucket for a day.
    pub fn is_of_day(&self) -> bool {
        matches!(self, Self::Over(over) if over.test.over_day)
    }
}

/// Who is judged.
#[derive(Clone, Copy, Debug)]
pub struct Known {
    /// What it is.
    pub role: Role,
    /// Number of principals of the history.
    pub principals: usize,
}

/// What the hour means.
#[derive(Clone, Debug)]
pub struct Verdict {
    /// Alarms a day that are expected at this level, over all principals.
    pub rate: f64,
    /// Chance, 0 to 1, that a principal's day shows as much.
    pub p_value: f64,
    /// Whether it may page, if rare enough.
    pub may_page: bool,
    /// Pieces (n_groups) with their p-values, the smallest first.
    pub evidence: Vec<(f64, Evidence)>,
}

/// Judges the ticks of a principal's last hour; `None` where an alarm a day or more is expected at that level. `chance` gives the
/// chance, 0 to 1, that a principal shows a class of marks on a day; `over` (n_counts) are the counts over their expectation.
pub fn judge<'a>(
    hour: impl Iterator<Item = &'a Tick> + Clone,
    known: Known,
    chance: impl Fn(Class) -> f64,
    over: Vec<Over>,
) -> Option<Verdict> {
    let Known { role, principals } = known;
    let mut pieces: BTreeMap<Group, (f64, Evidence)> = BTreeMap::new();
    for mark in hour.clone().flat_map(|tick| &tick.marks) {
        let p = chance(mark.class);
        if pieces.get(&mark.class.group).is_none_or(|(best, _)| p < *best) {
            let evidence = Evidence::Mark(mark.class, mark.detail.clone(), mark.operation.clone());
            pieces.insert(mark.class.group, (p, evidence));
        }
    }
    let has = |group: Group| pieces.contains_key(&group);
    let is_moved = has(Group::Network) || has(Group::Client);
    let is_split = has(Group::Network) && hour.clone().any(|tick| tick.is_at_home) && role != Role::Human;
    let has_alibi = role == Role::Human && !is_moved && !has(Group::Mode);
    let builds = role == Role::Builder && !is_moved;
    let counts = |over: &Over| (!has_alibi || over.test.harms) && (!builds || over.test.harms_by_builder);
    let (novelty, scale): (Vec<Over>, Vec<Over>) =
        over.into_iter().filter(counts).partition(|over| over.test.is_novelty);
    let strongest = |of: Vec<Over>, tests: f64| {
        let least = of.into_iter().min_by(|a, b| a.p.total_cmp(&b.p))?;
        Some(((tests * least.p).min(1.0), Evidence::Over(least)))
    };
    if let Some(piece) = strongest(scale, SCALE_TESTS) {
        pieces.insert(Group::Count, piece);
    }
    let is_sensitive = hour.clone().any(|tick| tick.is_sensitive_first);
    if let Some((p, _)) = pieces.get_mut(&Group::Operation).filter(|_| (has_alibi || builds) && !is_sensitive) {
        *p = p.max(MAX_PIECE_P);
    }
    let first = pieces.get(&Group::Operation).map(|(p, _)| *p);
    if let Some((p, evidence)) = strongest(novelty, NOVELTY_TESTS).filter(|(p, _)| *p < 2.0 * first.unwrap_or(1.0)) {
        let p = if first.is_some() { (2.0 * p).min(1.0) } else { p };
        pieces.insert(Group::Operation, (p, evidence));
    }
    let mut p_value = at_most(pieces.values().map(|(p, _)| *p));
    if let Some(first) = first.filter(|_| is_sensitive) {
        p_value = p_value.min(2.0 * first);
    }
    if let Some((p, _)) = pieces.get(&Group::Network).filter(|_| is_split) {
        p_value = p_value.min(2.0 * p);
    }
    let rate = principals as f64 * p_value;
    if rate >= 1.0 {
        return None;
    }
    let counted = || pieces.iter().filter(|(_, (p, _))| *p < MAX_PIECE_P).map(|(group, _)| *group);
    let behaves = counted().any(|group| !group.is_continuity() || (is_split && group == Group::Network));
    let may_page = behaves || counted().filter(|group| group.is_continuity()).count() >= 2;
    let mut evidence: Vec<(f64, Evidence)> = pieces.into_values().collect();
    evidence.sort_by(|a, b| a.0.total_cmp(&b.0));
    Some(Verdict { rate, p_value: p_value.min(1.0), may_page, evidence })
}

/// Chance, 0 to 1, that the smallest of ten independent p-values have as small a product as these (n_pieces, any order).
pub fn at_most(p_values: impl Iterator<Item = f64>) -> f64 {
    let mut sorted: Vec<f64> = p_values.filter(|p| *p < MAX_PIECE_P).collect();
    sorted.sort_by(f64::total_cmp);
    let (mut best, mut sum, mut choices) = (1.0_f64, 0.0, 1.0);
    for (index, p) in (0..GROUPS).zip(sorted) {
        let m = index + 1;
        sum -= p.max(MIN_P).ln();
        choices *= f64::from(GROUPS - index) / f64::from(m);
        best = best.min(choices * upper_gamma(m, sum));
    }
    best
}

/// `Q(m, x) = e^-x (1 + x + … + x^(m-1)/(m-1)!)`, for whole m: 0 to 1.
fn upper_gamma(m: u32, x: f64) -> f64 {
    let (mut term, mut sum) = (1.0, 1.0);
    for step in 1..m {
        term *= x / f64::from(step);
        sum += term;
    }
    (sum.ln() - x).exp()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_law_of_products_is_that_of_fisher() {
        // One p of ten groups is paid ten times; three weak ones together are more than any of them.
        assert!((at_most([1e-4].into_iter()) - 1e-3).abs() < 1e-12);
        assert!(at_most([0.01, 0.01, 0.01].into_iter()) < 0.02);
        assert_eq!(at_most([0.5, 0.9].into_iter()), 1.0);
        // P(product of two uniforms <= x) = x (1 - ln x).
        assert!((upper_gamma(2, 3.0) - (-3.0_f64).exp() * 4.0).abs() < 1e-12);
    }

    use std::collections::BTreeSet;

    use crate::calls::StepClass;
    use crate::models::audit::{Mark, TESTS};

    fn mark(group: Group, grade: u8, step: Option<StepClass>, role: Role) -> Mark {
        let class = Class { group, grade, step, role };
        Mark { class, detail: "new".to_owned(), operation: "iam:CreateUser".into() }
    }

    fn tick(marks: Vec<Mark>) -> Tick {
        Tick { marks, operations: BTreeSet::new(), ..Tick::default() }
    }

    fn over(name: &str, p: f64) -> Over {
        let test = TESTS.iter().find(|test| test.name == name).unwrap();
        Over { test, seen: 100.0, usual: 1.0, p }
    }

    /// The verdict of ten principals' history on a tick, each mark with the same p-value.
    fn verdict(role: Role, tick: &Tick, p: f64, over: Vec<Over>) -> Option<Verdict> {
        judge(std::iter::once(tick), Known { role, principals: 10 }, |_| p, over)
    }

    #[test]
    fn a_smaller_piece_never_makes_the_whole_more_likely() {
        for other in [1e-6, 0.01, 0.19, 0.3] {
            let whole = |p: f64| at_most([p, other, 0.05].into_iter());
            let all: Vec<f64> = (0..60).map(|step| whole(10.0_f64.powf(-f64::from(step) / 10.0))).collect();
            assert!(all.is_sorted_by(|a, b| *a >= b - 1e-15), "{other}");
        }
    }

    #[test]
    fn independent_groups_page_no_more_often_than_they_say() {
        use rand::{Rng, SeedableRng};
        let mut random = rand_xoshiro::Xoshiro256PlusPlus::seed_from_u64(7);
        let trials = 20_000;
        let mut draw = || at_most((0..GROUPS).map(|_| random.r#gen::<f64>()).collect::<Vec<_>>().into_iter());
        let whole: Vec<f64> = (0..trials).map(|_| draw()).collect();
        for level in [0.1, 0.01, 0.001] {
            let share = whole.iter().filter(|p| **p <= level).count() as f64 / f64::from(trials);
            // The smallest over m is not corrected for choosing m: hence up to twice the level.
            assert!(share <= 2.0 * level, "{share} at {level}");
        }
    }

    #[test]
    fn of_a_group_only_the_rarest_piece_counts() {
        let once = tick(vec![mark(Group::Operation, 0, Some(StepClass::Write), Role::Service)]);
        let twice = tick(vec![once.marks[0].clone(), mark(Group::Operation, 2, Some(StepClass::Write), Role::Service)]);
        let of = |tick: &Tick| verdict(Role::Service, tick, 1e-4, Vec::new()).unwrap();
        assert_eq!((of(&once).p_value, of(&twice).evidence.len()), (of(&twice).p_value, 1));
    }

    #[test]
    fn one_mark_of_continuity_never_pages_and_two_may() {
        let network = mark(Group::Network, 1, None, Role::Service);
        let moved = verdict(Role::Service, &tick(vec![network.clone()]), 1e-6, Vec::new()).unwrap();
        assert!(!moved.may_page && moved.rate < 1e-3, "{moved:?}");
        let client = mark(Group::Client, 1, None, Role::Service);
        assert!(verdict(Role::Service, &tick(vec![network, client]), 1e-6, Vec::new()).unwrap().may_page);
    }

    #[test]
    fn a_machine_in_two_networks_at_once_pages_and_a_person_does_not() {
        let split = |role| Tick { is_at_home: true, ..tick(vec![mark(Group::Network, 1, None, role)]) };
        assert!(verdict(Role::Service, &split(Role::Service), 1e-6, Vec::new()).unwrap().may_page);
        assert!(!verdict(Role::Human, &split(Role::Human), 1e-6, Vec::new()).unwrap().may_page);
    }

    #[test]
    fn a_person_with_an_alibi_is_judged_only_by_what_can_harm() {
        let nothing = tick(Vec::new());
        assert!(verdict(Role::Human, &nothing, 1.0, vec![over("list_operations", 1e-9)]).is_none());
        assert!(verdict(Role::Service, &nothing, 1.0, vec![over("list_operations", 1e-9)]).is_some());
        assert!(verdict(Role::Human, &nothing, 1.0, vec![over("secret_operations", 1e-9)]).is_some());
    }

    #[test]
    fn what_is_expected_once_a_day_is_no_verdict() {
        let common = tick(vec![mark(Group::Operation, 0, Some(StepClass::Read), Role::Service)]);
        assert!(verdict(Role::Service, &common, 0.2, Vec::new()).is_none());
        assert!(verdict(Role::Service, &tick(Vec::new()), 1.0, Vec::new()).is_none());
    }
}
