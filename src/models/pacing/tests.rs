//! Pacing of simulated worlds whose rates are wrong in every way that we could think of.
//!
//! A world offers candidates of six kinds, by a Poisson process. Each has a level: the multiplier from which it pages. Rates that hold are a
//! level that is uniform; a world may be wrong by a factor, bend (many far below their threshold), shift, or come in bursts.

use proptest::prelude::*;
use rand::{Rng, SeedableRng};
use rand_xoshiro::Xoshiro256PlusPlus;

use super::*;

/// Shares of the budget, as those of a view.
const SHARES: [f64; 6] = [0.55, 0.20, 0.10, 0.05, 0.05, 0.05];
const BUDGETS: [f64; 4] = [0.2, 1.0, 5.0, 20.0];
const DAYS: i64 = 45;

/// How many candidates a kind offers, over what its share says, on a day (with its fraction); and by which power of the multiplier
/// that grows: 1 where rates hold.
type World = fn(usize, f64) -> (f64, f64);

/// Worlds that offer enough to page as often as was asked.
const WORLDS: [(&str, World); 10] = [
    ("rates hold", |_, _| (1.0, 1.0)),
    ("a tenth", |_, _| (0.1, 1.0)),
    ("a third", |_, _| (0.3, 1.0)),
    ("three times", |_, _| (3.0, 1.0)),
    ("ten times", |_, _| (10.0, 1.0)),
    ("twenty times", |_, _| (20.0, 1.0)),
    ("a heavy tail", |_, _| (1.0, 0.4)),
    ("office hours", |_, day| (if day % 7.0 < 5.0 && (0.35..0.75).contains(&day.fract()) { 3.0 } else { 0.2 }, 1.0)),
    ("bursts", |_, day| (if day % 4.0 < 0.1 { 40.0 } else { 0.5 }, 1.0)),
    ("one kind twenty times", |kind, _| (if kind == 1 { 20.0 } else { 0.5 }, 1.0)),
];

/// Worlds in which all kinds flood at once, on a day of its own or for ever, with what pages at a tenth too.
const FLOODS: [(&str, World); 3] = [
    ("fifty times from one day to the next", |_, day| (if day < 15.0 { 0.2 } else { 10.0 }, 1.0)),
    ("a flood of the rarest", |_, _| (20.0, 0.15)),
    ("a quiet month and a flood", |_, day| (if day < 30.0 { 0.0 } else { 200.0 }, 0.2)),
];

/// Minutes at which a world's candidates page, by kind.
fn pages(world: World, budget: f64, seed: u64) -> Vec<(i64, usize)> {
    let mut rng = Xoshiro256PlusPlus::seed_from_u64(seed);
    let mut pacer = Pacer::default();
    pacer.ask(SHARES.iter().enumerate().map(|(kind, share)| (kind, share * budget)));
    let mut pages = Vec::new();
    for minute in 0..DAYS * MINUTES_A_DAY {
        pacer.advance(minute * MICROS_A_MINUTE);
        for (kind, share) in SHARES.iter().enumerate() {
            let (times, power) = world(kind, minute as f64 / MINUTES_A_DAY as f64);
            let expected = times * share * budget * MAX_LOOSENING.powf(power) / MINUTES_A_DAY as f64;
            // A Poisson count, by waiting times.
            let mut waited = -rng.r#gen::<f64>().ln();
            while waited < expected {
                waited -= rng.r#gen::<f64>().ln();
                let level = MAX_LOOSENING * rng.r#gen::<f64>().powf(1.0 / power);
                if level <= pacer.multiplier(kind) && !pacer.is_overdrawn(kind) {
                    pacer.page(kind, level > 1.0 / MAX_TIGHTENING);
                    pages.push((minute, kind));
                }
            }
        }
    }
    pages
}

