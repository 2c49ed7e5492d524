//! Direct attribution: how much of a direction behind a norm each addend in front of it makes, while the norm's divisor
//! stays what it was.
//!
//! A norm whose divisor stands still is an affine map, so that the shares of what a residual stream is the sum of add up
//! to the whole. (Elhage et al. 2021; Wang et al. 2022 call it direct logit attribution.)

/// A norm with a divisor that does not depend on what is normed.
#[derive(Clone, PartialEq, Debug)]
pub struct FrozenNorm {
    /// Whether the mean is subtracted.
    pub centred: bool,
    pub weight: Vec<f32>,
    pub bias: Option<Vec<f32>>,
    pub divisor: f64,
}

impl FrozenNorm {
    /// A direction behind the norm, as it is in front of it; and what the norm's bias adds along it.
    pub fn before(&self, direction: &[f64]) -> (Vec<f64>, f64) {
        let mut own: Vec<f64> = direction.iter().zip(&self.weight).map(|(d, w)| d * f64::from(*w)).collect();
        // Centring is symmetric: what is taken from x may as well be taken from the direction.
        let mean = if self.centred { own.iter().sum::<f64>() / own.len() as f64 } else { 0.0 };
        own.iter_mut().for_each(|d| *d = (*d - mean) / self.divisor);
        (own, self.bias.as_ref().map_or(0.0, |bias| along(bias, direction)))
    }
}

/// The direction in front of a norm, where there is one; and what its bias adds.
pub fn before(norm: Option<&FrozenNorm>, direction: &[f64]) -> (Vec<f64>, f64) {
    match norm {
        Some(norm) => norm.before(direction),
        None => (direction.to_vec(), 0.0),
    }
}

/// How far a vector goes along a direction.
pub fn along(vector: &[f32], direction: &[f64]) -> f64 {
    vector.iter().zip(direction).map(|(x, d)| f64::from(*x) * d).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// x = (1, 3), mean 2, standard deviation 1: normed (−1, 1), times (2, 3) plus (10, 20) is (8, 23), along (1, 1) 31.
    #[test]
    fn shares_and_bias_add_up_to_what_stands_behind_the_norm() {
        let norm = FrozenNorm { centred: true, weight: vec![2.0, 3.0], bias: Some(vec![10.0, 20.0]), divisor: 1.0 };
        let (own, constant) = norm.before(&[1.0, 1.0]);
        assert_eq!((own.as_slice(), constant), (&[-0.5, 0.5][..], 30.0));
        let shares = [[0.25, 1.0], [0.75, 2.0]].map(|part| along(&part, &own));
        assert_eq!(shares, [0.375, 0.625]);
        assert_eq!(shares.iter().sum::<f64>() + constant, 31.0);
    }

    #[test]
    fn without_a_mean_only_the_divisor_and_the_weight_count() {
        let norm = FrozenNorm { centred: false, weight: vec![2.0, 3.0], bias: None, divisor: 4.0 };
        assert_eq!(norm.before(&[1.0, -1.0]), (vec![0.5, -0.75], 0.0));
        assert_eq!(before(None, &[1.0, -1.0]), (vec![1.0, -1.0], 0.0));
    }
}
