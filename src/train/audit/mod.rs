//! Learning the audit view: the role of each principal, what is known, what is usual, and at which rate to page.
//!
//! The history is replayed bucket by bucket through the code that the stream runs; then each day is judged by what the others
//! teach (leave-one-out cross-validation: Stone, JRSS B 36, 1974), with all evidence, and the rates of those days are kept: a
//! threshold is a quantile of them.
//!
//! Not here: what is looked at (`models::audit`).

mod usual;

use std::collections::{BTreeMap, BTreeSet};

use self::usual::{Peers, PrincipalHistory};
use crate::calls::{Name, StepClass};
use crate::models::audit::{
    Audit, COMPANY_TESTS, Excess, Expected, HOUR_BUCKETS, Habits, Known, Observer, Over, Principal, Rates, Role, Row,
    Sequence, Sizes, TESTS, Tick, Verdict, judge,
};
use crate::rollup::day_of;

/// Share of the history, 0 to 1, before first-seen events are counted: at its start everything is new.
const WARM_UP: f64 = 1.0 / 3.0;
/// Days after a principal's first before its counts are typical of it.
const SETTLED: usize = 2;
/// Share of console calls, 0 to 1, above which a principal is a person; distinct changes from which it is a builder.
const CONSOLE_SHARE: f64 = 0.2;
const MIN_BUILDER_CHANGES: usize = 12;

/// Learns from the `rows` (n_rows) of a history, in order.
pub(super) fn learn(rows: &[Row<'_>]) -> Audit {
    let (Some(first), Some(last)) = (rows.first(), rows.last()) else { return Audit::default() };
    let first_day = day_of(first.bucket);
    let days = (day_of(last.bucket) - first_day + 1) as usize;
    let roles = roles(rows);
    let role_of =
        |principal: &Principal, row: &Row<'_>| roles.get(principal).copied().unwrap_or_else(|| row.apparent_role());
    let mut audit = Audit { days, sizes: Sizes::fit(rows), ..Audit::default() };

    let mut observer = Observer::default();
    let mut ticks: BTreeMap<Principal, Vec<Tick>> = BTreeMap::new();
    for of_bucket in rows.chunk_by(|a, b| a.bucket == b.bucket) {
        for (principal, tick) in observer.observe(of_bucket, &audit, &role_of, &|_| false) {
            ticks.entry(principal).or_default().push(tick);
        }
    }
    audit.known = observer.memory.into_known();
    let of = |principal: &Principal| roles.get(principal).copied().unwrap_or_default();
    for (principal, tick) in ticks.iter().flat_map(|(principal, ticks)| ticks.iter().map(move |tick| (principal, tick)))
    {
        for (from, to, _) in &tick.transitions {
            audit.sequence.add(principal, of(principal), *from, *to);
        }
    }
    count_sequences(&mut ticks, &audit.sequence, &of);

    let warm = (days as f64 * WARM_UP) as usize;
    let shown = ticks.iter().flat_map(|(principal, ticks)| {
        let classes = |tick: &Tick| tick.marks.iter().map(|mark| mark.class).collect::<Vec<_>>();
        let warm_ticks = ticks.iter().filter(|tick| day_of(tick.bucket) - first_day >= warm as i64);
        warm_ticks.flat_map(move |tick| {
            classes(tick).into_iter().map(|class| (class, principal.clone(), day_of(tick.bucket)))
        })
    });
    audit.rates = Rates::fit(days - warm, shown, roles.values().copied());

    let (company, principals): (Vec<_>, Vec<_>) =
        ticks.into_iter().partition(|(principal, _)| principal.name.is_empty());
    let histories: Vec<PrincipalHistory> = principals
        .into_iter()
        .map(|(principal, ticks)| PrincipalHistory::new(&TESTS, first_day, days, of(&principal), principal, ticks))
        .collect();
    let mut replay = learn_principals(&mut audit, histories, warm);
    for (vendor, ticks) in company {
        let name = vendor.vendor.clone();
        let history = PrincipalHistory::new(&COMPANY_TESTS, first_day, days, Role::Service, vendor, ticks);
        let (expected, rates) = learn_company(history, warm);
        audit.company.insert(name, expected);
        replay.extend(rates);
    }
    replay.sort_by(f64::total_cmp);
    audit.replayed = days - warm;
    audit.replay = replay;
    audit
}

fn count_sequences(ticks: &mut BTreeMap<Principal, Vec<Tick>>, sequence: &Sequence, of: &dyn Fn(&Principal) -> Role) {
    for (principal, ticks) in ticks {
        let role = of(principal);
        for tick in ticks {
            tick.count_sequence(sequence, principal, role);
        }
    }
}

/// What each principal is, by all that it did.
fn roles(rows: &[Row<'_>]) -> BTreeMap<Principal, Role> {
    #[derive(Default)]
    struct Doings<'a> {
        is_by_vendor: bool,
        is_single_sign_on: bool,
        calls: i64,
        console: i64,
        changes: BTreeSet<&'a Name>,
    }
    let mut doings: BTreeMap<Principal, Doings<'_>> = BTreeMap::new();
    for row in rows {
        let is_by_vendor = row.is_by_vendor();
        let doing = doings.entry(row.whose()).or_insert_with(|| Doings {
            is_by_vendor: true,
            is_single_sign_on: row.is_single_sign_on(),
            ..Doings::default()
        });
        doing.is_by_vendor &= is_by_vendor;
        doing.calls += row.calls;
        doing.console += if row.is_console() { row.calls } else { 0 };
        if matches!(row.step, StepClass::Write | StepClass::Delete | StepClass::Grant) {
            doing.changes.insert(row.operation);
        }
    }
    let role = |doing: &Doings<'_>| {
        if doing.is_by_vendor {
            Role::Internal
        } else if doing.is_single_sign_on || doing.console as f64 > CONSOLE_SHARE * doing.calls as f64 {
            Role::Human
        } else if doing.changes.len() >= MIN_BUILDER_CHANGES {
            Role::Builder
        } else {
            Role::Service
        }
    };
    doings.into_iter().map(|(principal, doing)| (principal, role(&doing))).collect()
}

