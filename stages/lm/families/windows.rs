//! Which layers attend to everything before a token and which to a window of it, in every spelling of a config.

use serde::Deserialize;

/// An entry of `layer_types`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LayerType {
    FullAttention,
    SlidingAttention,
}

/// The fields by which Qwen gives windows to its upper layers.
#[derive(Deserialize)]
pub struct UpperWindows {
    #[serde(default)]
    use_sliding_window: bool,
    sliding_window: Option<usize>,
    max_window_layers: Option<usize>,
    layer_types: Option<Vec<LayerType>>,
}

impl UpperWindows {
    /// How far back each layer sees.
    pub fn by_layer(&self, layers: usize) -> Result<Vec<Option<usize>>, String> {
        let window = self.sliding_window.filter(|_| self.use_sliding_window);
        // Before `layer_types`, windows began with this layer.
        let first = self.max_window_layers.unwrap_or(28);
        let slides = |layer| window.is_some() && layer >= first;
        by_type(&layer_types(self.layer_types.as_deref(), layers, slides)?, window)
    }
}

/// The type of each layer: as listed, or by number where nothing is listed.
pub fn layer_types(
    listed: Option<&[LayerType]>,
    layers: usize,
    slides: impl Fn(usize) -> bool,
) -> Result<Vec<LayerType>, String> {
    match listed {
        Some(listed) if listed.len() != layers => {
            Err(format!("`layer_types` lists {} layers, but there are {layers}", listed.len()))
        }
        Some(listed) => Ok(listed.to_vec()),
        None => {
            let of = |layer| if slides(layer) { LayerType::SlidingAttention } else { LayerType::FullAttention };
            Ok((0..layers).map(of).collect())
        }
    }
}

/// How far back layers of these types see.
pub fn by_type(types: &[LayerType], window: Option<usize>) -> Result<Vec<Option<usize>>, String> {
    let sees = |layer_type: &LayerType| match (layer_type, window) {
        (LayerType::FullAttention, _) => Ok(None),
        (LayerType::SlidingAttention, Some(window)) => width(window).map(Some),
        (LayerType::SlidingAttention, None) => Err("there are sliding layers, but no `sliding_window`".to_owned()),
    };
    types.iter().map(sees).collect()
}

/// A window that has at least the query itself in it.
pub fn width(window: usize) -> Result<usize, String> {
    if window == 0 { Err("a `sliding_window` of 0 keys has no room for anything".to_owned()) } else { Ok(window) }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn by_layer(config: Value) -> Result<Vec<Option<usize>>, String> {
        serde_json::from_value::<UpperWindows>(config).map_err(|error| error.to_string())?.by_layer(4)
    }

    #[test]
    fn qwen_gives_windows_to_its_upper_layers() {
        let config = json!({ "use_sliding_window": true, "sliding_window": 5, "max_window_layers": 3 });
        assert_eq!(by_layer(config), Ok(vec![None, None, None, Some(5)]));
        assert_eq!(by_layer(json!({ "sliding_window": 5, "max_window_layers": 0 })), Ok(vec![None; 4]));
        let full = "full_attention";
        let listed = json!({ "use_sliding_window": true, "sliding_window": 5, "max_window_layers": 0,
                             "layer_types": ["sliding_attention", full, full, full] });
        assert_eq!(by_layer(listed), Ok(vec![Some(5), None, None, None]));
    }

    #[test]
    fn a_list_that_does_not_fit_is_refused() {
        let sliding = |extra: Value| {
            let mut config = json!({ "layer_types": vec!["sliding_attention"; 4] });
            extra.as_object().unwrap().iter().for_each(|(key, value)| config[key] = value.clone());
            by_layer(config).unwrap_err()
        };
        assert!(sliding(json!({})).contains("no `sliding_window`"));
        assert!(sliding(json!({ "use_sliding_window": true, "sliding_window": 0 })).contains("of 0 keys"));
        assert!(sliding(json!({ "layer_types": ["full_attention"] })).contains("lists 1 layers, but there are 4"));
        assert!(sliding(json!({ "layer_types": ["chunked_attention"] })).contains("`chunked_attention`"));
    }
}
