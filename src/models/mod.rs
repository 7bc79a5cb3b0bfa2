//! Models: what is usual, how far from usual something is, and how unlikely that is.
//!
//! `expectation` and `seasonality` (a table or a `curve`) say what is usual, `statistic` how far a window is from it, `baseline` what was
//! learned of each entity and what its tests show, `odd_sizes` which sizes of answers an endpoint hardly ever has, `novelty` how rarely
//! something new turns up, `multivariate` whether numbers that are each usual
//! are unusual together (in rows of `multivariate_row`), `peers` which entities behave alike, `silence` how long without a call is
//! unusual, `leak` what adds up over days (from `hourly` means), `peak` what is more than ever, `adaptation` how a baseline
//! follows its entity between trainings, `model_drift` whether the model still fits, `calibration` how unlikely all that is,
//! `pacing` how a budget of pages is kept all the same, `triage` what analysts confirm, `audit` the audit view. `bundle` is what was learned, on disk, written `aside` first.
//!
//! Shared by them: the far tail of the `normal` distribution, the `pareto` tail, the `quantile`, and what `dispersion` is.
//!
//! Not here: fitting to a history (`train`), and what an anomaly means (`detect`).

pub mod adaptation;
pub mod aside;
pub mod audit;
pub mod baseline;
pub mod bundle;
pub mod calibration;
pub mod clock_shift;
pub mod curve;
pub mod dispersion;
pub mod expectation;
pub mod hourly;
pub mod leak;
pub mod model_drift;
pub mod multivariate;
pub mod multivariate_row;
mod normal;
pub mod novelty;
pub mod odd_sizes;
pub mod pacing;
pub mod pareto;
pub mod peak;
pub mod peers;
pub mod quantile;
pub mod seasonality;
pub mod silence;
pub mod statistic;
pub mod triage;
