//! Tensors in a line each: their shape and extent. Numbers by the million belong into other programs.

use std::collections::BTreeMap;

use assay_cache::{Artifact, Digest, Summary};
use serde::Serialize;

use super::{
    known::{Known, Made, Stamp},
    number::Shown,
};

#[derive(Serialize)]
pub struct TensorView {
    /// `phiid[tau=1].sts`.
    pub name: String,
    pub size: String,
    pub shape: Option<String>,
    /// Least, mean, greatest.
    pub extent: Vec<Shown>,
    pub not_finite: usize,
    pub unit: Option<String>,
    pub note: Option<String>,
    pub stamp: Stamp,
}

/// What was found out of tensors, by digest: a page that is rewritten reads none twice.
pub type Summaries = BTreeMap<Digest, Result<Summary, String>>;

/// A tensor of more bytes is not read for the page, nor are more than so many together.
const MOST_BYTES: u64 = 64 << 20;
const MOST_TOGETHER: u64 = 512 << 20;
const MOST_TENSORS: usize = 200;

/// The tensors, and how many more there are.
pub fn tensors(known: &Known, made: &[Made], summaries: &mut Summaries) -> (Vec<TensorView>, usize) {
    let tensors: Vec<_> = made.iter().filter(|made| made.kind == "tensor").collect();
    let mut left = MOST_TOGETHER;
    let views = tensors.iter().take(MOST_TENSORS).map(|made| view(known, made, summaries, &mut left)).collect();
    (views, tensors.len().saturating_sub(MOST_TENSORS))
}

fn view(known: &Known, made: &Made, summaries: &mut Summaries, left: &mut u64) -> TensorView {
    let bytes = made.output.bytes;
    let too_large = bytes > MOST_BYTES || bytes > *left;
    *left -= bytes.min(*left);
    let summary = match too_large {
        true => &Err("too large to summarise here".to_owned()),
        false => summaries.entry(made.output.digest).or_insert_with(|| summarised(known, made)),
    };
    let stamp = known.stamp(made.index, made.entry);
    let mut view = TensorView {
        name: format!("{}.{}", made.cell.id, made.port),
        size: size(bytes),
        shape: None,
        extent: vec![],
        not_finite: 0,
        unit: None,
        note: None,
        stamp,
    };
    match summary {
        Err(why) => view.note = Some(why.clone()),
        Ok(summary) => {
            let lengths = summary.shape.iter().map(|(axis, length)| format!("{axis} {length}"));
            view.shape = Some(format!("{} · {}", lengths.collect::<Vec<_>>().join(" × "), summary.kind));
            view.extent = summary.extent.iter().flatten().map(|value| Shown::number(*value)).collect();
            view.not_finite = summary.not_finite;
            view.unit = summary.unit.clone();
        }
    }
    view
}

fn summarised(known: &Known, made: &Made) -> Result<Summary, String> {
    match known.store.look(made.output) {
        Ok(Artifact::Tensor(tensor)) => Ok(tensor.summary()),
        Ok(_) => Err("is no tensor".to_owned()),
        Err(error) => Err(format!("cannot be read: {error}")),
    }
}

/// Bytes in the unit that suits them.
pub fn size(bytes: u64) -> String {
    match bytes as f64 {
        b if b < 1e3 => format!("{b} B"),
        b if b < 1e6 => format!("{:.1} kB", b / 1e3),
        b if b < 1e9 => format!("{:.1} MB", b / 1e6),
        b => format!("{:.1} GB", b / 1e9),
    }
}
