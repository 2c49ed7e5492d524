//! The series that are decomposed, under the names of their nodes.

use assay_cache::{Artifact, Axis, Data, Tensor};
use ndarray::{Array3, ArrayD, Ix3, Ix4};

use super::Prompts;
use crate::{
    Failure,
    metrics::phiid::{Cell, Windows},
};

/// The series, and what their nodes are called.
pub struct Series {
    values: Array3<f64>, // [prompt, node, step]
    labels: Option<Vec<String>>,
    prompts: Prompts,
}

impl Series {
    pub fn of(artifact: &Artifact, prompts: Prompts) -> Result<Self, Failure> {
        let Artifact::Tensor(tensor) = artifact else {
            return Err(Failure::fatal("`activations` is not a tensor"));
        };
        let values = tensor.data.to_f64();
        let series = match tensor.shape().len() {
            4 => Self::of_heads(tensor, values, prompts)?,
            _ => {
                let values = values.into_dimensionality::<Ix3>().map_err(|_| wrong_shape(tensor))?;
                Self { values, labels: tensor.axes[1].labels.clone(), prompts }
            }
        };
        match series.values.dim() {
            (prompts, nodes, _) if prompts == 0 || nodes < 2 => Err(Failure::fatal(format!(
                "`activations` holds {prompts} prompts and {nodes} nodes: pairs need at least one prompt and two nodes"
            ))),
            _ => Ok(series),
        }
    }

    /// Flattens layers and heads (or experts), layer first.
    fn of_heads(tensor: &Tensor, values: ArrayD<f64>, of: Prompts) -> Result<Self, Failure> {
        let values = values.into_dimensionality::<Ix4>().map_err(|_| wrong_shape(tensor))?;
        let (prompts, layers, steps, heads) = values.dim();
        let values = values.permuted_axes([0, 1, 3, 2]).as_standard_layout().into_owned(); // [prompt, layer, head, step]
        let values = values.into_shape_with_order((prompts, layers * heads, steps)).map_err(|_| wrong_shape(tensor))?;
        let name = |axis: &Axis, at: usize| axis.labels.as_ref().map_or_else(|| at.to_string(), |l| l[at].clone());
        let kind = if tensor.axes[3].name == "expert" { 'E' } else { 'H' };
        let labels = (0..layers)
            .flat_map(|layer| (0..heads).map(move |head| (layer, head)))
            .map(|(layer, head)| format!("L{}{kind}{}", name(&tensor.axes[1], layer), name(&tensor.axes[3], head)))
            .collect();
        Ok(Self { values, labels: Some(labels), prompts: of })
    }

    /// What is decomposed.
    pub fn windows(&self, tau: usize) -> Windows {
        match self.prompts {
            Prompts::Apart => Windows::of(self.values.view(), tau),
            Prompts::Concatenated => Windows::concatenated(self.values.view(), tau),
        }
    }

    pub fn matrix(&self, data: Data) -> Tensor {
        let node = Axis { name: "node".to_owned(), labels: self.labels.clone() };
        Tensor { axes: vec![node.clone(), node], unit: None, data }
    }

    fn name(&self, node: usize) -> String {
        self.labels.as_ref().map_or_else(|| format!("node {node}"), |labels| labels[node].clone())
    }

    pub fn describe(&self, cell: Cell) -> String {
        format!(
            "the pair {} and {} is singular {}",
            self.name(cell.first),
            self.name(cell.second),
            self.within(cell.prompt)
        )
    }

    fn within(&self, prompt: usize) -> String {
        match self.prompts {
            Prompts::Apart => format!("in prompt {prompt}"),
            Prompts::Concatenated => "over all prompts".to_owned(),
        }
    }

    /// What is wrong with which series, in order of prompts.
    pub fn unsound(&self, windows: &Windows) -> Vec<String> {
        let all = (0..windows.prompts).flat_map(|prompt| (0..windows.heads).map(move |node| (prompt, node)));
        all.filter_map(|(prompt, node)| {
            let status = windows.status(prompt, node)?;
            Some(format!("{} is {} {}", self.name(node), status.name(), self.within(prompt)))
        })
        .collect()
    }
}

fn wrong_shape(tensor: &Tensor) -> Failure {
    Failure::fatal(format!(
        "`activations` has the shape {:?}; expected [prompt, node, step], [prompt, layer, step, head] or […, expert]",
        tensor.shape()
    ))
}
