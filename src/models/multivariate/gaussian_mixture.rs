//! Gaussian mixture: negative log-likelihood of a row under clusters with their correlations.
//!
//! linfa's expectation-maximisation (Dempster, Laird & Rubin, JRSS B 39, 1977) fits 2, 4 and 8 components, moments fit one, and the
//! Bayesian information criterion (Schwarz, Annals of Statistics 6, 1978) selects among them. linfa does not export the
//! likelihood, so it is computed here from the fitted weights, means and covariances. Where rows are scarce, the covariance of one
//! component is shrunk towards a multiple of the identity (Chen, Wiesel, Eldar & Hero, IEEE Transactions on Signal Processing 58,
//! 2010).
//!
//! Not here: scaling (`scaling`).

use linfa::DatasetBase;
use linfa::traits::Fit;
use linfa_clustering::GaussianMixtureModel;
use ndarray::{Array1, Array2, ArrayView1, ArrayView2, Axis};
use rand::seq::index;
use serde::{Deserialize, Serialize};

use super::{Checked, FitError, ModelSpec, Random, Score, readable, shares};

const NAME: &str = "gaussian_mixture";
/// Numbers of components that are tried (4).
const COMPONENTS: [u32; 4] = [1, 2, 4, 8];
/// Fewest rows per component.
const ROWS_PER_COMPONENT: usize = 20;
/// Rows per column, below which the covariance of one component is shrunk.
const ROWS_PER_COLUMN: usize = 20;
/// Most iterations of expectation-maximisation, after which a fit counts as failed.
const MAX_ROUNDS: u64 = 200;

/// The mixture as written.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Spec {
    /// Most components: 1, 2, 4 or 8.
    pub components: u32,
    /// Added to every variance, as a share of the unit variance of a scaled column.
    pub regularisation: f64,
    /// Most rows that are learned from, drawn without replacement. 10,000 of 24 columns take some five seconds.
    pub rows: u32,
}

impl Default for Spec {
    fn default() -> Self {
        Self { components: 8, regularisation: 1e-3, rows: 10_000 }
    }
}

impl ModelSpec for Spec {
    const NAME: &'static str = NAME;
    const SUMMARY: &'static str = "the numbers break the usual correlations";
    type Fitted = Fitted;

    fn validate(&self) -> Result<(), FitError> {
        let wrong = |field, problem| Err(FitError::Field { model: NAME, field, problem });
        if !COMPONENTS.contains(&self.components) {
            return wrong("components", "must be 1, 2, 4 or 8");
        }
        if !(1e-9..=1.0).contains(&self.regularisation) {
            return wrong("regularisation", "must be 1e-9 to 1");
        }
        if !(100..=1_000_000).contains(&self.rows) {
            return wrong("rows", "must be 100 to 1,000,000");
        }
        Ok(())
    }

    fn fit(spec: &Checked<Self>, rows: ArrayView2<'_, f64>, random: &mut Random) -> Result<Fitted, FitError> {
        let count = rows.nrows().min(spec.rows as usize);
        let rows = rows.select(Axis(0), &index::sample(random, rows.nrows(), count).into_vec());
        let single = Fitted::single(&rows, spec.regularisation).ok_or(FitError::Singular { model: NAME })?;
        // A number of components that linfa cannot fit is passed over: its likelihood underflows where a row is far from all
        // of them, which on tables of some 60 columns is usual.
        let several = COMPONENTS
            .into_iter()
            .filter(|components| (2..=spec.components).contains(components))
            .filter(|components| rows.nrows() >= ROWS_PER_COMPONENT * *components as usize)
            .filter_map(|components| Fitted::several(&rows, components as usize, spec.regularisation, random));
        let mut best = (single.information_criterion(&rows), single);
        for fitted in several {
            let criterion = fitted.information_criterion(&rows);
            if criterion < best.0 {
                best = (criterion, fitted);
            }
        }
        Ok(best.1)
    }
}

/// A fitted mixture.
#[derive(Debug, Serialize, Deserialize)]
pub struct Fitted {
    components: Vec<Component>,
}

