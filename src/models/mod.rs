//! Models: what is usual, how far from usual something is, and how unlikely that is.
//!
//! `expectation` and `clock` say what is usual, `statistic` how far a window is from it, `baseline` what each entity was
//! learned to be like and what its tests say, `novelty` how rarely something new turns up, `multivariate` whether numbers that
//! are each usual are odd together, `peers` which entities behave alike, `silence` how long no call is unusual, `leak` what adds
//! up over days (from `hourly` means), `record` what is more than ever, `adaptation` how a baseline follows its entity between
//! trainings, `model_drift` whether it still does, `calibration` how unlikely all that is, `triage` what analysts confirm. `bundle`
//! is what was learned, on disk.
//!
//! Not here: fitting to a history (`train`), and what an oddity means (`detect`).

pub mod adaptation;
pub mod audit;
pub mod baseline;
pub mod bundle;
pub mod calibration;
pub mod dispersion;
pub mod expectation;
pub mod hourly;
pub mod leak;
pub mod model_drift;
pub mod multivariate;
pub mod multivariate_row;
mod normal;
pub mod novelty;
pub mod pareto;
pub mod peak;
pub mod peers;
pub mod quantile;
pub mod seasonality;
pub mod silence;
pub mod statistic;
pub mod triage;
