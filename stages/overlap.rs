//! Do different texts draw attention to the same places?
//!
//! The largest weights of each text, as sets of positions. A position has two names, one counted from the start and one
//! from the end: texts of different length may share places by one and not by the other.

use assay_cache::{Artifact, Axis, Data, Table, Tensor, Values};
use ndarray::{Array3, ArrayView1, Ix3};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::{
    Ctx, Failure, Given, InputPort, Inputs, Mistake, OutputPort, Outputs, PortType, Ports, Stage,
    lm::donor::Align,
    metrics::similarity::{jaccard, largest},
    tables::typed,
};

/// Do different texts draw attention to the same places?
///
/// Method: the `k` positions of largest weight of each text, in each layer (of equal weights, the first); for each pair
/// of texts Jaccard's index of the two sets, |A ∩ B| / |A ∪ B|. Weights are those of one query: capture a `pattern` with
/// `reduce = ["last", "mean-heads"]`. Where a weight is NaN the text has no position.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Overlap {
    /// How many positions a text has in its set.
    #[serde(default = "five")]
    #[schemars(range(min = 1))]
    pub k: usize,
    /// From where positions are counted when two texts are compared.
    #[serde(default)]
    pub align: Align,
}

fn five() -> usize {
    5
}

const PAIRS: [&str; 4] = ["layer", "a", "b", "jaccard"];
const POSITIONS: [&str; 6] = ["layer", "prompt", "rank", "position", "from_end", "weight"];

/// A place where a text has a large weight.
struct Place {
    position: i64,
    /// −1 is the last.
    from_end: i64,
    weight: f64,
}

impl Stage for Overlap {
    const KIND: &'static str = "overlap";
    const VERSION: &'static [(&'static str, u32)] = &[("overlap", 1)];

    fn ports(&self, _: &Given) -> Result<Ports, Vec<Mistake>> {
        if self.k == 0 {
            return Err(vec![Mistake::new("k", "a set has one position at least")]);
        }
        let table = |name: &str, columns: &[&str]| {
            OutputPort::new(name, PortType::of("table")).with_facts(json!({ "columns": columns }))
        };
        Ok(Ports {
            inputs: vec![InputPort::one("weights", PortType::tensor(&["prompt", "layer", "key"]))],
            outputs: vec![
                OutputPort::new("matrix", PortType::tensor(&["layer", "prompt", "prompt2"])),
                table("pairs", &PAIRS),
                table("positions", &POSITIONS),
            ],
        })
    }

    fn run(&self, inputs: &Inputs, ctx: &dyn Ctx) -> Result<Outputs, Failure> {
        let (axes, weights) = weights(inputs)?; // [prompt, layer, key]
        let (prompts, layers, _) = weights.dim();
        let mut sets: Vec<Vec<Vec<Place>>> = vec![]; // [layer][prompt]
        for layer in weights.axis_iter(ndarray::Axis(1)) {
            sets.push(layer.outer_iter().map(|weights| self.places(weights)).collect());
        }
        let short = sets.iter().flatten().filter(|set| set.len() < self.k).count();
        if short > 0 {
            ctx.warn(&format!(
                "{short} of {} sets have fewer than {} positions: the texts are shorter",
                prompts * layers,
                self.k
            ));
        }
        let overlap = Array3::from_shape_fn((layers, prompts, prompts), |(layer, a, b)| {
            jaccard(&self.counted(&sets[layer][a]), &self.counted(&sets[layer][b]))
        });
        let (pairs, positions) = (pairs(&axes, &overlap), positions(&axes, &sets));
        let [prompt, layer, _] = axes;
        let other = Axis { name: "prompt2".to_owned(), labels: prompt.labels.clone() };
        let matrix = Tensor { axes: vec![layer, prompt, other], unit: None, data: Data::F64(overlap.into_dyn()) };
        Ok(Outputs::default()
            .with("matrix", Artifact::Tensor(matrix))
            .with("pairs", Artifact::Table(pairs))
            .with("positions", Artifact::Table(positions)))
    }
}

impl Overlap {
    fn places(&self, weights: ArrayView1<f64>) -> Vec<Place> {
        let length = weights.iter().rposition(|weight| !weight.is_nan()).map_or(0, |last| last + 1) as i64;
        let place = |key: usize| Place { position: key as i64, from_end: key as i64 - length, weight: weights[key] };
        largest(weights.iter().copied(), self.k).into_iter().map(place).collect()
    }

    fn counted(&self, set: &[Place]) -> Vec<i64> {
        let name = |place: &Place| match self.align {
            Align::Start => place.position,
            Align::End => place.from_end,
        };
        set.iter().map(name).collect()
    }
}

fn weights(inputs: &Inputs) -> Result<([Axis; 3], Array3<f64>), Failure> {
    let bad = |found: String| Failure::fatal(format!("`weights` is {found}; expected tensor[prompt, layer, key]"));
    let Artifact::Tensor(tensor) = inputs.one("weights") else { return Err(bad("no tensor".to_owned())) };
    let numbers = tensor.data.to_f64().into_dimensionality::<Ix3>().ok().filter(|numbers| !numbers.is_empty());
    let axes = <[Axis; 3]>::try_from(tensor.axes.clone()).ok();
    axes.zip(numbers).ok_or_else(|| bad(format!("of shape {:?}", tensor.shape())))
}

fn name(axis: &Axis, i: usize) -> String {
    axis.labels.as_ref().map_or_else(|| i.to_string(), |labels| labels[i].clone())
}

/// Each pair once, layer by layer.
fn pairs([prompt, layer, _]: &[Axis; 3], overlap: &Array3<f64>) -> Table {
    let rows: Vec<_> = overlap.indexed_iter().filter(|((_, a, b), _)| a < b).collect();
    Table::default()
        .with("layer", typed(rows.iter().map(|((i, ..), _)| name(layer, *i)).collect()))
        .with("a", Values::Text(rows.iter().map(|((_, a, _), _)| name(prompt, *a)).collect()))
        .with("b", Values::Text(rows.iter().map(|((.., b), _)| name(prompt, *b)).collect()))
        .with("jaccard", Values::Float(rows.iter().map(|(_, share)| **share).collect()))
}

/// The sets themselves, the largest weight first.
fn positions([prompt, layer, _]: &[Axis; 3], sets: &[Vec<Vec<Place>>]) -> Table {
    /// Layer, prompt, rank, and what stands there.
    type Row<'p> = (usize, usize, usize, &'p Place);
    let rows: Vec<Row> = sets
        .iter()
        .enumerate()
        .flat_map(|(l, texts)| texts.iter().enumerate().map(move |(p, set)| (l, p, set)))
        .flat_map(|(l, p, set)| set.iter().enumerate().map(move |(rank, place)| (l, p, rank, place)))
        .collect();
    let int = |of: fn(&Row) -> i64| Values::Int(rows.iter().map(|row| Some(of(row))).collect());
    Table::default()
        .with("layer", typed(rows.iter().map(|row| name(layer, row.0)).collect()))
        .with("prompt", Values::Text(rows.iter().map(|row| name(prompt, row.1)).collect()))
        .with("rank", int(|row| row.2 as i64))
        .with("position", int(|row| row.3.position))
        .with("from_end", int(|row| row.3.from_end))
        .with("weight", Values::Float(rows.iter().map(|row| row.3.weight).collect()))
}

#[cfg(test)]
mod tests;
