//! Evidence in words: what was seen and what is usual, with their units.

use super::Contribution;
use crate::features::{Account, WINDOWS};
use crate::models::baseline::Verdict;
use crate::models::expectation::{Expectations, Expected};
use crate::models::first_sight::{SIGHTS, Sight};
use crate::models::fitness::Misfit;
use crate::models::leak::Leak;
use crate::models::statistic::{Kind, statistic_named};
use crate::rollup::{BUCKET_SECONDS, QUANTITIES};

/// A number of bytes, in words.
pub fn in_bytes(bytes: f64) -> String {
    let units = [(1e12, "TB"), (1e9, "GB"), (1e6, "MB"), (1e3, "kB")];
    match units.into_iter().find(|(size, _)| bytes >= *size) {
        Some((size, unit)) => format!("{} {unit}", in_numbers(bytes / size)),
        None => format!("{bytes:.0} bytes"),
    }
}

/// A number with three significant digits where it is small.
pub fn in_numbers(number: f64) -> String {
    match number.abs() {
        0.0 => "0".to_owned(),
        below if below < 0.01 => "under 0.01".to_owned(),
        below if below < 10.0 => format!("{number:.2}").trim_end_matches('0').trim_end_matches('.').to_owned(),
        below if below < 100.0 => format!("{number:.1}").trim_end_matches(".0").to_owned(),
        _ => format!("{number:.0}"),
    }
}

fn in_quantity(quantity: usize, value: f64) -> String {
    match QUANTITIES[quantity] {
        "latency" if value >= 1_000.0 => format!("{} s", in_numbers(value / 1_000.0)),
        "latency" => format!("{} ms", in_numbers(value)),
        _ => in_bytes(value),
    }
}

/// What is usual for the calls that an account made over a window: mean and deviation of `ln(1 + x)`, by its endpoints.
fn usual_call(account: &Account, expectations: &Expectations, window: usize, quantity: usize) -> (f64, f64) {
    let entity = &account.entity;
    let expected = |endpoint: &str| -> Expected {
        expectations.get(entity.direction.as_str(), &entity.caller, &entity.vendor, endpoint)
    };
    let (mut calls, mut mean, mut deviation) = (0.0, 0.0, 0.0);
    for (endpoint, series) in &account.endpoints {
        let (expected, weight) = (expected(endpoint), series.count(window) as f64);
        calls += weight;
        mean += weight * expected.mean[quantity];
        deviation += weight * expected.deviation[quantity];
    }
    if calls > 0.0 {
        return (mean / calls, deviation / calls);
    }
    let all = expected(&entity.part);
    (all.mean[quantity], all.deviation[quantity])
}

/// A verdict in words.
pub fn contribution(account: &Account, verdict: &Verdict, expectations: &Expectations) -> Contribution {
    let (statistic, seen) = (verdict.test.statistic(), verdict.seen);
    let quantity = QUANTITIES.iter().position(|quantity| statistic.name.starts_with(quantity));
    let of_calls = |count: f64| format!("{} {}", in_numbers(count), statistic.says);
    let (observed, baseline) = match (statistic.kind, quantity) {
        (Kind::Mean(..), Some(quantity)) => {
            let (mean, deviation) = usual_call(account, expectations, verdict.test.window, quantity);
            let shifted = mean + seen.effect(statistic.kind) * deviation;
            let words = |ln: f64| format!("about {} a call", in_quantity(quantity, ln.exp_m1().max(0.0)));
            (words(shifted), words(mean))
        }
        (Kind::Largest(..), Some(quantity)) => {
            let (mean, _) = usual_call(account, expectations, verdict.test.window, quantity);
            let usual = in_quantity(quantity, mean.exp_m1().max(0.0));
            (format!("{} in one call", in_bytes(seen.bytes as f64)), format!("about {usual} a call"))
        }
        (Kind::Mix, _) => {
            let endpoint = verdict.endpoint.as_deref().unwrap_or("one endpoint");
            (
                format!("{} calls of {endpoint}", in_numbers(seen.observed)),
                format!("{} calls", in_numbers(seen.against)),
            )
        }
        _ => (of_calls(seen.observed), of_calls(seen.against)),
    };
    Contribution {
        name: statistic.name.to_owned(),
        window: WINDOWS[verdict.test.window].name.to_owned(),
        observed,
        baseline,
        p_value: verdict.p_value,
    }
}

