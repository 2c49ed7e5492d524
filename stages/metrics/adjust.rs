//! p values, adjusted for how many there are. NaN is no test: it stays NaN and does not count.

/// Benjamini and Hochberg's false discovery rate.
pub fn benjamini_hochberg(p: &[f64]) -> Vec<f64> {
    // From the largest p down, each is at most the one above it.
    stepped(p, |rank, tests| tests as f64 / rank as f64, true)
}

/// Holm's step-down control of the family-wise error.
pub fn holm(p: &[f64]) -> Vec<f64> {
    stepped(p, |rank, tests| (tests - rank + 1) as f64, false)
}

/// Bonferroni's control of the family-wise error.
pub fn bonferroni(p: &[f64]) -> Vec<f64> {
    stepped(p, |_, tests| tests as f64, false)
}

/// Each p times a factor of its rank (from 1) and the number of tests, at most 1, and made monotonic: from the largest
/// down (`falling`), or from the smallest up.
fn stepped(p: &[f64], factor: fn(usize, usize) -> f64, falling: bool) -> Vec<f64> {
    let mut order: Vec<usize> = (0..p.len()).filter(|&i| !p[i].is_nan()).collect();
    order.sort_by(|&a, &b| p[a].total_cmp(&p[b]));
    let tests = order.len();
    let mut ranked: Vec<(usize, usize)> = order.into_iter().zip(1..).collect();
    let (mut bound, tighter): (f64, fn(f64, f64) -> f64) = match falling {
        true => (1.0, f64::min),
        false => (0.0, f64::max),
    };
    if falling {
        ranked.reverse();
    }
    let mut adjusted = vec![f64::NAN; p.len()];
    for (i, rank) in ranked {
        bound = tighter(bound, (p[i] * factor(rank, tests)).min(1.0));
        adjusted[i] = bound;
    }
    adjusted
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::reference_tests::{close, each, floats};

    fn all_close(found: &[f64], expected: &[f64]) {
        assert_eq!(found.len(), expected.len());
        found.iter().zip(expected).for_each(|(found, expected)| close(*found, *expected, 1e-14));
    }

    #[test]
    fn numbers_are_scipys() {
        each("adjust", |case| {
            let p = floats(&case["p"]);
            all_close(&benjamini_hochberg(&p), &floats(&case["benjamini-hochberg"]));
            all_close(&holm(&p), &floats(&case["holm"]));
            all_close(&bonferroni(&p), &floats(&case["bonferroni"]));
        });
    }

    /// Holm (1979): 0.01, 0.02, 0.03 and 0.04 times 4, 3, 2 and 1; the last two are not below the second.
    #[test]
    fn by_hand_and_without_those_that_are_missing() {
        let p = [0.03, f64::NAN, 0.01, 0.04, 0.02];
        let found = holm(&p);
        assert!(found[1].is_nan());
        all_close(&[found[2], found[4], found[0], found[3]], &[0.04, 0.06, 0.06, 0.06]);
        assert!(benjamini_hochberg(&[f64::NAN])[0].is_nan() && bonferroni(&[]).is_empty());
    }
}
