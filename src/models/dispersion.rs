//! Dispersion: how much an entity's windows vary beyond what chance alone allows, and what is assumed where none was measured.
//!
//! A count of mean `mu` has variance `mu + phi mu²` (negative binomial, McCullagh & Nelder 1989, section 11.2), a mean of `n`
//! residuals of unit variance `1/n + phi`. `phi` is the dispersion, dimensionless: 0 is a Poisson count, or independent calls.
//!
//! Not here: how a dispersion is estimated (`statistic::Moments`, `train::audit`).

/// Dispersion, dimensionless, of an egress entity where nobody's could be measured.
pub const UNKNOWN_DISPERSION: f64 = 0.05;
/// Dispersion, dimensionless, of an audit count where nobody's could be measured: principals come in bursts.
pub const UNKNOWN_COUNT_DISPERSION: f64 = 1.0;
/// Smallest dispersion, dimensionless, that an audit count is judged by: no principal is so regular that less would be credible.
pub const MIN_COUNT_DISPERSION: f64 = 0.02;
/// Largest dispersion, dimensionless, that an audit count is judged by: beyond it no count would ever be unusual.
pub const MAX_COUNT_DISPERSION: f64 = 30.0;