/// One cluster.
#[derive(Debug, Serialize, Deserialize)]
struct Component {
    /// Logarithm (nats) of its weight times its density at its mean.
    log_peak: f64,
    /// (n_columns), scaled.
    mean: Array1<f64>,
    /// W (n_columns, n_columns) such that W Wᵀ is the inverse covariance: `(x - mean) W` has unit covariance.
    whitening: Array2<f64>,
}

impl Component {
    /// `None` where the covariance has no inverse or the weight is 0.
    fn new(weight: f64, mean: ArrayView1<'_, f64>, covariance: ArrayView2<'_, f64>) -> Option<Self> {
        let whitening = inverse_lower(&cholesky(covariance)?).reversed_axes().as_standard_layout().into_owned();
        let width = mean.len() as f64;
        let log_peak = weight.ln() + whitening.diag().mapv(f64::ln).sum() - 0.5 * width * std::f64::consts::TAU.ln();
        log_peak.is_finite().then(|| Self { log_peak, mean: mean.to_owned(), whitening })
    }

    /// Logarithm (nats) of weight times density of each of `rows` (n_rows, n_columns): (n_rows).
    fn log_densities(&self, rows: &ArrayView2<'_, f64>) -> Array1<f64> {
        let whitened = (rows - &self.mean).dot(&self.whitening);
        whitened.map_axis(Axis(1), |row| self.log_peak - 0.5 * row.dot(&row))
    }
}

impl Fitted {
    /// One component, from the moments of `rows` (n_rows, n_columns), shrunk where rows are scarce.
    fn single(rows: &Array2<f64>, regularisation: f64) -> Option<Self> {
        let (n, width) = rows.dim();
        let mean = rows.mean_axis(Axis(0))?;
        let centred = rows - &mean;
        let mut covariance = centred.t().dot(&centred) / n as f64;
        if n < ROWS_PER_COLUMN * width {
            shrink(&mut covariance, n);
        }
        covariance.diag_mut().mapv_inplace(|variance| variance + regularisation);
        Some(Self { components: vec![Component::new(1.0, mean.view(), covariance.view())?] })
    }

    /// Several components, from `rows` (n_rows, n_columns); `None` where expectation-maximisation fails.
    fn several(rows: &Array2<f64>, components: usize, regularisation: f64, random: &mut Random) -> Option<Self> {
        let mixture = GaussianMixtureModel::params_with_rng(components, random.clone())
            .reg_covariance(regularisation)
            .max_n_iterations(MAX_ROUNDS)
            .fit(&DatasetBase::from(rows.view()));
        let mixture = mixture.ok()?;
        let (weights, means, covariances) = (mixture.weights(), mixture.means(), mixture.covariances());
        let components = weights.iter().zip(means.rows()).zip(covariances.outer_iter());
        components
            .map(|((weight, mean), covariance)| Component::new(*weight, mean, covariance))
            .collect::<Option<Vec<_>>>()
            .map(|components| Self { components })
    }

    /// Schwarz's criterion of `rows` (n_rows, n_columns), in nats: lower is better.
    fn information_criterion(&self, rows: &Array2<f64>) -> f64 {
        let (n, width) = (rows.nrows() as f64, rows.ncols() as f64);
        let count = self.components.len() as f64;
        let parameters = count * (width + width * (width + 1.0) / 2.0) + count - 1.0;
        2.0 * self.score(rows.view()).sum() + parameters * n.ln()
    }
}

impl Score for Fitted {
    fn score(&self, rows: ArrayView2<'_, f64>) -> Array1<f64> {
        let rows = readable(rows);
        let densities: Vec<_> = self.components.iter().map(|component| component.log_densities(&rows.view())).collect();
        // The sum of exponentials about the largest: far from all components each of them alone is 0.
        Array1::from_shape_fn(rows.nrows(), |row| {
            let each = densities.iter().map(|densities| densities[row]);
            let most = each.clone().fold(f64::NEG_INFINITY, f64::max);
            -(most + each.map(|density| (density - most).exp()).sum::<f64>().ln())
        })
    }

    fn contributions(&self, row: ArrayView1<'_, f64>) -> Array1<f64> {
        let row = readable(row.insert_axis(Axis(0)));
        let density = |component: &Component| component.log_densities(&row.view())[0];
        let nearest = self.components.iter().max_by(|a, b| density(a).total_cmp(&density(b)));
        shares(nearest.map_or_else(
            || Array1::zeros(row.ncols()),
            |component| {
                let apart = &row.row(0) - &component.mean;
                &apart * &component.whitening.dot(&apart.dot(&component.whitening))
            },
        ))
    }
}

