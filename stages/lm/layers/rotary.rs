//! Rotary position embeddings: which dimensions of a head turn, how fast, and the rotation itself.
//!
//! Under `dynamic` scaling the frequencies of a pass follow from the length that each text has reached in it, and keys
//! in the KV cache stay as they were turned when they were read, as transformers' `generate` leaves them. Beyond the
//! original context, a text that is generated token by token is therefore *not* what it is when read at once: in
//! transformers neither. Two things differ from transformers. The length is a row's own, not the longest of its batch,
//! so that a prompt gives the same numbers in any batch; and nothing is remembered from one call to the next.

use std::borrow::Cow;

use burn::tensor::{Int, TensorData};
use serde_json::Value;

use super::rope_scaling::{Frequencies, scaled};
use crate::lm::{Device, Dtype, Tensor, batch::Batch};

/// Which dimensions of a head are turned against each other, of those that turn.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Pairs {
    /// The two halves: `(i, i + n)`.
    Halves,
    /// Neighbours: `(2i, 2i + 1)`.
    Neighbours,
}

/// The rotation of one model.
#[derive(Clone, PartialEq, Debug)]
pub struct RopeSpec {
    /// The angles, in radians, by which one position turns each pair.
    pub frequencies: Frequencies,
    pub pairs: Pairs,
    /// How many dimensions stand before those that turn.
    pub skipped: usize,
}

/// Cosines and sines of one pass, laid out for `[row, pos, head, d_head]` so that a rotation is two products.
#[derive(Debug)]
pub struct Rotation {
    pairs: Pairs,
    /// The dimensions that turn.
    from: usize,
    to: usize,
    cos: Tensor<4>,
    sin: Tensor<4>,
    dtype: Dtype,
}

/// What a config says of the scaling of its rotary embeddings, under either spelling; null where it says nothing.
pub fn scaling(config: &Value) -> &Value {
    let parameters = &config["rope_parameters"];
    if parameters.is_object() { parameters } else { &config["rope_scaling"] }
}

impl RopeSpec {
    /// Reads `rope_theta` and `rope_scaling`, or `rope_parameters`, or `rotary_emb_base` and `rotary_pct`.
    /// `fraction` of a head turns where the config does not say.
    pub fn of(config: &Value, d_head: usize, fraction: f64) -> Result<Self, String> {
        let parameters = &config["rope_parameters"];
        let number = |keys: &[&str]| keys.iter().find_map(|key| parameters[*key].as_f64().or(config[*key].as_f64()));
        let theta = number(&["rope_theta", "rotary_emb_base"]).unwrap_or(10_000.0);
        if !(theta.is_finite() && theta > 1.0) {
            return Err(format!("`rope_theta` must be above 1, not {theta}"));
        }
        let fraction = number(&["partial_rotary_factor", "rotary_pct"]).unwrap_or(fraction);
        let dims = (d_head as f64 * fraction) as usize;
        if dims == 0 || dims > d_head || !dims.is_multiple_of(2) {
            return Err(format!("rotary embeddings cannot turn {dims} of {d_head} dimensions"));
        }
        Ok(Self { frequencies: scaled(theta, dims, scaling(config), config)?, pairs: Pairs::Halves, skipped: 0 })
    }

    /// The frequencies for a row that has reached `length` tokens.
    fn inverse(&self, length: usize) -> Cow<'_, [f32]> {
        let Frequencies { inverse, growth, .. } = &self.frequencies;
        let grown = growth.as_ref().and_then(|growth| growth.at(length, inverse.len()));
        grown.map_or(Cow::Borrowed(inverse), Cow::Owned)
    }

    /// Cosines and signed sines of the dimensions that turn.
    fn extend(&self, angles: &[f32], cos: &mut Vec<f32>, sin: &mut Vec<f32>) {
        let magnitude = self.frequencies.magnitude;
        let (c, s) = (|a: &f32| a.cos() * magnitude, |a: &f32| a.sin() * magnitude);
        match self.pairs {
            Pairs::Halves => {
                cos.extend(angles.iter().chain(angles).map(c));
                sin.extend(angles.iter().map(|a| -s(a)).chain(angles.iter().map(s)));
            }
            Pairs::Neighbours => {
                cos.extend(angles.iter().flat_map(|a| [c(a); 2]));
                sin.extend(angles.iter().flat_map(|a| [-s(a), s(a)]));
            }
        }
    }
}

