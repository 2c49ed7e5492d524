//! The kind `train`: a small model, trained in the study.
//!
//! What it makes is a model like any other: `forward`, `generate` and `ablate` take it, and its weights are a safetensors
//! file. A run that is killed goes on after its last checkpoint, to the same bits.

use std::collections::BTreeMap;

use assay_cache::{Artifact, Digest};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::{
    Ctx, Failure, Given, InputPort, Inputs, Lane, Mistake, OutputPort, Outputs, PortType, Ports, Seed, Stage,
    lm::{
        self, Dtype, ModelFacts, ModelRecord, Session,
        edit::Edit,
        families::Transformer,
        probe::{self, Material, Probe},
        source::role,
        text::tokens::Tokens,
        train::{
            adam::Adam,
            course::{Course, Log, weights},
            freeze::Freeze,
            gauge::Gauge,
            learner::Learner,
            reading::Reading,
            schedule::Schedule,
            texts::Texts,
        },
    },
};

/// What does a small transformer learn, and when?
///
/// It is trained on the texts in `train` to predict what follows the part that each gives, and looked at on those in
/// `test`. Outputs: the `model`, its `weights`, a `log` of how it went, and `checkpoints`, the digest of the weights after
/// each thousandth step and the last. The log has
///
/// - on both sides (`train_…`, of its first 1024 texts, and `test_…`) loss, accuracy, accuracy at the last token of a
///   text, and the margin log p(right) − log p(all others);
/// - of each layer's `resid_post`, the mean norm (`resid_norm_L`) and the mean standard deviation over dimensions
///   (`resid_std_L`, ddof 1);
/// - the mean weight of the final norm (`final_norm_weight`), and of what it gives the mean norm (`normalized_norm`) and the
///   standard deviation about each dimension's mean (`normalized_std`): what clamps over a batch aim at;
/// - Σ‖W_V‖ over layers (`value_norm`), and the norm of all weights (`weight_norm`);
/// - of each head, 1 less the Jensen–Shannon distance (natural logarithm) between its mean attention and that of
///   `log.lag` steps ago (`geometry_L_H`), and 1 less that (`drift_L_H`).
///
/// The entry's note `seconds` says how long the run had gone on at each row. Adam and AdamW as Loshchilov & Hutter 2019;
/// the loss in nats.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Train {
    /// The transformer.
    pub model: Transformer,
    /// Steps of the optimiser.
    #[schemars(range(min = 1))]
    pub steps: u64,
    /// Texts in a step, each once before any comes again; without it, all texts in every step.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub batch: Option<usize>,
    /// Adam; with a `weight-decay`, AdamW.
    #[serde(default)]
    pub optimizer: Adam,
    /// The course of the learning rate after the warm-up.
    #[serde(default)]
    pub schedule: Schedule,
    /// Steps in which the learning rate rises from 0.
    #[serde(default)]
    pub warmup: u64,
    /// Weights that stay as they are.
    #[serde(default)]
    pub freeze: Vec<Freeze>,
    /// What is changed inside the model while it learns and while it is looked at.
    #[serde(default)]
    pub edits: Vec<Edit>,
    /// The share of numbers that are set to zero while it learns, the others scaled up: in what enters the first block, in
    /// attention probabilities, and in what attention and MLP add to the residual stream.
    #[serde(default, skip_serializing_if = "is_zero")]
    #[schemars(range(min = 0.0))]
    pub dropout: f64,
    /// What the weights before training, the order of the texts and dropout depend on.
    pub seed: Seed,
    /// When the model is looked at. Steps that are multiples of 500 are in any case.
    #[serde(default)]
    pub log: Log,
    /// Steps between checkpoints, from which a killed run goes on; without it, as many as take ten seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub checkpoint_every: Option<u64>,
}

/// The input ports that a training run has anyway, and its outputs.
const OWN: ([&str; 2], [&str; 4]) = (["train", "test"], ["model", "weights", "log", "checkpoints"]);

fn is_zero(share: &f64) -> bool {
    *share == 0.0
}

