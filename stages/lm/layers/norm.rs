//! Layer norms and RMS norms, with the divisor as a site of its own.

use super::param::Param;
use crate::lm::{
    Tensor,
    pass::{Pass, Place},
    weights::{Weights, checkpoint::WeightsError},
};

/// What a norm does before it scales by its weight.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Centring {
    /// LayerNorm: subtracts the mean, divides by `sqrt(var + eps)`.
    Mean,
    /// RMSNorm: divides by `sqrt(mean(x²) + eps)`.
    None,
}

#[derive(Clone, PartialEq, Debug)]
pub struct NormSpec {
    pub centring: Centring,
    pub eps: f64,
    pub weight: Param,
    pub bias: Option<Param>,
}

#[derive(Debug)]
pub struct Norm {
    centring: Centring,
    eps: f64,
    weight: Tensor<2>,       // [1, d_model]
    bias: Option<Tensor<2>>, // [1, d_model]
}

impl NormSpec {
    pub fn rms(path: &str, width: usize, eps: f64) -> Self {
        Self { centring: Centring::None, eps, weight: Param::ones(format!("{path}.weight"), &[width]), bias: None }
    }

    pub fn layer(path: &str, width: usize, eps: f64) -> Self {
        let bias = Some(Param::zeros(format!("{path}.bias"), &[width]));
        Self { centring: Centring::Mean, bias, ..Self::rms(path, width, eps) }
    }

    pub fn params(&self) -> Vec<&Param> {
        std::iter::once(&self.weight).chain(&self.bias).collect()
    }

    pub fn load(&self, weights: &Weights) -> Result<Norm, WeightsError> {
        let row = |param: &Param| Ok(weights.upload(weights.read(param)?, vec![1, param.shape[0]]));
        let bias = self.bias.as_ref().map(row).transpose()?;
        Ok(Norm { centring: self.centring, eps: self.eps, weight: row(&self.weight)?, bias })
    }
}

impl Norm {
    /// `[token, d_model]` → `[token, d_model]`; `scale` is the place of the divisor.
    pub fn forward(&self, x: Tensor<2>, scale: Place, pass: &mut Pass) -> Tensor<2> {
        let x = match self.centring {
            Centring::Mean => x.clone() - x.mean_dim(1),
            Centring::None => x,
        };
        let divisor = (x.clone() * x.clone()).mean_dim(1).add_scalar(self.eps).sqrt(); // [token, 1]
        let divisor = pass.at(scale, divisor);
        let y = x / divisor * self.weight.clone();
        match &self.bias {
            Some(bias) => y + bias.clone(),
            None => y,
        }
    }
}
