//! How configs stretch rotary frequencies to texts longer than those of training: linear, dynamic (NTK), llama3 and
//! yarn, each in the order of operations and the precision of Hugging Face's `modeling_rope_utils`.
//!
//! longrope is refused: it keeps two sets of frequencies and no family here has it.

use serde_json::Value;

/// Inverse frequencies, and what a scaling does beside changing them.
#[derive(Clone, PartialEq, Debug)]
pub struct Frequencies {
    pub inverse: Vec<f32>,
    /// What cosines and sines are multiplied by.
    pub magnitude: f32,
    pub growth: Option<Growth>,
}

/// Dynamic scaling: the base grows with the text once that is longer than the original context.
#[derive(Clone, PartialEq, Debug)]
pub struct Growth {
    theta: f32,
    factor: f32,
    context: usize,
}

/// What a scaling reads: its own table, and the config around it.
struct Given<'a> {
    kind: &'a str,
    scaling: &'a Value,
    config: &'a Value,
}

/// `theta^(−2i/dims)` for `i` in `0..dims/2`.
pub fn unscaled(theta: f32, dims: usize) -> Vec<f32> {
    (0..dims / 2).map(|i| 1.0 / theta.powf((2 * i) as f32 / dims as f32)).collect()
}

/// The frequencies of `dims` dimensions under the config's scaling.
pub fn scaled(theta: f64, dims: usize, scaling: &Value, config: &Value) -> Result<Frequencies, String> {
    let kind = scaling["rope_type"].as_str().or(scaling["type"].as_str()).unwrap_or("default");
    let given = Given { kind, scaling, config };
    let inverse = unscaled(theta as f32, dims);
    let plain = |inverse| Ok(Frequencies { inverse, magnitude: 1.0, growth: None });
    match kind {
        "default" => plain(inverse),
        "linear" => {
            let factor = given.number("factor")? as f32;
            plain(inverse.into_iter().map(|f| f / factor).collect())
        }
        "llama3" => {
            let original = given.original()?;
            let [factor, low, high] = given.numbers(["factor", "low_freq_factor", "high_freq_factor"])?;
            plain(inverse.into_iter().map(|f| llama3(f.into(), original, factor, low, high) as f32).collect())
        }
        "dynamic" => {
            let growth = Some(given.growth(theta, dims)?);
            Ok(Frequencies { inverse, magnitude: 1.0, growth })
        }
        "yarn" => given.yarn(theta, inverse),
        other => Err(format!(
            "`{other}` scaling of rotary embeddings is not built: there are default, dynamic, linear, llama3 and yarn"
        )),
    }
}

/// Yarn's factor on magnitudes, `0.1 · weight · ln(factor) + 1`. (DeepSeek multiplies its scores by the square of one.)
pub fn mscale(factor: f64, weight: f64) -> f64 {
    if factor <= 1.0 { 1.0 } else { 0.1 * weight * factor.ln() + 1.0 }
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

impl Given<'_> {
    fn number(&self, key: &str) -> Result<f64, String> {
        let missing = || format!("the `{}` scaling of rotary embeddings needs `{key}`", self.kind);
        let number = self.scaling[key].as_f64().ok_or_else(missing)?;
        if number > 0.0 {
            return Ok(number);
        }
        Err(format!("`{key}` of the `{}` scaling of rotary embeddings must be above 0, not {number}", self.kind))
    }

    fn numbers<const N: usize>(&self, keys: [&str; N]) -> Result<[f64; N], String> {
        let mut found = [0.0; N];
        for (slot, key) in found.iter_mut().zip(keys) {
            *slot = self.number(key)?;
        }
        Ok(found)
    }

    /// A number that may be left out; 0 is as good as none.
    fn optional(&self, key: &str) -> Option<f64> {
        self.scaling[key].as_f64().filter(|number| *number != 0.0)
    }

    fn context(&self) -> Result<f64, String> {
        let missing = || format!("the `{}` scaling of rotary embeddings needs `max_position_embeddings`", self.kind);
        self.config["max_position_embeddings"].as_f64().filter(|context| *context > 0.0).ok_or_else(missing)
    }

    /// The context of training: beside the scaling, else in it, else the context altogether.
    fn original(&self) -> Result<f64, String> {
        const KEY: &str = "original_max_position_embeddings";
        match (self.config[KEY].as_f64(), self.scaling[KEY].is_number()) {
            (Some(original), _) if original > 0.0 => Ok(original),
            (_, true) => self.number(KEY),
            _ => self.context().map_err(|_| format!("the `{}` scaling of rotary embeddings needs `{KEY}`", self.kind)),
        }
    }

    fn growth(&self, theta: f64, dims: usize) -> Result<Growth, String> {
        if dims <= 2 {
            return Err(format!(
                "the `dynamic` scaling of rotary embeddings needs more than {dims} dimensions that turn"
            ));
        }
        let (factor, context) = (self.number("factor")? as f32, self.context()? as usize);
        Ok(Growth { theta: theta as f32, factor, context })
    }

    /// Dimensions that turn often within the original context stay, those that turn seldom are stretched by `factor`,
    /// and a ramp lies between.
    fn yarn(&self, theta: f64, inverse: Vec<f32>) -> Result<Frequencies, String> {
        let original = self.original()?;
        let factor = match self.scaling["factor"].is_null() {
            true => self.context().map_err(|_| self.number("factor").unwrap_err())? / original,
            false => self.number("factor")?,
        };
        let [low, high] = self.ramp(theta, 2 * inverse.len(), original);
        let stretched = |(i, frequency): (usize, &f32)| {
            let interpolated = 1.0 / (factor as f32 * (1.0 / frequency));
            let kept = 1.0 - ((i as f32 - low) / (high - low)).clamp(0.0, 1.0);
            interpolated * (1.0 - kept) + frequency * kept
        };
        let magnitude =
            match (self.scaling["attention_factor"].as_f64(), self.optional("mscale"), self.optional("mscale_all_dim"))
            {
                (Some(given), ..) => given,
                (None, Some(some), Some(all)) => mscale(factor, some) / mscale(factor, all),
                _ => mscale(factor, 1.0),
            };
        let inverse = inverse.iter().enumerate().map(stretched).collect();
        Ok(Frequencies { inverse, magnitude: magnitude as f32, growth: None })
    }

    /// Between which pairs the ramp runs: those that turn `beta_fast` and `beta_slow` times within the original context.
    fn ramp(&self, theta: f64, dims: usize, original: f64) -> [f32; 2] {
        let pair = |turns: f64| dims as f64 * (original / (turns * std::f64::consts::TAU)).ln() / (2.0 * theta.ln());
        let low = pair(self.optional("beta_fast").unwrap_or(32.0));
        let high = pair(self.optional("beta_slow").unwrap_or(1.0));
        let whole = self.scaling["truncate"].as_bool().unwrap_or(true);
        let (low, high) = if whole { (low.floor(), high.ceil()) } else { (low, high) };
        let (low, high) = (low.max(0.0), high.min(dims as f64 - 1.0));
        // A ramp of no length is a step.
        [low as f32, if low == high { high + 0.001 } else { high } as f32]
    }
}

