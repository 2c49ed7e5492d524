//! From a checkpoint to device tensors, one at a time: names with or without the family's prefix, shapes checked.
//!
//! Reads no file itself: that is the checkpoint's part.

pub mod checkpoint;
pub mod files;
pub mod gguf;
pub mod initial;
pub mod safetensors;
pub mod tape;

use std::collections::HashSet;

use burn::tensor::TensorData;

use checkpoint::{Checkpoint, WeightsError};

use super::{
    Device, Dtype, Tensor,
    families::architecture::Architecture,
    layers::{matrix::Matrix, param::Param},
};
use tape::Tape;

/// Buffers that old checkpoints carry and that follow from the config: not weights.
const BUFFERS: &[&str] =
    &[".attention.bias", ".attention.masked_bias", ".attn.bias", ".attn.masked_bias", ".rotary_emb.inv_freq"];

/// A checkpoint, read under the names of one family and onto one device.
pub struct Weights<'a> {
    checkpoint: &'a dyn Checkpoint,
    prefix: &'a str,
    dtype: Dtype,
    device: &'a Device,
    /// Where the weights are noted of which gradients are wanted.
    tape: Option<&'a Tape>,
}

impl<'a> Weights<'a> {
    /// The checkpoint, if it has every tensor that the architecture pulls, in its shape, and no other in its layers.
    pub fn new(
        checkpoint: &'a dyn Checkpoint,
        architecture: &'a Architecture,
        dtype: Dtype,
        device: &'a Device,
    ) -> Result<Self, WeightsError> {
        let weights = Self { checkpoint, prefix: architecture.prefix, dtype, device, tape: None };
        let params = architecture.params();
        let mut used = HashSet::new();
        for param in &params {
            used.insert(weights.name_of(param)?);
        }
        match checkpoint.names().into_iter().find(|name| !used.contains(name) && in_a_layer(name, architecture)) {
            Some(name) => Err(WeightsError(format!(
                "the checkpoint has `{name}`, which a {} with this config does not use: does the config belong to it?",
                architecture.family
            ))),
            None => Ok(weights),
        }
    }

    /// The same, with every weight noted on a tape.
    pub fn on_tape(self, tape: &'a Tape) -> Self {
        Self { tape: Some(tape), ..self }
    }

    pub fn device(&self) -> &Device {
        self.device
    }

    /// The values of a parameter as the beginning of a computation that a tape follows, where there is a tape.
    pub fn taped<const D: usize>(&self, param: &Param) -> Result<Option<Tensor<D>>, WeightsError> {
        let Some(tape) = self.tape else { return Ok(None) };
        let leaf = self.upload::<1>(self.read(param)?, vec![param.shape.iter().product()]).require_grad();
        tape.note(&param.path, &leaf);
        let shape: [usize; D] = param.shape.clone().try_into().expect("a layer asks for a tensor of the rank it has");
        Ok(Some(leaf.reshape(shape)))
    }

    /// The number type that the model computes in.
    pub fn dtype(&self) -> Dtype {
        self.dtype
    }

    /// The values of a parameter, in row-major order, as the number type has them.
    pub fn read(&self, param: &Param) -> Result<Vec<f32>, WeightsError> {
        let mut values = self.checkpoint.read(&self.name_of(param)?)?;
        if self.dtype != Dtype::F32 {
            self.dtype.each(&mut values, |x| x);
        }
        Ok(values)
    }

    /// Values that were read, as a matrix on the model's device.
    pub fn matrix(&self, values: Vec<f32>, shape: [usize; 2]) -> Matrix {
        Matrix::new(values, shape, self.dtype, self.device)
    }

    /// A table of which rows are looked up, as it is stored.
    pub fn table(&self, param: &Param) -> Result<Matrix, WeightsError> {
        match self.taped(param)? {
            Some(leaf) => Ok(Matrix::taped(leaf)),
            None => Ok(self.matrix(self.read(param)?, [param.shape[0], param.shape[1]])),
        }
    }

    pub fn tensor<const D: usize>(&self, param: &Param) -> Result<Tensor<D>, WeightsError> {
        match self.taped(param)? {
            Some(leaf) => Ok(leaf),
            None => Ok(self.upload(self.read(param)?, param.shape.clone())),
        }
    }

    /// A vector as `[1, width]`.
    pub fn row(&self, param: &Param) -> Result<Tensor<2>, WeightsError> {
        Ok(self.tensor::<1>(param)?.unsqueeze())
    }

    /// Values as a tensor on the model's device.
    pub fn upload<const D: usize>(&self, values: Vec<f32>, shape: Vec<usize>) -> Tensor<D> {
        Tensor::from_data(TensorData::new(values, shape), self.device)
    }

