//! The named places inside a model, in TransformerLens's words, and the axes of what stands there.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A named place inside a model. Noise is keyed by a site's number, which never changes: a new site takes the next.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Site {
    /// The token embeddings, scaled where the family scales them, before learned positions are added.
    Embed = 0,
    /// What enters a block.
    ResidPre = 1,
    /// What the norm before attention divides by.
    #[serde(rename = "ln1.scale")]
    Ln1Scale = 2,
    /// Queries as projected, before any norm of their own and rotary embeddings.
    Q = 3,
    /// Keys as projected, before any norm of their own and rotary embeddings; key/value heads.
    K = 4,
    /// Values; key/value heads.
    V = 5,
    /// Queries after rotary embeddings.
    RotQ = 6,
    /// Keys after rotary embeddings; key/value heads.
    RotK = 7,
    /// Attention probabilities.
    Pattern = 8,
    /// A head's output before the output projection.
    Z = 9,
    /// What each head adds to `attn_out`: its `z` through its own rows of the output projection, without the bias. It is
    /// computed where it is recorded, and cannot be edited: `z` can.
    Result = 20,
    /// The attention module's output, after the output projection and its bias, before any norm behind it.
    AttnOut = 10,
    /// The residual between attention and MLP (blocks that are not parallel).
    ResidMid = 11,
    /// What the norm before the MLP divides by.
    #[serde(rename = "ln2.scale")]
    Ln2Scale = 12,
    /// The normalised input of the MLP.
    MlpIn = 13,
    /// The MLP's hidden units after the activation (and the gate).
    MlpPost = 14,
    /// What each expert adds to the residual stream: its output times the router's weight, 0 where a token is not sent
    /// to it. The shared experts, which act as one, come last.
    ExpertOut = 15,
    /// The MLP's output, before any norm behind it.
    MlpOut = 16,
    /// What leaves a block.
    ResidPost = 17,
    /// What the final norm divides by.
    #[serde(rename = "ln_final.scale")]
    LnFinalScale = 18,
    /// What the final norm gives, scaled by its weight: what the unembedding reads.
    #[serde(rename = "ln_final.normalized")]
    LnFinalNormalized = 21,
    /// Next-token logits.
    Logits = 19,
}

/// The axes that a site has beside prompt and layer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Extent {
    /// position, d
    Residual,
    /// position
    Scale,
    /// position, head, d
    Heads,
    /// position, head (of keys and values), d
    KvHeads,
    /// position, expert, d
    Experts,
    /// head, query, key
    Pattern,
    /// position, token
    Logits,
}

impl Site {
    /// All sites, in the order in which a forward pass meets them.
    pub const ALL: [Self; 22] = [
        Self::Embed,
        Self::ResidPre,
        Self::Ln1Scale,
        Self::Q,
        Self::K,
        Self::V,
        Self::RotQ,
        Self::RotK,
        Self::Pattern,
        Self::Z,
        Self::Result,
        Self::AttnOut,
        Self::ResidMid,
        Self::Ln2Scale,
        Self::MlpIn,
        Self::MlpPost,
        Self::ExpertOut,
        Self::MlpOut,
        Self::ResidPost,
        Self::LnFinalScale,
        Self::LnFinalNormalized,
        Self::Logits,
    ];

    pub fn name(self) -> String {
        match serde_json::to_value(self) {
            Ok(serde_json::Value::String(name)) => name,
            _ => unreachable!("a site is written as a string"),
        }
    }

    pub fn extent(self) -> Extent {
        match self {
            Self::Ln1Scale | Self::Ln2Scale | Self::LnFinalScale => Extent::Scale,
            Self::Q | Self::RotQ | Self::Z | Self::Result => Extent::Heads,
            Self::K | Self::RotK | Self::V => Extent::KvHeads,
            Self::ExpertOut => Extent::Experts,
            Self::Pattern => Extent::Pattern,
            Self::Logits => Extent::Logits,
            _ => Extent::Residual,
        }
    }

    /// Whether every layer has one.
    pub fn per_layer(self) -> bool {
        !matches!(self, Self::Embed | Self::LnFinalScale | Self::LnFinalNormalized | Self::Logits)
    }

    /// Whether it is the residual stream itself, which the unembedding can read.
    pub fn in_residual(self) -> bool {
        matches!(self, Self::Embed | Self::ResidPre | Self::ResidMid | Self::ResidPost)
    }

    /// Whether it has an axis of heads, or of experts.
    pub fn has_heads(self) -> bool {
        matches!(self.extent(), Extent::Heads | Extent::KvHeads | Extent::Experts | Extent::Pattern)
    }
}
