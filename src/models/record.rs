//! Records: more in an hour, a quarter of a day or a day than the entity ever had.
//!
//! Logarithms tell many small shifts apart, and forget what matters most in a theft: the sum. Sums have wild tails that no two
//! pairs share, so a pair's sum is measured against the largest of its own other days. Bytes must also be more a call than
//! ever, or a campaign (more calls, each as ever) would be a record.

use serde::{Deserialize, Serialize};

use crate::features::{Account, Column, WINDOWS};

/// One kind of record.
#[derive(Debug)]
pub struct RecordKind {
    /// Name of the cause.
    pub name: &'static str,
    /// What is summed up.
    pub column: Column,
    /// Whether the mean of a call must be a record too.
    pub per_call: bool,
    /// Times the record from which a sum is worth telling.
    pub least_times: f64,
    /// Least excess over the record that is worth telling (bytes, or millionths of a dollar), and part of the least record itself.
    pub least_excess: f64,
}

/// Every kind of record.
pub const RECORDS: &[RecordKind] = &[
    RecordKind {
        name: "bytes_out_record",
        column: Column::BytesOutSum,
        per_call: true,
        least_times: 2.0,
        least_excess: 1048576.0,
    },
    RecordKind {
        name: "bytes_in_record",
        column: Column::BytesInSum,
        per_call: true,
        least_times: 2.0,
        least_excess: 4194304.0,
    },
    // Never told by itself: campaigns break it. Pure volume asks for it.
    RecordKind {
        name: "calls_record",
        column: Column::Calls,
        per_call: false,
        least_times: 2.0,
        least_excess: f64::INFINITY,
    },
    RecordKind { name: "spend_record", column: Column::Cost, per_call: false, least_times: 2.5, least_excess: 2e6 },
];
/// Place of the record of calls.
const CALLS: usize = 2;
/// Place of the record of spending.
pub const SPENDING: usize = 3;

/// Number of kinds.
pub const KINDS: usize = RECORDS.len();
/// Windows that are summed up, as places in [`WINDOWS`]: an hour, six hours, a day.
pub const RECORD_WINDOWS: [usize; 3] = [2, 3, 4];
/// Part of the least excess below which no sum is a record, and least mean of a call.
const LEAST_RECORD_SHARE: f64 = 0.1;
const LEAST_PER_CALL: f64 = 64.0;

const _: () = assert!(RECORD_WINDOWS[2] < WINDOWS.len());

/// The largest sum over a window and the largest mean of a call in one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Record {
    /// Largest sum.
    pub sum: f64,
    /// Largest mean of a call.
    pub per_call: f64,
}

/// The records of a pair: by kind, then window.
pub type Records = [[Record; RECORD_WINDOWS.len()]; KINDS];

/// A sum beyond the record.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Beyond {
    /// Place in [`WINDOWS`].
    pub window: usize,
    /// Times the record.
    pub times: f64,
    /// The sum.
    pub sum: f64,
    /// The record.
    pub record: f64,
}

impl Record {
    /// What a kind sees of an account's window.
    fn of(account: &Account, kind: &RecordKind, window: usize) -> Self {
        let sum = account.sum(kind.column, window).max(0) as f64;
        Self { sum, per_call: sum / account.sum(Column::Calls, window).max(1) as f64 }
    }

    /// The larger of both.
    pub fn or(self, other: Self) -> Self {
        Self { sum: self.sum.max(other.sum), per_call: self.per_call.max(other.per_call) }
    }

    /// How many times `self` is the record.
    pub fn times(self, record: Self, kind: &RecordKind) -> f64 {
        if kind.least_excess.is_infinite() {
            return 0.0;
        }
        let sum = self.sum / record.sum.max(LEAST_RECORD_SHARE * kind.least_excess);
        if kind.per_call { sum.min(self.per_call / record.per_call.max(LEAST_PER_CALL)) } else { sum }
    }
}

/// Raises records to what an account shows at the end of a bucket.
pub fn raise(records: &mut Records, account: &Account) {
    for (kind, records) in RECORDS.iter().zip(records) {
        for (window, record) in RECORD_WINDOWS.iter().zip(records) {
            *record = record.or(Record::of(account, kind, *window));
        }
    }
}