/// Learns what is usual for each principal and the tails. Returns the rarest rate, in alarms a day, of each principal's day of the
/// replay that would page.
fn learn_principals(audit: &mut Audit, mut histories: Vec<PrincipalHistory>, warm: usize) -> Vec<f64> {
    let peers: BTreeMap<Role, Peers> = Role::ALL
        .into_iter()
        .map(|role| {
            let mut of_role: Vec<&mut PrincipalHistory> =
                histories.iter_mut().filter(|history| history.role == role).collect();
            (role, Peers::fit(&TESTS, &mut of_role))
        })
        .collect();
    let of_role = |role: Role| peers.get(&role);
    for history in &mut histories {
        if let Some(peers) = of_role(history.role) {
            history.judge_counts(peers);
        }
    }
    let tails_without = |day: Option<usize>| -> Vec<[Excess; 2]> {
        let of_test = |test: usize| {
            [0, 1].map(|people| {
                let alike = histories.iter().filter(|history| history.role.tail() == people);
                let maxima = alike.flat_map(|history| {
                    let from = warm.max(history.first_day + SETTLED);
                    (from..history.days).filter(|at| Some(*at) != day).map(move |at| history.maxima[test][at])
                });
                Excess::fit(maxima.collect())
            })
        };
        (0..TESTS.len()).map(of_test).collect()
    };
    let mut rates = Vec::new();
    let principals = histories.len();
    for day in warm..audit.days {
        let tails = tails_without(Some(day));
        for history in &histories {
            let known = Known { role: history.role, principals };
            let judged = history.replay(day, |hour, over| {
                let over = over.into_iter().map(|(test, seen, usual, z)| Over {
                    test: &TESTS[test],
                    seen,
                    usual,
                    p: tails[test][history.role.tail()].p(z),
                });
                let day = history.start + day as i64;
                judge(hour, known, |class| audit.rates.p(&history.principal, class, Some(day)), over.collect())
            });
            let pages = judged.into_iter().filter(|verdict: &Verdict| verdict.may_page).map(|verdict| verdict.rate);
            rates.extend(pages.min_by(f64::total_cmp));
        }
    }
    audit.tails = tails_without(None);
    audit.strangers = peers.iter().map(|(role, peers)| (*role, peers.stranger())).collect();
    for history in histories {
        if let Some(peers) = of_role(history.role) {
            let tests: Vec<Expected> = history.expected(peers, None);
            audit.habits.insert(history.principal.clone(), Habits { role: history.role, tests });
        }
    }
    rates
}

/// What is usual for a vendor's company as a whole, and the rarest rate, in alarms a day, of each of its days.
fn learn_company(mut history: PrincipalHistory, warm: usize) -> (Vec<Expected>, Vec<f64>) {
    let peers = Peers::fit(&COMPANY_TESTS, &mut [&mut history]);
    let mut rates = Vec::new();
    for day in warm..history.days {
        let expected = history.expected(&peers, Some(day));
        let over = history
            .values_of_day(day)
            .into_iter()
            .flat_map(|(bucket, values)| Over::of_company(&values, bucket, &expected));
        let rate = over.map(|over| over.company_rate()).min_by(f64::total_cmp);
        rates.extend(rate.filter(|rate| *rate < 1.0));
    }
    (history.expected(&peers, None), rates)
}

