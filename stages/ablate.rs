//! `ablate`: take heads away one after the other, and see how fast a model forgets what it would have said.
//!
//! `ablate/ranking.rs` reads the order, `ablate/removal.rs` makes the model without its first heads, `ablate/curves.rs` units
//! and tables of what was measured.

mod curves;
mod ranking;
mod removal;

use assay_cache::Artifact;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::{
    Accept, Ctx, Failure, Given, InputPort, Inputs, Lane, Mistake, OutputPort, Outputs, PortType, Ports, Purpose, Seed,
    Select, Stage,
    lm::{
        self, Model, ModelFacts, Session,
        batching::BatchSize,
        donor::{Align, Asked, Need},
        edit::{Change, Edit},
        probe::{self, Material, Probe},
        site::Site,
        teacher::{Forced, Predictions, Reading},
        text::{
            texts::{readable, warn_of_length},
            tokens::{Sequence, Tokens},
        },
    },
    rng, shuffle,
    tables::no_column,
};
use curves::{Curve, DIVERGENCES, PREDICTIONS, SEED, by_order, divergences, predictions, readings, summary, unit};
use ranking::ranked;
use removal::{Ablation, Without};

/// Prompts in one unit: fixed, so that what is saved does not depend on the batch.
const BLOCK: usize = 4;

/// Do the heads that a ranking puts first matter most?
///
/// Heads are removed cumulatively, in the order of the ranking and in random orders: their output z is set to zero at
/// every position, prompt included; or to what else `op` says, from the input `values`; or they stay, with noise on their
/// weights. The model reads what the unablated one wrote (teacher forcing), and KL(original ‖ ablated) in nats over the
/// whole vocabulary is taken for each distribution that predicts a new token, averaged over a text's tokens and then over
/// texts. No heads and all heads are always among the steps.
///
/// Outputs: `curve` (num_heads_removed, mean_kl_div, std_kl_div, order_type): for the ranking's order (`synergistic`, or
/// the column in `by`) the standard deviation is over texts, for `random` over the random orders, both with ddof 0;
/// `orders`, the same for each random order by itself, with its seed; and `prediction`, how the texts' own new tokens are
/// predicted meanwhile: cross-entropy in nats, and accuracy, the share of tokens that nothing is more likely than.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Ablate {
    /// How many heads more each step removes.
    #[serde(default = "default_step")]
    pub step: usize,
    /// The column of the ranking whose largest value goes first. Without it, the smallest `order` where the ranking has that
    /// column, else the largest `syn_red_score`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<String>,
    /// Seeds of the random orders.
    #[serde(default)]
    pub seeds: Vec<u64>,
    /// What becomes of a removed head.
    #[serde(default)]
    pub op: Removal,
    /// With `resample`: from where positions are counted.
    #[serde(default)]
    pub align: Align,
    /// With `noise`: its standard deviation, in units of the standard deviation of the numbers that the head has in the
    /// matrix (those of its rows of W_Q, those of its columns of W_O). 0 leaves the model as it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub std: Option<f64>,
    /// With `resample`: what the permutation of prompts depends on. With `noise`: what the noise depends on, beside layer and
    /// head.
    pub seed: Seed,
    /// What is changed inside the model in every pass, with and without those heads.
    #[serde(default)]
    pub edits: Vec<Edit>,
    /// Only the first so many texts; not given: all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first: Option<usize>,
    /// Texts that go through the model together (at most 4: the size of a unit).
    #[serde(default)]
    pub batch: BatchSize,
}