/// The furthest that an account is beyond the record of a kind (place in [`RECORDS`]); `None` where that is not worth telling.
pub fn beyond(records: &Records, account: &Account, place: usize) -> Option<Beyond> {
    let (kind, records) = (RECORDS.get(place)?, records.get(place)?);
    let of_window = |(window, record): (&usize, &Record)| {
        let seen = Record::of(account, kind, *window);
        let times = seen.times(*record, kind);
        let is_worth_telling = times >= kind.least_times && seen.sum - record.sum >= kind.least_excess;
        is_worth_telling.then_some(Beyond { window: *window, times, sum: seen.sum, record: record.sum })
    };
    // Of windows that are beyond it alike, the shortest: hence backwards.
    RECORD_WINDOWS.iter().zip(records).rev().filter_map(of_window).max_by(|a, b| a.times.total_cmp(&b.times))
}

/// The largest of some folds' records.
pub fn largest<'a>(folds: impl IntoIterator<Item = &'a Records>) -> Records {
    let mut most = Records::default();
    for records in folds {
        for (most, records) in most.iter_mut().flatten().zip(records.iter().flatten()) {
            *most = most.or(*records);
        }
    }
    most
}

/// What nine pairs in ten stay below: the records of a pair that has none of its own.
pub fn usual(pairs: &[Records]) -> Records {
    let at = |kind: usize, window: usize, of: fn(&Record) -> f64| {
        let mut values: Vec<f64> = pairs.iter().map(|records| of(&records[kind][window])).collect();
        values.sort_unstable_by(f64::total_cmp);
        values.get(values.len() * 9 / 10).copied().unwrap_or_default()
    };
    std::array::from_fn(|kind| {
        std::array::from_fn(|window| Record {
            sum: at(kind, window, |record| record.sum),
            per_call: at(kind, window, |record| record.per_call),
        })
    })
}

/// The most calls that a pair ever made in an hour.
pub fn most_calls_an_hour(records: &Records) -> f64 {
    records[CALLS][0].sum
}

/// How many times each fold's records are those of the other folds, by kind.
pub fn times_by_fold(folds: &[Records]) -> Vec<[f64; KINDS]> {
    let others =
        |own: usize| largest(folds.iter().enumerate().filter(|(fold, _)| *fold != own).map(|(_, records)| records));
    let of_fold = |(own, records): (usize, &Records)| {
        let others = others(own);
        std::array::from_fn(|place| {
            let pairs = records[place].iter().zip(&others[place]);
            pairs.map(|(own, others)| own.times(*others, &RECORDS[place])).fold(0.0, f64::max)
        })
    };
    folds.iter().enumerate().map(of_fold).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::calls::Direction;
    use crate::features::{Entity, WIDTH};

    fn account(calls: i64, bytes: i64) -> Account {
        let mut values = [0; WIDTH];
        (values[Column::Calls as usize], values[Column::BytesOutSum as usize]) = (calls, bytes);
        let mut account = Account::new(Entity::pair(Direction::Egress, "geo-svc", "google"));
        account.add(0, &values);
        account
    }

    fn learned() -> Records {
        let mut records = Records::default();
        raise(&mut records, &account(600, 120_000));
        records
    }

    #[test]
    fn twenty_megabytes_from_a_reader_are_a_record_and_a_campaign_is_none() {
        let theft = beyond(&learned(), &account(620, 20_000_000), 0).unwrap();
        assert!(theft.times > 100.0 && theft.window == 2, "{theft:?}");
        assert_eq!(
            beyond(&learned(), &account(60_000, 12_000_000), 0),
            None,
            "a hundred times the calls, each as ever"
        );
        assert_eq!(beyond(&learned(), &account(6, 900_000), 0), None, "less than a megabyte");
    }

    #[test]
    fn a_fold_is_measured_against_the_others() {
        let large = {
            let mut records = Records::default();
            raise(&mut records, &account(600, 60_000_000));
            records
        };
        let times = times_by_fold(&[learned(), large, learned()]);
        assert!(times[1][0] > 100.0 && times[0][0] <= 1.0, "{times:?}");
    }
}
