//! Series cut into past and future windows, each centred and scaled so that a correlation is a plain dot product: the
//! series of each prompt by itself, or those of all prompts pooled, the pairs of moments of one prompt after the other's.
//!
//! Eight heads stand side by side (a *panel*), past and future of one moment next to each other, so that the fused
//! pass reads memory in the order in which it is stored. What cannot be scaled (not finite, constant, too short) is
//! recorded here, once a head and prompt, and filled with NaN, which no comparison lets through.

use ndarray::{ArrayView3, s};
use rayon::prelude::*;

use super::Degenerate;

/// Heads in a panel.
pub const PANEL: usize = 8;

/// A window of fewer samples cannot tell four series apart.
pub const SHORTEST: usize = 5;

/// All windows of all heads and prompts.
pub struct Windows {
    /// One where all are pooled.
    pub prompts: usize,
    pub heads: usize,
    /// Samples in a window.
    pub samples: usize,
    panels: usize,
    data: Vec<f64>,                  // [prompt, panel, sample, past | future, PANEL]
    own: Vec<f64>,                   // [prompt, panel, PANEL]
    status: Vec<Option<Degenerate>>, // [prompt, panel, PANEL]
}

impl Windows {
    /// Those of each prompt by itself.
    ///
    /// # Panics
    /// Where `tau` is 0.
    pub fn of(activations: ArrayView3<f64>, tau: usize) -> Self {
        Self::pooled(activations, tau, 1)
    }

    /// One past and one future window of all prompts. Both moments of a pair are of one prompt: none lies on the two
    /// sides of a border, as some would if the series were laid end to end first and cut then.
    ///
    /// # Panics
    /// Where `tau` is 0.
    pub fn concatenated(activations: ArrayView3<f64>, tau: usize) -> Self {
        Self::pooled(activations, tau, activations.dim().0.max(1))
    }

    /// Each window is over so many prompts, a divisor of their number.
    fn pooled(activations: ArrayView3<f64>, tau: usize, prompts_each: usize) -> Self {
        assert!(tau > 0, "a lag of at least one step");
        let (prompts, heads, steps) = activations.dim(); // [prompt, head, step]
        let prompts = prompts / prompts_each;
        let (samples, panels) = (prompts_each * steps.saturating_sub(tau), heads.div_ceil(PANEL));
        let mut data = vec![0.0; prompts * panels * samples * 2 * PANEL];
        let mut own = vec![0.0; prompts * panels * PANEL];
        let mut status = vec![None; prompts * panels * PANEL];
        if samples < SHORTEST {
            status.fill(Some(Degenerate::Short));
            data.fill(f64::NAN);
            own.fill(f64::NAN); // also where a window has no sample at all
        } else {
            let series = activations.as_standard_layout();
            let series = series.view();
            let targets = data.par_chunks_mut(samples * 2 * PANEL).zip(own.par_chunks_mut(PANEL));
            targets.zip(status.par_chunks_mut(PANEL)).enumerate().for_each(|(index, ((panel, own), status))| {
                let (prompt, first) = (index / panels, index % panels * PANEL);
                for lane in 0..PANEL.min(heads - first) {
                    let of = |prompt| {
                        let series = series.slice_move(s![prompt, first + lane, ..]);
                        series.to_slice().expect("the standard layout is contiguous along its last axis")
                    };
                    let pooled: Vec<&[f64]> = (prompt * prompts_each..(prompt + 1) * prompts_each).map(of).collect();
                    status[lane] = fill(panel, lane, &pooled, tau);
                    own[lane] = panel.chunks_exact(2 * PANEL).map(|now| now[lane] * now[PANEL + lane]).sum();
                }
            });
        }
        Self { prompts, heads, samples, panels, data, own, status }
    }

    /// A panel of one prompt: `[sample, past | future, PANEL]`.
    pub fn panel(&self, prompt: usize, panel: usize) -> &[f64] {
        let size = self.samples * 2 * PANEL;
        let start = (prompt * self.panels + panel) * size;
        &self.data[start..start + size]
    }

    /// The correlation of each head's past with its own future, padded to whole panels.
    pub fn own(&self, prompt: usize) -> &[f64] {
        &self.own[prompt * self.panels * PANEL..(prompt + 1) * self.panels * PANEL]
    }

    /// What is wrong with a head in a prompt.
    pub fn status(&self, prompt: usize, head: usize) -> Option<Degenerate> {
        self.status[prompt * self.panels * PANEL + head]
    }
}

/// Writes both windows of one head, over its series in one or several prompts, into a lane of its panel.
fn fill(panel: &mut [f64], lane: usize, series: &[&[f64]], tau: usize) -> Option<Degenerate> {
    let past: Vec<&[f64]> = series.iter().map(|series| &series[..series.len() - tau]).collect();
    let future: Vec<&[f64]> = series.iter().map(|series| &series[tau..]).collect();
    let scales = scale(&past).and_then(|of_past| Ok([of_past, scale(&future)?]));
    for (half, window) in [past, future].into_iter().enumerate() {
        let (mean, inverse) = scales.map_or((f64::NAN, f64::NAN), |scales| scales[half]);
        for (moment, value) in panel.chunks_exact_mut(2 * PANEL).zip(window.into_iter().flatten()) {
            moment[half * PANEL + lane] = (value - mean) * inverse;
        }
    }
    scales.err()
}

