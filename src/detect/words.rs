//! Evidence in words: what was seen and what is usual, with their units.

use super::contribution::Contribution;
use crate::calls::{Name, QUANTITIES};
use crate::features::{EntityState, Level, WINDOWS};
use crate::models::baseline::Verdict;
use crate::models::expectation::{Expectations, Expected};
use crate::models::novelty::novelty_named;
use crate::models::statistic::Kind;

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

/// What is usual for the calls that an state made over a window: mean and deviation of `ln(1 + x)`, by its endpoints.
pub(super) fn usual_call<P>(
    (state, bucket): (&EntityState<P>, i64),
    expectations: &Expectations,
    window: usize,
    quantity: usize,
) -> (f64, f64) {
    let entity = &state.entity;
    let expected =
        |endpoint: &Name| -> Expected { expectations.get(entity.view, &entity.caller, &entity.vendor, endpoint) };
    let (mut calls, mut mean, mut deviation) = (0.0, 0.0, 0.0);
    for (endpoint, counts) in state.endpoints(bucket) {
        let (expected, weight) = (expected(endpoint), counts.count(window, bucket) as f64);
        calls += weight;
        mean += weight * expected.mean[quantity];
        deviation += weight * expected.deviation[quantity];
    }
    if calls > 0.0 {
        return (mean / calls, deviation / calls);
    }
    let all = if entity.level == Level::Pair { expected(&Name::default()) } else { expected(&entity.part) };
    (all.mean[quantity], all.deviation[quantity])
}

/// A trailing window in words: `15 minutes` for `15m`.
pub fn in_window(name: &str) -> String {
    let unit = |letter| match letter {
        "m" => Some("minute"),
        "h" => Some("hour"),
        _ => None,
    };
    let split = name.split_at_checked(name.len().saturating_sub(1));
    let parsed = split.and_then(|(count, letter)| Some((count.parse::<u32>().ok()?, unit(letter)?)));
    match parsed {
        Some((24, "hour")) => "a day".to_owned(),
        Some((1, "hour")) => "an hour".to_owned(),
        Some((1, unit)) => format!("a {unit}"),
        Some((count, unit)) => format!("{count} {unit}s"),
        None => name.to_owned(),
    }
}

/// Two values with their unit, and how they are said.
struct Evidence {
    observed: f64,
    baseline: f64,
    unit: String,
    observed_words: String,
    baseline_words: String,
}

fn evidence<P>(state: (&EntityState<P>, i64), verdict: &Verdict, expectations: &Expectations) -> Evidence {
    let (statistic, seen) = (verdict.test.statistic(), verdict.seen);
    let quantity = QUANTITIES.iter().position(|quantity| statistic.name.starts_with(quantity));
    match (statistic.kind, quantity) {
        (Kind::Mean(..), Some(quantity)) => {
            let (mean, deviation) = usual_call(state, expectations, verdict.test.window, quantity);
            let natural = |ln: f64| ln.exp_m1().max(0.0);
            let shifted = natural(mean + seen.effect(statistic.kind) * deviation);
            let words = |value: f64| format!("about {} a call", in_quantity(quantity, value));
            let unit = if QUANTITIES[quantity] == "latency" { "ms a call" } else { "bytes a call" };
            Evidence {
                observed: shifted,
                baseline: natural(mean),
                unit: unit.to_owned(),
                observed_words: words(shifted),
                baseline_words: words(natural(mean)),
            }
        }
        (Kind::Largest(..), Some(quantity)) => {
            let (mean, _) = usual_call(state, expectations, verdict.test.window, quantity);
            let usual = mean.exp_m1().max(0.0);
            Evidence {
                observed: seen.bytes as f64,
                baseline: usual,
                unit: "bytes a call".to_owned(),
                observed_words: format!("{} in one call", in_bytes(seen.bytes as f64)),
                baseline_words: format!("about {} a call", in_quantity(quantity, usual)),
            }
        }
        (kind, _) => {
            let unit = if kind == Kind::Mix { "calls" } else { statistic.says };
            let of_endpoint = match (kind, verdict.endpoint.as_ref().map(Name::as_str)) {
                (Kind::Mix, Some(endpoint)) => format!(" of {endpoint}"),
                _ => String::new(),
            };
            Evidence {
                observed: seen.observed,
                baseline: seen.against,
                unit: unit.to_owned(),
                observed_words: format!("{} {unit}{of_endpoint}", in_numbers(seen.observed)),
                baseline_words: in_numbers(seen.against),
            }
        }
    }
}

/// A verdict in words and numbers; `share` is its part of the entity's surprise.
pub fn contribution<P>(
    state: (&EntityState<P>, i64),
    verdict: &Verdict,
    expectations: &Expectations,
    share: f64,
) -> Contribution {
    let Evidence { observed, baseline, unit, observed_words, baseline_words } = evidence(state, verdict, expectations);
    Contribution {
        name: verdict.test.statistic().name.to_owned(),
        window: WINDOWS[verdict.test.window].name.to_owned(),
        observed: observed_words,
        baseline: baseline_words,
        observed_value: Some(observed),
        baseline_value: Some(baseline),
        unit,
        share,
        p_value: verdict.p_value,
    }
}

/// A class of novelties in words.
pub fn class_in_words(class: &str) -> &str {
    novelty_named(class).map_or(class, |known| known.summary)
}

/// What is left out of a window with a verdict, as a counterfactual names it.
pub fn left_out(verdict: &Verdict) -> String {
    let statistic = verdict.test.statistic();
    match statistic.kind {
        Kind::Mean(..) => format!("the change of {}", statistic.says),
        Kind::Largest(..) => format!("the {}", statistic.says),
        Kind::Volume => "the number of calls".to_owned(),
        Kind::Count(..) => format!("the {}", statistic.says),
        Kind::Mix => format!("the calls of {}", verdict.endpoint.as_ref().map(Name::as_str).unwrap_or("one endpoint")),
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
        assert_eq!(["5m", "1h", "6h", "24h", "?"].map(in_window), ["5 minutes", "an hour", "6 hours", "a day", "?"]);
    }
}
