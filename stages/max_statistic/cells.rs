//! The cells of a family of tests, and the number of each in a world in which some prompts have exchanged their treated and
//! untreated profiles.

use std::collections::BTreeSet;

use assay_cache::{Artifact, Labels, Tensor};
use ndarray::{Array1, Array2, ArrayView2, Ix2};

use super::Statistic;
use crate::{Failure, Inputs, Loaded, metrics::specialization, tables::by_nearness};

/// Treated profiles that make one number: the mean of theirs.
pub struct Cell {
    pub labels: Labels,
    /// Which of those that are gathered.
    pub members: Vec<usize>,
}

/// What is gathered, in cells that share all labels but those of the axes `mean_over`; in the order in which they come.
/// What was listed instead of gathered has its place for a label.
pub fn group(treated: &[Loaded], mean_over: &BTreeSet<String>) -> Result<Vec<Cell>, Failure> {
    let listed = treated.iter().all(|item| item.labels.is_empty()) && treated.len() > 1;
    if let Some(axis) = mean_over.iter().find(|axis| !treated.iter().all(|item| has(item, axis))) {
        let mut axes: Vec<&str> = treated.iter().flat_map(|item| &item.labels).map(|(axis, _)| axis.as_str()).collect();
        axes.dedup();
        let there = by_nearness(axis, axes.into_iter().collect::<BTreeSet<_>>().into_iter()).join(", ");
        let there = if there.is_empty() { "none".to_owned() } else { there };
        return Err(Failure::fatal(format!("`mean-over`: `treated` is not gathered over `{axis}`, but over {there}")));
    }
    let mut cells: Vec<Cell> = vec![];
    for (i, item) in treated.iter().enumerate() {
        let labels: Labels = match listed {
            true => vec![("from".to_owned(), i.to_string())],
            false => item.labels.iter().filter(|(axis, _)| !mean_over.contains(axis)).cloned().collect(),
        };
        match cells.iter_mut().find(|cell| cell.labels == labels) {
            Some(cell) => cell.members.push(i),
            None => cells.push(Cell { labels, members: vec![i] }),
        }
    }
    Ok(cells)
}

fn has(item: &Loaded, axis: &str) -> bool {
    item.labels.iter().any(|(name, _)| name == axis)
}

impl Cell {
    /// `region=early, sigma=0.1`
    pub fn name(&self) -> String {
        let parts: Vec<_> = self.labels.iter().map(|(axis, label)| format!("{axis}={label}")).collect();
        if parts.is_empty() { "that there is".to_owned() } else { parts.join(", ") }
    }
}

/// Treated and untreated profiles, from which the numbers of every world follow.
pub struct Worlds {
    statistic: Statistic,
    /// `[layer, head]` of the specialization index; one row of all numbers for the mean.
    shape: (usize, usize),
    /// The mean over prompts, flat.
    baseline: Array1<f64>,
    treated: Vec<Treated>,
    prompts: usize,
}

struct Treated {
    /// The mean over prompts, flat.
    mean: Array1<f64>,
    /// `[prompt, …]`: what exchanging a prompt adds to the treated mean, and takes from the other.
    exchange: Array2<f64>,
}

impl Worlds {
    pub fn new(statistic: Statistic, inputs: &Inputs) -> Result<Self, Failure> {
        let base = tensor(inputs.many("baseline").first())?;
        let untreated = flat(base)?; // [prompt, …]
        let prompts = untreated.nrows();
        let treated = inputs.many("treated").iter().map(|item| {
            let other = tensor(Some(item))?;
            comparable(base, other, &item.from)?;
            let own = flat(other)?;
            Ok(Treated { mean: mean(&own), exchange: (&untreated - &own) / prompts as f64 })
        });
        let shape = match (statistic, base.shape()) {
            (Statistic::SpecializationIndex, [_, layers, heads]) => (*layers, *heads),
            _ => (1, untreated.ncols()),
        };
        let treated = treated.collect::<Result<_, Failure>>()?;
        Ok(Self { statistic, shape, baseline: mean(&untreated), treated, prompts })
    }

    pub fn prompts(&self) -> usize {
        self.prompts
    }

    /// In how many ways prompts can exchange their profiles, as far as a number holds it.
    pub fn ways(&self) -> Option<u64> {
        1_u64.checked_shl(u32::try_from(self.prompts).ok()?)
    }