impl Stage for Train {
    const KIND: &'static str = "train";
    const VERSION: &'static [(&'static str, u32)] = &[("train", 3), lm::VERSION];
    const LANE: Lane = Lane::Device;

    fn ports(&self, given: &Given) -> Result<Ports, Vec<Mistake>> {
        let of = |fact: &str| given.one("train").and_then(|task| task.facts[fact].as_u64()).map(|n| n as usize);
        let known = !given.unknown.iter().any(|port| port == "train");
        let config = self.model.config(of("vocab"), of("longest"));
        let facts = config.as_ref().ok().and_then(|config| ModelFacts::of(config).ok());
        let mut found = self.mistakes(given, facts.as_ref());
        if let (Err(message), true) = (config, known) {
            found.push(Mistake::new("model", message));
        }
        if !found.is_empty() {
            return Err(found);
        }
        let log = facts.as_ref().map_or(Value::Null, |facts| json!({ "columns": Reading::columns(facts) }));
        let model = OutputPort::new("model", PortType::of("model"));
        let mut inputs: Vec<_> = OWN.0.iter().map(|name| InputPort::one(name, PortType::of("tokens"))).collect();
        inputs.extend(probe::inputs(&self.edits, &[]));
        Ok(Ports {
            inputs,
            outputs: vec![
                model.with_facts(facts.map_or(Value::Null, |facts| json!(facts))),
                OutputPort::new("weights", PortType::of("weights")),
                OutputPort::new("log", PortType::of("table")).with_facts(log),
                OutputPort::new("checkpoints", PortType::of("record")),
            ],
        })
    }

    fn run(&self, inputs: &Inputs, ctx: &dyn Ctx) -> Result<Outputs, Failure> {
        let (train, test) = (Tokens::read(inputs.record("train")?)?, Tokens::read(inputs.record("test")?)?);
        let largest = [&train, &test].into_iter().flat_map(|side| &side.sequences).flat_map(|text| text.text()).max();
        let vocab = train.vocab.map(|vocab| vocab as usize);
        let (train, test) = (texts("train", &train)?, texts("test", &test)?);
        let config = self.model.config(vocab, Some(train.longest().max(test.longest())));
        let config = config.map_err(Failure::fatal)?;
        let facts = ModelFacts::of(&config).map_err(Failure::fatal)?;
        self.refuse_misfits(&facts, largest, train.longest().max(test.longest()))?;
        let probe = Probe::new(&self.edits, &[], &facts, &Material { inputs, prompts: &[] })?;
        let gauge = Gauge::new(train.clone(), test, probe.changes.clone(), &facts);
        let mut learner = Learner::new(&config, self.seed.0, probe.changes, Session::of(ctx).device()?)?;
        let diary = self.course().run(&mut learner, &gauge, &train, ctx)?;
        Ok(outputs(config, Artifact::Weights(weights(&learner)))
            .with("log", Artifact::Table(Reading::table(&diary.readings, &learner.facts)))
            .with("checkpoints", Artifact::Record(diary.checkpoints()))
            .note("seconds", diary.seconds))
    }

    /// When a checkpoint is taken changes nothing.
    fn keyed(&self) -> Value {
        json!(Self { checkpoint_every: None, ..self.clone() })
    }
}

impl Train {
    fn course(&self) -> Course<'_> {
        Course {
            steps: self.steps,
            batch: self.batch,
            adam: self.optimizer,
            schedule: self.schedule,
            warmup: self.warmup,
            freeze: &self.freeze,
            dropout: self.dropout,
            seed: self.seed.0,
            log: self.log,
            checkpoint_every: self.checkpoint_every,
        }
    }

    fn mistakes(&self, given: &Given, facts: Option<&ModelFacts>) -> Vec<Mistake> {
        let [low, high] = self.log.between;
        let wrong = [
            (self.steps == 0, "steps", "at least one step"),
            (self.batch == Some(0), "batch", "at least one text"),
            (self.checkpoint_every == Some(0), "checkpoint-every", "at least one step"),
            (self.warmup > self.steps, "warmup", "the warm-up is longer than the run"),
            (self.log.every == 0, "log.every", "at least one step"),
            (self.log.closely == 0, "log.closely", "at least one step"),
            (self.log.lag == 0, "log.lag", "at least one step"),
            (!(0.0..1.0).contains(&self.dropout), "dropout", "a share from 0 to below 1"),
            (low > high || low.is_nan() || high.is_nan(), "log.between", "the lower accuracy, then the higher"),
        ];
        let mut found: Vec<_> =
            wrong.into_iter().filter(|(wrong, ..)| *wrong).map(|(_, at, message)| Mistake::new(at, message)).collect();
        let noise = self.edits.iter().position(|edit| matches!(edit, Edit::Noise { .. }));
        found.extend(noise.map(|i| {
            let message = "the noise of an edit is the same at every step: a model would learn it by heart";
            Mistake::new(format!("edits[{i}].op"), message)
        }));
        found.extend(self.optimizer.mistake().map(|(at, message)| Mistake::new(format!("optimizer.{at}"), message)));
        found.extend(probe::mistakes_in_training(&self.edits, &[], (&OWN.0, &OWN.1), given, facts));
        if let Some(facts) = facts {
            let freeze = self.freeze.iter().enumerate();
            found.extend(freeze.flat_map(|(i, freeze)| freeze.mistakes(&format!("freeze[{i}]"), facts)));
        }
        found
    }

    /// Refuses texts that the model described cannot read.
    fn refuse_misfits(&self, facts: &ModelFacts, largest: Option<u32>, longest: usize) -> Result<(), Failure> {
        if let Some(id) = largest.filter(|id| *id as usize >= facts.vocab) {
            let vocab = facts.vocab;
            return Err(Failure::fatal(format!("the texts have the token {id}, but `vocab-size` is {vocab}")));
        }
        match facts.context.filter(|context| longest > context + 1) {
            Some(context) => {
                Err(Failure::fatal(format!("a text has {longest} tokens, but `max-position-embeddings` is {context}")))
            }
            None => Ok(()),
        }
    }
}

/// The texts of a port, each with something given and something to predict.
fn texts(port: &str, tokens: &Tokens) -> Result<Texts, Failure> {
    if tokens.sequences.is_empty() {
        return Err(Failure::fatal(format!("there are no texts in `{port}`")));
    }
    match tokens.sequences.iter().find(|text| text.prompt.is_empty() || text.new.is_empty()) {
        Some(text) => Err(Failure::fatal(format!("the text `{}` in `{port}` gives nothing or asks nothing", text.id))),
        None => Ok(Texts::new(tokens)),
    }
}

/// The weights, and the description that leads to them.
fn outputs(config: Value, weights: Artifact) -> Outputs {
    let digest = Digest::of(&weights.encode().1);
    let files = BTreeMap::from([(format!("{}00000", role::WEIGHTS), digest)]);
    let record = ModelRecord { config, dtype: Dtype::F32, files, init: None };
    Outputs::default().with("model", Artifact::Record(record.to_value())).with("weights", weights)
}

#[cfg(test)]
mod tests;
