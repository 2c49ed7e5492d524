//! Layer norms and RMS norms, with the divisor as a site of its own.

use super::{
    linear::host,
    param::{Initial, Param},
};
use crate::{
    lm::{
        Dtype, Tensor,
        pass::{Pass, Place},
        weights::{Weights, checkpoint::WeightsError},
    },
    metrics::attribution::FrozenNorm,
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
    /// Whether the weight is stored as its difference from one.
    pub from_one: bool,
    pub bias: Option<Param>,
}

#[derive(Clone, Debug)]
pub struct Norm {
    centring: Centring,
    eps: f64,
    weight: Tensor<2>,       // [1, d_model]
    bias: Option<Tensor<2>>, // [1, d_model]
    dtype: Dtype,
    /// Whether it rounds before it scales, and not only after.
    twice: bool,
}

impl NormSpec {
    pub fn rms(path: &str, width: usize, eps: f64) -> Self {
        let weight = Param::ones(format!("{path}.weight"), &[width]);
        Self { centring: Centring::None, eps, weight, from_one: false, bias: None }
    }

    /// The same with a weight that is stored as its difference from one.
    pub fn from_one(self) -> Self {
        Self { from_one: true, weight: Param { initial: Initial::Zeros, ..self.weight }, ..self }
    }

    pub fn layer(path: &str, width: usize, eps: f64) -> Self {
        let bias = Some(Param::zeros(format!("{path}.bias"), &[width]));
        Self { centring: Centring::Mean, bias, ..Self::rms(path, width, eps) }
    }

    pub fn params(&self) -> Vec<&Param> {
        std::iter::once(&self.weight).chain(&self.bias).collect()
    }

    pub fn load(&self, weights: &Weights) -> Result<Norm, WeightsError> {
        let weight = weights.row(&self.weight)?;
        let weight = if self.from_one { weight + 1.0 } else { weight };
        let bias = self.bias.as_ref().map(|bias| weights.row(bias)).transpose()?;
        let twice = self.centring == Centring::None && !self.from_one;
        Ok(Norm { centring: self.centring, eps: self.eps, weight, bias, dtype: weights.dtype(), twice })
    }
}

impl Norm {
    /// This norm with a divisor that stays what it is, whatever is normed: an affine map.
    pub fn frozen(&self, divisor: f64) -> FrozenNorm {
        FrozenNorm {
            centred: self.centring == Centring::Mean,
            weight: host(self.weight.clone()),
            bias: self.bias.clone().map(host),
            divisor,
        }
    }

    /// The same with the divisor that one token has, `[d_model]`.
    pub fn frozen_at(&self, x: &[f32]) -> FrozenNorm {
        let count = x.len() as f64;
        let mean = match self.centring {
            Centring::Mean => x.iter().map(|x| f64::from(*x)).sum::<f64>() / count,
            Centring::None => 0.0,
        };
        let square = x.iter().map(|x| (f64::from(*x) - mean).powi(2)).sum::<f64>() / count;
        self.frozen((square + self.eps).sqrt())
    }

    /// `[token, d_model]` → `[token, d_model]`; `scale` is the place of the divisor, where it is a site.
    pub fn forward(&self, x: Tensor<2>, scale: Option<Place>, pass: &mut Pass) -> Tensor<2> {
        let x = match self.centring {
            Centring::Mean => x.clone() - x.mean_dim(1),
            Centring::None => x,
        };
        let divisor = (x.clone() * x.clone()).mean_dim(1).add_scalar(self.eps).sqrt(); // [token, 1]
        let divisor = match scale {
            Some(scale) => pass.at(scale, divisor),
            None => divisor,
        };
        let y = x / divisor;
        let y = if self.twice { self.dtype.round(y) } else { y } * self.weight.clone();
        self.dtype.round(match &self.bias {
            Some(bias) => y + bias.clone(),
            None => y,
        })
    }
}
