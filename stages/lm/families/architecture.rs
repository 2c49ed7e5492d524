//! What a family makes of a config: every part of the model, by checkpoint path and shape, before any weight is read.

use crate::lm::{
    layers::{
        attention::AttentionSpec, linear::UnembedSpec, mlp::MlpSpec, norm::NormSpec, param::Param, rotary::RopeSpec,
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
    pub ln1: NormSpec,
    pub attention: AttentionSpec,
    pub ln2: NormSpec,
    pub mlp: MlpSpec,
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
    pub embed: Param,
    pub rope: RopeSpec,
    pub blocks: Vec<BlockSpec>,
    pub norm: NormSpec,
    pub unembed: UnembedSpec,
}

impl BlockSpec {
    fn params(&self) -> Vec<&Param> {
        [self.ln1.params(), self.attention.params(), self.ln2.params(), self.mlp.params()].concat()
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
        std::iter::once(&self.embed).chain(blocks).chain(self.norm.params()).chain(unembed).collect()
    }

    /// The sites that the family has.
    pub fn sites(&self) -> Vec<Site> {
        let parallel = self.blocks.iter().any(|block| block.residual == Residual::Parallel);
        Site::ALL.into_iter().filter(|site| !(parallel && *site == Site::ResidMid)).collect()
    }
}
