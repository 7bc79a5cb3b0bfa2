//! The normal distribution's far tail, in logarithms: `ln P(Z > x)` and its inverse, accurate where `P` itself underflows to 0.
//!
//! Source: Abramowitz & Stegun, Handbook of Mathematical Functions, 1964: 7.1.2 (erfc), and 7.1.23, the asymptotic series of
//! its far tail. The inverse is by Newton's method on the logarithm, which is concave, so it converges.

use std::f64::consts::{LN_2, SQRT_2, TAU};

/// From here on the asymptotic series is exact to a double, in standard deviations; `erfc` underflows from 38 on.
const FAR: f64 = 20.0;

/// `ln P(Z > x)`, in nats, for a standard normal Z and x in standard deviations.
pub fn log_survival(x: f64) -> f64 {
    if x < FAR {
        return libm::erfc(x / SQRT_2).ln() - LN_2;
    }
    let square = x * x;
    -0.5 * square - (x * TAU.sqrt()).ln() + (1.0 / square).mul_add(-1.0, 3.0 / (square * square)).ln_1p()
}

/// The x, in standard deviations, with `ln P(Z > x) = log_p`, for `log_p` < 0 in nats; -7 where `log_p` is 0 within 1e-12.
pub fn inverse_log_survival(log_p: f64) -> f64 {
    if log_p >= -LN_2 {
        return if log_p >= -1e-12 { -7.0 } else { newton(log_p, 0.0) };
    }
    newton(log_p, (-2.0 * log_p - (-2.0 * log_p).ln()).max(0.0).sqrt())
}

fn newton(log_p: f64, start: f64) -> f64 {
    let mut x = start;
    for _ in 0..50 {
        let survival = log_survival(x);
        // d/dx ln P(Z > x) = -density / survival
        let slope = -(-0.5 * x * x - 0.5 * TAU.ln() - survival).exp();
        let step = (survival - log_p) / slope;
        x -= step.clamp(-2.0, 2.0);
        if step.abs() < 1e-10 {
            break;
        }
    }
    x
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tail_agrees_with_published_quantiles() {
        // R: pnorm(c(0, 3, 10, 30), lower.tail = FALSE, log.p = TRUE)
        for (x, log_p) in [(0.0, -LN_2), (3.0, -6.607_726_2), (10.0, -53.231_285), (30.0, -454.321_24)] {
            assert!((log_survival(x) - log_p).abs() < 1e-4, "{x}: {}", log_survival(x));
        }
    }

    #[test]
    fn the_inverse_undoes_the_tail() {
        for x in [-6.0, -2.0, -0.3, 0.0, 0.7, 3.0, 12.0, 19.9, 20.1, 37.0, 200.0] {
            let back = inverse_log_survival(log_survival(x));
            assert!((back - x).abs() < 1e-3, "{x} came back as {back}");
        }
    }
}