impl Growth {
    /// The frequencies of a text that is `length` tokens long; none while it fits the original context.
    pub fn at(&self, length: usize, pairs: usize) -> Option<Vec<f32>> {
        if length <= self.context {
            return None;
        }
        let dims = 2 * pairs;
        let stretch = self.factor * length as f32 / self.context as f32 - (self.factor - 1.0);
        Some(unscaled(self.theta * stretch.powf(dims as f32 / (dims - 2) as f32), dims))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// Made by transformers: see `fixtures/rope.py`.
    #[test]
    fn scalings_are_those_of_transformers() {
        let table: Value = serde_json::from_str(include_str!("../../fixtures/rope.json")).unwrap();
        let config = json!({ "max_position_embeddings": 64 });
        let cases = table["frequencies"].as_array().unwrap();
        assert_eq!(cases.len(), 11);
        for case in cases {
            let ours = scaled(10_000.0, 16, &case["scaling"], &config).unwrap();
            let length = case["length"].as_u64().unwrap_or(0) as usize;
            let grown = ours.growth.as_ref().and_then(|growth| growth.at(length, ours.inverse.len()));
            let theirs: Vec<f64> = serde_json::from_value(case["inverse"].clone()).unwrap();
            let inverse = grown.unwrap_or(ours.inverse);
            assert_eq!(inverse.len(), theirs.len());
            for (ours, theirs) in inverse.iter().zip(theirs) {
                assert!((f64::from(*ours) / theirs - 1.0).abs() < 1e-6, "{case}: {ours} is not {theirs}");
            }
            let magnitude = case["attention_factor"].as_f64().unwrap();
            assert!((f64::from(ours.magnitude) - magnitude).abs() < 1e-6, "{case}");
        }
    }

    #[test]
    fn the_original_context_may_stand_beside_the_scaling() {
        let scaling = json!({ "type": "yarn", "factor": 4.0, "original_max_position_embeddings": 32 });
        let inside = scaled(10_000.0, 16, &scaling, &json!({ "max_position_embeddings": 64 })).unwrap();
        let beside = json!({ "original_max_position_embeddings": 32 });
        assert_eq!(inside, scaled(10_000.0, 16, &json!({ "type": "yarn", "factor": 4.0 }), &beside).unwrap());
    }

    #[test]
    fn a_scaling_that_lacks_a_number_says_which() {
        let refused = |scaling: Value| scaled(10_000.0, 8, &scaling, &json!({})).unwrap_err();
        assert!(
            refused(json!({ "rope_type": "linear" })).contains("`linear` scaling of rotary embeddings needs `factor`")
        );
        assert!(refused(json!({ "rope_type": "linear", "factor": 0.0 })).contains("must be above 0"));
        assert!(refused(json!({ "rope_type": "dynamic", "factor": 2.0 })).contains("needs `max_position_embeddings`"));
        assert!(refused(json!({ "rope_type": "yarn", "factor": 2.0 })).contains("needs `original_max_position"));
        let unstretched = json!({ "rope_type": "yarn", "original_max_position_embeddings": 32 });
        assert!(refused(unstretched).contains("`yarn` scaling of rotary embeddings needs `factor`"));
        assert!(refused(json!({ "rope_type": "llama3", "factor": 2.0 })).contains("needs `original_max_position"));
        assert!(
            refused(json!({ "type": "longrope" })).contains("`longrope` scaling of rotary embeddings is not built")
        );
        let two =
            scaled(1e4, 2, &json!({ "type": "dynamic", "factor": 2.0 }), &json!({ "max_position_embeddings": 8 }));
        assert!(two.unwrap_err().contains("more than 2 dimensions"));
    }
}