/// The mean of a window, given in parts, and the inverse length of what is left when it is subtracted.
fn scale(window: &[&[f64]]) -> Result<(f64, f64), Degenerate> {
    let values = || window.iter().copied().flatten();
    let count = values().count() as f64;
    let mean = values().sum::<f64>() / count;
    let squares: f64 = values().map(|value| (value - mean).powi(2)).sum();
    if !squares.is_finite() {
        return Err(Degenerate::NonFinite);
    }
    let largest = values().fold(0.0, |largest: f64, value| largest.max(value.abs()));
    let rounding = 8.0 * f64::EPSILON * count * largest;
    if squares <= rounding * rounding { Err(Degenerate::Constant) } else { Ok((mean, squares.sqrt().recip())) }
}

#[cfg(test)]
mod tests {
    use ndarray::Array3;

    use super::*;

    #[test]
    fn windows_are_centred_and_of_length_one() {
        let activations = Array3::from_shape_fn((2, 9, 12), |(p, h, t)| ((p * 31 + h * 7 + t * t) % 13) as f64);
        let windows = Windows::of(activations.view(), 2);
        for prompt in 0..2 {
            for panel in 0..2 {
                let panel_data = windows.panel(prompt, panel);
                assert_eq!(panel_data.len(), 10 * 2 * PANEL);
                for slot in 0..2 * PANEL {
                    let lane = slot % PANEL;
                    let values: Vec<f64> = panel_data.chunks_exact(2 * PANEL).map(|moment| moment[slot]).collect();
                    let present = panel * PANEL + lane < 9;
                    assert!(values.iter().sum::<f64>().abs() < 1e-15);
                    let length: f64 = values.iter().map(|v| v * v).sum();
                    assert!((length - f64::from(u8::from(present))).abs() < 1e-15);
                }
            }
        }
    }

    #[test]
    fn the_scale_says_what_is_wrong() {
        assert_eq!(scale(&[&[0.1; 99]]), Err(Degenerate::Constant)); // its mean is not exactly 0.1
        assert_eq!(scale(&[&[0.0; 9]]), Err(Degenerate::Constant));
        assert_eq!(scale(&[&[1.0, f64::NAN, 2.0]]), Err(Degenerate::NonFinite));
        assert_eq!(scale(&[&[1.0, 2.0], &[f64::INFINITY]]), Err(Degenerate::NonFinite));
        assert_eq!(scale(&[&[4.0, 2.0, 4.0, 2.0]]), Ok((3.0, 0.5)));
        assert_eq!(scale(&[&[4.0, 4.0], &[2.0, 2.0]]), Ok((3.0, 0.5)), "though neither part varies");
    }

    /// Three prompts of three steps, two pairs of moments each: of the past 1 2, 8 9 and 5 5, whose mean is 5 and what it
    /// leaves of length √50; of the future 2 3, 9 10 and 5 6, whose mean is 35/6. Neither (3, 8) nor (10, 5) is a pair.
    #[test]
    fn no_pair_of_moments_reaches_over_a_border() {
        let steps = vec![1., 2., 3., 8., 9., 10., 5., 5., 6.];
        let windows = Windows::concatenated(Array3::from_shape_vec((3, 1, 3), steps).unwrap().view(), 1);
        assert_eq!((windows.prompts, windows.samples, windows.status(0, 0)), (1, 6, None));
        let moments: Vec<&[f64]> = windows.panel(0, 0).chunks_exact(2 * PANEL).collect();
        let past: Vec<f64> = moments.iter().map(|moment| moment[0] * 50_f64.sqrt()).collect();
        assert!(past.iter().zip([-4., -3., 3., 4., 0., 0.]).all(|(a, b)| (a - b).abs() < 1e-14), "{past:?}");
        let future = [2., 3., 9., 10., 5., 6.].map(|value: f64| value - 35.0 / 6.0);
        let length = future.iter().map(|value| value * value).sum::<f64>().sqrt();
        assert!(moments.iter().zip(future).all(|(moment, value)| (moment[PANEL] * length - value).abs() < 1e-14));
        let short = Array3::from_shape_fn((2, 1, 4), |(p, _, t)| (p * 7 + t * t) as f64);
        assert_eq!(Windows::concatenated(short.view(), 2).status(0, 0), Some(Degenerate::Short), "four pairs");
        assert_eq!(Windows::concatenated(short.view(), 1).status(0, 0), None, "six pairs");
        assert_eq!(Windows::concatenated(short.view(), 9).status(0, 0), Some(Degenerate::Short), "none");
    }
}
