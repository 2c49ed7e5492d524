//! Gemma 3 (its text model): a Gemma 2 with norms over each head's queries and keys, no soft caps, and a rotary
//! embedding of its own in the layers with windows.

use serde_json::{Value, json};

use super::{
    architecture::Architecture,
    filled,
    gemma2::{Config, defaults},
    parsed,
    windows::LayerType,
};
use crate::lm::layers::heads::HeadsSpec;

/// The architecture of a Gemma 3.
pub fn architecture(config: &Value) -> Result<Architecture, String> {
    let config = filled(config, defaults());
    let c: Config = parsed(&config)?;
    // One layer in six attends to everything, or in as many as the config says.
    let every = config["sliding_window_pattern"].as_u64().unwrap_or(6).max(1) as usize;
    let types = c.types(|layer| (layer + 1) % every != 0)?;
    let windows = c.windows(&types)?;
    let rotary = |layer_type| c.base.rotary(&rope(&config, layer_type)?);
    let rotary = vec![rotary(LayerType::FullAttention)?, rotary(LayerType::SlidingAttention)?];
    c.architecture("gemma3", rotary, |layer| {
        let rope = Some(usize::from(types[layer] == LayerType::SlidingAttention));
        let (q, k) = c.base.head_norms(layer)?;
        let norms = Some((q.from_one(), k.from_one()));
        Ok(c.block(layer, HeadsSpec { norms, rope, ..c.attention(layer, windows[layer])? }))
    })
}

/// The part of a config that tells how layers of a type turn, spelt as that of a model with one rotary embedding.
fn rope(config: &Value, layer_type: LayerType) -> Result<Value, String> {
    let (name, theta, default) = match layer_type {
        LayerType::FullAttention => ("full_attention", "rope_theta", 1_000_000.0),
        LayerType::SlidingAttention => ("sliding_attention", "rope_local_base_freq", 10_000.0),
    };
    let mut parameters = match (&config["rope_parameters"], layer_type) {
        (Value::Null, LayerType::FullAttention) => config["rope_scaling"].clone(),
        (Value::Null, LayerType::SlidingAttention) => Value::Null, // a scaling is of the other layers alone
        (by_type, _) => match &by_type[name] {
            parameters @ Value::Object(_) => parameters.clone(),
            _ => return Err(format!("`rope_parameters` has nothing for layers of the type `{name}`")),
        },
    };
    if parameters.is_null() {
        parameters = json!({});
    }
    let theta = config[theta].as_f64().unwrap_or(default);
    let parameters = filled(&parameters, json!({ "rope_theta": theta }));
    Ok(json!({ "rope_parameters": parameters, "max_position_embeddings": config["max_position_embeddings"] }))
}