    /// The name that the checkpoint has for a parameter, its shape checked.
    fn name_of(&self, param: &Param) -> Result<String, WeightsError> {
        let bare = param.path.strip_prefix(self.prefix);
        let (name, shape) = [Some(param.path.as_str()), bare]
            .into_iter()
            .flatten()
            .find_map(|name| Some((name, self.checkpoint.shape(name)?)))
            .ok_or_else(|| {
                WeightsError(format!("the checkpoint has no tensor `{}` (shape {:?})", param.path, param.shape))
            })?;
        if shape != param.shape {
            return Err(WeightsError(format!(
                "`{name}` has the shape {shape:?} in the checkpoint, but the config asks for {:?}",
                param.shape
            )));
        }
        Ok(name.to_owned())
    }
}

/// Whether a tensor claims to be a weight of a layer, one that the config has or not.
fn in_a_layer(name: &str, architecture: &Architecture) -> bool {
    let Some((_, rest)) = name.split_once(architecture.layers_path) else { return false };
    let number = rest.split('.').next().and_then(|number| number.parse::<usize>().ok());
    number.is_some() && !BUFFERS.iter().any(|buffer| name.ends_with(buffer))
}

#[cfg(test)]
mod tests {
    use crate::lm::{
        Model, families,
        fixture::{Arrays, FAMILIES, Fixture, device},
    };

    /// What becomes of loading the family's fixture after a change to its tensors.
    fn loaded(family: &str, change: impl Fn(&mut Arrays)) -> Result<Model, String> {
        let mut fixture = Fixture::of(family);
        change(&mut fixture.weights);
        Model::load(&fixture.config, &fixture.weights, &device()).map_err(|error| error.0)
    }

    #[test]
    fn names_may_lack_the_prefix_of_the_base_model() {
        for family in FAMILIES {
            let prefix = families::architecture(&Fixture::of(family).config).unwrap().prefix;
            let bare = |arrays: &mut Arrays| {
                let named = std::mem::take(&mut arrays.0).into_iter();
                arrays.0 = named.map(|(name, array)| (name.trim_start_matches(prefix).to_owned(), array)).collect();
            };
            assert!(loaded(family, bare).is_ok(), "{family}");
        }
    }

    #[test]
    fn old_buffers_are_ignored_and_foreign_weights_are_not() {
        let add = |family: &str, name: &str| {
            loaded(family, |arrays| drop(arrays.0.insert(name.to_owned(), (vec![1], vec![0.0]))))
        };
        for (family, buffer) in [
            ("gpt_neox", "gpt_neox.layers.0.attention.bias"),
            ("gpt_neox", "gpt_neox.layers.0.attention.masked_bias"),
            ("gpt_neox", "gpt_neox.layers.0.attention.rotary_emb.inv_freq"),
            ("gpt2", "transformer.h.0.attn.bias"),
            ("gpt2", "h.0.attn.masked_bias"),
            ("llama", "model.layers.0.self_attn.rotary_emb.inv_freq"),
        ] {
            assert!(add(family, buffer).is_ok(), "{buffer}");
        }
        assert!(add("gpt_neox", "score.weight").is_ok(), "another head's weights are no part of the model");
        assert!(add("gpt2", "transformer.h.0.attn.c_bias.weight").is_err());
        let refused = add("gpt_neox", "gpt_neox.layers.1.attention.q_norm.weight").unwrap_err();
        assert!(refused.contains("`gpt_neox.layers.1.attention.q_norm.weight`"), "{refused}");
    }

    #[test]
    fn layers_that_the_config_lacks_are_not_left_out_in_silence() {
        let mut fixture = Fixture::of("llama");
        fixture.config["num_hidden_layers"] = 2.into();
        let refused = Model::load(&fixture.config, &fixture.weights, &device()).unwrap_err().0;
        assert!(refused.contains("the checkpoint has `model.layers.2."), "{refused}");
    }

    #[test]
    fn what_does_not_fit_the_config_is_named_with_both_shapes() {
        let refused = loaded("llama", |arrays| {
            arrays.0.get_mut("model.layers.1.mlp.up_proj.weight").unwrap().0 = vec![64, 128];
        })
        .unwrap_err();
        assert_eq!(
            refused,
            "`model.layers.1.mlp.up_proj.weight` has the shape [64, 128] in the checkpoint, but the config asks for \
             [128, 64]"
        );
        let missing = |arrays: &mut Arrays| drop(arrays.0.remove("model.norm.weight"));
        let refused = loaded("llama", missing).unwrap_err();
        assert_eq!(refused, "the checkpoint has no tensor `model.norm.weight` (shape [64])");
    }
}
