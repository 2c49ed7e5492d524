//! A loaded model: embeddings, blocks, final norm, unembedding. One forward pass serves every family.

use burn::tensor::{Int, TensorData};
use serde_json::Value;

use super::{
    Device, Tensor,
    facts::ModelFacts,
    families,
    layers::{
        attention::Surroundings,
        block::Block,
        cache::KvCache,
        linear::{Unembed, UnembedSpec},
        mask::Mask,
        norm::Norm,
        rotary::{RopeSpec, Rotation},
    },
    pass::{Pass, Place},
    site::Site,
    weights::{
        Weights,
        checkpoint::{Checkpoint, WeightsError},
    },
};

/// A language model on a device.
#[derive(Debug)]
pub struct Model {
    pub facts: ModelFacts,
    device: Device,
    rope: RopeSpec,
    embed: Tensor<2>, // [vocab, d_model]
    blocks: Vec<Block>,
    norm: Norm,
    unembed: Unembed,
}

impl Model {
    /// Builds the model that a Hugging Face `config.json` describes, from a checkpoint, one tensor at a time.
    pub fn load(config: &Value, checkpoint: &dyn Checkpoint, device: &Device) -> Result<Self, WeightsError> {
        let architecture = families::architecture(config).map_err(WeightsError)?;
        let weights = Weights::new(checkpoint, &architecture, device)?;
        let unembed = match &architecture.unembed {
            UnembedSpec::Tied => Unembed::Tied,
            UnembedSpec::Own(linear) => Unembed::Own(Box::new(linear.load(&weights)?)),
        };
        Ok(Self {
            facts: ModelFacts::from(&architecture),
            device: device.clone(),
            embed: weights.tensor(&architecture.embed)?,
            blocks: architecture.blocks.iter().map(|block| block.load(&weights)).collect::<Result<_, _>>()?,
            norm: architecture.norm.load(&weights)?,
            unembed,
            rope: architecture.rope,
        })
    }

    pub fn device(&self) -> &Device {
        &self.device
    }

    /// An empty KV cache for `rows` texts of up to `columns` tokens.
    pub fn cache(&self, rows: usize, columns: usize) -> KvCache {
        KvCache::new(&self.facts, rows, columns, &self.device)
    }

    /// One pass over a batch: the logits of the tokens that the pass wants, `[wanted, vocab]`. With a cache, the
    /// batch's columns come after those that the cache holds.
    pub fn forward(&self, pass: &mut Pass, cache: Option<&mut KvCache>) -> Tensor<2> {
        let x = self.hidden(pass, cache);
        let logits = match pass.places() {
            Some(places) => self.logits(x, &places),
            None => self.unembed.forward(x, &self.embed),
        };
        pass.at(Place::of(Site::Logits, 0), logits)
    }

    /// The same, as far as what the unembedding reads: `[token, d_model]`.
    pub fn hidden(&self, pass: &mut Pass, mut cache: Option<&mut KvCache>) -> Tensor<2> {
        let around = self.surroundings(pass);
        let mut x = pass.at(Place::of(Site::Embed, 0), self.embedded(&pass.batch.ids)); // [token, d_model]
        for (layer, block) in self.blocks.iter().enumerate() {
            let cache = cache.as_deref_mut().map(|cache| &mut cache.layers[layer]);
            x = block.forward(x, layer, pass, &around, cache);
        }
        self.norm.forward(x, Place::of(Site::LnFinalScale, 0), pass)
    }

    /// The logits of some tokens of what [`hidden`](Self::hidden) gave, `[place, vocab]`.
    pub fn logits(&self, hidden: Tensor<2>, places: &[usize]) -> Tensor<2> {
        self.unembed.forward(hidden.select(0, self.indices(places.iter().copied())), &self.embed)
    }

    fn surroundings(&self, pass: &Pass) -> Surroundings {
        let (batch, facts) = (pass.batch, &self.facts);
        let rotation = |heads| Rotation::new(&self.rope, batch, heads, facts.d_head, &self.device);
        Surroundings {
            mask: Mask::new(batch, facts.heads, &self.device),
            queries: rotation(facts.heads),
            keys: rotation(facts.kv_heads),
        }
    }

    fn embedded(&self, ids: &[u32]) -> Tensor<2> {
        self.embed.clone().select(0, self.indices(ids.iter().map(|&id| id as usize)))
    }

    fn indices(&self, indices: impl IntoIterator<Item = usize>) -> Tensor<1, Int> {
        let indices: Vec<i64> = indices.into_iter().map(|i| i as i64).collect();
        let count = indices.len();
        Tensor::from_data(TensorData::new(indices, [count]), &self.device)
    }
}
