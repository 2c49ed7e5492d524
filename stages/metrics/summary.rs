//! What is said of a column of numbers: mean, spread, order statistics, area. Empty columns have none: NaN. A NaN in
//! them makes the answer NaN; who wants it left out says so.

pub fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

/// The standard deviation over all values (ddof 0).
pub fn std(values: &[f64]) -> f64 {
    let mean = mean(values);
    (values.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / values.len() as f64).sqrt()
}

pub fn min(values: &[f64]) -> f64 {
    extreme(values, f64::min)
}

pub fn max(values: &[f64]) -> f64 {
    extreme(values, f64::max)
}

/// The place of the first of the largest values; none where there is no value, or one is NaN.
pub fn argmax(values: &[f64]) -> Option<usize> {
    if values.iter().any(|value| value.is_nan()) {
        return None;
    }
    (0..values.len()).reduce(|best, at| if values[at] > values[best] { at } else { best })
}

/// The middle value, or the mean of the two in the middle.
pub fn median(values: &[f64]) -> f64 {
    if values.is_empty() || values.iter().any(|value| value.is_nan()) {
        return f64::NAN;
    }
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let half = sorted.len() / 2;
    if sorted.len() % 2 == 1 { sorted[half] } else { (sorted[half - 1] + sorted[half]) / 2.0 }
}

/// The area under the points (x, y) joined by lines, in the order of x (trapezoids).
///
/// # Panics
/// Where the lengths differ.
pub fn area(x: &[f64], y: &[f64]) -> f64 {
    assert_eq!(x.len(), y.len(), "an area is under pairs");
    if x.len() < 2 {
        return f64::NAN;
    }
    let mut order: Vec<usize> = (0..x.len()).collect();
    order.sort_by(|&a, &b| x[a].total_cmp(&x[b]));
    order.windows(2).map(|pair| (x[pair[1]] - x[pair[0]]) * (y[pair[0]] + y[pair[1]]) / 2.0).sum()
}

fn extreme(values: &[f64], of: fn(f64, f64) -> f64) -> f64 {
    if values.iter().any(|value| value.is_nan()) {
        return f64::NAN;
    }
    values.iter().copied().reduce(of).unwrap_or(f64::NAN)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn by_hand() {
        let values = [2.0, 4.0, 4.0, 4.0, 5.0, 5.0, 7.0, 9.0];
        assert_eq!((mean(&values), std(&values), median(&values)), (5.0, 2.0, 4.5));
        assert_eq!((min(&values), max(&values)), (2.0, 9.0));
        assert_eq!(median(&[3.0, 1.0, 2.0]), 2.0);
    }

    #[test]
    fn an_area_is_in_the_order_of_x() {
        assert_eq!(area(&[0.0, 1.0, 3.0], &[0.0, 2.0, 4.0]), 7.0);
        assert_eq!(area(&[3.0, 0.0, 1.0], &[4.0, 0.0, 2.0]), 7.0);
    }

    #[test]
    fn nothing_has_no_mean_and_nan_spreads() {
        for of in [mean, std, min, max, median] {
            assert!(of(&[]).is_nan() && of(&[1.0, f64::NAN]).is_nan());
        }
        assert!(area(&[1.0], &[1.0]).is_nan());
        assert_eq!((argmax(&[]), argmax(&[1.0, f64::NAN]), argmax(&[1.0, 3.0, 3.0])), (None, None, Some(1)));
    }
}