/// What becomes of a removed head.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Removal {
    /// Its output is zero.
    #[default]
    Zero,
    /// Its output is its mean over what stands in the input `values`: a capture of `z`, raw or reduced by `mean`, or such
    /// a mean without prompts.
    Mean,
    /// Its output is that of another prompt, as the edit `resample` has it: `values` is a raw capture of `z`.
    Resample,
    /// It stays, and Gaussian noise is added to its weights: to the rows of W_Q that make its queries (of the map behind the
    /// small vector, where attention is latent and squeezes them), and to the columns of W_O that read its output `z`. Its
    /// biases, its keys and values, which it may share with others, and norms stay as they are. A head has the same noise at
    /// each step, in each order and for each text. In bf16 and f16 the sum is rounded to the type, as a checkpoint would
    /// hold it: noise far below a weight's last digit is lost.
    Noise,
}

/// (layer, head in layer)
type Head = (usize, usize);

/// An order in which heads are removed.
struct Order {
    /// None: the ranking's own.
    seed: Option<u64>,
    heads: Vec<Head>,
}

/// The stage's own inputs.
const OWN: [&str; 4] = ["model", "tokens", "ranking", VALUES];
const VALUES: &str = "values";

/// What the ranking's order is called where no column is named.
const RANKED: &str = "synergistic";

fn default_step() -> usize {
    1
}

impl Stage for Ablate {
    const KIND: &'static str = "ablate";
    const VERSION: &'static [(&'static str, u32)] = &[("ablate", 2), lm::VERSION];
    const LANE: Lane = Lane::Device;

    fn ports(&self, given: &Given) -> Result<Ports, Vec<Mistake>> {
        let facts = probe::facts(given.one("model"));
        let mut found = probe::mistakes(&self.edits, &[], (&OWN, &[]), given, facts.as_ref());
        found.extend(facts.as_ref().and_then(ModelFacts::prediction_mistake));
        found.extend(self.std_mistake());
        let values = self.values();
        if let (Some(need), Some(facts), Some(arrived)) = (&values, &facts, given.one(VALUES)) {
            found.extend(Asked::of(facts, Site::Z, &Select::All, &Select::All).mistakes(need, arrived));
        }
        if self.step == 0 {
            found.push(Mistake::new("step", "each step must remove at least one head"));
        }
        if self.first == Some(0) {
            found.push(Mistake::new("first", "there must be a text to read"));
        }
        let mut seeds = self.seeds.clone();
        seeds.sort_unstable();
        if seeds.windows(2).any(|pair| pair[0] == pair[1]) {
            found.push(Mistake::new("seeds", "a seed stands here twice: it would count one order as two"));
        }
        found.extend(self.by_mistake(given));
        if !found.is_empty() {
            return Err(found);
        }
        let output = |name: &str, columns: &[&str]| {
            OutputPort::new(name, PortType::of("table")).with_facts(json!({ "columns": columns }))
        };
        let mut inputs = vec![
            InputPort::one("model", PortType::of("model")),
            InputPort::one("tokens", PortType::of("tokens")),
            InputPort::one("ranking", PortType::of("table")),
        ];
        inputs.extend(
            values.map(|need| InputPort {
                accept: Accept(need.types()),
                ..InputPort::one(VALUES, PortType::of("tensor"))
            }),
        );
        inputs.extend(probe::inputs(&self.edits, &[]));
        Ok(Ports {
            inputs,
            outputs: vec![
                output("curve", &DIVERGENCES),
                output("orders", &[&DIVERGENCES[..], &[SEED]].concat()),
                output("prediction", &PREDICTIONS),
            ],
        })
    }

    fn run(&self, inputs: &Inputs, ctx: &dyn Ctx) -> Result<Outputs, Failure> {
        let model = Session::of(ctx).model(inputs.record("model")?, ctx)?;
        let ranking = ranked(inputs.table("ranking")?, self.by.as_deref(), &model.facts, ctx)?;
        let mut sequences = Tokens::read(inputs.record("tokens")?)?.sequences;
        sequences.truncate(self.first.unwrap_or(usize::MAX));
        sequences.iter().try_for_each(|sequence| forced_readable(sequence, &model.facts))?;
        let longest = longest(&sequences);
        warn_of_length(longest, &model.facts, ctx);

        let orders = self.orders(ranking);
        let labels: Vec<String> = sequences.iter().map(|sequence| sequence.id.clone()).collect();
        probe::refuse_absent_positions(&self.edits, &[], longest)?;
        let probe = Probe::new(&self.edits, &[], &model.facts, &Material { inputs, prompts: &labels })?;
        let removed = self.removed(inputs, &model.facts, labels.len())?;
        let ablation = Ablation { model: &model, edits: probe.changes, removed };
        let curves = self.curves(&sequences, &orders, &ablation, ctx)?;
        let own: Vec<(&Order, &Curve)> = orders.iter().zip(&curves).collect();
        let rows = summary(&own, self.by.as_deref().unwrap_or(RANKED));
        Ok(Outputs::default()
            .with("curve", Artifact::Table(divergences(&rows)))
            .with("orders", Artifact::Table(by_order(&own)))
            .with("prediction", Artifact::Table(predictions(&rows)))
            .note("batch", json!(self.rows(&model, &sequences))))
    }

    /// Only resampling and noise draw from their seed, and only resampling lays texts side by side.
    fn keyed(&self) -> Value {
        let mut params = json!(self);
        let unused: &[&str] = match self.op {
            Removal::Zero | Removal::Mean => &["seed", "align"],
            Removal::Noise => &["align"],
            Removal::Resample => &[],
        };
        if let Some(fields) = params.as_object_mut() {
            unused.iter().for_each(|unused| drop(fields.remove(*unused)));
        }
        params
    }
}

