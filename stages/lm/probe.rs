//! What a stage asks of a model beside its output: edits and captures, checked when a study is planned, resolved when
//! it runs, and made into ports and artifacts.

use std::collections::BTreeMap;

use assay_cache::{Artifact, Axis, Data, Tensor};
use ndarray::ArrayD;
use serde_json::{Value, json};

use super::{
    capture::{Capture, Output, Take, What, stacked},
    donor::Need,
    edit::{Change, Edit},
    facts::ModelFacts,
    text::texts,
};
use crate::{Accept, Arrived, Failure, Given, InputPort, Inputs, Mistake, OutputPort, PortType, Select};

/// Edits and captures, checked against a model.
#[derive(Clone, Debug, Default)]
pub struct Probe {
    pub changes: Vec<Change>,
    pub takes: Vec<Take>,
}

/// What edits and captures draw on: the stage's inputs, and the names of its texts.
#[derive(Clone, Copy, Debug)]
pub struct Material<'a> {
    pub inputs: &'a Inputs,
    pub prompts: &'a [String],
}

impl Probe {
    pub fn new(edits: &[Edit], captures: &[Capture], facts: &ModelFacts, material: &Material) -> Result<Self, Failure> {
        let wrong = |at: String, problem: String| Failure::fatal(format!("{at}: {problem}"));
        let change = |(i, edit): (usize, &Edit)| {
            edit.on(facts, material).map_err(|problem| wrong(format!("edits[{i}]"), problem))
        };
        let take = |(i, capture): (usize, &Capture)| {
            capture.on(facts, material).map_err(|problem| wrong(format!("capture[{i}]"), problem))
        };
        Ok(Self {
            changes: edits.iter().enumerate().map(change).collect::<Result<Vec<_>, _>>()?.concat(),
            takes: captures.iter().enumerate().map(take).collect::<Result<_, _>>()?,
        })
    }
}

/// Refuses an edit or a capture at positions that no text has: it would silently change or record nothing.
pub fn refuse_absent_positions(edits: &[Edit], captures: &[Capture], longest: usize) -> Result<(), Failure> {
    let edits = edits.iter().enumerate().map(|(i, edit)| (format!("edits[{i}]"), edit.positions()));
    let captures = captures.iter().enumerate().map(|(i, capture)| (format!("capture[{i}]"), &capture.positions));
    match edits.chain(captures).find(|(_, positions)| positions.needs() > longest) {
        Some((at, positions)) => Err(Failure::fatal(format!(
            "{at}.positions = {} needs a text of {} tokens, but the longest has {longest} tokens",
            Value::from(positions),
            positions.needs()
        ))),
        None => Ok(()),
    }
}

/// The facts of the model that arrives at a port, where they are known.
pub fn facts(model: Option<&Arrived>) -> Option<ModelFacts> {
    serde_json::from_value(model?.facts.clone()).ok()
}

/// Everything wrong with a stage's `edits` and `capture`. The names of the stage's own inputs and outputs
/// are taken. Where the model is not known yet, only what is wrong on any.
pub fn mistakes(
    edits: &[Edit],
    captures: &[Capture],
    names: (&[&str], &[&str]),
    given: &Given,
    facts: Option<&ModelFacts>,
) -> Vec<Mistake> {
    let training = edits.iter().enumerate().filter_map(|(i, edit)| edit.only_in_training(&format!("edits[{i}]")));
    let unread = texts::mistake(given, facts);
    training.chain(mistakes_in_training(edits, captures, names, given, facts)).chain(unread).collect()
}

/// The same where a model is trained, and edits may look at a whole batch.
pub fn mistakes_in_training(
    edits: &[Edit],
    captures: &[Capture],
    (inputs, outputs): (&[&str], &[&str]),
    given: &Given,
    facts: Option<&ModelFacts>,
) -> Vec<Mistake> {
    let edits: Vec<_> = edits.iter().enumerate().map(|(i, edit)| (format!("edits[{i}]"), edit)).collect();
    let captures: Vec<_> = captures.iter().enumerate().map(|(i, c)| (format!("capture[{i}]"), c)).collect();
    let mut found = twice_named(captures.iter().map(|(at, capture)| (at.as_str(), *capture)), outputs);
    found.extend(edits.iter().flat_map(|(at, edit)| edit.own_mistakes(at)));
    found.extend(captures.iter().flat_map(|(at, capture)| capture.own_mistakes(at)));
    if let Some(facts) = facts {
        found.extend(edits.iter().flat_map(|(at, edit)| edit.mistakes(at, facts)));
        found.extend(captures.iter().flat_map(|(at, capture)| capture.mistakes(at, facts)));
    }
    let of_edit = |(at, edit): &(String, &Edit)| {
        edit.needs(at).into_iter().map(|need| (need, facts.map(|facts| edit.asked(facts)))).collect::<Vec<_>>()
    };
    let of_capture = |(at, c): &(String, &Capture)| {
        c.needs(at).into_iter().map(|need| (need, facts.map(|facts| c.asked(facts)))).collect::<Vec<_>>()
    };
    let needs = edits.iter().flat_map(of_edit).chain(captures.iter().flat_map(of_capture));
    let mut known: BTreeMap<String, Need> = BTreeMap::new();
    for (need, asked) in needs {
        found.extend(port_mistake(&need, inputs, &known));
        if let (Some(arrived), Some(asked)) = (given.one(&need.port), asked) {
            found.extend(asked.mistakes(&need, arrived));
        }
        known.entry(need.port.clone()).or_insert(need);
    }
    found
}

