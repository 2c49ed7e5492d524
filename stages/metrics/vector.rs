//! Lengths of vectors, and what is left of one without its part along another. NaN stands where there is no number:
//! such places count for nothing and stay as they are.

/// What is left may be rounding where it is this small a part of the whole: numbers of 32 bits have seven digits.
const ROUNDING: f64 = 1e-6;

/// The Euclidean norm (of a matrix laid out in a row: Frobenius's).
pub fn norm(x: &[f64]) -> f64 {
    x.iter().filter(|x| !x.is_nan()).map(|x| x * x).sum::<f64>().sqrt()
}

/// `x` at another norm. A vector of zeros stays one.
pub fn scaled_to(target: f64, x: &mut [f64]) {
    let own = norm(x);
    if own > 0.0 {
        x.iter_mut().for_each(|x| *x *= target / own);
    }
}

/// `x` without its projection on `y`, at the norm of `x`; nothing where `x` lies along `y`, so that only rounding is left.
/// NaN where either has it.
///
/// # Panics
/// Where the lengths differ.
pub fn orthogonal(x: &[f64], y: &[f64]) -> Option<Vec<f64>> {
    assert_eq!(x.len(), y.len(), "vectors of one space");
    let both = |x: f64, y: f64| if y.is_nan() { f64::NAN } else { x };
    let x: Vec<f64> = x.iter().zip(y).map(|(x, y)| both(*x, *y)).collect();
    let dot = |a: &[f64]| a.iter().zip(y).map(|(a, y)| a * y).filter(|product| !product.is_nan()).sum::<f64>();
    let there: Vec<f64> = y.iter().zip(&x).map(|(y, x)| both(*y, *x)).collect();
    let square = norm(&there).powi(2);
    let along = if square > 0.0 { dot(&x) / square } else { 0.0 };
    let mut rest: Vec<f64> = x.iter().zip(y).map(|(x, y)| x - along * y).collect();
    let whole = norm(&x);
    if whole > 0.0 && norm(&rest) <= ROUNDING * whole {
        return None;
    }
    scaled_to(whole, &mut rest);
    Some(rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_left_is_orthogonal_and_as_long() {
        // (3, 4) without its part along (1, 1) is (−½, ½), at the norm 5: 5/√2 in each.
        let rest = orthogonal(&[3.0, 4.0], &[1.0, 1.0]).unwrap();
        let each = 5.0 / 2f64.sqrt();
        assert!((rest[0] + each).abs() < 1e-12 && (rest[1] - each).abs() < 1e-12, "{rest:?}");
        assert_eq!(orthogonal(&[3.0, 4.0], &[0.0, 0.0]).unwrap(), [3.0, 4.0]);
        assert_eq!(orthogonal(&[0.0, 0.0], &[1.0, 2.0]).unwrap(), [0.0, 0.0]);
        assert_eq!(orthogonal(&[-3.0, -6.0], &[1.0, 2.0]), None);
    }

    #[test]
    fn what_is_not_there_counts_for_nothing() {
        assert_eq!(norm(&[3.0, f64::NAN, 4.0]), 5.0);
        // Beside (3, 0) stands (0, 2): nothing to take away, whatever the missing places hold.
        let rest = orthogonal(&[3.0, f64::NAN, 0.0, 7.0], &[0.0, 5.0, 2.0, f64::NAN]).unwrap();
        assert!(rest[0] == 3.0 && rest[1].is_nan() && rest[2] == 0.0 && rest[3].is_nan(), "{rest:?}");
    }
}
