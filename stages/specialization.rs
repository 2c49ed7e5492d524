//! How different are a model's heads from one another?
//!
//! The arithmetic is `metrics::specialization`; here are the mean over prompts, and the two controls that come with the
//! index: how far it moves with other prompts, and what it is where a head's number means nothing.

use std::iter::repeat_with;

use assay_cache::{Artifact, Data, Table, Tensor, Values, finite};
use ndarray::{Array2, Array3, Axis, Ix3};
use rayon::prelude::*;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::{
    Ctx, Failure, Given, InputPort, Inputs, Mistake, OutputPort, Outputs, PortType, Ports, Purpose, Seed, Stage, below,
    metrics::{
        quantile::quantile,
        specialization::{self as metric, Specialization as Found},
        summary,
    },
    rng, shuffle,
};

/// How different are a model's heads from one another?
///
/// Method: a profile has a number for each prompt, layer and head, such as the entropy of the attention that each key
/// receives. E[layer, head] is its mean over prompts. The specialization index is 1 − the mean, over pairs of heads, of
/// Pearson's correlation of their columns of E across layers (pairs that have none are left out). Beside it: the variance over
/// heads in each layer and its mean (ddof 0), and the effective heads 2^H, with H the entropy in bits of the heads' means
/// over layers, normalised.
///
/// Two controls: `intervals` is a percentile bootstrap over prompts; `null` is the index after the heads of each layer
/// were relabelled at random. A head's number means nothing across layers: an index that relabelling leaves where it
/// is does not measure the identity of heads.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Specialization {
    /// How often prompts are drawn anew, with replacement, for `intervals`.
    #[serde(default = "thousand")]
    #[schemars(range(min = 1, max = 1_000_000))]
    pub resamples: u32,
    /// The part of the resampled values that lies within an interval.
    #[serde(default = "confidence")]
    pub confidence: f64,
    /// How often heads are relabelled for `null`.
    #[serde(default = "thousand")]
    #[schemars(range(min = 1, max = 1_000_000))]
    pub relabellings: u32,
    /// What both draws depend on.
    pub seed: Seed,
}

fn thousand() -> u32 {
    1000
}

fn confidence() -> f64 {
    0.95
}

/// What is resampled.
const STATISTICS: [&str; 4] =
    ["specialization_index", "mean_head_correlation", "mean_head_variance", "effective_heads"];
/// The columns of the tables, for the plan.
const INTERVALS: [&str; 7] = ["name", "estimate", "low", "high", "std", "resamples", "undefined"];
const NULL: [&str; 10] =
    ["name", "observed", "mean", "std", "min", "max", "p_lower", "p_upper", "relabellings", "undefined"];

