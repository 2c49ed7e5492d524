//! How large what flows through a model is, over the tokens of some texts.

use super::texts::Lesson;

/// Sums over tokens of what leaves a layer.
#[derive(Clone, Copy, Default)]
pub struct Stream {
    tokens: f64,
    norm: f64,
    std: f64,
}

impl Stream {
    /// `values` is `[row, pos, d]` with padding, which does not count.
    pub fn add(&mut self, values: &[f32], lesson: &Lesson, d: usize) {
        for token in tokens(values, lesson, d) {
            let sum = token.iter().map(|x| f64::from(*x)).sum::<f64>();
            let squares = token.iter().map(|x| f64::from(*x).powi(2)).sum::<f64>();
            let variance = (squares - sum * sum / d as f64) / (d as f64 - 1.0);
            self.tokens += 1.0;
            self.norm += squares.sqrt();
            self.std += variance.max(0.0).sqrt();
        }
    }

    /// The mean norm.
    pub fn norm(&self) -> f64 {
        self.norm / self.tokens
    }

    /// The mean of each token's standard deviation over dimensions (ddof 1).
    pub fn std(&self) -> f64 {
        self.std / self.tokens
    }
}

/// Sums over tokens, dimension by dimension.
#[derive(Clone, Default)]
pub struct Cloud {
    tokens: f64,
    norm: f64,
    sums: Vec<f64>,
    squares: Vec<f64>,
}

impl Cloud {
    /// `values` is `[row, pos, d]` with padding, which does not count.
    pub fn add(&mut self, values: &[f32], lesson: &Lesson, d: usize) {
        self.sums.resize(d, 0.0);
        self.squares.resize(d, 0.0);
        for token in tokens(values, lesson, d) {
            let mut square = 0.0;
            for ((x, sum), squares) in token.iter().map(|x| f64::from(*x)).zip(&mut self.sums).zip(&mut self.squares) {
                *sum += x;
                *squares += x * x;
                square += x * x;
            }
            self.tokens += 1.0;
            self.norm += square.sqrt();
        }
    }

    /// The mean norm.
    pub fn norm(&self) -> f64 {
        self.norm / self.tokens
    }

    /// The standard deviation (ddof 0) of all numbers, each about its dimension's mean.
    pub fn std(&self) -> f64 {
        let n = self.tokens;
        let variances = self.sums.iter().zip(&self.squares).map(|(sum, squares)| squares / n - (sum / n).powi(2));
        (variances.sum::<f64>() / self.sums.len() as f64).max(0.0).sqrt()
    }
}

/// The vectors of real tokens in `[row, pos, d]`.
fn tokens<'v>(values: &'v [f32], lesson: &'v Lesson, d: usize) -> impl Iterator<Item = &'v [f32]> {
    let width = lesson.batch.width();
    let rows = lesson.batch.real.iter().enumerate();
    rows.flat_map(move |(row, real)| values[row * width * d..][..real.len() * d].chunks_exact(d))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lm::batch::Batch;

    /// Two texts of two tokens and of one, and padding.
    fn lesson() -> Lesson {
        let batch = Batch::right_padded(&[(0, &[1, 2]), (1, &[3])]);
        Lesson { batch, places: vec![], targets: vec![], last: vec![] }
    }

    const VALUES: [f32; 8] = [3.0, 4.0, 0.0, 2.0, 6.0, 0.0, 100.0, 100.0];

    /// Norms 5, 2 and 6; standard deviations of two numbers are their difference over √2.
    #[test]
    fn padding_does_not_count() {
        let mut stream = Stream::default();
        stream.add(&VALUES, &lesson(), 2);
        assert!((stream.norm() - 13.0 / 3.0).abs() < 1e-12);
        assert!((stream.std() - 9.0 / 2f64.sqrt() / 3.0).abs() < 1e-12);
    }

    /// The dimensions are (3, 0, 6) and (4, 2, 0), with variances 6 and 8/3.
    #[test]
    fn a_spread_is_about_each_dimensions_mean() {
        let mut cloud = Cloud::default();
        cloud.add(&VALUES, &lesson(), 2);
        assert!((cloud.norm() - 13.0 / 3.0).abs() < 1e-12);
        assert!((cloud.std() - (26.0f64 / 6.0).sqrt()).abs() < 1e-12);
    }
}
