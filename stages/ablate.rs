//! `ablate`: take heads away one after the other, and see how fast a model forgets what it would have said.

use std::collections::BTreeMap;

use assay_cache::{Artifact, Data, Table, Tensor, Unit, Values};
use ndarray::{ArrayD, IxDyn};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::{
    Accept, Ctx, Failure, Given, InputPort, Inputs, Lane, Mistake, OutputPort, Outputs, PortType, Ports, Purpose, Seed,
    Select, Stage,
    lm::{
        self, Model, ModelFacts, Session,
        batching::BatchSize,
        donor::{Align, Asked, Donor, Need},
        edit::{self, Change, Edit, Op},
        probe::{self, Material, Probe},
        site::Site,
        teacher::Forced,
        text::{
            texts::{readable, warn_of_length},
            tokens::{Sequence, Tokens},
        },
    },
    metrics::summary::{mean, std},
    rng, shuffle,
};

/// Prompts in one unit: fixed, so that what is saved does not depend on the batch.
const BLOCK: usize = 4;

/// Do the heads that a ranking puts first matter most?
///
/// Heads are removed cumulatively, in the order of the ranking and in random orders: their output z is set to zero at
/// every position, prompt included; or to what else `op` says, from the input `values`. The model reads what the
/// unablated one wrote (teacher forcing), and KL(original ‖ ablated) in nats over the whole vocabulary is taken for each
/// distribution that predicts a new token, averaged over a text's tokens and then over texts. No heads and all heads
/// are always among the steps.
///
/// Outputs: `curve` (num_heads_removed, mean_kl_div, std_kl_div, order_type): for the ranking's order (`synergistic`)
/// the standard deviation is over texts, for `random` over the random orders, both with ddof 0; and `orders`, the same
/// for each random order by itself, with its seed.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Ablate {
    /// How many heads more each step removes.
    #[serde(default = "default_step")]
    pub step: usize,
    /// Seeds of the random orders.
    #[serde(default)]
    pub seeds: Vec<u64>,
    /// What becomes of a removed head.
    #[serde(default)]
    pub op: Removal,
    /// With `resample`: from where positions are counted.
    #[serde(default)]
    pub align: Align,
    /// With `resample`: what the permutation of prompts depends on.
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
}

/// (layer, head in layer)
type Head = (usize, usize);

/// An order in which heads are removed.
struct Order {
    /// None: the ranking's own.
    seed: Option<u64>,
    heads: Vec<Head>,
}

/// What happens in every pass, and to removed heads.
struct Ablation {
    edits: Vec<Change>,
    op: Op,
}

/// The stage's own inputs.
const OWN: [&str; 4] = ["model", "tokens", "ranking", VALUES];
const VALUES: &str = "values";

/// Mean divergences of the texts, by number of heads removed.
type Curve = BTreeMap<usize, Vec<f64>>;

/// The columns of `curve`; `orders` has one more.
const COLUMNS: [&str; 4] = ["num_heads_removed", "mean_kl_div", "std_kl_div", "order_type"];
const SEED: &str = "seed";

fn default_step() -> usize {
    1
}

impl Stage for Ablate {
    const KIND: &'static str = "ablate";
    const VERSION: &'static [(&'static str, u32)] = &[("ablate", 1), lm::VERSION];
    const LANE: Lane = Lane::Device;

    fn ports(&self, given: &Given) -> Result<Ports, Vec<Mistake>> {
        let facts = probe::facts(given.one("model"));
        let mut found = probe::mistakes(&self.edits, &[], (&OWN, &[]), given, facts.as_ref());
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
            outputs: vec![output("curve", &COLUMNS), output("orders", &[&COLUMNS[..], &[SEED]].concat())],
        })
    }

    fn run(&self, inputs: &Inputs, ctx: &dyn Ctx) -> Result<Outputs, Failure> {
        let model = Session::of(ctx).model(inputs.record("model")?, ctx)?;
        let ranking = ranked(inputs.table("ranking")?, &model.facts, ctx)?;
        let mut sequences = Tokens::read(inputs.record("tokens")?)?.sequences;
        sequences.truncate(self.first.unwrap_or(usize::MAX));
        sequences.iter().try_for_each(|sequence| forced_readable(sequence, &model.facts))?;
        warn_of_length(sequences.iter().map(|s| s.text().len()).max().unwrap_or(0), &model.facts, ctx);

        let orders = self.orders(ranking);
        let labels: Vec<String> = sequences.iter().map(|sequence| sequence.id.clone()).collect();
        let longest = sequences.iter().map(|sequence| sequence.text().len()).max().unwrap_or(0);
        probe::refuse_absent_positions(&self.edits, &[], longest)?;
        let probe = Probe::new(&self.edits, &[], &model.facts, &Material { inputs, prompts: &labels })?;
        let ablation = Ablation { edits: probe.changes, op: self.removal(inputs, &model.facts, labels.len())? };
        let curves = self.curves(&model, &sequences, &orders, &ablation, ctx)?;
        let own: Vec<(&Order, &Curve)> = orders.iter().zip(&curves).collect();
        Ok(Outputs::default()
            .with("curve", Artifact::Table(summary(&own)))
            .with("orders", Artifact::Table(by_order(&own)))
            .note("batch", json!(self.rows(&model, &sequences))))
    }

    /// Only resampling draws from its seed and lays texts side by side.
    fn keyed(&self) -> Value {
        let mut params = json!(self);
        if let (true, Some(fields)) = (self.op != Removal::Resample, params.as_object_mut()) {
            ["seed", "align"].iter().for_each(|unused| drop(fields.remove(*unused)));
        }
        params
    }
}