/// The most pages within so many days, from a day on.
fn most_within(pages: &[(i64, usize)], days: i64, from_day: i64) -> usize {
    let times: Vec<i64> =
        pages.iter().map(|(minute, _)| *minute).filter(|at| *at >= from_day * MINUTES_A_DAY).collect();
    let within = |(index, from): (usize, &i64)| times[index..].partition_point(|at| at - from < days * MINUTES_A_DAY);
    times.iter().enumerate().map(within).max().unwrap_or_default()
}

/// Pages of the thirty days from the tenth on.
fn month(pages: &[(i64, usize)]) -> usize {
    let days = 10 * MINUTES_A_DAY..40 * MINUTES_A_DAY;
    pages.iter().filter(|(minute, _)| days.contains(minute)).count()
}

#[test]
fn from_the_third_day_no_week_brings_more_than_is_asked_and_in_the_reserve_and_the_debts_whatever_floods() {
    for (name, world) in WORLDS.into_iter().chain(FLOODS) {
        for budget in BUDGETS {
            for seed in 0..3 {
                let most = most_within(&pages(world, budget, seed), 7, GRACE);
                let reserve = (NEUTRAL_DAYS * budget) + (LOOSENING_DAYS * budget).max(MIN_LOOSENING);
                let debt = |share: &f64| (Pace::of(share * budget).limit + PAGE) as f64 / PAGE as f64;
                let at_most = 7.0 * budget + reserve + SHARES.iter().map(debt).sum::<f64>();
                assert!(at_most <= 14.5 * budget + 3.5 * SHARES.len() as f64, "as the header says");
                assert!(most as f64 <= at_most, "{name}, {budget} asked: {most} in a week");
            }
        }
    }
}

#[test]
fn from_the_third_day_no_week_of_a_page_a_day_or_more_brings_more_than_twice_what_was_asked_and_two_pages() {
    for (name, world) in WORLDS {
        for budget in BUDGETS.into_iter().filter(|budget| *budget >= 1.0) {
            for seed in 0..3 {
                let most = most_within(&pages(world, budget, seed), 7, 2) as f64;
                assert!(most <= 14.0 * budget + 2.0, "{name}, {budget} asked: {most} in a week");
            }
        }
    }
}

#[test]
fn where_the_world_offers_enough_a_month_brings_what_was_asked_within_a_quarter() {
    for (name, world) in WORLDS {
        for budget in BUDGETS.into_iter().filter(|budget| *budget >= 1.0) {
            let asked = 30.0 * budget;
            for seed in 0..3 {
                let kept = month(&pages(world, budget, seed)) as f64;
                // A quarter of thirty is a handful; one page is the least that anything can be off by.
                assert!(
                    (kept - asked).abs() <= 0.25 * asked + 1.0,
                    "{name}, {budget} asked: {kept} of {asked} in a month"
                );
            }
        }
    }
}

#[test]
fn of_a_page_in_five_days_a_month_brings_a_few_whatever_the_world() {
    for (name, world) in WORLDS {
        for seed in 0..3 {
            let kept = month(&pages(world, 0.2, seed));
            assert!((2..=24).contains(&kept), "{name}: {kept} of 6 in a month");
        }
    }
}

#[test]
fn a_kind_that_floods_takes_nothing_from_the_others() {
    let quiet: World = |kind, _| (if kind == 1 { 0.0 } else { 1.0 }, 1.0);
    let flooded: World = |kind, _| (if kind == 1 { 500.0 } else { 1.0 }, 1.0);
    let mut pacer = Pacer::default();
    pacer.ask(SHARES.iter().enumerate().map(|(kind, share)| (kind, *share)));
    pacer.advance(0);
    (0..50).for_each(|_| pacer.page(1, true));
    assert!((0..SHARES.len()).filter(|kind| *kind != 1).all(|kind| pacer.multiplier(kind) == 1.0));
    let of_others = |world| pages(world, 5.0, 1).iter().filter(|(_, kind)| *kind != 1).count() as f64;
    // They lose what the quiet one had lent them, and nothing of their own.
    assert!(
        of_others(flooded) >= 0.9 * of_others(quiet) * (1.0 - SHARES[1]),
        "{} {}",
        of_others(flooded),
        of_others(quiet)
    );
}

