//! What a box plot shows of a column of numbers (Tukey 1977): quartiles, whiskers, and what lies beyond them.

/// Whiskers reach the farthest number within so many interquartile ranges of the box.
const REACH: f64 = 1.5;

/// A column in five numbers, and the outliers, in order.
#[derive(Clone, PartialEq, Debug)]
pub struct Spread {
    pub low: f64,
    pub first: f64,
    pub median: f64,
    pub third: f64,
    pub high: f64,
    pub outliers: Vec<f64>,
    /// How many numbers there are.
    pub count: usize,
}

/// None where there is no number; what is NaN is left out and not counted.
pub fn spread(values: &[f64]) -> Option<Spread> {
    let mut sorted: Vec<f64> = values.iter().copied().filter(|value| value.is_finite()).collect();
    sorted.sort_by(f64::total_cmp);
    let [first, median, third] = [0.25, 0.5, 0.75].map(|q| between(&sorted, q));
    let (lower, upper) = (first - REACH * (third - first), third + REACH * (third - first));
    let inside = |value: &&f64| (lower..=upper).contains(*value);
    // A quartile that is interpolated can lie beyond every number inside: then the whisker has no length.
    let low = sorted.iter().find(inside).map_or(first, |low| low.min(first));
    let high = sorted.iter().rev().find(inside).map_or(third, |high| high.max(third));
    let outliers = sorted.iter().copied().filter(|value| *value < low || *value > high).collect();
    (!sorted.is_empty()).then_some(Spread { low, first, median, third, high, outliers, count: sorted.len() })
}

/// The quantile of sorted numbers, by linear interpolation between the two nearest (Hyndman and Fan's seventh, which is
/// NumPy's).
fn between(sorted: &[f64], q: f64) -> f64 {
    let place = q * sorted.len().saturating_sub(1) as f64;
    let (below, above) = (place.floor() as usize, place.ceil() as usize);
    match (sorted.get(below), sorted.get(above)) {
        (Some(low), Some(high)) => low + (high - low) * (place - place.floor()),
        _ => f64::NAN,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// By `numpy.percentile`, and by the rule for whiskers.
    #[test]
    fn quartiles_and_whiskers_are_those_of_the_field() {
        let found = spread(&[7.0, 1.0, 2.0, f64::NAN, 3.0, 4.0, 100.0, 5.0, 6.0, -40.0]).unwrap();
        let expected =
            Spread { low: 1.0, first: 2.0, median: 4.0, third: 6.0, high: 7.0, outliers: vec![-40.0, 100.0], count: 9 };
        assert_eq!(found, expected);
        let found = spread(&[0.0, 1.0, 2.0, 10.0]).unwrap();
        // numpy.percentile([0, 1, 2, 10], [25, 50, 75]) = [0.75, 1.5, 4.0]; 4 + 1.5 × 3.25 = 8.875 < 10.
        assert_eq!((found.first, found.median, found.third), (0.75, 1.5, 4.0));
        assert_eq!((found.low, found.high, found.outliers), (0.0, 4.0, vec![10.0]));
    }

    #[test]
    fn one_number_is_its_own_box_and_none_has_no_box() {
        let one = spread(&[2.5]).unwrap();
        assert_eq!((one.low, one.median, one.high, one.count), (2.5, 2.5, 2.5, 1));
        assert_eq!(spread(&[f64::NAN]), None);
    }
}
