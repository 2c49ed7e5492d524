//! Values that a pass takes from other stages: captures of another run, means, directions. They stand in input ports
//! that edits and captures name, with named axes, and are looked up by prompt, layer, position and head.
//!
//! An axis whose places have numbers for labels (a capture of some layers, heads or positions) is looked up by them;
//! any other by its order. What a port may hold is said at plan time ([`Need`]).

mod need;

use std::sync::Arc;

use assay_cache::{Artifact, Data, Tensor};
use ndarray::{ArrayD, ArrayViewD, Axis};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use need::{Asked, Need};

use crate::Inputs;

/// A vector: the name of an input port that holds it, or its numbers.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum Vector {
    Port(String),
    Given(Vec<f64>),
}

/// A tensor from another stage.
#[derive(Clone, Debug)]
pub struct Donor {
    port: String,
    /// A tensor of 32-bit floats.
    values: Arc<Artifact>,
    axes: Vec<(String, Option<Vec<i64>>)>,
    /// How many tokens each prompt has: behind them it is filled up.
    lengths: Vec<usize>,
    /// The names of its prompts, where it has some.
    pub prompts: Option<Vec<String>>,
}

/// From where positions are counted when two texts are laid side by side.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Align {
    /// The first token of one stands beside the first of the other.
    #[default]
    Start,
    /// The last token of one stands beside the last of the other.
    End,
}

impl Vector {
    pub fn port(&self) -> Option<&str> {
        match self {
            Self::Port(port) => Some(port),
            Self::Given(_) => None,
        }
    }

    /// As something to look values up in: with any axes of layers and heads that a port's tensor has.
    pub fn donor(&self, inputs: &Inputs) -> Result<Donor, String> {
        match self {
            Self::Port(port) => Donor::of(port, inputs),
            Self::Given(numbers) => {
                let values = ndarray::Array1::from_iter(numbers.iter().map(|x| *x as f32)).into_dyn();
                Donor::new("direction", Arc::new(Artifact::Tensor(Tensor::new(&["d"], Data::F32(values)))))
            }
        }
    }
}

impl Donor {
    /// What stands in an input port.
    pub fn of(port: &str, inputs: &Inputs) -> Result<Self, String> {
        match inputs.many(port) {
            [one, ..] => Self::new(port, one.artifact.clone()),
            [] => Err(format!("nothing stands in the input `{port}`")),
        }
    }

    fn new(port: &str, artifact: Arc<Artifact>) -> Result<Self, String> {
        let Artifact::Tensor(tensor) = &*artifact else { return Err(format!("the input `{port}` is no tensor")) };
        let axes = tensor.axes.iter().map(|axis| (axis.name.clone(), numbers(axis.labels.as_deref()))).collect();
        let prompts = tensor.axes.iter().find(|axis| axis.name == "prompt").and_then(|axis| axis.labels.clone());
        let values = match &tensor.data {
            Data::F32(_) => artifact,
            other => Arc::new(Artifact::Tensor(Tensor {
                data: Data::F32(other.to_f64().mapv(|x| x as f32)),
                ..tensor.clone()
            })),
        };
        let mut donor = Self { port: port.to_owned(), values, axes, lengths: vec![], prompts };
        donor.lengths = (0..donor.len("prompt")).map(|prompt| donor.measured(prompt)).collect();
        Ok(donor)
    }

    fn array(&self) -> &ArrayD<f32> {
        match &*self.values {
            Artifact::Tensor(Tensor { data: Data::F32(array), .. }) => array,
            _ => unreachable!("a donor holds a tensor of 32-bit floats"),
        }
    }

    /// How many tokens of a prompt are not filled up.
    fn measured(&self, prompt: usize) -> usize {
        let Some(along) = self.along() else { return 0 };
        let there = |place: &usize| {
            let first = |view: ArrayViewD<f32>| view.iter().next().is_some_and(|first| !first.is_nan());
            let prompts = self.axis("prompt").map_or(0, |at| at);
            first(self.array().index_axis(Axis(along), *place).index_axis(Axis(prompts), prompt).into_dyn())
        };
        (0..self.array().shape()[along]).rev().find(there).map_or(0, |last| last + 1)
    }

    /// The axis of positions; of a pattern, of its queries.
    fn along(&self) -> Option<usize> {
        self.axis("position").or(self.axis("query"))
    }

    pub fn has(&self, axis: &str) -> bool {
        self.axis(axis).is_some()
    }

    /// How many places an axis has; 0 where there is no such axis.
    pub fn len(&self, axis: &str) -> usize {
        self.axis(axis).map_or(0, |at| self.array().shape()[at])
    }

    fn axis(&self, name: &str) -> Option<usize> {
        self.axes.iter().position(|(axis, _)| axis == name)
    }