impl Stage for Specialization {
    const KIND: &'static str = "specialization";
    const VERSION: &'static [(&'static str, u32)] = &[("specialization", 1)];

    fn ports(&self, given: &Given) -> Result<Ports, Vec<Mistake>> {
        let mut mistakes = vec![];
        if !(self.confidence > 0.0 && self.confidence < 1.0) {
            let message = format!("a confidence is between 0 and 1, not {}", self.confidence);
            mistakes.push(Mistake::new("confidence", message));
        }
        for (at, count) in [("resamples", self.resamples), ("relabellings", self.relabellings)] {
            if count == 0 {
                mistakes.push(Mistake::new(at, "there must be one at least"));
            }
        }
        let profile = PortType::tensor(&["prompt", "layer", "head"]);
        let arrived = given.one("profile").filter(|arrived| arrived.ty == profile);
        mistakes.extend(arrived.into_iter().flat_map(|arrived| too_few(&arrived.facts)));
        if !mistakes.is_empty() {
            return Err(mistakes);
        }
        let table = |name: &str, columns: Value| {
            OutputPort::new(name, PortType::of("table")).with_facts(json!({ "columns": columns }))
        };
        Ok(Ports {
            inputs: vec![InputPort::one("profile", profile)],
            outputs: vec![
                OutputPort::new("metrics", PortType::of("record")),
                OutputPort::new("correlation", PortType::tensor(&["head", "head"])),
                table("intervals", json!(INTERVALS)),
                table("replicates", json!([&["replicate"][..], &STATISTICS].concat())),
                table("null", json!(NULL)),
                table("relabelled", json!(["replicate", STATISTICS[0]])),
            ],
        })
    }

    fn run(&self, inputs: &Inputs, ctx: &dyn Ctx) -> Result<Outputs, Failure> {
        let profile = profile(inputs)?; // [prompt, layer, head]
        let mean = profile.mean_axis(Axis(0)).expect("there is a prompt");
        let found = metric::specialization(mean.view());
        if found.specialization_index.is_nan() {
            ctx.warn("no two heads have a correlation over layers, so there is no specialization index");
        }
        let resampled = self.resampled(&profile, ctx)?;
        let relabelled = self.relabelled(&mean, ctx)?;
        let head = vec![assay_cache::Axis::new("head"); 2];
        let correlation = Tensor { axes: head, unit: None, data: Data::F64(found.correlation.clone().into_dyn()) };
        Ok(Outputs::default()
            .with("intervals", Artifact::Table(self.intervals(&found, &resampled)))
            .with("replicates", Artifact::Table(replicates(&resampled)))
            .with("null", Artifact::Table(null(found.specialization_index, &relabelled)))
            .with(
                "relabelled",
                Artifact::Table(numbered(relabelled.len()).with(STATISTICS[0], Values::Float(relabelled))),
            )
            .with("correlation", Artifact::Tensor(correlation))
            .with("metrics", Artifact::Record(record(&found, profile.dim()))))
    }
}

impl Specialization {
    /// The statistics of as many draws of prompts as are asked for.
    fn resampled(&self, profile: &Array3<f64>, ctx: &dyn Ctx) -> Result<Vec<[f64; 4]>, Failure> {
        let prompts = profile.dim().0;
        draws(self.resamples, ctx, |replicate| {
            let mut rng = rng(self.seed.0, Purpose::Bootstrap, &[replicate]);
            let drawn: Vec<usize> = repeat_with(|| below(prompts as u64, &mut rng) as usize).take(prompts).collect();
            let mean = profile.select(Axis(0), &drawn).mean_axis(Axis(0)).expect("there is a prompt");
            statistics(&metric::specialization(mean.view()))
        })
    }

    /// The index after as many relabellings of the heads in each layer as are asked for.
    fn relabelled(&self, mean: &Array2<f64>, ctx: &dyn Ctx) -> Result<Vec<f64>, Failure> {
        draws(self.relabellings, ctx, |replicate| {
            let mut rng = rng(self.seed.0, Purpose::Permutation, &[replicate]);
            let mut relabelled = mean.as_standard_layout().into_owned();
            for mut layer in relabelled.rows_mut() {
                shuffle(layer.as_slice_mut().expect("rows of the standard layout"), &mut rng);
            }
            metric::index(relabelled.view())
        })
    }

    /// A row for each statistic: its estimate and the percentiles of its resampled values.
    fn intervals(&self, found: &Found, resampled: &[[f64; 4]]) -> Table {
        let estimates = statistics(found);
        let defined: Vec<Vec<f64>> = (0..STATISTICS.len())
            .map(|i| resampled.iter().map(|row| row[i]).filter(|value| !value.is_nan()).collect())
            .collect();
        let tail = (1.0 - self.confidence) / 2.0;
        let of = |what: &dyn Fn(&[f64]) -> f64| Values::Float(defined.iter().map(|values| what(values)).collect());
        let count = |what: &dyn Fn(usize) -> usize| {
            Values::Int(defined.iter().map(|values| Some(what(values.len()) as i64)).collect())
        };
        Table::default()
            .with("name", Values::Text(STATISTICS.map(str::to_owned).to_vec()))
            .with("estimate", Values::Float(estimates.to_vec()))
            .with("low", of(&|values| quantile(values, tail)))
            .with("high", of(&|values| quantile(values, 1.0 - tail)))
            .with("std", of(&summary::std))
            .with("resamples", count(&|_| resampled.len()))
            .with("undefined", count(&|defined| resampled.len() - defined))
    }
}