/// What is wrong with the name of a port: it is the stage's own, or another edit expects something else there.
fn port_mistake(need: &Need, own: &[&str], known: &BTreeMap<String, Need>) -> Option<Mistake> {
    if own.contains(&need.port.as_str()) {
        let message = format!("`{}` is an input that this stage has anyway", need.port);
        return Some(Mistake::new(need.at.clone(), message).help("choose another name, and wire it under `inputs`"));
    }
    let other = known.get(&need.port)?;
    let show = |need: &Need| Accept(need.types()).to_string();
    (!need.fits(other)).then(|| {
        let message = format!("`{}` should be {} here, and {} for {}", need.port, show(need), show(other), other.at);
        Mistake::new(need.at.clone(), message).help("wire the two under names of their own")
    })
}

fn twice_named<'c>(captures: impl Iterator<Item = (&'c str, &'c Capture)>, reserved: &[&str]) -> Vec<Mistake> {
    let mut seen: BTreeMap<String, String> =
        reserved.iter().map(|name| ((*name).to_owned(), "an output that this stage has anyway".to_owned())).collect();
    let mut found = vec![];
    for (at, capture) in captures {
        let clash = capture.outputs("position").into_iter().find_map(|output| {
            let other = seen.insert(output.name.clone(), at.to_owned())?;
            Some(format!("`{}` is already the name of {other}", output.name))
        });
        let mistake = |message| Mistake::new(at, message).help("give it a name of its own: `as = \"…\"`");
        found.extend(clash.map(mistake));
    }
    found
}

/// The input ports that edits and captures name, beside the stage's own.
pub fn inputs(edits: &[Edit], captures: &[Capture]) -> Vec<InputPort> {
    let needs = edits.iter().flat_map(|edit| edit.needs("")).chain(captures.iter().flat_map(|c| c.needs("")));
    let mut ports: BTreeMap<String, Vec<PortType>> = BTreeMap::new();
    for need in needs {
        let types = need.types();
        ports.entry(need.port).and_modify(|known| known.retain(|ty| types.contains(ty))).or_insert(types);
    }
    let port = |(name, types)| InputPort { name, accept: Accept(types), many: false, optional: false };
    ports.into_iter().map(port).collect()
}

/// The output ports of captures; `position` is what their axis of positions is called.
pub fn ports(captures: &[Capture], position: &str, facts: Option<&ModelFacts>) -> Vec<OutputPort> {
    let port = |(capture, output): (&Capture, Output)| {
        let port = OutputPort::new(&output.name, PortType { kind: "tensor", axes: output.axes });
        match facts {
            Some(facts) => port.with_facts(capture_facts(capture, facts)),
            None => port,
        }
    };
    outputs(captures, position).map(port).collect()
}

/// What is known of a capture before it is made.
fn capture_facts(capture: &Capture, facts: &ModelFacts) -> serde_json::Value {
    let layers = facts.layers_at(capture.site, &capture.layers).unwrap_or_default();
    let heads = capture.heads.indices(facts.heads_at(capture.site), "head").unwrap_or_default();
    let mut known = json!({ "family": facts.family, "layers": layers.len(), "heads": heads.len() });
    if capture.layers != Select::All || layers.len() < facts.layers && capture.site.per_layer() {
        known["layer"] = json!(layers);
    }
    if capture.heads != Select::All {
        known["head"] = json!(heads);
    }
    let vectors = capture.outputs("position").iter().any(|output| output.axes.iter().any(|axis| axis == "d"));
    if let Some(width) = facts.width_at(capture.site).filter(|_| vectors) {
        known["d"] = json!(width);
    }
    known
}

/// The outputs of all captures, in order; `position` is what their axis of positions is called.
pub fn outputs<'c>(captures: &'c [Capture], position: &'c str) -> impl Iterator<Item = (&'c Capture, Output)> {
    captures.iter().flat_map(move |capture| capture.outputs(position).into_iter().map(move |output| (capture, output)))
}

/// What a capture recorded of each prompt, as one artifact.
pub fn artifact(
    capture: &Capture,
    output: &Output,
    facts: &ModelFacts,
    prompts: &[String],
    parts: &[ArrayD<f32>],
) -> Artifact {
    let data = stacked(parts);
    let axes = output.axes.iter().zip(data.shape().to_vec());
    let axes = axes.map(|(name, length)| {
        let labels = match name.as_str() {
            "prompt" => Some(prompts.to_vec()),
            "layer" => layers(capture, facts),
            "head" | "expert" => numbers(&capture.heads, facts.heads_at(capture.site)),
            "position" | "step" | "query" => capture.positions.labels(length),
            _ => None,
        };
        Axis { name: name.clone(), labels }
    });
    let data = match output.what {
        What::Index => Data::I64(data.mapv(|i| if i.is_nan() { -1 } else { i as i64 })),
        What::Values | What::Probability | What::Right => Data::F32(data),
    };
    let unit = capture.unit(output.what).map(str::to_owned);
    Artifact::Tensor(Tensor { axes: axes.collect(), unit, data })
}

/// The numbers of the layers captured; none where they are all there are. ("all" is those layers that have the site.)
fn layers(capture: &Capture, facts: &ModelFacts) -> Option<Vec<String>> {
    let picked = facts.layers_at(capture.site, &capture.layers).ok()?;
    let all = capture.layers == Select::All && picked.len() == facts.layers;
    (!all).then(|| picked.iter().map(usize::to_string).collect())
}

/// The numbers of the selected; none where all are.
fn numbers(select: &Select, count: usize) -> Option<Vec<String>> {
    let picked = select.indices(count, "").ok().filter(|_| *select != Select::All)?;
    Some(picked.iter().map(usize::to_string).collect())
}
