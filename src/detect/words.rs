//! Evidence in words: what was seen and what is usual, with their units.

use super::Contribution;
use crate::calls::{Name, QUANTITIES};
use crate::features::{DAY, EntityState, Level, WINDOWS};
use crate::models::baseline::Verdict;
use crate::models::expectation::{Expectations, Expected};
use crate::models::leak::Leak;
use crate::models::model_drift::Misfit;
use crate::models::novelty::{Novelty, novelty_named};
use crate::models::peak::{PEAKS, PeakExcess, SPENDING};
use crate::models::statistic::{Kind, STATISTICS};
use crate::rollup::BUCKET_SECONDS;

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
fn usual_call<P>(
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

/// A novelty in words; `rate` is how often a day its class is expected, `share` its part of what its caller showed.
pub fn novelty_contribution(novelty: &Novelty, rate: f64, share: f64) -> Contribution {
    Contribution {
        name: novelty.class.name.to_owned(),
        window: String::new(),
        observed: format!("{}: {}", novelty.class.summary, novelty.detail),
        baseline: format!("expected {} times a day", in_numbers(rate)),
        observed_value: None,
        baseline_value: Some(rate),
        unit: "times a day".to_owned(),
        share,
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
        observed_value: Some(0.0),
        baseline_value: Some(missed),
        unit: "calls".to_owned(),
        share: 1.0,
        p_value,
    }
}

/// How much larger a call is by a slow leak, per cent.
pub fn leak_per_cent<P>(
    state: (&EntityState<P>, i64),
    expectations: &Expectations,
    quantity: usize,
    leak: &Leak,
) -> f64 {
    let (_, deviation) = usual_call(state, expectations, DAY, quantity);
    100.0 * (leak.shift * deviation).exp_m1()
}

/// A slow leak in words: of a quantity (place in `QUANTITIES`), over hours with calls, by a shift in deviations of a call.
pub fn leak_contribution<P>(
    state: (&EntityState<P>, i64),
    expectations: &Expectations,
    name: &str,
    quantity: usize,
    leak: &Leak,
    p_value: f64,
) -> Contribution {
    let per_cent = leak_per_cent(state, expectations, quantity, leak);
    let says = if quantity == 0 { "request size" } else { "answer size" };
    Contribution {
        name: name.to_owned(),
        window: String::new(),
        observed: format!("{says} about {} % larger a call for {} hours", in_numbers(per_cent), leak.hours),
        baseline: "no lasting shift".to_owned(),
        observed_value: Some(per_cent),
        baseline_value: Some(0.0),
        unit: "% a call".to_owned(),
        share: 1.0,
        p_value,
    }
}

/// A sum beyond the record of a kind (place in `PEAKS`), in words.
pub fn peak_contribution(place: usize, beyond: &PeakExcess, p_value: f64) -> Contribution {
    let words = |sum: f64| if place == SPENDING { format!("{:.2} dollars", sum / 1e6) } else { in_bytes(sum) };
    Contribution {
        name: PEAKS.get(place).map_or("", |kind| kind.name).to_owned(),
        window: WINDOWS[beyond.window].name.to_owned(),
        observed: words(beyond.sum),
        baseline: format!("at most {}", words(beyond.peak)),
        observed_value: Some(beyond.sum),
        baseline_value: Some(beyond.peak),
        unit: if place == SPENDING { "millionths of a dollar" } else { "bytes" }.to_owned(),
        share: 1.0,
        p_value,
    }
}

/// A day on which the model did not fit, in words.
pub fn misfit_contribution(misfit: &Misfit) -> Contribution {
    let says = |index: usize| STATISTICS.get(index).map_or("", |statistic| statistic.says);
    let moved: Vec<String> =
        misfit.moved.iter().take(3).map(|(index, pairs)| format!("{} of {pairs}", says(*index))).collect();
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
        observed_value: Some(misfit.odd as f64),
        baseline_value: Some(misfit.pairs as f64 / 10.0),
        unit: "pairs".to_owned(),
        share: 1.0,
        p_value: 1.0,
    }
}

/// A column's share in an odd row, in words.
pub fn multivariate_contribution(column: &str, share: f64, window: &str, p_value: f64) -> Contribution {
    Contribution {
        name: column.to_owned(),
        window: window.to_owned(),
        observed: format!("{:.0} % of what sets the hour apart", 100.0 * share),
        baseline: "hours like those before".to_owned(),
        observed_value: Some(100.0 * share),
        baseline_value: None,
        unit: "%".to_owned(),
        share,
        p_value,
    }
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