impl Ablate {
    /// A column to rank by that the ranking is known to lack.
    fn by_mistake(&self, given: &Given) -> Option<Mistake> {
        let (by, arrived) = (self.by.as_deref()?, given.one("ranking")?);
        let columns: Vec<_> = arrived.facts["columns"].as_array()?.iter().filter_map(Value::as_str).collect();
        let lacks = !columns.contains(&by);
        lacks.then(|| Mistake::new("by", no_column(by, &arrived.from, columns.iter().copied())))
    }

    /// A standard deviation that is missing, makes no sense, or that nothing has a use for.
    fn std_mistake(&self) -> Option<Mistake> {
        let wrong = |message: &str| Some(Mistake::new("std", message));
        match (self.op, self.std) {
            (Removal::Noise, None) => {
                let help = "`std = 1` is as much noise as a head's weights vary themselves";
                Some(Mistake::new("op", "noise needs a standard deviation").help(help))
            }
            (Removal::Noise, Some(std)) if !(std.is_finite() && std >= 0.0) => {
                wrong(&format!("a standard deviation is 0 or more, not {std}"))
            }
            (Removal::Noise, _) | (_, None) => None,
            (_, Some(_)) => wrong("only `op = \"noise\"` has a standard deviation"),
        }
    }

    /// What the input `values` should hold.
    fn values(&self) -> Option<Need> {
        let at = format!("inputs.{VALUES}");
        match self.op {
            Removal::Zero | Removal::Noise => None,
            Removal::Mean => Some(Need::averages(at, VALUES, Site::Z)),
            Removal::Resample => Some(Need::tokens(at, VALUES, Site::Z)),
        }
    }

    fn orders(&self, ranking: Vec<Head>) -> Vec<Order> {
        let random = self.seeds.iter().map(|&seed| Order { seed: Some(seed), heads: shuffled(&ranking, seed) });
        let random: Vec<_> = random.collect();
        std::iter::once(Order { seed: None, heads: ranking }).chain(random).collect()
    }

    /// How many heads are removed at each step: none first, all last.
    fn counts(&self, heads: usize) -> Vec<usize> {
        let mut counts: Vec<_> = (0..heads).step_by(self.step).collect();
        counts.push(heads);
        counts
    }

    fn rows(&self, model: &Model, sequences: &[Sequence]) -> usize {
        let new = sequences.iter().map(|s| s.new.len()).max().unwrap_or(0);
        self.batch.rows(&model.facts, longest(sequences), 2 * new, model.device()).min(BLOCK)
    }