impl Rotation {
    /// The rotation of `heads` heads of size `d_head` at each position of a batch.
    pub fn new(spec: &RopeSpec, batch: &Batch, [heads, d_head]: [usize; 2], dtype: Dtype, device: &Device) -> Self {
        let (from, to) = (spec.skipped, spec.skipped + 2 * spec.frequencies.inverse.len());
        let tokens = batch.rows() * batch.width();
        let (mut cos, mut sin) = (Vec::with_capacity(tokens * d_head), Vec::with_capacity(tokens * d_head));
        let still = |count, cos: &mut Vec<f32>, sin: &mut Vec<f32>| {
            cos.extend(std::iter::repeat_n(1.0, count));
            sin.extend(std::iter::repeat_n(0.0, count));
        };
        for (positions, real) in batch.positions().chunks(batch.width()).zip(&batch.real) {
            let inverse = spec.inverse(real.len());
            for &position in positions {
                let angles: Vec<f32> = inverse.iter().map(|f| position as f32 * f).collect();
                still(from, &mut cos, &mut sin);
                spec.extend(&angles, &mut cos, &mut sin);
                still(d_head - to, &mut cos, &mut sin);
            }
        }
        let grid = [batch.rows(), batch.width(), 1, d_head];
        // Repeated for each head: elementwise products of equal shapes are the fast ones.
        let spread = |values| {
            let values = Tensor::<4>::from_data(TensorData::new(values, grid), device);
            if spec.pairs == Pairs::Halves { dtype.round(values) } else { values }.repeat_dim(2, heads)
        };
        Self { pairs: spec.pairs, from, to, cos: spread(cos), sin: spread(sin), dtype }
    }

    /// `[row, pos, head, d_head]` turned by position.
    pub fn apply(&self, x: Tensor<4>) -> Tensor<4> {
        let (cos, sin, dtype) = (self.cos.clone(), self.sin.clone(), self.dtype);
        match self.pairs {
            Pairs::Halves => {
                let swapped = self.halves_swapped(x.clone());
                dtype.round(dtype.round(x * cos) + dtype.round(swapped * sin))
            }
            Pairs::Neighbours => {
                let swapped = self.neighbours_swapped(x.clone());
                dtype.round(x * cos + swapped * sin)
            }
        }
    }

    fn halves_swapped(&self, x: Tensor<4>) -> Tensor<4> {
        let d_head = x.dims()[3];
        let middle = self.from.midpoint(self.to);
        let bounds = [(0, self.from), (middle, self.to), (self.from, middle), (self.to, d_head)];
        let parts = bounds.into_iter().filter(|(from, to)| from < to);
        Tensor::cat(parts.map(|(from, to)| x.clone().narrow(3, from, to - from)).collect(), 3)
    }

