//! How much alike two texts' activations are, and how much two sets of positions have in common.
//!
//! Texts of different length have no natural partner for each token: how they are laid side by side is part of the
//! measure.

use ndarray::{ArrayView2, s};

/// How the positions of two texts are laid side by side.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Alignment {
    /// From the first position on, as many as the shorter text has.
    Start,
    /// Up to the last position, as many as the shorter text has.
    End,
    /// The last position alone.
    Last,
    /// From the second position on, as many as the shorter text has.
    ExceptFirst,
}

impl Alignment {
    /// The positions of two texts `[position, d]` that are compared; none where the shorter has none.
    pub fn lay<'a>(self, a: ArrayView2<'a, f64>, b: ArrayView2<'a, f64>) -> (ArrayView2<'a, f64>, ArrayView2<'a, f64>) {
        let shared = a.nrows().min(b.nrows());
        let head = |text: ArrayView2<'a, f64>, from: usize| text.slice_move(s![from.min(shared)..shared, ..]);
        let tail = |text: ArrayView2<'a, f64>, count: usize| {
            let from = text.nrows() - count;
            text.slice_move(s![from.., ..])
        };
        match self {
            Self::Start => (head(a, 0), head(b, 0)),
            Self::ExceptFirst => (head(a, 1), head(b, 1)),
            Self::End => (tail(a, shared), tail(b, shared)),
            Self::Last => (tail(a, shared.min(1)), tail(b, shared.min(1))),
        }
    }
}

/// The cosine of the angle between two matrices of one shape, as vectors; NaN where one is zero or empty.
///
/// # Panics
/// Where the shapes differ.
pub fn cosine(a: ArrayView2<f64>, b: ArrayView2<f64>) -> f64 {
    assert_eq!(a.dim(), b.dim(), "a cosine is between vectors of one length");
    let (mut dot, mut aa, mut bb) = (0.0, 0.0, 0.0);
    for (x, y) in a.iter().zip(&b) {
        dot += x * y;
        aa += x * x;
        bb += y * y;
    }
    // One root of the product, not two roots: a text compared with itself is then exactly 1.
    (dot / (aa * bb).sqrt()).clamp(-1.0, 1.0)
}

/// The places of the `k` largest weights, largest first; of equal ones the first. NaN is no weight.
pub fn largest(weights: impl Iterator<Item = f64>, k: usize) -> Vec<usize> {
    let mut places: Vec<(usize, f64)> = weights.enumerate().filter(|(_, weight)| !weight.is_nan()).collect();
    places.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
    places.into_iter().take(k).map(|(place, _)| place).collect()
}

/// What two sets (without repetitions) have in common, as a part of what is in either; NaN of two empty ones.
pub fn jaccard(a: &[i64], b: &[i64]) -> f64 {
    let common = a.iter().filter(|item| b.contains(item)).count();
    common as f64 / (a.len() + b.len() - common) as f64
}

#[cfg(test)]
mod tests {
    use ndarray::arr2;

    use super::*;

    #[test]
    fn alignments_take_the_positions_that_they_say() {
        let a = arr2(&[[1.0], [2.0], [3.0]]);
        let b = arr2(&[[10.0], [20.0]]);
        let laid = |alignment: Alignment| {
            let (a, b) = alignment.lay(a.view(), b.view());
            (a.iter().copied().collect::<Vec<_>>(), b.iter().copied().collect::<Vec<_>>())
        };
        assert_eq!(laid(Alignment::Start), (vec![1.0, 2.0], vec![10.0, 20.0]));
        assert_eq!(laid(Alignment::End), (vec![2.0, 3.0], vec![10.0, 20.0]));
        assert_eq!(laid(Alignment::Last), (vec![3.0], vec![20.0]));
        assert_eq!(laid(Alignment::ExceptFirst), (vec![2.0], vec![20.0]));
        let (one, none) = Alignment::ExceptFirst.lay(a.slice(s![..1, ..]), b.view());
        assert!(one.is_empty() && none.is_empty() && cosine(one, none).is_nan());
    }

    #[test]
    fn cosines_by_hand() {
        let close = |a: &[[f64; 2]], b: &[[f64; 2]], expected: f64| {
            let (a, b) = (arr2(a), arr2(b));
            assert!((cosine(a.view(), b.view()) - expected).abs() < 1e-15);
        };
        close(&[[1.0, 2.0], [3.0, 4.0]], &[[2.0, 4.0], [6.0, 8.0]], 1.0);
        close(&[[1.0, 0.0]], &[[0.0, 1.0]], 0.0);
        close(&[[3.0, 4.0]], &[[4.0, 3.0]], 24.0 / 25.0);
        assert!(cosine(arr2(&[[0.0, 0.0]]).view(), arr2(&[[1.0, 1.0]]).view()).is_nan());
    }

    #[test]
    fn sets_by_hand() {
        assert_eq!(jaccard(&[1, 2, 3], &[3, 2, 9]), 0.5);
        assert_eq!((jaccard(&[1], &[1]), jaccard(&[1], &[2])), (1.0, 0.0));
        assert!(jaccard(&[], &[]).is_nan());
        assert_eq!(largest([0.1, 0.4, f64::NAN, 0.4, 0.2].into_iter(), 3), [1, 3, 4]);
        assert_eq!(largest([0.1].into_iter(), 3), [0]);
    }
}
