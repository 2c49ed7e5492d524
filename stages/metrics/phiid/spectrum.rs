//! When a correlation matrix of four series counts as singular.
//!
//! The reference refuses a Gaussian whose smallest eigenvalue is not above 10⁶·eps of the largest. Eigenvalues are
//! dear, so a bound on the determinant clears nearly every pair before.

/// λ_min ≤ `SINGULAR` · λ_max is singular.
pub const SINGULAR: f64 = 1e6 * f64::EPSILON;

/// A determinant above this cannot belong to a singular matrix: the trace is 4, so λ_max ≤ 4 and the three larger
/// eigenvalues multiply to at most (4/3)³, whence λ_min ≥ det / (4/3)³.
pub const CLEAR: f64 = SINGULAR * 4.0 * (64.0 / 27.0) * 1.01;

/// Whether a correlation matrix is singular.
pub fn is_singular(matrix: [[f64; 4]; 4]) -> bool {
    let eigenvalues = eigenvalues(matrix);
    let largest = eigenvalues.iter().fold(f64::NEG_INFINITY, |a, &b| a.max(b));
    // Written so that a NaN is singular.
    !eigenvalues.iter().all(|&value| value > SINGULAR * largest)
}

/// The eigenvalues of a symmetric matrix, by Jacobi's rotations: exact to a few eps of the largest, which is what the
/// comparison needs.
fn eigenvalues(mut m: [[f64; 4]; 4]) -> [f64; 4] {
    const SWEEPS: usize = 12; // it converges quadratically: five are plenty
    for _ in 0..SWEEPS {
        for p in 0..3 {
            for q in p + 1..4 {
                rotate(&mut m, p, q);
            }
        }
    }
    std::array::from_fn(|i| m[i][i])
}

/// Turns the plane of `p` and `q` so that `m[p][q]` becomes 0.
fn rotate(m: &mut [[f64; 4]; 4], p: usize, q: usize) {
    if m[p][q] == 0.0 {
        return;
    }
    let theta = (m[q][q] - m[p][p]) / (2.0 * m[p][q]);
    let t = theta.signum() / (theta.abs() + (theta * theta + 1.0).sqrt());
    let c = 1.0 / (t * t + 1.0).sqrt();
    let s = t * c;
    for row in m.iter_mut() {
        (row[p], row[q]) = (c * row[p] - s * row[q], s * row[p] + c * row[q]);
    }
    let (above, below) = (m[p], m[q]);
    m[p] = std::array::from_fn(|k| c * above[k] - s * below[k]);
    m[q] = std::array::from_fn(|k| s * above[k] + c * below[k]);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn eigenvalues_of_equal_correlations_are_known() {
        // One correlation r everywhere: 1 + 3r once, 1 − r three times.
        let r = 0.3;
        let mut found = eigenvalues(std::array::from_fn(|i| std::array::from_fn(|j| if i == j { 1.0 } else { r })));
        found.sort_by(f64::total_cmp);
        for (found, expected) in found.into_iter().zip([0.7, 0.7, 0.7, 1.9]) {
            assert!((found - expected).abs() < 1e-15, "{found} is not {expected}");
        }
    }

    #[test]
    fn the_threshold_is_where_the_reference_has_it() {
        // Two pairs of twins, independent of each other: eigenvalues 1 ± r, so r decides alone.
        let twins = |gap: f64| {
            let r = 1.0 - gap;
            is_singular([[1.0, r, 0.0, 0.0], [r, 1.0, 0.0, 0.0], [0.0, 0.0, 1.0, 0.0], [0.0, 0.0, 0.0, 1.0]])
        };
        assert!(twins(4.3e-10)); // 4.3e-10 / 2 < 2.22e-10
        assert!(!twins(4.6e-10));
        assert!(twins(0.0));
        assert!(twins(f64::NAN));
    }

    #[test]
    fn a_clear_determinant_is_never_singular() {
        // The least clear matrix of a given determinant: three equal large eigenvalues.
        let r: f64 = (1.0 - 1e-12) / 3.0; // equal correlations −r: one eigenvalue 1 − 3r, three 1 + r
        let matrix = std::array::from_fn(|i| std::array::from_fn(|j| if i == j { 1.0 } else { -r }));
        let determinant = (1.0 - 3.0 * r) * (1.0 + r).powi(3);
        assert!(determinant < CLEAR && is_singular(matrix));
    }
}
