//! What replicates say: intervals from resamples, p values from permutations.

use super::quantile::quantile;

/// In which direction a value is extreme.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Tail {
    /// Far from the mean of all replicates, the observed value among them.
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
    let count = null.first().map_or(0, Vec::len);
    assert!(null.iter().all(|values| values.len() == count), "one value of each statistic for each permutation");
    let tested: Vec<usize> = (0..observed.len()).filter(|&i| !observed[i].is_nan()).collect();
    let centres: Vec<f64> = observed.iter().zip(null).map(|(&value, null)| centre(value, null)).collect();
    let extremity = |i: usize, value: f64| match tail {
        _ if value.is_nan() => f64::INFINITY,
        Tail::TwoSided => (value - centres[i]).abs(),
        Tail::Greater => value,
        Tail::Less => -value,
    };
    let largest: Vec<f64> = (0..count)
        .map(|at| tested.iter().map(|&i| extremity(i, null[i][at])).fold(f64::NEG_INFINITY, f64::max))
        .collect();
    let p = |i: usize| {
        let own = extremity(i, observed[i]) - ROUNDING * observed[i].abs();
        let extreme = largest.iter().filter(|value| **value >= own).count();
        (1 + extreme) as f64 / (1 + count) as f64
    };
    (0..observed.len()).map(|i| if observed[i].is_nan() { f64::NAN } else { p(i) }).collect()
}

/// The mean of the observed value and of all defined replicates.
fn centre(observed: f64, null: &[f64]) -> f64 {
    let defined: Vec<f64> = null.iter().copied().filter(|value| !value.is_nan()).collect();
    (observed + defined.iter().sum::<f64>()) / (1.0 + defined.len() as f64)
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

    /// By hand: of nine permutations, two are at least 3; the mean of all ten values is 0.5, from which 3 is 2.5 away, as
    /// −2.5 and 4 are, and 3.
    #[test]
    fn p_counts_what_is_at_least_as_extreme() {
        let null = [-2.5, -2.0, -1.0, 0.0, 0.0, 0.5, 1.0, 2.0, 4.0];
        assert_eq!(p_value(3.0, &null, Tail::Greater), 0.2);
        assert_eq!(p_value(3.0, &null, Tail::TwoSided), 0.3);
        assert_eq!(p_value(3.0, &null, Tail::Less), 1.0 - 0.1);
        assert_eq!(p_value(3.0 + 1e-15, &[3.0; 4], Tail::Greater), 1.0);
        assert!(p_value(f64::NAN, &null, Tail::Greater).is_nan());
        assert_eq!(p_value(3.0, &[f64::NAN, 0.0, 0.0], Tail::TwoSided), 0.5);
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
