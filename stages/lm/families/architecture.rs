//! What a family makes of a config: every part of the model, by checkpoint path and shape, before any weight is read.

use std::collections::BTreeSet;

use crate::lm::{
    facts::ExpertFacts,
    layers::{
        attention::AttentionSpec, embed::EmbedSpec, linear::UnembedSpec, mlp::MlpSpec, norm::NormSpec, param::Param,
        surroundings::RotarySpec,
    },
    site::Site,
};

/// How a block adds attention and MLP to the residual stream.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Residual {
    /// The MLP reads what attention has written.
    Sequential,
    /// Both read what enters the block.
    Parallel,
}

#[derive(Clone, PartialEq, Debug)]
pub struct BlockSpec {
    pub residual: Residual,
    /// Before attention, in families that have norms.
    pub ln1: Option<NormSpec>,
    pub attention: AttentionSpec,
    /// Over what attention puts out, before it is added to the stream.
    pub ln1_post: Option<NormSpec>,
    /// Before the MLP, in families that have norms.
    pub ln2: Option<NormSpec>,
    /// A model of attention alone has none.
    pub mlp: Option<MlpSpec>,
    /// Over what the MLP puts out, before it is added to the stream.
    pub ln2_post: Option<NormSpec>,
}

/// A whole model, described.
#[derive(Clone, PartialEq, Debug)]
pub struct Architecture {
    pub family: &'static str,
    /// What the base model's tensors are called under, and may lack in a checkpoint of the base model alone.
    pub prefix: &'static str,
    /// What precedes a layer's number in its tensors' paths.
    pub layers_path: &'static str,
    pub d_model: usize,
    pub heads: usize,
    pub kv_heads: usize,
    pub d_head: usize,
    pub vocab: usize,
    pub context: Option<usize>,
    pub embed: EmbedSpec,
    /// The rotary embeddings that there are; a block's attention names one of them, or none.
    pub rotary: Vec<RotarySpec>,
    pub blocks: Vec<BlockSpec>,
    pub norm: Option<NormSpec>,
    pub unembed: UnembedSpec,
    /// Logits are bent towards this bound, where there is one.
    pub logit_cap: Option<f64>,
    /// Whether a token sees no token behind it.
    pub causal: bool,
}

impl BlockSpec {
    fn params(&self) -> Vec<&Param> {
        let norms = [&self.ln1, &self.ln1_post, &self.ln2, &self.ln2_post];
        let norms = norms.into_iter().flatten().flat_map(NormSpec::params);
        let mlp = self.mlp.iter().flat_map(MlpSpec::params);
        self.attention.params().into_iter().chain(mlp).chain(norms).collect()
    }
}

impl BlockSpec {
    /// Whether it has an MLP that every token goes through.
    pub fn is_dense(&self) -> bool {
        self.mlp.as_ref().is_some_and(|mlp| mlp.experts() == 0)
    }
}

impl Architecture {
    /// Every tensor that the family pulls.
    pub fn params(&self) -> Vec<&Param> {
        let unembed = match &self.unembed {
            UnembedSpec::Tied => vec![],
            UnembedSpec::Own(linear) => linear.params(),
        };
        let blocks = self.blocks.iter().flat_map(BlockSpec::params);
        let norm = self.norm.iter().flat_map(NormSpec::params);
        self.embed.params().into_iter().chain(blocks).chain(norm).chain(unembed).collect()
    }

    /// How far back the queries of its blocks see, each different distance once.
    pub fn windows(&self) -> Vec<Option<usize>> {
        let windows: BTreeSet<_> = self.blocks.iter().map(|block| block.attention.window()).collect();
        windows.into_iter().collect()
    }

    /// The layers that are mixtures of experts, if there are such.
    pub fn experts(&self) -> Option<ExpertFacts> {
        let counts = || self.blocks.iter().map(|block| block.mlp.as_ref().map_or(0, MlpSpec::experts));
        let layers: Vec<_> = counts().enumerate().filter_map(|(layer, count)| (count > 0).then_some(layer)).collect();
        counts().max().filter(|count| *count > 0).map(|count| ExpertFacts { count, layers })
    }

    /// The sites that the family has.
    pub fn sites(&self) -> Vec<Site> {
        let parallel = self.blocks.iter().any(|block| block.residual == Residual::Parallel);
        let turning = self.blocks.iter().all(|block| block.attention.turns());
        let all = |has: fn(&BlockSpec) -> bool| self.blocks.iter().all(has);
        let (mlp, norms) = (all(|block| block.mlp.is_some()), all(|block| block.ln1.is_some()));
        let experts = self.experts().is_some();
        let has = |site: &Site| match site {
            // The hidden units of experts are many sets, each of which some tokens see.
            Site::MlpPost => self.blocks.iter().any(BlockSpec::is_dense),
            Site::ExpertOut => experts,
            Site::ResidMid => mlp && !parallel,
            Site::MlpIn | Site::MlpOut => mlp,
            Site::Ln1Scale => norms,
            Site::Ln2Scale => norms && mlp,
            Site::LnFinalScale | Site::LnFinalNormalized => self.norm.is_some(),
            Site::RotQ | Site::RotK => turning,
            _ => true,
        };
        Site::ALL.into_iter().filter(has).collect()
    }
}