/// A first sight in words; `rate` is how often a day its class is expected.
pub fn sight_contribution(sight: &Sight, rate: f64) -> Contribution {
    let says = SIGHTS.iter().find(|class| class.name == sight.class).map_or(sight.class, |class| class.says);
    Contribution {
        name: sight.class.to_owned(),
        window: String::new(),
        observed: format!("{says}: {}", sight.detail),
        baseline: format!("expected {} times a day", in_numbers(rate)),
        p_value: 1.0 - (-rate).exp(),
    }
}

/// A silence in words: of how many pairs, for how many buckets, and the calls missed.
pub fn silence_contribution(pairs: usize, buckets: i64, missed: f64, p_value: f64) -> Contribution {
    let minutes = buckets * BUCKET_SECONDS / 60;
    let of = if pairs > 1 { format!(" from {pairs} pairs of caller and vendor") } else { String::new() };
    Contribution {
        name: "silence".to_owned(),
        window: String::new(),
        observed: format!("no call{of} for {minutes} minutes"),
        baseline: format!("about {} calls in this time", in_numbers(missed)),
        p_value,
    }
}

/// A slow leak in words: of a quantity (place in `QUANTITIES`), over hours with calls, by a shift in deviations of a call.
pub fn leak_contribution(
    account: &Account,
    expectations: &Expectations,
    name: &str,
    quantity: usize,
    leak: &Leak,
    p_value: f64,
) -> Contribution {
    let (_, deviation) = usual_call(account, expectations, WINDOWS.len() - 1, quantity);
    let per_cent = 100.0 * (leak.shift * deviation).exp_m1();
    let says = if quantity == 0 { "request size" } else { "answer size" };
    Contribution {
        name: name.to_owned(),
        window: String::new(),
        observed: format!("{says} about {} % larger a call for {} hours", in_numbers(per_cent), leak.hours),
        baseline: "no lasting shift".to_owned(),
        p_value,
    }
}

/// A day on which the model did not fit, in words.
pub fn misfit_contribution(misfit: &Misfit) -> Contribution {
    let says = |name: &str| statistic_named(name).map_or(name.to_owned(), |statistic| statistic.says.to_owned());
    let moved: Vec<String> =
        misfit.moved.iter().take(3).map(|(name, pairs)| format!("{} of {pairs}", says(name))).collect();
    Contribution {
        name: "model_drift".to_owned(),
        window: WINDOWS[WINDOWS.len() - 1].name.to_owned(),
        observed: format!(
            "{} of {} pairs had a day unlike their history ({})",
            misfit.odd,
            misfit.pairs,
            moved.join(", ")
        ),
        baseline: "one in ten; train again".to_owned(),
        p_value: 1.0,
    }
}

/// A column's share in an odd row, in words.
pub fn joint_contribution(column: &str, share: f64, window: &str, p_value: f64) -> Contribution {
    Contribution {
        name: column.to_owned(),
        window: window.to_owned(),
        observed: format!("{:.0} % of what sets the hour apart", 100.0 * share),
        baseline: "hours like those before".to_owned(),
        p_value,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_read_as_people_write_them() {
        assert_eq!(in_bytes(412e6), "412 MB");
        assert_eq!(in_bytes(1_100.0), "1.1 kB");
        assert_eq!(in_bytes(12.0), "12 bytes");
        assert_eq!(in_numbers(3.0), "3");
        assert_eq!(in_numbers(0.001), "under 0.01");
    }
}