    /// A curve for each order, block of texts by block.
    fn curves(
        &self,
        sequences: &[Sequence],
        orders: &[Order],
        ablation: &Ablation,
        ctx: &dyn Ctx,
    ) -> Result<Vec<Curve>, Failure> {
        let rows = self.rows(ablation.model, sequences);
        let indexed: Vec<(usize, &Sequence)> = sequences.iter().enumerate().collect();
        let mut curves = vec![Curve::new(); orders.len()];
        let mut done = 0;
        let whole = orders.iter().map(|order| self.counts(order.heads.len()).len()).sum::<usize>();
        let whole = whole * indexed.chunks(BLOCK).count();
        for (number, block) in indexed.chunks(BLOCK).enumerate() {
            let mut block = Block::new(block, rows);
            for (order, curve) in orders.iter().zip(&mut curves) {
                let mut without = Without::none(ablation, &order.heads);
                for count in self.counts(order.heads.len()) {
                    ctx.progress(done, whole as u64, "ablations");
                    done += 1;
                    let name = order.unit_name(count, number);
                    let read = match ctx.unit(&name)?.and_then(|unit| readings(unit, block.texts)) {
                        Some(saved) => saved,
                        None => {
                            ctx.go_on()?;
                            let read = block.read(ablation, without.the_first(count))?;
                            ctx.save(&[(name, unit(&read))])?;
                            read
                        }
                    };
                    curve.entry(count).or_default().extend(read);
                }
            }
        }
        Ok(curves)
    }
}

impl Order {
    fn unit_name(&self, count: usize, block: usize) -> String {
        match self.seed {
            None => format!("ranking-{count}-block-{block}"),
            Some(seed) => format!("seed-{seed}-{count}-block-{block}"),
        }
    }
}

/// Texts of one unit, and what the unablated model predicts for them, computed when it is first needed.
struct Block<'a> {
    parts: Vec<Forced<'a>>,
    texts: usize,
    base: Vec<Predictions>,
}

impl<'a> Block<'a> {
    fn new(texts: &'a [(usize, &'a Sequence)], rows: usize) -> Self {
        Self { parts: texts.chunks(rows).map(Forced::new).collect(), texts: texts.len(), base: vec![] }
    }

    /// How far what a model predicts under these changes is from what the unablated one does.
    fn read(&mut self, ablation: &Ablation, (model, changes): (&Model, Vec<Change>)) -> Result<Vec<Reading>, Failure> {
        if self.base.is_empty() {
            let base = self.parts.iter().map(|part| part.predictions(ablation.model, ablation.edits.clone()));
            self.base = base.collect::<Result<_, _>>()?;
        }
        let mut readings = vec![];
        for (part, base) in self.parts.iter().zip(&self.base) {
            readings.extend(part.readings(base, &part.predictions(model, changes.clone())?));
        }
        Ok(readings)
    }
}

/// A permutation that depends on the seed alone.
fn shuffled(heads: &[Head], seed: u64) -> Vec<Head> {
    let mut shuffled = heads.to_vec();
    shuffled.sort_unstable();
    shuffle(&mut shuffled, &mut rng(seed, Purpose::Order, &[]));
    shuffled
}

fn forced_readable(sequence: &Sequence, facts: &ModelFacts) -> Result<(), Failure> {
    readable(&sequence.id, &sequence.prompt, facts)?;
    if sequence.new.is_empty() {
        return Err(Failure::fatal(format!("nothing was written after the prompt `{}`", sequence.id)));
    }
    readable(&sequence.id, &sequence.new, facts)
}

/// The tokens of the longest text.
fn longest(sequences: &[Sequence]) -> usize {
    sequences.iter().map(|sequence| sequence.text().len()).max().unwrap_or(0)
}

#[cfg(test)]
mod tests;