    fn neighbours_swapped(&self, x: Tensor<4>) -> Tensor<4> {
        let d_head = x.dims()[3];
        let partner = |i| if (self.from..self.to).contains(&i) { self.from + ((i - self.from) ^ 1) } else { i };
        let order: Vec<i64> = (0..d_head).map(|i| partner(i) as i64).collect();
        let order = Tensor::<1, Int>::from_data(TensorData::new(order, [d_head]), &x.device());
        x.select(3, order)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::lm::{
        Model,
        fixture::{Fixture, device, distance},
        layers::linear::host,
        pass::{Pass, Wanted},
        probe::Probe,
    };

    fn inverse(config: Value) -> Vec<f32> {
        RopeSpec::of(&config, 8, 1.0).unwrap().frequencies.inverse
    }

    /// 10000^(−2i/8) = 1, 0.1, 0.01, 0.001; a linear factor of 4 divides them.
    #[test]
    fn frequencies_under_every_spelling() {
        let near = |ours: Vec<f32>, theirs: &[f32]| {
            assert_eq!(ours.len(), theirs.len());
            ours.iter().zip(theirs).for_each(|(a, b)| assert!((a / b - 1.0).abs() < 1e-6, "{a} {b}"));
        };
        near(inverse(json!({})), &[1.0, 0.1, 0.01, 0.001]);
        near(inverse(json!({ "rotary_emb_base": 10000, "rotary_pct": 0.5 })), &[1.0, 0.01]);
        near(
            inverse(json!({ "rope_parameters": { "rope_theta": 10000.0, "partial_rotary_factor": 0.5 } })),
            &[1.0, 0.01],
        );
        near(inverse(json!({ "rope_scaling": { "type": "linear", "factor": 4.0 } })), &[0.25, 0.025, 0.0025, 0.00025]);
    }

    #[test]
    fn what_cannot_turn_is_refused() {
        let refused = |config: Value| RopeSpec::of(&config, 8, 1.0).unwrap_err();
        assert!(refused(json!({ "rotary_pct": 0.1 })).contains("0 of 8"));
        assert!(refused(json!({ "rope_theta": 1.0 })).contains("`rope_theta`"));
    }

    /// At position 3, with one pair of frequency 1 and one that stands still beside it: (x, y) turns to
    /// (x cos 3 − y sin 3, y cos 3 + x sin 3).
    #[test]
    fn halves_and_neighbours_turn_by_hand() {
        let batch = Batch {
            prompts: vec![0],
            ids: vec![0],
            real: std::iter::once(0..4).collect(),
            ends: vec![3],
            columns: 3..4,
        };
        let turned = |pairs| {
            let frequencies = Frequencies { inverse: vec![1.0, 0.0], magnitude: 2.0, growth: None };
            let spec = RopeSpec { frequencies, pairs, skipped: 1 };
            let x = Tensor::from_data(TensorData::new(vec![9.0f32, 1.0, 2.0, 3.0, 4.0, 8.0], [1, 1, 1, 6]), &device());
            host(Rotation::new(&spec, &batch, [1, 6], Dtype::F32, &device()).apply(x))
        };
        let (sin, cos) = 3.0f32.sin_cos();
        let halves = [9.0, 2.0 * (cos - 3.0 * sin), 4.0, 2.0 * (3.0 * cos + sin), 8.0, 8.0];
        assert!(distance(&turned(Pairs::Halves), &halves) < 1e-5);
        let neighbours = [9.0, 2.0 * (cos - 2.0 * sin), 2.0 * (2.0 * cos + sin), 6.0, 8.0, 8.0];
        assert!(distance(&turned(Pairs::Neighbours), &neighbours) < 1e-5);
    }

    /// Each scaling beyond its original context, read at once and through the cache, against transformers: see
    /// `fixtures/rope.py`.
    #[test]
    fn scaled_models_are_those_of_transformers() {
        let table: Value = serde_json::from_str(include_str!("../../fixtures/rope.json")).unwrap();
        for case in table["llama"].as_array().unwrap() {
            let expected = |what: &str| serde_json::from_value::<Vec<f32>>(case[what].clone()).unwrap();
            let (model, ids) = scaled_llama(case);
            let whole = logits(&model, &Batch::right_padded(&[(0, &ids)]));
            assert!(distance(&whole, &expected("whole")) < 1e-4, "{}", case["scaling"]);
            assert!(distance(&stepwise(&model, &ids, 8), &expected("cached")) < 1e-4, "{}", case["scaling"]);
        }
    }

    /// The shorter text keeps the frequencies of its own length.
    #[test]
    fn a_batch_under_dynamic_scaling_gives_what_its_prompts_give_alone() {
        let table: Value = serde_json::from_str(include_str!("../../fixtures/rope.json")).unwrap();
        let (model, ids) = scaled_llama(&table["llama"][0]);
        let rows: [(usize, &[u32]); 2] = [(0, &ids), (1, &ids[..14])];
        for batch in [Batch::right_padded(&rows), Batch::left_padded(&rows)] {
            let together = logits(&model, &batch);
            let alone = rows.map(|row| logits(&model, &Batch::right_padded(&[row]))).concat();
            assert!(distance(&together, &alone) < 1e-5);
        }
    }

    fn scaled_llama(case: &Value) -> (Model, Vec<u32>) {
        let mut fixture = Fixture::of("llama");
        fixture.config["rope_theta"] = 10_000.into();
        fixture.config["rope_scaling"] = case["scaling"].clone();
        fixture.config["max_position_embeddings"] = case["context"].clone();
        (fixture.model(), fixture.ids("a"))
    }

    /// Of the last token of each row.
    fn logits(model: &Model, batch: &Batch) -> Vec<f32> {
        host(model.forward(&mut Pass::new(batch, &Probe::default(), Wanted::Newest), None))
    }

    /// Of the last token: `first` tokens at once, the others one at a time.
    fn stepwise(model: &Model, ids: &[u32], first: usize) -> Vec<f32> {
        let mut cache = model.cache(1, ids.len());
        let mut batch = Batch::right_padded(&[(0, &ids[..first])]);
        let probe = Probe::default();
        let mut step = |batch: &Batch| model.forward(&mut Pass::new(batch, &probe, Wanted::Newest), Some(&mut cache));
        let mut made = step(&batch);
        for id in &ids[first..] {
            batch = batch.then(&[*id]);
            made = step(&batch);
        }
        host(made)
    }
}