/// Oracle approximating shrinkage of a `covariance` (n_columns, n_columns) of n rows towards a multiple of the identity.
fn shrink(covariance: &mut Array2<f64>, n: usize) {
    let (n, width) = (n as f64, covariance.nrows() as f64);
    let trace = covariance.diag().sum();
    let squares = covariance.iter().map(|value| value * value).sum::<f64>();
    let over = (n + 1.0 - 2.0 / width) * (squares - trace * trace / width);
    let share = if over > 0.0 { (((1.0 - 2.0 / width) * squares + trace * trace) / over).clamp(0.0, 1.0) } else { 1.0 };
    *covariance *= 1.0 - share;
    covariance.diag_mut().mapv_inplace(|variance| variance + share * trace / width);
}

/// The lower triangle L (n, n) with L Lᵀ = `matrix` (n, n); `None` where the matrix is not positive definite.
fn cholesky(matrix: ArrayView2<'_, f64>) -> Option<Array2<f64>> {
    let mut lower = Array2::zeros(matrix.dim());
    for row in 0..matrix.nrows() {
        for column in 0..=row {
            let known: f64 = (0..column).map(|k| lower[[row, k]] * lower[[column, k]]).sum();
            let rest: f64 = matrix[[row, column]] - known;
            lower[[row, column]] = match row == column {
                true if rest > 0.0 => rest.sqrt(),
                true => return None,
                false => rest / lower[[column, column]],
            };
        }
    }
    Some(lower)
}

/// The inverse (n, n) of a `lower` triangle (n, n), by forward substitution.
fn inverse_lower(lower: &Array2<f64>) -> Array2<f64> {
    let mut inverse = Array2::zeros(lower.dim());
    for column in 0..lower.ncols() {
        for row in column..lower.nrows() {
            let known: f64 = (column..row).map(|k| lower[[row, k]] * inverse[[k, column]]).sum();
            let unit = if row == column { 1.0 } else { 0.0 };
            inverse[[row, column]] = (unit - known) / lower[[row, row]];
        }
    }
    inverse
}

#[cfg(test)]
mod tests {
    use ndarray::array;
    use rand::SeedableRng;

    use super::super::tests::rows;
    use super::*;

    fn fitted(rows: &Array2<f64>) -> Fitted {
        Spec::fit(&Spec::default().check().unwrap(), rows.view(), &mut Random::seed_from_u64(1)).unwrap()
    }

    #[test]
    fn the_density_of_a_correlated_normal_is_the_textbook_one() {
        let component = Component::new(1.0, array![1.0, -1.0].view(), array![[2.0, 0.6], [0.6, 1.0]].view()).unwrap();
        let density = component.log_densities(&array![[0.0, 1.0]].view())[0];
        let mahalanobis = (1.0 + 2.0 * 0.6 * 2.0 + 2.0 * 4.0) / 1.64;
        assert!((density + std::f64::consts::TAU.ln() + 0.5 * 1.64_f64.ln() + 0.5 * mahalanobis).abs() < 1e-12);
    }

    #[test]
    fn two_clusters_get_two_components() {
        let mut seen = rows(400, 1);
        seen.slice_mut(ndarray::s![..200, 0]).mapv_inplace(|value| value + 12.0);
        assert_eq!(fitted(&seen).components.len(), 2);
    }

    #[test]
    fn fewer_rows_than_columns_still_give_a_density() {
        let few = ndarray::concatenate![Axis(1), rows(12, 1), rows(12, 2)];
        assert!(fitted(&few).score(few.view()).iter().all(|score| score.is_finite()));
    }

    #[test]
    fn numbers_that_break_the_correlation_score_higher_than_larger_ones_that_keep_it() {
        let mut pair = Array2::zeros((2, 8));
        pair.row_mut(0).assign(&array![2.5, 2.2, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0]);
        pair.row_mut(1).assign(&array![1.5, -1.5, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0]);
        let scores = fitted(&rows(400, 1)).score(pair.view());
        assert!(scores[1] > scores[0] + 2.0, "{scores}");
    }
}