/// What a model has too little of for any two heads to be compared.
fn too_few(facts: &Value) -> Vec<Mistake> {
    let few = |name: &str| facts.get(name).and_then(Value::as_u64).is_some_and(|count| count < 2);
    let mistake = |what: &str| {
        Mistake::new(
            "inputs.profile",
            format!("it has one {what}: heads are compared by how they differ across layers"),
        )
        .help("capture at least two layers and two heads")
    };
    [("layers", "layer"), ("heads", "head")]
        .into_iter()
        .filter(|(name, _)| few(name))
        .map(|(_, w)| mistake(w))
        .collect()
}

/// `[prompt, layer, head]`
fn profile(inputs: &Inputs) -> Result<Array3<f64>, Failure> {
    let bad = |found: String| Failure::fatal(format!("`profile` is {found}; expected tensor[prompt, layer, head]"));
    let Artifact::Tensor(tensor) = inputs.one("profile") else { return Err(bad("no tensor".to_owned())) };
    match tensor.data.to_f64().into_dimensionality::<Ix3>() {
        Ok(profile) if !profile.is_empty() => Ok(profile),
        _ => Err(bad(format!("of shape {:?}", tensor.shape()))),
    }
}

/// `of` each number below `count`, in parallel and in order, until the run should stop.
fn draws<T: Send>(count: u32, ctx: &dyn Ctx, of: impl Fn(u64) -> T + Sync) -> Result<Vec<T>, Failure> {
    (0..u64::from(count)).into_par_iter().map(|replicate| ctx.go_on().map(|()| of(replicate))).collect()
}

/// In the order of [`STATISTICS`].
fn statistics(found: &Found) -> [f64; 4] {
    [found.specialization_index, found.mean_head_correlation, found.mean_head_variance, found.effective_heads]
}

fn numbered(rows: usize) -> Table {
    Table::default().with("replicate", Values::Int((0..rows as i64).map(Some).collect()))
}

fn replicates(resampled: &[[f64; 4]]) -> Table {
    let column = |i: usize| Values::Float(resampled.iter().map(|row| row[i]).collect());
    STATISTICS.iter().enumerate().fold(numbered(resampled.len()), |table, (i, name)| table.with(name, column(i)))
}

/// What the index is where labels mean nothing, and how often it is then as low or as high as the observed one, which
/// counts as one of the draws.
fn null(observed: f64, relabelled: &[f64]) -> Table {
    let defined: Vec<f64> = relabelled.iter().copied().filter(|value| !value.is_nan()).collect();
    let p = |extreme: &dyn Fn(&f64) -> bool| match observed.is_nan() {
        true => f64::NAN,
        false => (1 + defined.iter().filter(|value| extreme(value)).count()) as f64 / (1 + defined.len()) as f64,
    };
    let float = |value: f64| Values::Float(vec![value]);
    let int = |value: usize| Values::Int(vec![Some(value as i64)]);
    Table::default()
        .with("name", Values::Text(vec![STATISTICS[0].to_owned()]))
        .with("observed", float(observed))
        .with("mean", float(summary::mean(&defined)))
        .with("std", float(summary::std(&defined)))
        .with("min", float(summary::min(&defined)))
        .with("max", float(summary::max(&defined)))
        .with("p_lower", float(p(&|value| *value <= observed)))
        .with("p_upper", float(p(&|value| *value >= observed)))
        .with("relabellings", int(relabelled.len()))
        .with("undefined", int(relabelled.len() - defined.len()))
}

fn record(found: &Found, (prompts, layers, heads): (usize, usize, usize)) -> Value {
    json!({
        "mean_head_variance": finite(found.mean_head_variance),
        "mean_head_correlation": finite(found.mean_head_correlation),
        "specialization_index": finite(found.specialization_index),
        "effective_heads": finite(found.effective_heads),
        "effective_ratio": finite(found.effective_ratio),
        "layer_variances": found.layer_variances.iter().map(|variance| finite(*variance)).collect::<Vec<_>>(),
        "num_layers": layers,
        "num_heads": heads,
        "num_prompts": prompts,
    })
}

#[cfg(test)]
mod tests;