    /// The difference of each cell where these prompts have exchanged their profiles.
    pub fn differences(&self, cells: &[Cell], exchanged: &[bool]) -> Vec<f64> {
        let moved = Array1::from_iter(exchanged.iter().map(|swap| f64::from(u8::from(*swap))));
        let each: Vec<f64> = self.treated.iter().map(|treated| self.difference(treated, &moved)).collect();
        cells.iter().map(|cell| over_members(cell, |member| each[member])).collect()
    }

    fn difference(&self, treated: &Treated, moved: &Array1<f64>) -> f64 {
        let shift = moved.dot(&treated.exchange);
        self.of(&(&treated.mean + &shift)) - self.of(&(&self.baseline - &shift))
    }

    /// The statistic of a cell as it was treated.
    pub fn treated(&self, cell: &Cell) -> f64 {
        over_members(cell, |member| self.of(&self.treated[member].mean))
    }

    /// The statistic of the baseline.
    pub fn baseline(&self) -> f64 {
        self.of(&self.baseline)
    }

    /// The largest statistic there is, of either sign.
    pub fn size(&self, cells: &[Cell]) -> f64 {
        let treated = cells.iter().map(|cell| self.treated(cell).abs());
        treated.fold(self.baseline().abs(), f64::max)
    }

    fn of(&self, mean: &Array1<f64>) -> f64 {
        match self.statistic {
            Statistic::Mean => mean.mean().unwrap_or(f64::NAN),
            Statistic::SpecializationIndex => {
                let slice = mean.as_slice().expect("an owned vector lies in one piece");
                let profile =
                    ArrayView2::from_shape(self.shape, slice).expect("layers and heads are all that there is");
                specialization::index(profile)
            }
        }
    }
}

fn over_members(cell: &Cell, of: impl Fn(usize) -> f64) -> f64 {
    cell.members.iter().map(|&member| of(member)).sum::<f64>() / cell.members.len() as f64
}

fn tensor(loaded: Option<&Loaded>) -> Result<&Tensor, Failure> {
    match loaded.map(|item| (&*item.artifact, &item.from)) {
        Some((Artifact::Tensor(tensor), from)) if tensor.shape().contains(&0) || tensor.axes.is_empty() => {
            Err(Failure::fatal(format!("`{from}` is of shape {:?}: there is nothing to compare", tensor.shape())))
        }
        Some((Artifact::Tensor(tensor), _)) => Ok(tensor),
        Some((_, from)) => Err(Failure::fatal(format!("`{from}` is no tensor"))),
        None => Err(Failure::fatal("there is no baseline")),
    }
}

/// Refuses profiles of other prompts, layers or heads than the baseline's.
fn comparable(base: &Tensor, other: &Tensor, from: &str) -> Result<(), Failure> {
    if base.shape() != other.shape() || base.axis_names() != other.axis_names() {
        let of = |tensor: &Tensor| format!("tensor[{}] of shape {:?}", tensor.axis_names().join(", "), tensor.shape());
        let (base, other) = (of(base), of(other));
        return Err(Failure::fatal(format!("`{from}` is a {other}, and `baseline` a {base}: they are not paired")));
    }
    match base.axes.iter().zip(&other.axes).find(|(a, b)| a.labels != b.labels) {
        Some((axis, _)) => Err(Failure::fatal(format!(
            "`{from}` and `baseline` name other things on the axis `{}`: they are not paired",
            axis.name
        ))),
        None => Ok(()),
    }
}

/// `[prompt, …]`
fn flat(tensor: &Tensor) -> Result<Array2<f64>, Failure> {
    let (rows, all) = (tensor.shape()[0], tensor.shape().iter().product::<usize>());
    let numbers = tensor.data.to_f64();
    let flat = numbers.as_standard_layout().into_owned().into_shape_with_order((rows, all / rows));
    flat.ok()
        .and_then(|flat| flat.into_dimensionality::<Ix2>().ok())
        .ok_or_else(|| Failure::fatal("a profile cannot be laid flat"))
}

fn mean(rows: &Array2<f64>) -> Array1<f64> {
    rows.mean_axis(ndarray::Axis(0)).expect("there is a prompt")
}