/// The ticks of the hour that ends with one of these (`index`), of the same day.
fn hour_of(ticks: &[Tick], index: usize) -> &[Tick] {
    let Some(end) = ticks.get(index) else { return &[] };
    let is_out = |tick: &&Tick| tick.bucket <= end.bucket - HOUR_BUCKETS || day_of(tick.bucket) != day_of(end.bucket);
    let first = ticks[..index].iter().rev().take_while(|tick| !is_out(tick)).count();
    &ticks[index - first..=index]
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use super::*;
    use crate::calls::{Channel, PrincipalKind};
    use crate::models::audit::{Evidence, advance, values_of};
    use crate::rollup::{BUCKETS_PER_DAY, bucket_start};

    /// A name for as long as the test runs.
    fn name(text: &str) -> &'static Name {
        Box::leak(Box::new(Name::new(text)))
    }

    fn row(bucket: i64, principal: &str, operation: &str, calls: i64) -> Row<'static> {
        Row {
            bucket,
            time: bucket_start(bucket),
            last: bucket_start(bucket),
            vendor: name("aws"),
            account: name(""),
            principal: name(principal),
            operation: name(operation),
            step: StepClass::of(operation),
            kind: PrincipalKind::Role,
            channel: Channel::Program,
            credential: name(""),
            network: name("10.0.0.0/24"),
            client: name("boto3"),
            region: name("eu-west-1"),
            calls,
            denied: 0,
            errors: 0,
            server_errors: 0,
            bytes: 0,
        }
    }

    /// Two weeks of a service that reads a few objects every half-hour, and of nine like it.
    fn history() -> Vec<Row<'static>> {
        let names = ["svc-0", "svc-1", "svc-2", "svc-3", "svc-4", "svc-5", "svc-6", "svc-7", "svc-8", "svc-9"];
        let buckets = (0..14 * BUCKETS_PER_DAY).step_by(6);
        buckets.flat_map(|bucket| names.map(|name| row(bucket, name, "s3:GetObject", 3 + (bucket * 7) % 5))).collect()
    }

    /// What the next day's first rows of one service mean.
    fn verdict(audit: &Audit, rows: &[Row<'_>]) -> Option<Verdict> {
        let role_of = |_: &Principal, _: &Row<'_>| Role::Service;
        let mut ticks = VecDeque::new();
        for (_, tick) in Observer::default().observe(rows, audit, &role_of, &|_| false) {
            advance(&mut ticks, tick);
        }
        let (bucket, principal) = (rows[0].bucket, rows[0].whose());
        let habits = &audit.habits[&principal];
        let over = Over::of(&values_of(&ticks, bucket), bucket, &habits.tests, &audit.tails, habits.role, false);
        let known = Known { role: habits.role, principals: audit.principals() };
        judge(ticks.iter(), known, |class| audit.rates.p(&principal, class, None), over)
    }

    #[test]
    fn what_a_service_always_did_is_usual_and_a_grave_step_or_a_burst_of_denials_pages() {
        let audit = learn(&history());
        let threshold = audit.threshold(1.0);
        assert!(audit.is_warm() && audit.replay.is_empty() && (threshold - 0.1).abs() < 1e-12);
        let today = 14 * BUCKETS_PER_DAY;
        assert!(verdict(&audit, &[row(today, "svc-1", "s3:GetObject", 5)]).is_none());
        let grave = verdict(&audit, &[row(today, "svc-1", "cloudtrail:StopLogging", 1)]).unwrap();
        assert!(grave.may_page && grave.rate <= threshold, "{grave:?}");
        let backfill = verdict(&audit, &[row(today, "svc-1", "s3:GetObject", 900)]);
        assert!(backfill.is_none(), "the usual calls, many times: {backfill:?}");
        let denied = verdict(&audit, &[Row { denied: 60, ..row(today, "svc-1", "s3:GetObject", 60) }]).unwrap();
        let is_of_denials =
            |evidence: &Evidence| matches!(evidence, Evidence::Over(over) if over.test.name == "denied_operations");
        assert!(denied.may_page && denied.evidence.first().is_some_and(|(_, leading)| is_of_denials(leading)));
    }

    #[test]
    fn a_new_network_alone_is_a_move_and_beside_the_old_one_a_theft() {
        let audit = learn(&history());
        let today = 14 * BUCKETS_PER_DAY;
        let elsewhere = Row { network: name("203.0.113.0/24"), ..row(today, "svc-1", "s3:GetObject", 3) };
        assert!(verdict(&audit, &[elsewhere]).is_none_or(|moved| !moved.may_page));
        let split = verdict(&audit, &[row(today, "svc-1", "s3:GetObject", 3), elsewhere]).unwrap();
        assert!(split.may_page && split.rate <= audit.threshold(1.0), "{split:?}");
    }

    #[test]
    fn nothing_is_learned_from_nothing() {
        assert!(!learn(&[]).is_warm());
    }
}
