//! How alike are a model's activations on different texts, layer by layer?
//!
//! The arithmetic is `metrics::similarity`; here are the alignments' names and which positions a text has. Nothing here
//! says how alike is alike: a study needs a null of its own, such as paraphrases of one text.

use assay_cache::{Artifact, Axis, Data, Table, Tensor, Values};
use ndarray::{Array2, Array3, Array4, ArrayD, ArrayView2, ArrayView3, Ix4};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::{
    Ctx, Failure, Given, InputPort, Inputs, Mistake, OutputPort, Outputs, PortType, Ports, Stage,
    metrics::similarity as metric, tables::typed,
};

/// How alike are a model's activations on different texts, layer by layer?
///
/// Method: the cosine of the angle between two texts' activations, each flattened to one vector, for each layer and each
/// pair of texts. Texts of different length must be laid side by side first, and what comes out depends on how: try
/// several alignments. A position at which every number in every layer is NaN is one that the text lacks. `matrix` has
/// all pairs, `pairs` each pair once, with the number of positions that were compared.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Similarity {
    /// Which positions of two texts are compared.
    pub alignment: Alignment,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Alignment {
    /// The first of one with the first of the other, and so on to the end of the shorter.
    FlattenTrunc,
    /// The last of one with the last of the other, and so on back to the start of the shorter.
    SuffixAligned,
    /// The last of one with the last of the other.
    LastToken,
    /// As `flatten-trunc`, without the first position (which may carry an activation that outweighs all others).
    ExclFirst,
}

impl From<Alignment> for metric::Alignment {
    fn from(alignment: Alignment) -> Self {
        match alignment {
            Alignment::FlattenTrunc => Self::Start,
            Alignment::SuffixAligned => Self::End,
            Alignment::LastToken => Self::Last,
            Alignment::ExclFirst => Self::ExceptFirst,
        }
    }
}

const COLUMNS: [&str; 5] = ["layer", "a", "b", "cosine", "positions"];

impl Stage for Similarity {
    const KIND: &'static str = "similarity";
    const VERSION: &'static [(&'static str, u32)] = &[("similarity", 1)];

    fn ports(&self, _: &Given) -> Result<Ports, Vec<Mistake>> {
        let activations = InputPort::one("activations", PortType::tensor(&["prompt", "layer", "position", "d"]))
            .or(PortType::tensor(&["prompt", "layer", "position", "head", "d"]));
        let matrix = PortType::tensor(&["layer", "prompt", "prompt2"]);
        let pairs = OutputPort::new("pairs", PortType::of("table")).with_facts(json!({ "columns": COLUMNS }));
        Ok(Ports { inputs: vec![activations], outputs: vec![OutputPort::new("matrix", matrix), pairs] })
    }

    fn run(&self, inputs: &Inputs, ctx: &dyn Ctx) -> Result<Outputs, Failure> {
        let (axes, activations) = activations(inputs)?; // [prompt, layer, position, d]
        let (prompts, layers, ..) = activations.dim();
        let texts: Vec<Array3<f64>> = activations.outer_iter().map(present).collect();
        let mut cosines = Array3::from_elem((layers, prompts, prompts), f64::NAN);
        let mut compared = Array2::zeros((prompts, prompts));
        for layer in 0..layers {
            ctx.go_on()?;
            for (a, b) in (0..prompts).flat_map(|a| (a..prompts).map(move |b| (a, b))) {
                let (one, other) = self.laid(texts[a].index_axis(ndarray::Axis(0), layer), &texts[b], layer);
                compared[[a, b]] = one.nrows() as i64;
                let cosine = metric::cosine(one, other);
                cosines[[layer, a, b]] = cosine;
                cosines[[layer, b, a]] = cosine;
            }
        }
        let undefined = cosines.iter().filter(|cosine| cosine.is_nan()).count();
        if undefined > 0 {
            ctx.warn(&format!(
                "{undefined} of {} similarities are not defined: no position in common, or zeros",
                cosines.len()
            ));
        }
        let pairs = pairs(&axes, &cosines, &compared);
        let [prompt, layer] = axes;
        let other = Axis { name: "prompt2".to_owned(), labels: prompt.labels.clone() };
        let matrix = Tensor { axes: vec![layer, prompt, other], unit: None, data: Data::F64(cosines.into_dyn()) };
        Ok(Outputs::default().with("matrix", Artifact::Tensor(matrix)).with("pairs", Artifact::Table(pairs)))
    }
}

impl Similarity {
    /// The positions `[position, d]` of two texts that are compared.
    fn laid<'a>(
        &self,
        one: ArrayView2<'a, f64>,
        other: &'a Array3<f64>,
        layer: usize,
    ) -> (ArrayView2<'a, f64>, ArrayView2<'a, f64>) {
        metric::Alignment::from(self.alignment).lay(one, other.index_axis(ndarray::Axis(0), layer))
    }
}

/// The axes of prompts and layers, and `[prompt, layer, position, d]` with heads side by side.
fn activations(inputs: &Inputs) -> Result<([Axis; 2], Array4<f64>), Failure> {
    let bad = |found: String| {
        Failure::fatal(format!("`activations` is {found}; expected tensor[prompt, layer, position, d]"))
    };
    let Artifact::Tensor(tensor) = inputs.one("activations") else { return Err(bad("no tensor".to_owned())) };
    let shape = tensor.shape().to_vec();
    let [prompts, layers, positions, rest @ ..] = shape.as_slice() else {
        return Err(bad(format!("of shape {shape:?}")));
    };
    let flat = (*prompts, *layers, *positions, rest.iter().product::<usize>());
    let numbers: ArrayD<f64> = tensor.data.to_f64().as_standard_layout().into_owned();
    let numbers = numbers.into_shape_with_order(flat).ok().and_then(|n| n.into_dimensionality::<Ix4>().ok());
    match numbers {
        Some(numbers) if !numbers.is_empty() => Ok(([tensor.axes[0].clone(), tensor.axes[1].clone()], numbers)),
        _ => Err(bad(format!("of shape {shape:?}"))),
    }
}

/// `[layer, position, d]` of one text, without the positions that it lacks.
fn present(text: ArrayView3<f64>) -> Array3<f64> {
    let along = ndarray::Axis(1);
    let there: Vec<usize> =
        (0..text.dim().1).filter(|&p| text.index_axis(along, p).iter().any(|x| !x.is_nan())).collect();
    text.select(along, &there)
}

/// Each pair once, layer by layer.
fn pairs([prompt, layer]: &[Axis; 2], cosines: &Array3<f64>, compared: &Array2<i64>) -> Table {
    let (layers, prompts, _) = cosines.dim();
    let rows: Vec<(usize, usize, usize)> = (0..layers)
        .flat_map(|layer| (0..prompts).flat_map(move |a| (a + 1..prompts).map(move |b| (layer, a, b))))
        .collect();
    let name = |axis: &Axis, i: usize| axis.labels.as_ref().map_or_else(|| i.to_string(), |labels| labels[i].clone());
    let text = |of: &dyn Fn(&(usize, usize, usize)) -> String| rows.iter().map(of).collect::<Vec<_>>();
    Table::default()
        .with("layer", typed(text(&|row| name(layer, row.0))))
        .with("a", Values::Text(text(&|row| name(prompt, row.1))))
        .with("b", Values::Text(text(&|row| name(prompt, row.2))))
        .with("cosine", Values::Float(rows.iter().map(|&(layer, a, b)| cosines[[layer, a, b]]).collect()))
        .with("positions", Values::Int(rows.iter().map(|&(_, a, b)| Some(compared[[a, b]])).collect()))
}

#[cfg(test)]
mod tests;
