//! A loaded model: embeddings, blocks, final norm, unembedding. One forward pass serves every family.

pub mod attribution;
pub mod perturbation;

use serde_json::Value;

use super::{
    Device, Dtype, Tensor,
    batch::Batch,
    facts::ModelFacts,
    families::{self, architecture::Architecture},
    layers::{
        block::{Block, behind},
        cache::KvCache,
        embed::{Embed, indices},
        linear::{Unembed, UnembedSpec},
        norm::Norm,
        softcap::soft_cap,
        surroundings::{RotarySpec, Sight, Surroundings},
    },
    pass::{Pass, Place, Wanted},
    probe::Probe,
    site::Site,
    weights::{
        Weights,
        checkpoint::{Checkpoint, WeightsError},
    },
};

/// A language model on a device. A clone shares its weights.
#[derive(Clone, Debug)]
pub struct Model {
    pub facts: ModelFacts,
    dtype: Dtype,
    device: Device,
    rotary: Vec<RotarySpec>,
    windows: Vec<Option<usize>>,
    embed: Embed,
    blocks: Vec<Block>,
    norm: Option<Norm>,
    unembed: Unembed,
    logit_cap: Option<f64>,
    causal: bool,
}

impl Model {
    /// Builds the model that a Hugging Face `config.json` describes, from a checkpoint, one tensor at a time.
    pub fn load(config: &Value, checkpoint: &dyn Checkpoint, device: &Device) -> Result<Self, WeightsError> {
        Self::load_as(Dtype::F32, config, checkpoint, device)
    }

    /// The same, in a number type.
    pub fn load_as(
        dtype: Dtype,
        config: &Value,
        checkpoint: &dyn Checkpoint,
        device: &Device,
    ) -> Result<Self, WeightsError> {
        let architecture = families::architecture(config).map_err(WeightsError)?;
        let weights = Weights::new(checkpoint, &architecture, dtype, device)?;
        Self::of(&architecture, &weights)
    }

    /// The model of an architecture with these weights.
    pub fn of(architecture: &Architecture, weights: &Weights) -> Result<Self, WeightsError> {
        let unembed = match &architecture.unembed {
            UnembedSpec::Tied => Unembed::Tied,
            UnembedSpec::Own(linear) => Unembed::Own(Box::new(linear.load(weights)?)),
        };
        Ok(Self {
            facts: ModelFacts::from(architecture),
            dtype: weights.dtype(),
            device: weights.device().clone(),
            embed: architecture.embed.load(weights)?,
            blocks: architecture.blocks.iter().map(|block| block.load(weights)).collect::<Result<_, _>>()?,
            norm: architecture.norm.as_ref().map(|norm| norm.load(weights)).transpose()?,
            unembed,
            logit_cap: architecture.logit_cap,
            causal: architecture.causal,
            windows: architecture.windows(),
            rotary: architecture.rotary.clone(),
        })
    }

    pub fn device(&self) -> &Device {
        &self.device
    }

    /// An empty KV cache for `rows` texts of up to `columns` tokens.
    pub fn cache(&self, rows: usize, columns: usize) -> KvCache {
        KvCache::new(self.blocks.iter().map(Block::room), rows, columns, &self.device)
    }

    /// One pass over a batch: the logits of the tokens that the pass wants, `[wanted, vocab]`. With a cache, the
    /// batch's columns come after those that the cache holds.
    pub fn forward(&self, pass: &mut Pass, cache: Option<&mut KvCache>) -> Tensor<2> {
        let x = self.hidden(pass, cache);
        let logits = match pass.places() {
            Some(places) => self.logits(x, &places),
            None => self.unembedded(x),
        };
        pass.at(Place::of(Site::Logits, 0), logits)
    }

    /// The same, as far as what the unembedding reads: `[token, d_model]`.
    pub fn hidden(&self, pass: &mut Pass, mut cache: Option<&mut KvCache>) -> Tensor<2> {
        let heads = self.facts.heads;
        let around = Surroundings::new(
            pass.batch,
            heads,
            Sight { causal: self.causal, windows: &self.windows },
            &self.rotary,
            self.dtype,
            &self.device,
        );
        pass.dtype = self.dtype;
        let mut x = self.embed.forward(pass); // [token, d_model]
        for (layer, block) in self.blocks.iter().enumerate() {
            let cache = cache.as_deref_mut().map(|cache| &mut cache.layers[layer]);
            x = block.forward(x, layer, pass, &around, cache);
        }
        let x = behind(&self.norm, x, Some(Place::of(Site::LnFinalScale, 0)), pass);
        match &self.norm {
            Some(_) => pass.at(Place::of(Site::LnFinalNormalized, 0), x),
            None => x,
        }
    }

    /// The logits of some tokens of what [`hidden`](Self::hidden) gave, `[place, vocab]`.
    pub fn logits(&self, hidden: Tensor<2>, places: &[usize]) -> Tensor<2> {
        self.unembedded(hidden.select(0, indices(places.iter().copied(), &self.device)))
    }

    /// The logits that a residual stream gives, `[token, d_model]` → `[token, vocab]`, through the final norm or not.
    /// Nothing is edited or recorded on the way.
    pub fn lens(&self, residual: Tensor<2>, final_norm: bool) -> Tensor<2> {
        let (nobody, nothing) = (Batch::right_padded(&[]), Probe::default());
        let mut pass = Pass::new(&nobody, &nothing, Wanted::All);
        let hidden = match final_norm {
            true => behind(&self.norm, residual, Some(Place::of(Site::LnFinalScale, 0)), &mut pass),
            false => residual,
        };
        self.unembedded(hidden)
    }

    fn unembedded(&self, x: Tensor<2>) -> Tensor<2> {
        let logits = self.unembed.forward(x, &self.embed.tokens, self.dtype);
        match self.logit_cap {
            Some(cap) => soft_cap(logits, cap, self.dtype),
            None => logits,
        }
    }
}
