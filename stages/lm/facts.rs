//! What is known of a model from its config alone: what flows along a plan's edges before any weight is read.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{
    families,
    families::architecture::Architecture,
    layers::param::Initial,
    site::{Extent, Site},
};
use crate::{Mistake, Select};

/// The shape of a model.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct ModelFacts {
    pub family: String,
    pub layers: usize,
    pub heads: usize,
    pub kv_heads: usize,
    pub d_model: usize,
    pub d_head: usize,
    pub vocab: usize,
    /// Where some layers are mixtures of experts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub experts: Option<ExpertFacts>,
    /// The longest text that the model was made for, where the config says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub context: Option<usize>,
    /// How many positions it has embeddings for, where they are learned: it can read no longer text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub positions: Option<usize>,
    /// The sites that the family has.
    pub sites: Vec<Site>,
    /// Whether a token sees no token behind it, so that texts can be written and predicted token by token.
    #[serde(default = "causal", skip_serializing_if = "is_causal")]
    pub causal: bool,
    /// Whether a tokenizer is among its files; none where nobody has looked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tokenizer: Option<bool>,
}

fn causal() -> bool {
    true
}

fn is_causal(causal: &bool) -> bool {
    *causal
}

/// The experts of a model.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct ExpertFacts {
    /// How many a layer has, the shared ones counted as one.
    pub count: usize,
    /// The layers that have them.
    pub layers: Vec<usize>,
}

impl ModelFacts {
    /// From a `config.json` of Hugging Face.
    pub fn of(config: &Value) -> Result<Self, String> {
        Ok(Self::from(&families::architecture(config)?))
    }

    /// Why this model cannot predict a text token by token.
    pub fn prediction_mistake(&self) -> Option<Mistake> {
        let message = "its tokens see those behind them: it predicts no text token by token";
        (!self.causal).then(|| Mistake::new("inputs.model", message).help("read texts with `forward`"))
    }

    /// Why nothing can be made of a text with this model. `at` is where the text comes from.
    pub fn tokenizer_mistake(&self, at: &str) -> Option<Mistake> {
        let message = "the model has no tokenizer, so that it reads no text";
        let help = "give prompts as `tokens`, or put its tokenizer.json beside the weights";
        (self.tokenizer == Some(false)).then(|| Mistake::new(at, message).help(help))
    }

    /// How many heads (or experts) a site has; 0 where it has none.
    pub fn heads_at(&self, site: Site) -> usize {
        match site.extent() {
            Extent::KvHeads => self.kv_heads,
            Extent::Heads | Extent::Pattern => self.heads,
            Extent::Experts => self.experts.as_ref().map_or(0, |experts| experts.count),
            Extent::Residual | Extent::Scale | Extent::Logits => 0,
        }
    }

    /// How long the vectors at a site are, where the config says.
    pub fn width_at(&self, site: Site) -> Option<usize> {
        match site.extent() {
            _ if site == Site::MlpPost => None,
            _ if site == Site::Result => Some(self.d_model),
            Extent::Residual | Extent::Experts => Some(self.d_model),
            Extent::Heads | Extent::KvHeads => (site == Site::Z || site == Site::V).then_some(self.d_head),
            Extent::Scale => Some(1),
            Extent::Pattern => None,
            Extent::Logits => Some(self.vocab),
        }
    }

    /// The selected layers of those that have a site; 0 stands for the one place of a site that is in no layer.
    pub fn layers_at(&self, site: Site, select: &Select) -> Result<Vec<usize>, String> {
        if !site.per_layer() {
            return Ok(vec![0]);
        }
        let mixture = |layer: &usize| self.experts.as_ref().is_some_and(|experts| experts.layers.contains(layer));
        let has = |layer: &usize| match site {
            Site::ExpertOut => mixture(layer),
            Site::MlpPost => !mixture(layer),
            _ => true,
        };
        let picked = select.indices(self.layers, "layer")?;
        match picked.iter().find(|layer| !has(layer)) {
            Some(_) if *select == Select::All => Ok(picked.into_iter().filter(has).collect()),
            Some(layer) => {
                let others: Vec<_> = (0..self.layers).filter(has).map(|layer| layer.to_string()).collect();
                Err(format!("layer {layer} has no `{}`: it is in the layers {}", site.name(), others.join(", ")))
            }
            None => Ok(picked),
        }
    }

    /// What is wrong with a site, and with the layers and heads asked of it. `heads` is what was asked, if anything.
    pub fn site_mistakes(&self, at: &str, site: Site, layers: &Select, heads: &Select) -> Vec<Mistake> {
        let mut found = vec![];
        if !self.sites.contains(&site) {
            let sites: Vec<_> = self.sites.iter().map(|site| site.name()).collect();
            found.push(
                Mistake::new(format!("{at}.site"), format!("a {} has no site `{}`", self.family, site.name()))
                    .help(format!("it has {}", sites.join(", "))),
            );
        }
        let layered = if site.per_layer() { self.layers } else { 0 };
        let lacking = || Some(Mistake::new(format!("{at}.layers"), self.layers_at(site, layers).err()?));
        found.extend(misfit(at, "layer", site, layers, layered).or_else(lacking));
        found.extend(misfit(at, "head", site, heads, self.heads_at(site)).map(|mistake| match site {
            Site::AttnOut => mistake.help("one head's output before the output projection is the site `z`"),
            _ if site.extent() == Extent::KvHeads => mistake.help("the heads of this site are key/value heads"),
            _ => mistake,
        }));
        found
    }
}

/// What is wrong with a selection of `what`s at a site that has `count` of them.
fn misfit(at: &str, what: &str, site: Site, select: &Select, count: usize) -> Option<Mistake> {
    let at = format!("{at}.{what}s");
    match (select, count) {
        (Select::All, _) => None,
        (_, 0) => Some(Mistake::new(at, format!("the site `{}` has no {what}s", site.name()))),
        _ => select.indices(count, what).err().map(|problem| Mistake::new(at, problem)),
    }
}

impl From<&Architecture> for ModelFacts {
    fn from(architecture: &Architecture) -> Self {
        Self {
            family: architecture.family.to_owned(),
            layers: architecture.blocks.len(),
            heads: architecture.heads,
            kv_heads: architecture.kv_heads,
            d_model: architecture.d_model,
            d_head: architecture.d_head,
            vocab: architecture.vocab,
            experts: architecture.experts(),
            context: architecture.context,
            positions: architecture.embed.positions.as_ref().map(|table| table.shape[0]),
            sites: architecture.sites(),
            causal: architecture.causal,
            tokenizer: None,
        }
    }
}

/// Every tensor that the family pulls, by its path in a checkpoint, and its shape.
pub fn tensor_shapes(config: &Value) -> Result<Vec<(String, Vec<usize>)>, String> {
    let architecture = families::architecture(config)?;
    Ok(architecture.params().into_iter().map(|param| (param.path.clone(), param.shape.clone())).collect())
}

/// What a tensor holds before training.
pub fn initial(config: &Value, tensor: &str) -> Result<Initial, String> {
    let architecture = families::architecture(config)?;
    let found = architecture.params().into_iter().find(|param| param.path == tensor).map(|param| param.initial);
    found.ok_or_else(|| format!("a {} has no tensor `{tensor}`", architecture.family))
}
