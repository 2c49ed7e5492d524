//! Rotary position embeddings: frequencies from every spelling of a config, and the rotation itself.
//!
//! The two halves of a head are rotated against each other (Hugging Face's layout, not the interleaved one).

use burn::tensor::TensorData;
use serde_json::Value;

use crate::lm::{Device, Tensor};

/// The rotation of one model: `inverse[i]` is the angle a position turns the pair `(i, i + n)`, n = `inverse.len()`.
#[derive(Clone, PartialEq, Debug)]
pub struct RopeSpec {
    pub inverse: Vec<f32>,
}

/// Cosines and sines of one pass, laid out for `[row, pos, head, d_head]` so that a rotation is two products.
#[derive(Debug)]
pub struct Rotation {
    half: usize,
    cos: Tensor<4>,
    sin: Tensor<4>,
}

impl RopeSpec {
    /// Reads `rope_theta` and `rope_scaling`, or `rope_parameters`, or `rotary_emb_base` and `rotary_pct`.
    /// `fraction` of a head turns where the config does not say.
    pub fn of(config: &Value, d_head: usize, fraction: f64) -> Result<Self, String> {
        let parameters = &config["rope_parameters"];
        let scaling = if parameters.is_object() { parameters } else { &config["rope_scaling"] };
        let number = |keys: &[&str]| keys.iter().find_map(|key| parameters[*key].as_f64().or(config[*key].as_f64()));
        let theta = number(&["rope_theta", "rotary_emb_base"]).unwrap_or(10_000.0);
        let fraction = number(&["partial_rotary_factor", "rotary_pct"]).unwrap_or(fraction);
        let dims = (d_head as f64 * fraction) as usize;
        if dims == 0 || dims > d_head || !dims.is_multiple_of(2) {
            return Err(format!("rotary embeddings cannot turn {dims} of {d_head} dimensions"));
        }
        let inverse = (0..dims / 2).map(|i| 1.0 / (theta as f32).powf((2 * i) as f32 / dims as f32)).collect();
        Ok(Self { inverse: scaled(inverse, scaling, config)? })
    }
}

/// Frequencies under the config's scaling.
fn scaled(inverse: Vec<f32>, scaling: &Value, config: &Value) -> Result<Vec<f32>, String> {
    let kind = scaling["rope_type"].as_str().or(scaling["type"].as_str()).unwrap_or("default");
    let number = |key: &str| {
        scaling[key].as_f64().ok_or_else(|| format!("the `{kind}` scaling of rotary embeddings needs `{key}`"))
    };
    match kind {
        "default" => Ok(inverse),
        "linear" => {
            let factor = number("factor")? as f32;
            Ok(inverse.into_iter().map(|f| f / factor).collect())
        }
        "llama3" => {
            let original = number("original_max_position_embeddings")
                .or_else(|e| config["original_max_position_embeddings"].as_f64().ok_or(e))?;
            let (factor, low, high) = (number("factor")?, number("low_freq_factor")?, number("high_freq_factor")?);
            Ok(inverse.into_iter().map(|f| llama3(f.into(), original, factor, low, high) as f32).collect())
        }
        other => {
            Err(format!("`{other}` scaling of rotary embeddings is not built: there are default, linear and llama3"))
        }
    }
}

/// Long wavelengths are stretched by `factor`, short ones stay, those between are blended.
fn llama3(frequency: f64, original: f64, factor: f64, low: f64, high: f64) -> f64 {
    let turns = original * frequency / std::f64::consts::TAU; // turns within the original context
    if turns < low {
        frequency / factor
    } else if turns > high {
        frequency
    } else {
        let blend = (turns - low) / (high - low);
        (1.0 - blend) * frequency / factor + blend * frequency
    }
}

impl Rotation {
    /// The rotation of `heads` heads of size `d_head` at each `position` of a `[row, pos]` grid.
    pub fn new(
        spec: &RopeSpec,
        positions: &[usize],
        rows: usize,
        heads: usize,
        d_head: usize,
        device: &Device,
    ) -> Self {
        let half = spec.inverse.len();
        let mut cos = Vec::with_capacity(positions.len() * d_head);
        let mut sin = Vec::with_capacity(positions.len() * d_head);
        for &position in positions {
            let angles: Vec<f32> = spec.inverse.iter().map(|f| position as f32 * f).collect();
            cos.extend(angles.iter().chain(&angles).map(|a| a.cos()));
            sin.extend(angles.iter().map(|a| -a.sin()).chain(angles.iter().map(|a| a.sin())));
            // The dimensions that do not turn.
            cos.extend(std::iter::repeat_n(1.0, d_head - 2 * half));
            sin.extend(std::iter::repeat_n(0.0, d_head - 2 * half));
        }
        let grid = [rows, positions.len() / rows, 1, d_head];
        // Repeated for each head: elementwise products of equal shapes are the fast ones.
        let spread = |values| Tensor::<4>::from_data(TensorData::new(values, grid), device).repeat_dim(2, heads);
        Self { half, cos: spread(cos), sin: spread(sin) }
    }

    /// `[row, pos, head, d_head]` turned by position.
    pub fn apply(&self, x: Tensor<4>) -> Tensor<4> {
        let [rows, length, heads, d_head] = x.dims();
        let part = |from, to| x.clone().slice([0..rows, 0..length, 0..heads, from..to]);
        let mut parts = vec![part(self.half, 2 * self.half), part(0, self.half)];
        if 2 * self.half < d_head {
            parts.push(part(2 * self.half, d_head));
        }
        let swapped = Tensor::cat(parts, 3);
        x * self.cos.clone() + swapped * self.sin.clone()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn inverse(config: Value) -> Vec<f32> {
        RopeSpec::of(&config, 8, 1.0).unwrap().inverse
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
    fn a_scaling_that_lacks_a_number_says_which() {
        let refused = |scaling: Value| RopeSpec::of(&json!({ "rope_scaling": scaling }), 8, 1.0).unwrap_err();
        assert!(refused(json!({ "rope_type": "linear" })).contains("needs `factor`"));
        assert!(refused(json!({ "rope_type": "dynamic", "factor": 2.0 })).contains("`dynamic`"));
        assert!(RopeSpec::of(&json!({ "rotary_pct": 0.1 }), 8, 1.0).unwrap_err().contains("0 of 8"));
    }
}
