//! What becomes of removed heads: the model, and the changes inside it, without the first heads of an order.
//!
//! What replaces a head's output is a change that a pass carries. Noise on a head's weights makes another model, which is
//! made head by head along an order, so that a step costs what its new heads cost.

use std::borrow::Cow;

use super::{Ablate, Head, Removal, VALUES};
use crate::{
    Failure, Inputs, Select,
    lm::{
        Model, ModelFacts,
        donor::{Asked, Donor},
        edit::{self, Change, Op},
        model::perturbation::WeightNoise,
        site::Site,
    },
};

/// What happens in every pass, and to removed heads.
pub struct Ablation<'a> {
    pub model: &'a Model,
    pub edits: Vec<Change>,
    pub removed: Removed,
}

/// What happens to removed heads.
pub enum Removed {
    /// To their output.
    Output(Op),
    /// To their weights.
    Weights(WeightNoise),
}

impl Ablate {
    /// What happens to removed heads.
    pub(super) fn removed(&self, inputs: &Inputs, facts: &ModelFacts, texts: usize) -> Result<Removed, Failure> {
        let layers: Vec<usize> = (0..facts.layers).collect();
        let values = || {
            let donor = Donor::of(VALUES, inputs)?;
            donor.check(&Asked::of(facts, Site::Z, &Select::All, &Select::All)).map(|()| donor)
        };
        let op = match self.op {
            Removal::Zero => Ok(Op::Zero),
            Removal::Mean => values().and_then(|donor| edit::mean(&donor, &layers, facts.heads)).map(Op::Put),
            Removal::Resample => {
                values().and_then(|donor| edit::resampled(donor, self.align, self.seed.0, texts)).map(Op::Put)
            }
            Removal::Noise => {
                let std = self.std.ok_or_else(|| Failure::fatal("`op = \"noise\"` needs a `std`"))?;
                return Ok(Removed::Weights(WeightNoise { std, seed: self.seed.0 }));
            }
        };
        op.map(Removed::Output).map_err(Failure::fatal)
    }
}

/// A model along an order of heads, of which more and more are removed.
pub struct Without<'a> {
    ablation: &'a Ablation<'a>,
    heads: &'a [Head],
    /// Whose weights have noise on the first so many heads.
    model: Cow<'a, Model>,
    perturbed: usize,
}

impl<'a> Without<'a> {
    pub fn none(ablation: &'a Ablation, heads: &'a [Head]) -> Self {
        Self { ablation, heads, model: Cow::Borrowed(ablation.model), perturbed: 0 }
    }

    /// The model, and all changes inside it, without the first `count` heads: never fewer than before.
    pub fn the_first(&mut self, count: usize) -> (&Model, Vec<Change>) {
        let Ablation { model, edits, removed } = self.ablation;
        match removed {
            Removed::Output(op) => {
                let removed = Change::on_heads(&self.heads[..count], op, &model.facts);
                (model, [edits.clone(), removed].concat())
            }
            Removed::Weights(noise) => {
                if count > self.perturbed {
                    self.model.to_mut().perturb(&self.heads[self.perturbed..count], *noise);
                    self.perturbed = count;
                }
                (&self.model, edits.clone())
            }
        }
    }
}