    /// What its axis of heads is called: experts stand where heads do.
    fn nodes(&self) -> &'static str {
        if self.has("expert") { "expert" } else { "head" }
    }

    /// Whether it has an axis of heads, or of experts.
    pub fn has_heads(&self) -> bool {
        self.has(self.nodes())
    }

    /// The numbers that the places of an axis have for labels.
    fn labels(&self, axis: &str) -> Option<&[i64]> {
        self.axis(axis).and_then(|at| self.axes[at].1.as_deref())
    }

    /// Where on an axis the thing of this number stands.
    fn place(&self, axis: &str, number: i64) -> Option<usize> {
        match self.labels(axis) {
            Some(labels) => labels.iter().position(|label| *label == number),
            None => usize::try_from(number).ok().filter(|place| *place < self.len(axis)),
        }
    }

    /// Refuses a donor that lacks layers or heads that it is asked for, or whose vectors have another width.
    pub fn check(&self, asked: &Asked) -> Result<(), String> {
        let known = |axis| self.has(axis).then(|| (self.labels(axis), self.len(axis)));
        let width = self.has("d").then(|| self.len("d"));
        asked.lack(&self.port, known("layer"), known(self.nodes()), width).map_or(Ok(()), Err)
    }

    /// Refuses a donor whose prompts are neither `count` nor one for all.
    pub fn check_prompts(&self, count: usize) -> Result<(), String> {
        match self.len("prompt") {
            own if own == count || own == 1 => Ok(()),
            own => Err(format!("`{}` has {own} prompts, and here are {count}: it takes as many, or one", self.port)),
        }
    }

    /// Refuses a donor whose positions are counted from the other end.
    pub fn check_alignment(&self, align: Align, axis: &str) -> Result<(), String> {
        let Some(labels) = self.labels(axis) else { return Ok(()) };
        let fits = labels.iter().any(|label| (*label < 0) == (align == Align::End));
        let (counted, word) = if align == Align::End { ("start", "start") } else { ("end", "end") };
        if fits {
            return Ok(());
        }
        Err(format!("the positions of `{}` are counted from the {counted}: write `align = \"{word}\"`", self.port))
    }

    /// From where its positions are counted: from the end where all of them say so.
    pub fn counted_from(&self, axis: &str) -> Align {
        match self.labels(axis) {
            Some(labels) if labels.iter().all(|label| *label < 0) => Align::End,
            _ => Align::Start,
        }
    }

    /// The place of a position of a text of `length` tokens on this donor's axis of positions (or queries).
    pub fn beside(&self, prompt: usize, position: usize, length: usize, align: Align) -> Option<usize> {
        let axis = if self.has("position") { "position" } else { "query" };
        let place = match (align, self.labels(axis)) {
            (Align::Start, _) => self.place(axis, position as i64),
            (Align::End, Some(_)) => self.place(axis, position as i64 - length as i64),
            (Align::End, None) => (self.length(prompt) + position).checked_sub(length),
        };
        place.filter(|place| *place < self.len(axis))
    }

    /// How many tokens a prompt has here.
    pub fn length(&self, prompt: usize) -> usize {
        let prompt = if self.lengths.len() == 1 { 0 } else { prompt };
        self.lengths.get(prompt).copied().unwrap_or(0)
    }

    /// The values at a place: all but the axes of prompts, layers and positions, in order. Nothing where it is filled
    /// up with NaN.
    pub fn token(&self, prompt: usize, layer: usize, place: Option<usize>) -> Option<ArrayViewD<'_, f32>> {
        let mut view = self.array().view();
        for at in (0..self.axes.len()).rev() {
            let place = match self.axes[at].0.as_str() {
                "prompt" => {
                    if view.shape()[at] == 1 {
                        0
                    } else {
                        prompt
                    }
                }
                "layer" => self.place("layer", layer as i64)?,
                "position" | "query" => place?,
                _ => continue,
            };
            if place >= view.shape()[at] {
                return None;
            }
            view = view.index_axis_move(Axis(at), place);
        }
        let nothing = view.iter().next().is_none_or(|first| first.is_nan());
        (!nothing).then_some(view)
    }

    /// The values at a place for `heads` heads one after the other, `width` each. Heads that this donor lacks get
    /// zeros; a donor without heads gives each the same.
    pub fn by_head(&self, token: &ArrayViewD<f32>, heads: usize, width: usize) -> Result<Vec<f32>, String> {
        let misfit = |own: usize| Err(format!("`{}` has vectors of {own}, and here they have {width}", self.port));
        let mut values = vec![0.0; heads * width];
        for (head, values) in values.chunks_exact_mut(width.max(1)).enumerate() {
            let one = match self.has_heads() {
                true => match self.place(self.nodes(), head as i64) {
                    Some(place) => token.index_axis(Axis(0), place),
                    None => continue,
                },
                false => token.view(),
            };
            // A pattern's row may hold more keys than a query sees: they are filled up.
            if one.len() < width || (one.len() > width && !self.has("key")) {
                return misfit(one.len());
            }
            values.iter_mut().zip(one.iter()).for_each(|(value, own)| *value = *own);
        }
        Ok(values)
    }

    /// The mean over prompts and positions of what stands at a layer, by head. Every prompt's average counts alike;
    /// every token of raw values does.
    pub fn mean(&self, layer: usize, heads: usize, width: usize) -> Result<Vec<f32>, String> {
        let prompts = if self.has("prompt") { self.len("prompt") } else { 1 };
        let places: Vec<_> =
            if self.has("position") { (0..self.len("position")).map(Some).collect() } else { vec![None] };
        let mut sums = vec![0.0f64; heads * width];
        let mut count = 0usize;
        for (prompt, place) in (0..prompts).flat_map(|prompt| places.iter().map(move |place| (prompt, *place))) {
            let Some(token) = self.token(prompt, layer, place) else { continue };
            let values = self.by_head(&token, heads, width)?;
            sums.iter_mut().zip(values).for_each(|(sum, value)| *sum += f64::from(value));
            count += 1;
        }
        match count {
            0 => Err(format!("`{}` holds nothing at layer {layer}", self.port)),
            _ => Ok(sums.into_iter().map(|sum| (sum / count as f64) as f32).collect()),
        }
    }

    pub fn port(&self) -> &str {
        &self.port
    }
}

/// Labels that are numbers; none where one is not.
fn numbers(labels: Option<&[String]>) -> Option<Vec<i64>> {
    labels?.iter().map(|label| label.parse().ok()).collect()
}
