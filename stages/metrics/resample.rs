//! What replicates say: intervals from resamples, p values from permutations.

use super::quantile::quantile;

/// In which direction a value is extreme.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Tail {
    /// Twice the smaller p of the two sides, at most 1, as SciPy's permutation tests have it.
    TwoSided,
    Greater,
    Less,
}

/// What of a difference is rounding: sums of the same numbers in another order.
const ROUNDING: f64 = 1e-12;

/// The percentile interval that holds the part `confidence` of the replicates. Fewer than two have none: NaN.
///
/// # Panics
/// Where `confidence` is not from 0 to 1.
pub fn interval(replicates: &[f64], confidence: f64) -> (f64, f64) {
    if replicates.len() < 2 {
        return (f64::NAN, f64::NAN);
    }
    let outside = (1.0 - confidence) / 2.0;
    (quantile(replicates, outside), quantile(replicates, 1.0 - outside))
}

/// How likely a value at least as extreme as the observed one is among permutations: (1 + those that are) / (1 + all). A
/// permutation for which the statistic is not defined (NaN) counts as extreme.
pub fn p_value(observed: f64, null: &[f64], tail: Tail) -> f64 {
    familywise(&[observed], &[null.to_vec()], tail)[0]
}

/// The same for each of several statistics, held against the most extreme of all of them in each permutation: the
/// probability that any of them is as extreme by chance. `null` is [statistic][permutation].
///
/// # Panics
/// Where statistics have different numbers of permutations.
pub fn familywise(observed: &[f64], null: &[Vec<f64>], tail: Tail) -> Vec<f64> {
    let greater = || one_sided(observed, null, 1.0);
    let less = || one_sided(observed, null, -1.0);
    match tail {
        Tail::Greater => greater(),
        Tail::Less => less(),
        // `min` would drop a NaN, which stands in both or in neither.
        Tail::TwoSided => {
            greater().into_iter().zip(less()).map(|(g, l)| if g < l { g } else { l }).map(twice).collect()
        }
    }
}

fn twice(p: f64) -> f64 {
    if p > 0.5 { 1.0 } else { 2.0 * p }
}

/// What is extreme is large after multiplication by `sign`.
fn one_sided(observed: &[f64], null: &[Vec<f64>], sign: f64) -> Vec<f64> {
    let count = null.first().map_or(0, Vec::len);
    assert!(null.iter().all(|values| values.len() == count), "one value of each statistic for each permutation");
    let tested: Vec<&Vec<f64>> =
        null.iter().zip(observed).filter(|(_, value)| !value.is_nan()).map(|(n, _)| n).collect();
    let extremity = |value: f64| if value.is_nan() { f64::INFINITY } else { sign * value };
    let largest: Vec<f64> = (0..count)
        .map(|at| tested.iter().map(|values| extremity(values[at])).fold(f64::NEG_INFINITY, f64::max))
        .collect();
    let p = |value: f64| {
        let own = sign * value - ROUNDING * value.abs();
        let extreme = largest.iter().filter(|other| **other >= own).count();
        (1 + extreme) as f64 / (1 + count) as f64
    };
    observed.iter().map(|&value| if value.is_nan() { f64::NAN } else { p(value) }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_interval_is_of_percentiles() {
        let values: Vec<f64> = (0..=100).map(f64::from).collect();
        let (low, high) = interval(&values, 0.9);
        assert!((low - 5.0).abs() < 1e-9 && (high - 95.0).abs() < 1e-9);
        assert!(interval(&[1.0], 0.9).0.is_nan());
    }

    /// By hand: of nine permutations, one is at least 3 and eight are at most 3; twice the smaller p is 0.4.
    #[test]
    fn p_counts_what_is_at_least_as_extreme() {
        let null = [-2.5, -2.0, -1.0, 0.0, 0.0, 0.5, 1.0, 2.0, 4.0];
        assert_eq!(p_value(3.0, &null, Tail::Greater), 0.2);
        assert_eq!(p_value(3.0, &null, Tail::TwoSided), 0.4);
        assert_eq!(p_value(3.0, &null, Tail::Less), 0.9);
        assert_eq!(p_value(0.0, &null, Tail::TwoSided), 1.0);
        assert_eq!(p_value(3.0 + 1e-15, &[3.0; 4], Tail::Greater), 1.0);
        assert!(p_value(f64::NAN, &null, Tail::Greater).is_nan());
        assert_eq!(p_value(3.0, &[f64::NAN, 0.0, 0.0], Tail::Greater), 0.5);
    }

    /// The larger of the two in each permutation: 1, 4, 2, 5.
    #[test]
    fn the_family_is_held_against_its_largest() {
        let null = [vec![1.0, 4.0, 0.0, 0.0], vec![0.0, 1.0, 2.0, 5.0]];
        assert_eq!(familywise(&[3.0, 6.0], &null, Tail::Greater), [0.6, 0.2]);
        let found = familywise(&[f64::NAN, 6.0], &null, Tail::Greater);
        assert!(found[0].is_nan() && found[1] == 0.2);
    }
}
