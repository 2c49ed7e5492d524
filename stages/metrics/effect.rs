//! How far two groups are apart: effect sizes and Welch's test. Too few values have no effect: NaN. A NaN among values
//! makes the answer NaN; who wants it left out says so.

use statrs::{
    distribution::{ContinuousCDF, StudentsT},
    function::gamma::ln_gamma,
};

use super::summary::mean;

/// A t statistic and its two-sided p.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Test {
    pub t: f64,
    pub p: f64,
}

/// The difference of the means over the pooled standard deviation (ddof 1). It takes two values a side.
pub fn cohens_d(a: &[f64], b: &[f64]) -> f64 {
    if a.len() < 2 || b.len() < 2 {
        return f64::NAN;
    }
    let freedom = (a.len() + b.len() - 2) as f64;
    let pooled = (squares(a) + squares(b)) / freedom;
    (mean(a) - mean(b)) / pooled.sqrt()
}

/// Cohen's d without its bias in small samples: times Γ(m/2) / (√(m/2) Γ((m − 1)/2)), m = n_a + n_b − 2, exactly.
pub fn hedges_g(a: &[f64], b: &[f64]) -> f64 {
    let half = (a.len() + b.len()) as f64 / 2.0 - 1.0;
    if half < 1.0 {
        return f64::NAN;
    }
    cohens_d(a, b) * (ln_gamma(half) - ln_gamma(half - 0.5) - half.ln() / 2.0).exp()
}

/// Welch's t test of two groups whose variances may differ.
pub fn welch(a: &[f64], b: &[f64]) -> Test {
    if a.len() < 2 || b.len() < 2 {
        return Test { t: f64::NAN, p: f64::NAN };
    }
    let error = |values: &[f64]| squares(values) / (values.len() as f64 - 1.0) / values.len() as f64;
    let (of_a, of_b) = (error(a), error(b));
    let smaller = |error: f64, values: &[f64]| error.powi(2) / (values.len() as f64 - 1.0);
    let freedom = (of_a + of_b).powi(2) / (smaller(of_a, a) + smaller(of_b, b));
    tested((mean(a) - mean(b)) / (of_a + of_b).sqrt(), freedom)
}

/// Student's t test of pairs.
///
/// # Panics
/// Where the lengths differ.
pub fn paired(a: &[f64], b: &[f64]) -> Test {
    assert_eq!(a.len(), b.len(), "a paired test is of pairs");
    if a.len() < 2 {
        return Test { t: f64::NAN, p: f64::NAN };
    }
    let differences: Vec<f64> = a.iter().zip(b).map(|(a, b)| a - b).collect();
    let freedom = a.len() as f64 - 1.0;
    tested(mean(&differences) / (squares(&differences) / freedom / a.len() as f64).sqrt(), freedom)
}

/// The sum of squared deviations from the mean.
fn squares(values: &[f64]) -> f64 {
    let mean = mean(values);
    values.iter().map(|value| (value - mean).powi(2)).sum()
}

fn tested(t: f64, freedom: f64) -> Test {
    match StudentsT::new(0.0, 1.0, freedom) {
        Ok(student) if t.is_finite() => Test { t, p: 2.0 * student.sf(t.abs()) },
        // Equal values on each side: certain where the means differ, no test where they do not.
        _ => Test { t, p: if t.is_infinite() { 0.0 } else { f64::NAN } },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::reference_tests::{close, each, float, floats};

    #[test]
    fn numbers_are_scipys() {
        each("effect", |case| {
            let (a, b) = (floats(&case["a"]), floats(&case["b"]));
            close(cohens_d(&a, &b), float(&case["cohens_d"]), 1e-12);
            close(hedges_g(&a, &b), float(&case["hedges_g"]), 1e-12);
            let found = welch(&a, &b);
            close(found.t, float(&case["welch"]["t"]), 1e-12);
            close(found.p, float(&case["welch"]["p"]), 1e-9);
            if a.len() == b.len() {
                let found = paired(&a, &b);
                close(found.t, float(&case["paired"]["t"]), 1e-12);
                close(found.p, float(&case["paired"]["p"]), 1e-9);
            }
        });
    }

    #[test]
    fn too_few_values_have_no_effect() {
        assert!(cohens_d(&[1.0], &[2.0, 3.0]).is_nan() && hedges_g(&[1.0], &[2.0]).is_nan());
        assert!(welch(&[1.0, 2.0], &[]).p.is_nan() && paired(&[1.0], &[2.0]).t.is_nan());
        assert!(cohens_d(&[1.0, f64::NAN], &[2.0, 3.0]).is_nan());
    }

    #[test]
    fn without_spread_a_difference_is_certain_and_none_is_no_test() {
        assert_eq!(welch(&[1.0, 1.0], &[2.0, 2.0]), Test { t: f64::NEG_INFINITY, p: 0.0 });
        assert!(welch(&[1.0, 1.0], &[1.0, 1.0]).p.is_nan());
    }
}
