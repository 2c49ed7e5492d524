//! What a stage asks of a model beside its output: edits and captures, checked when a study is planned, resolved when
//! it runs, and made into ports and artifacts.

use std::collections::BTreeMap;

use assay_cache::{Artifact, Axis, Data, Tensor};
use ndarray::ArrayD;
use serde_json::json;

use super::{
    capture::{Capture, Reduce, Take, stacked},
    edit::{Change, Edit},
    facts::ModelFacts,
    site::Site,
};
use crate::{Arrived, Failure, Mistake, OutputPort, PortType, Select};

/// Edits and captures, checked against a model.
#[derive(Clone, Debug, Default)]
pub struct Probe {
    pub changes: Vec<Change>,
    pub takes: Vec<Take>,
}

impl Probe {
    pub fn new(edits: &[Edit], captures: &[Capture], facts: &ModelFacts) -> Result<Self, Failure> {
        let changes = edits.iter().filter_map(|edit| edit.on(facts).transpose()).collect::<Result<_, _>>();
        let takes = captures.iter().map(|capture| capture.on(facts)).collect::<Result<_, _>>();
        Ok(Self { changes: changes.map_err(Failure::fatal)?, takes: takes.map_err(Failure::fatal)? })
    }
}

/// The facts of the model that arrives at a port, where they are known.
pub fn facts(model: Option<&Arrived>) -> Option<ModelFacts> {
    serde_json::from_value(model?.facts.clone()).ok()
}

/// Everything wrong with a stage's `edits` and `capture`. Where the model is not known yet, only what is wrong on any.
pub fn mistakes(edits: &[Edit], captures: &[Capture], reserved: &[&str], facts: Option<&ModelFacts>) -> Vec<Mistake> {
    let mut found = twice_named(captures, reserved);
    let Some(facts) = facts else { return found };
    found.extend(edits.iter().enumerate().flat_map(|(i, edit)| edit.mistakes(&format!("edits[{i}]"), facts)));
    found.extend(captures.iter().enumerate().flat_map(|(i, c)| c.mistakes(&format!("capture[{i}]"), facts)));
    found
}

fn twice_named(captures: &[Capture], reserved: &[&str]) -> Vec<Mistake> {
    let mut seen: BTreeMap<String, String> =
        reserved.iter().map(|name| ((*name).to_owned(), "an output that this stage has anyway".to_owned())).collect();
    let clash = |(i, name): (usize, String)| {
        let other = seen.insert(name.clone(), format!("capture[{i}]"))?;
        let message = format!("`{name}` is already the name of {other}");
        Some(Mistake::new(format!("capture[{i}]"), message).help("give it a name of its own: `as = \"…\"`"))
    };
    captures.iter().map(Capture::name).enumerate().filter_map(clash).collect()
}

/// The output ports of captures; `position` is what their axis of positions is called.
pub fn ports(captures: &[Capture], position: &str, facts: Option<&ModelFacts>) -> Vec<OutputPort> {
    let port = |capture: &Capture| {
        let axes = capture.axes(position);
        let ty = PortType { kind: "tensor", axes };
        let port = OutputPort::new(&capture.name(), ty);
        match facts.and_then(|facts| Some((facts, capture.on(facts).ok()?))) {
            Some((facts, take)) => port.with_facts(json!({
                "family": facts.family,
                "layers": take.layers.len(),
                "heads": take.heads.map_or(facts.heads_at(capture.site), |heads| heads.len()),
            })),
            None => port,
        }
    };
    captures.iter().map(port).collect()
}

/// What a capture recorded of each prompt, as one artifact.
pub fn artifact(capture: &Capture, take: &Take, position: &str, prompts: &[String], parts: &[ArrayD<f32>]) -> Artifact {
    let data = stacked(parts);
    let axes = capture.axes(position).into_iter().zip(data.shape().to_vec());
    let axes = axes.map(|(name, length)| {
        let labels = match name.as_str() {
            "prompt" => Some(prompts.to_vec()),
            // "all" is those layers that have the site
            "layer" if capture.layers != Select::All || !take.layers.iter().copied().eq(0..length) => {
                Some(numbers(&take.layers))
            }
            "head" | "expert" => take.heads.as_deref().map(numbers),
            name if name == position || name == "query" => first_chosen(&capture.positions, length),
            _ => None,
        };
        Axis { name, labels }
    });
    let unit =
        (capture.site == Site::Pattern && capture.reduce != Some(Reduce::Norm)).then(|| "probability".to_owned());
    Artifact::Tensor(Tensor { axes: axes.collect(), unit, data: Data::F32(data) })
}

fn numbers(picked: &[usize]) -> Vec<String> {
    picked.iter().map(usize::to_string).collect()
}

/// The labels of the first `length` selected positions; none where all are.
fn first_chosen(select: &Select, length: usize) -> Option<Vec<String>> {
    let chosen = match select {
        Select::All => return None,
        Select::Range(from, _) => (*from..from + length).collect(),
        Select::List(_) => select.indices(usize::MAX, "position").ok()?,
    };
    Some(numbers(&chosen[..length]))
}
