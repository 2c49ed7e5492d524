//! Multilayer perceptrons, plain and gated.

use super::{
    activation::Activation,
    linear::{Linear, LinearSpec},
    param::Param,
};
use crate::lm::{
    Dtype, Tensor,
    pass::{Pass, Place},
    site::Site,
    weights::{Weights, checkpoint::WeightsError},
};

#[derive(Clone, PartialEq, Debug)]
pub struct DenseSpec {
    pub activation: Activation,
    pub up: LinearSpec,
    /// Where there is one, the activation acts on the gate, and `up` is multiplied by it.
    pub gate: Option<LinearSpec>,
    pub down: LinearSpec,
}

#[derive(Clone, Debug)]
pub struct Dense {
    activation: Activation,
    up: Linear,
    gate: Option<Linear>,
    down: Linear,
    dtype: Dtype,
}

impl DenseSpec {
    pub fn params(&self) -> Vec<&Param> {
        [Some(&self.up), self.gate.as_ref(), Some(&self.down)]
            .into_iter()
            .flatten()
            .flat_map(LinearSpec::params)
            .collect()
    }

    pub fn load(&self, weights: &Weights) -> Result<Dense, WeightsError> {
        Ok(Dense {
            activation: self.activation,
            up: self.up.load(weights)?,
            gate: self.gate.as_ref().map(|gate| gate.load(weights)).transpose()?,
            down: self.down.load(weights)?,
            dtype: weights.dtype(),
        })
    }
}

impl Dense {
    /// `[token, d_model]` → `[token, d_model]`
    pub fn forward(&self, x: Tensor<2>, layer: usize, pass: &mut Pass) -> Tensor<2> {
        let x = pass.at(Place::of(Site::MlpIn, layer), x);
        let hidden = pass.at(Place::of(Site::MlpPost, layer), self.hidden(x)); // [token, d_mlp]
        pass.at(Place::of(Site::MlpOut, layer), self.down.forward(hidden))
    }

    /// The same without its sites: what one expert of many does.
    pub fn plain(&self, x: Tensor<2>) -> Tensor<2> {
        self.down.forward(self.hidden(x))
    }

    /// `[token, d_model]` → `[token, d_mlp]`
    fn hidden(&self, x: Tensor<2>) -> Tensor<2> {
        match &self.gate {
            Some(gate) => {
                let open = self.activation.apply(gate.forward(x.clone()), self.dtype);
                self.dtype.round(open * self.up.forward(x))
            }
            None => self.activation.apply(self.up.forward(x), self.dtype),
        }
    }
}
