//! Changes made at a site while a model runs: which layers, heads and positions, and what happens there.
//!
//! Edits are part of a call, never attached to a model. An edit that changes nothing changes no bit; what it does at a
//! token depends on that token's values, prompt, layer and position, never on what shares its batch. (While a model is
//! trained, a batch is part of what is computed: clamps over it and dropout are for training alone.)
//!
//! | to find | look in |
//! | --- | --- |
//! | how values are changed on the device | `change.rs` |
//! | Gaussian noise | `noise.rs` |
//! | clamps | `clamp.rs` |
//! | dropout | `dropout.rs` |
//! | values from other stages, laid beside a text | `put.rs` |

mod change;
mod clamp;
mod dropout;
mod noise;
mod put;

pub use change::{Addend, Change, Op};
pub use clamp::{Measured, Over, Size};
pub use dropout::Dropout;
pub use put::{frozen, mean, resampled};

use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    donor::{Align, Asked, Donor, Need, Vector},
    facts::ModelFacts,
    probe::Material,
    site::{Extent, Site},
};
use crate::{Mistake, Seed, Select};

/// Edits, each with the fields that all have: where, which layers, heads and positions.
macro_rules! edits {
    ($($(#[$doc:meta])* $op:ident { $($(#[$field_doc:meta])* $field:ident: $type:ty,)* })*) => {
        /// One edit: a site, which of its layers, heads and positions, and an operation.
        #[derive(Clone, PartialEq, Debug, Serialize, Deserialize, JsonSchema)]
        #[serde(tag = "op", deny_unknown_fields, rename_all = "kebab-case")]
        pub enum Edit {
            $($(#[$doc])* $op {
                /// Where. `z` is a head's output before the output projection, `attn_out` all heads' after it; `q`, `k`
                /// and `v` are what the projections give, before rotary embeddings and before keys and values enter the
                /// KV cache; `pattern` is after the softmax, and is not normalised again. A site is edited before it is
                /// recorded, and by several edits in their order.
                site: Site,
                /// Which layers: "all", a half-open range "10..26", a number or a list; -1 is the last.
                #[serde(default)]
                layers: Select,
                /// Which heads: query heads at `q`, `rot_q`, `pattern` and `z`, key/value heads at `k`, `rot_k` and `v`.
                #[serde(default)]
                heads: Select,
                /// Which positions, counted from the first token, negative ones from the end; at `pattern`, of the
                /// queries. In `generate`, the end is that of the prompt, and a range without an end goes on into what
                /// is written: "-1.." is the last token of the prompt and all that follow.
                #[serde(default)]
                positions: Select,
                $($(#[$field_doc])* $field: $type,)*
            },)*
        }

        impl Edit {
            fn target(&self) -> Target<'_> {
                match self {
                    $(Self::$op { site, layers, heads, positions, .. } => Target { site: *site, layers, heads, positions },)*
                }
            }
        }
    };
}

/// What an edit is about.
struct Target<'a> {
    site: Site,
    layers: &'a Select,
    heads: &'a Select,
    positions: &'a Select,
}

edits! {
    /// Sets the values to zero.
    Zero {}
    /// Adds Gaussian noise to every number.
    Noise {
        /// The standard deviation.
        std: f64,
        /// Whether `std` is in units of the root mean square of the vector that it is added to (a token's, or one head's
        /// of a token), instead of absolute.
        #[serde(default)]
        relative: bool,
        /// What the noise depends on, beside site, layer, prompt and position.
        seed: Seed,
    }
    /// Multiplies the values by a factor.
    Scale {
        /// What every number is multiplied by.
        factor: f64,
    }
    /// Adds a direction to the vector of each token (of each head of a token).
    Steer {
        /// A list of numbers, or the name of an input port that holds the direction: tensor[d], or one for each layer,
        /// each head, or both: tensor[layer, head, d].
        direction: Vector,
        /// What the direction is multiplied by; it is not normalised.
        #[serde(default = "one")]
        factor: f64,
    }
    /// Gives the vector of each token (of each head of a token) another norm, or another spread about its own mean. A
    /// vector of zeros, or without spread, stays as it is. Exactly one of `norm` and `std`.
    Clamp {
        /// x · norm / ‖x‖; over a batch, x · norm / (the mean of ‖x‖ over its tokens).
        #[serde(default, skip_serializing_if = "Option::is_none")]
        norm: Option<Size>,
        /// m + (x − m) · std / s, with m and s the mean and the standard deviation (ddof 0) over the vector's numbers;
        /// over a batch, m is each dimension's mean over its tokens, and s is over all numbers of x − m.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        std: Option<Size>,
        /// What has this norm or spread.
        #[serde(default, skip_serializing_if = "is_token")]
        over: Over,
    }
    /// Replaces the values by their mean over a corpus, the same at every position.
    Mean {
        /// The name of an input port that holds a capture of the corpus at this site: raw (every token counts alike),
        /// reduced by `mean` (every text counts alike), or such a mean without the axis of prompts.
        from: String,
    }
    /// Replaces the values by those of another prompt, drawn once for each prompt: a permutation in one cycle, so that
    /// none is its own. At a position that the other prompt lacks, by those of the nearest that it has.
    Resample {
        /// The name of an input port that holds a raw capture at this site, of at least as many prompts as there are
        /// here; prompt i of this stage is prompt i there, and gets another's values.
        from: String,
        /// From where positions are counted.
        #[serde(default)]
        align: Align,
        /// What the permutation depends on.
        seed: Seed,
    }
    /// Replaces the values by those of another run, prompt by prompt in their order (or of its one prompt, in all). At a
    /// position that the other text lacks, nothing changes; at `pattern`, keys stand beside keys of the same number (and `align` is `start`).
    Patch {
        /// The name of an input port that holds a raw capture: of this site, or of one of the same shape.
        from: String,
        /// From where positions are counted.
        #[serde(default)]
        align: Align,
    }
    /// Puts back the values that another run on the same texts had, so that they do not respond to other edits. Every
    /// value must be there: of a capture of the last 16 positions, `positions = "-16.."` are.
    Freeze {
        /// The name of an input port that holds a raw capture of this site from that run.
        from: String,
    }
}

fn one() -> f64 {
    1.0
}

fn is_token(over: &Over) -> bool {
    *over == Over::Token
}

impl Edit {
    /// Everything that is wrong with this edit on any model; `at` is where it stands in the manifest.
    pub fn own_mistakes(&self, at: &str) -> Vec<Mistake> {
        let site = self.target().site;
        let mut found = vec![];
        let mut wrong = |key: &str, message: String| found.push(Mistake::new(format!("{at}.{key}"), message));
        if let Some(why) = self.misplaced(site) {
            wrong("site", why.to_owned());
        }
        match self {
            Self::Noise { std, .. } if !(std.is_finite() && *std >= 0.0) => {
                wrong("std", format!("a standard deviation is 0 or more, not {std}"));
            }
            Self::Noise { relative: true, .. } if site.extent() == Extent::Pattern => {
                wrong("relative", "a pattern's numbers are shares already: give an absolute `std`".to_owned());
            }
            Self::Patch { align: Align::End, .. } if site.extent() == Extent::Pattern => {
                wrong("align", "the keys of patterns are laid side by side from the start".to_owned());
            }
            Self::Scale { factor, .. } | Self::Steer { factor, .. } if !factor.is_finite() => {
                wrong("factor", format!("a factor is a finite number, not {factor}"));
            }
            Self::Clamp { norm, std, over, .. } => {
                if *over == Over::Batch && site.extent() != Extent::Residual {
                    wrong("over", "only vectors as wide as the residual stream are clamped over a batch".to_owned());
                }
                match (norm, std) {
                    (Some(target), None) => target.mistake().into_iter().for_each(|message| wrong("norm", message)),
                    (None, Some(target)) => target.mistake().into_iter().for_each(|message| wrong("std", message)),
                    _ => wrong("op", "a clamp has exactly one of `norm` and `std`".to_owned()),
                }
            }
            _ => (),
        }
        if site == Site::Logits {
            return found.into_iter().map(|mistake| mistake.help("edit `resid_post` of the last layer")).collect();
        }
        found
    }

    /// Why it is for training alone, where it is.
    pub fn only_in_training(&self, at: &str) -> Option<Mistake> {
        let Self::Clamp { over: Over::Batch, .. } = self else { return None };
        let message = "over a batch, what a text gives would depend on the texts that share it: only `train` does this";
        Some(Mistake::new(format!("{at}.over"), message).help("leave `over` out to clamp each token by itself"))
    }

    /// Why this operation has no meaning at a site.
    fn misplaced(&self, site: Site) -> Option<&'static str> {
        match (site.extent(), self) {
            (Extent::Logits, _) => Some("logits are read, not edited"),
            (Extent::Scale, Self::Zero { .. }) => Some("a scale divides: it cannot be zero"),
            (Extent::Scale, Self::Clamp { .. } | Self::Steer { .. }) => Some("a scale is one number, not a vector"),
            (Extent::Pattern, Self::Clamp { .. } | Self::Steer { .. } | Self::Mean { .. } | Self::Resample { .. }) => {
                Some("a pattern has as many keys as there are tokens, and no vector of one length")
            }
            _ => None,
        }
    }

    /// Everything about this edit that the model cannot do.
    pub fn mistakes(&self, at: &str, facts: &ModelFacts) -> Vec<Mistake> {
        let Target { site, layers, heads, .. } = self.target();
        facts.site_mistakes(at, site, layers, heads)
    }

    /// What it wants of an input port.
    pub fn need(&self, at: &str) -> Option<Need> {
        let site = self.target().site;
        match self {
            Self::Steer { direction, .. } => Some(Need::directions(format!("{at}.direction"), direction.port()?, site)),
            Self::Mean { from, .. } => Some(Need::averages(format!("{at}.from"), from, site)),
            Self::Resample { from, .. } | Self::Patch { from, .. } | Self::Freeze { from, .. } => {
                Some(Need::tokens(format!("{at}.from"), from, site))
            }
            Self::Clamp { norm: Some(target), .. } => target.need(format!("{at}.norm.column")),
            Self::Clamp { std: Some(target), .. } => target.need(format!("{at}.std.column")),
            _ => None,
        }
    }

    /// What it wants of what stands there.
    pub fn asked(&self, facts: &ModelFacts) -> Asked {
        let Target { site, layers, heads, .. } = self.target();
        Asked::of(facts, site, layers, heads)
    }

    /// This edit on a model that has been asked for its [`mistakes`](Self::mistakes); nothing where it changes nothing.
    pub fn on(&self, facts: &ModelFacts, material: &Material) -> Result<Option<Change>, String> {
        let Target { site, layers, heads, positions } = self.target();
        let count = facts.heads_at(site);
        let chosen = if site.has_heads() { heads.indices(count, "head")? } else { vec![] };
        let layers = facts.layers_at(site, layers)?;
        let asked = self.asked(facts);
        let donor = |port: &str| {
            let donor = Donor::of(port, material.inputs)?;
            donor.check(&asked)?;
            Ok::<_, String>(donor)
        };
        let op = match self {
            Self::Zero { .. } => Op::Zero,
            Self::Noise { std: 0.0, .. } | Self::Scale { factor: 1.0, .. } | Self::Steer { factor: 0.0, .. } => {
                return Ok(None);
            }
            Self::Noise { std, relative: false, seed, .. } => Op::Add(noise::gaussian(seed.0, *std)),
            Self::Noise { std, seed, .. } => Op::AddRelative(noise::gaussian(seed.0, *std)),
            Self::Scale { factor, .. } => Op::Scale(*factor),
            Self::Steer { direction, factor, .. } => {
                let donor = direction.donor(material.inputs)?;
                donor.check(&asked)?;
                match put::direction(donor, &layers, count.max(1), *factor)? {
                    Some(addend) => Op::Add(addend),
                    None => return Ok(None),
                }
            }
            Self::Clamp { norm: Some(norm), over, .. } => Op::Norm(norm.size(material.inputs)?, *over),
            Self::Clamp { std: Some(std), over, .. } => Op::Spread(std.size(material.inputs)?, *over),
            Self::Clamp { .. } => return Err("a clamp has exactly one of `norm` and `std`".to_owned()),
            Self::Mean { from, .. } => Op::Put(put::mean(&donor(from)?, &layers, count.max(1))?),
            Self::Resample { from, align, seed, .. } => {
                Op::Put(put::resampled(donor(from)?, *align, seed.0, material.prompts.len())?)
            }
            Self::Patch { from, align, .. } => Op::Put(put::patched(donor(from)?, *align, material.prompts.len())?),
            Self::Freeze { from, .. } => Op::Put(put::frozen(donor(from)?, material.prompts)?),
        };
        let mut meant = vec![false; count];
        chosen.iter().for_each(|head| meant[*head] = true);
        Ok(Some(Change { site, layers, heads: meant, positions: positions.clone(), op }))
    }
}

/// Values that take the place of a token's.
pub type Replacement = Arc<dyn Fn(Token, usize) -> Result<Option<Vec<f32>>, String> + Send + Sync>;

/// One token at one place of a model.
#[derive(Clone, Copy, Debug)]
pub struct Token {
    pub site: Site,
    pub layer: usize,
    /// How many heads the site has, or 1.
    pub heads: usize,
    /// The index of its prompt in the study.
    pub prompt: usize,
    pub position: usize,
    /// How many tokens its text has.
    pub length: usize,
}

#[cfg(test)]
mod tests;