#[test]
fn what_would_page_at_a_tenth_of_the_budget_pages_whatever_has_paged_before() {
    let mut pacer = Pacer::default();
    pacer.ask([("tests", 0.01)]);
    pacer.advance(0);
    (0..1_000).for_each(|_| pacer.page("tests", true));
    assert!(pacer.is_overdrawn("tests"));
    assert!((pacer.multiplier("tests") * MAX_TIGHTENING - 1.0).abs() < 1e-12);
    pacer.advance(7 * MINUTES_A_DAY * MICROS_A_MINUTE);
    assert!(!pacer.is_overdrawn("tests"), "silence is not for sale");
}

#[test]
fn a_wave_of_what_pages_at_any_threshold_makes_none_stricter() {
    let mut pacer = Pacer::default();
    pacer.ask([("tests", 1.0)]);
    pacer.advance(0);
    (0..30).for_each(|_| pacer.page("tests", false));
    assert_eq!((pacer.multiplier("tests"), pacer.is_overdrawn("tests")), (1.0, true));
    pacer.page("tests", true);
    assert!(pacer.multiplier("tests") < 1.0);
}

#[test]
fn what_was_kept_is_counted_over_a_week_or_since_the_beginning() {
    let mut pacer = Pacer::default();
    pacer.ask([("tests", 2.0)]);
    let kept = |pacer: &Pacer<&str>| pacer.kept().map(|kept| (kept.asked.round(), kept.kept)).collect::<Vec<_>>();
    pacer.advance(0);
    (0..3).for_each(|_| pacer.page("tests", true));
    assert_eq!(kept(&pacer), [(2.0, 3.0)]);
    pacer.advance(2 * MINUTES_A_DAY * MICROS_A_MINUTE);
    assert_eq!(kept(&pacer), [(2.0, 1.0)]);
    pacer.advance(7 * MINUTES_A_DAY * MICROS_A_MINUTE);
    assert_eq!(kept(&pacer), [(2.0, 0.0)]);
}

#[test]
fn a_page_that_was_taken_back_leaves_no_trace() {
    let mut pacer = Pacer::default();
    pacer.ask([("tests", 1.0), ("silence", 0.1)]);
    pacer.advance(0);
    let untouched = pacer.clone();
    for pages in 1..4 {
        let (mut paged, mut not) = (untouched.clone(), untouched.clone());
        (0..pages).for_each(|_| paged.page("silence", true));
        (1..pages).for_each(|_| not.page("silence", true));
        [&mut paged, &mut not].into_iter().for_each(|pacer| pacer.advance(20 * MICROS_A_MINUTE));
        paged.refund("silence");
        let balances = |pacer: &Pacer<&'static str>| (pacer.debt("silence"), pacer.reserve);
        assert_eq!(balances(&paged), balances(&not), "{pages} pages");
    }
}

proptest! {
    #[test]
    fn balances_do_not_depend_on_how_often_they_are_brought_up_to_date(
        steps in proptest::collection::vec((0..5_000_i64, 0..3_usize), 1..30), splits in 1..7_i64, budget in 0.01..20.0
    ) {
        let mut once = Pacer::default();
        once.ask([(0, 0.7 * budget), (1, 0.3 * budget)]);
        once.advance(0);
        let mut often = once.clone();
        let mut minute = 0;
        for (pause, kind) in steps {
            for part in 0..=splits {
                often.advance((minute + pause * part / splits) * MICROS_A_MINUTE);
            }
            minute += pause;
            once.advance(minute * MICROS_A_MINUTE);
            if kind < 2 {
                once.page(kind, minute % 2 == 0);
                often.page(kind, minute % 2 == 0);
            }
        }
        prop_assert_eq!((&once.spent, once.reserve), (&often.spent, often.reserve));
    }
}
