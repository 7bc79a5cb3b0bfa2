//! Evidence: all that a principal showed within an hour, as one rate.
//!
//! At most one piece a group counts. Pieces are independent under the null, so the chance of their product follows the exact
//! law of a product of uniforms (Fisher 1925), paid for choosing the `m` smallest of `G` groups:
//! `p = min over m of C(G, m) Q(m, -ln prod)`, Q the upper incomplete gamma. Two short cuts need no second witness: the first
//! sensitive operation, and a machine's principal in a new network while the old one is still in use.
//!
//! Continuity alone never pages, and who has all of it right is judged only by what can harm: incident response, audits and
//! scripts of people end there.

use std::collections::BTreeMap;

use super::counts::Over;
use super::{Class, Group, Role, Tick};
use crate::calls::Name;
use crate::models::calibration::MIN_P;

/// Groups of evidence that are chosen from.
const GROUPS: u32 = 10;
/// A piece joins the product below this.
const PART: f64 = 0.2;
/// Tests are dependent: about so many independent ones of scale, and of novelty.
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
    /// Whether a window of a day says so, which says it again for a day.
    pub fn is_of_day(&self) -> bool {
        matches!(self, Self::Over(over) if over.test.over_day)
    }
}

/// Who is judged.
#[derive(Clone, Copy, Debug)]
pub struct Known {
    /// What it is.
    pub role: Role,
    /// Principals of the history.
    pub principals: usize,
}

/// What the hour means.
#[derive(Clone, Debug)]
pub struct Verdict {
    /// Alarms a day expected at this level, over all principals.
    pub rate: f64,
    /// Chance that a principal's day shows as much.
    pub p_value: f64,
    /// Whether it may page, if rare enough.
    pub may_page: bool,
    /// Pieces with their p-values, strongest first.
    pub evidence: Vec<(f64, Evidence)>,
}

/// Judges the ticks of a principal's last hour; `None` where it is no news. `chance` tells how often a class of marks is
/// shown, `over` are the counts over their expectation.
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
        *p = p.max(PART);
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
    let counted = || pieces.iter().filter(|(_, (p, _))| *p < PART).map(|(group, _)| *group);
    let behaves = counted().any(|group| !group.is_continuity() || (is_split && group == Group::Network));
    let may_page = behaves || counted().filter(|group| group.is_continuity()).count() >= 2;
    let mut evidence: Vec<(f64, Evidence)> = pieces.into_values().collect();
    evidence.sort_by(|a, b| a.0.total_cmp(&b.0));
    Some(Verdict { rate, p_value: p_value.min(1.0), may_page, evidence })
}

/// The chance that the smallest of some independent p-values multiply to as little as these.
pub fn at_most(p_values: impl Iterator<Item = f64>) -> f64 {
    let mut sorted: Vec<f64> = p_values.filter(|p| *p < PART).collect();
    sorted.sort_by(f64::total_cmp);
    let (mut best, mut sum, mut choices) = (1.0_f64, 0.0, 1.0);
    for (place, p) in (0..GROUPS).zip(sorted) {
        let m = place + 1;
        sum -= p.max(MIN_P).ln();
        choices *= f64::from(GROUPS - place) / f64::from(m);
        best = best.min(choices * upper_gamma(m, sum));
    }
    best
}

/// `Q(m, x) = e^-x (1 + x + … + x^(m-1)/(m-1)!)`, for whole m.
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
}
