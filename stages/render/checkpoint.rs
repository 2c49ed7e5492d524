//! What stands beside the weights of a trained model, so that a folder with both is a checkpoint.

use assay_cache::{Artifact, Digest};

use crate::lm::ModelRecord;

/// The file that says what model the weights beside it are of.
pub const CONFIG: &str = crate::lm::source::CONFIG;

/// What that file holds, if `artifact` describes a model with weights of this digest.
pub fn config(artifact: &Artifact, weights: &Digest) -> Option<Vec<u8>> {
    let Artifact::Record(record) = artifact else { return None };
    let model = ModelRecord::read(record).ok()?;
    let own = model.files.values().any(|digest| digest == weights);
    own.then(|| format!("{:#}\n", model.config).into_bytes())
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    #[test]
    fn a_config_is_that_of_its_own_weights() {
        let weights = Digest::of(b"weights");
        let files = json!({ "weights/00000": weights });
        let model = json!({ "config": { "model_type": "transformer" }, "dtype": "f32", "files": files });
        let model = Artifact::Record(model);
        let found = config(&model, &weights).unwrap();
        assert_eq!(serde_json::from_slice::<Value>(&found).unwrap(), json!({ "model_type": "transformer" }));
        assert!(found.ends_with(b"}\n"));
        assert_eq!(config(&model, &Digest::of(b"others")), None);
        assert_eq!(config(&Artifact::Record(json!({ "sequences": [] })), &weights), None);
    }
}