impl Ablate {
    /// What the input `values` should hold.
    fn values(&self) -> Option<Need> {
        let at = format!("inputs.{VALUES}");
        match self.op {
            Removal::Zero => None,
            Removal::Mean => Some(Need::averages(at, VALUES, Site::Z)),
            Removal::Resample => Some(Need::tokens(at, VALUES, Site::Z)),
        }
    }

    /// What becomes of a removed head.
    fn removal(&self, inputs: &Inputs, facts: &ModelFacts, texts: usize) -> Result<Op, Failure> {
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
        };
        op.map_err(Failure::fatal)
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
        let longest = sequences.iter().map(|s| s.text().len()).max().unwrap_or(0);
        let new = sequences.iter().map(|s| s.new.len()).max().unwrap_or(0);
        self.batch.rows(&model.facts, longest, 2 * new, model.device()).min(BLOCK)
    }

    /// A curve for each order, block of texts by block.
    fn curves(
        &self,
        model: &Model,
        sequences: &[Sequence],
        orders: &[Order],
        ablation: &Ablation,
        ctx: &dyn Ctx,
    ) -> Result<Vec<Curve>, Failure> {
        let rows = self.rows(model, sequences);
        let indexed: Vec<(usize, &Sequence)> = sequences.iter().enumerate().collect();
        let mut curves = vec![Curve::new(); orders.len()];
        let mut done = 0;
        let whole = orders.iter().map(|order| self.counts(order.heads.len()).len()).sum::<usize>();
        let whole = whole * indexed.chunks(BLOCK).count();
        for (number, block) in indexed.chunks(BLOCK).enumerate() {
            let mut block = Block::new(block, rows);
            for (order, curve) in orders.iter().zip(&mut curves) {
                for count in self.counts(order.heads.len()) {
                    ctx.progress(done, whole as u64, "ablations");
                    done += 1;
                    let name = order.unit_name(count, number);
                    let divergences = match saved(&name, block.texts(), ctx)? {
                        Some(divergences) => divergences,
                        None => {
                            ctx.go_on()?;
                            let divergences = block.divergences(model, ablation, &order.heads[..count])?;
                            ctx.save(&[(name, unit(&divergences))])?;
                            divergences
                        }
                    };
                    curve.entry(count).or_default().extend(divergences);
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
    base: Vec<lm::teacher::Predictions>,
}

impl<'a> Block<'a> {
    fn new(texts: &'a [(usize, &'a Sequence)], rows: usize) -> Self {
        Self { parts: texts.chunks(rows).map(Forced::new).collect(), texts: texts.len(), base: vec![] }
    }

    fn texts(&self) -> usize {
        self.texts
    }

    fn divergences(&mut self, model: &Model, ablation: &Ablation, heads: &[Head]) -> Result<Vec<f64>, Failure> {
        if self.base.is_empty() {
            let base = self.parts.iter().map(|part| part.predictions(model, ablation.edits.clone()));
            self.base = base.collect::<Result<_, _>>()?;
        }
        let removed = Change::on_heads(heads, &ablation.op, &model.facts);
        let changes = [ablation.edits.clone(), removed].concat();
        let mut divergences = vec![];
        for (part, base) in self.parts.iter().zip(&self.base) {
            divergences.extend(part.divergence(base, &part.predictions(model, changes.clone())?));
        }
        Ok(divergences)
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

/// The heads of a ranking, those to be removed first at the front.
fn ranked(table: &Table, facts: &ModelFacts, ctx: &dyn Ctx) -> Result<Vec<Head>, Failure> {
    let column = |name: &str| {
        let column = table.column(name).and_then(|column| column.values.to_f64());
        column.ok_or_else(|| Failure::fatal(format!("the ranking has no column of numbers `{name}`")))
    };
    let (layers, heads) = (column("layer")?, column("head_in_layer")?);
    let first: Vec<f64> = match table.column("order") {
        Some(_) => column("order")?,
        None => column("syn_red_score")?.iter().map(|score| -score).collect(),
    };
    let unranked = first.iter().filter(|place| place.is_nan()).count();
    if unranked > 0 {
        ctx.warn(&format!("{unranked} heads have no rank: they are removed last, in the order of the table"));
    }
    let first: Vec<f64> = first.into_iter().map(|place| if place.is_nan() { f64::INFINITY } else { place }).collect();
    let mut rows: Vec<usize> = (0..table.rows()).collect();
    rows.sort_by(|&a, &b| first[a].total_cmp(&first[b]).then(a.cmp(&b)));
    let mut ranked = vec![];
    for row in rows {
        let head = (layers[row] as usize, heads[row] as usize);
        let known = head.0 < facts.layers
            && head.1 < facts.heads
            && head.0 as f64 == layers[row]
            && head.1 as f64 == heads[row];
        if !known {
            return Err(Failure::fatal(format!(
                "the ranking's row {row} names head {} of layer {}, but the model has {} layers of {} heads",
                heads[row], layers[row], facts.layers, facts.heads
            )));
        }
        if ranked.contains(&head) {
            return Err(Failure::fatal(format!("the ranking names head {} of layer {} twice", head.1, head.0)));
        }
        ranked.push(head);
    }
    if ranked.is_empty() { Err(Failure::fatal("the ranking is empty")) } else { Ok(ranked) }
}

fn unit(divergences: &[f64]) -> Unit {
    let array = ArrayD::from_shape_vec(IxDyn(&[divergences.len()]), divergences.to_vec()).expect("one axis");
    let tensor = Tensor::new(&["prompt"], Data::F64(array)).with_unit("nats");
    Unit::from([("kl".to_owned(), Artifact::Tensor(tensor))])
}

fn saved(name: &str, texts: usize, ctx: &dyn Ctx) -> Result<Option<Vec<f64>>, Failure> {
    let unit = ctx.unit(name)?;
    Ok(unit.and_then(|mut unit| match unit.remove("kl") {
        Some(Artifact::Tensor(Tensor { data: Data::F64(array), .. })) if array.len() == texts => {
            Some(array.into_iter().collect())
        }
        _ => None,
    }))
}

/// Rows of a table of curves.
#[derive(Default)]
struct Rows {
    removed: Vec<Option<i64>>,
    mean: Vec<f64>,
    std: Vec<f64>,
    order: Vec<String>,
}

impl Rows {
    fn push(&mut self, removed: usize, values: &[f64], order: &str) {
        self.removed.push(Some(removed as i64));
        self.mean.push(mean(values));
        self.std.push(std(values));
        self.order.push(order.to_owned());
    }

    fn table(self) -> Table {
        let [removed, mean, std, order] = COLUMNS;
        Table::default()
            .with(removed, Values::Int(self.removed))
            .unit("heads")
            .with(mean, Values::Float(self.mean))
            .unit("nats")
            .with(std, Values::Float(self.std))
            .unit("nats")
            .with(order, Values::Text(self.order))
    }
}

/// The ranking's curve, and the mean of the random ones.
fn summary(curves: &[(&Order, &Curve)]) -> Table {
    let mut rows = Rows::default();
    let (ranked, random): (Vec<_>, Vec<_>) = curves.iter().partition(|(order, _)| order.seed.is_none());
    for (_, curve) in ranked {
        curve.iter().for_each(|(removed, texts)| rows.push(*removed, texts, "synergistic"));
    }
    if let Some((_, first)) = random.first() {
        for removed in first.keys() {
            let means: Vec<f64> = random.iter().map(|(_, curve)| mean(&curve[removed])).collect();
            rows.push(*removed, &means, "random");
        }
    }
    rows.table()
}

/// Every random order's own curve, with its seed.
fn by_order(curves: &[(&Order, &Curve)]) -> Table {
    let (mut rows, mut seeds) = (Rows::default(), vec![]);
    for (order, curve) in curves {
        let Some(seed) = order.seed else { continue };
        for (removed, texts) in *curve {
            rows.push(*removed, texts, "random");
            seeds.push(Some(seed as i64));
        }
    }
    rows.table().with(SEED, Values::Int(seeds))
}

#[cfg(test)]
mod tests;
