//! The kind `rearrange`: the same numbers, laid out along other axes, for programs that expect an array of a certain shape.
//!
//! Nothing is computed, and nothing left out: that is what reductions and selections are for.

use assay_cache::{Artifact, Axis, Data, Tensor};
use ndarray::{ArrayD, IxDyn};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{Ctx, Failure, Given, InputPort, Inputs, Mistake, OutputPort, Outputs, PortType, Ports, Stage};

/// Lays the numbers of a tensor out along other axes.
///
/// The order of `axes` is that of the result. Several names in one entry, as in "layer head", make one axis of theirs, the last
/// of them the one that moves fastest; its places are called by initials and labels, such as L3H7.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Rearrange {
    /// Every axis of `data` once: ["prompt", "layer head", "step"].
    pub axes: Vec<String>,
}

const DATA: &str = "data";

impl Stage for Rearrange {
    const KIND: &'static str = "rearrange";
    const VERSION: &'static [(&'static str, u32)] = &[("rearrange", 1)];

    fn ports(&self, given: &Given) -> Result<Ports, Vec<Mistake>> {
        let arrived = given.one(DATA).map(|arrived| arrived.ty.axes.as_slice()).filter(|axes| !axes.is_empty());
        let found = self.mistakes(arrived);
        if !found.is_empty() {
            return Err(found);
        }
        let ty = PortType { kind: "tensor", axes: self.axes.clone() };
        Ok(Ports {
            inputs: vec![InputPort::one(DATA, PortType::of("tensor"))],
            outputs: vec![OutputPort::new("tensor", ty)],
        })
    }

    fn run(&self, inputs: &Inputs, _: &dyn Ctx) -> Result<Outputs, Failure> {
        let tensor = inputs.tensor(DATA)?;
        let names: Vec<String> = tensor.axis_names().into_iter().map(str::to_owned).collect();
        if let Some(mistake) = self.mistakes(Some(&names)).pop() {
            return Err(Failure::fatal(mistake.message));
        }
        let at = |name: &str| names.iter().position(|own| own == name).expect("every axis is one of the tensor's");
        let parts: Vec<Vec<usize>> = self.axes.iter().map(|entry| named(entry).map(at).collect()).collect();
        let data = match &tensor.data {
            Data::F32(array) => Data::F32(laid_out(array, &parts)),
            Data::F64(array) => Data::F64(laid_out(array, &parts)),
            Data::I64(array) => Data::I64(laid_out(array, &parts)),
        };
        let axes = self.axes.iter().zip(&parts).map(|(entry, parts)| axis(entry, parts, tensor)).collect();
        Ok(Outputs::default().with("tensor", Artifact::Tensor(Tensor { axes, data, unit: tensor.unit.clone() })))
    }
}

impl Rearrange {
    /// What is wrong with `axes`, given those that the data have, where they are known.
    fn mistakes(&self, there: Option<&[String]>) -> Vec<Mistake> {
        let mut found = vec![];
        let mut seen: Vec<&str> = vec![];
        for (i, entry) in self.axes.iter().enumerate() {
            let mut wrong = |message| found.push(Mistake::new(format!("axes[{i}]"), message));
            if named(entry).next().is_none() {
                wrong("this names no axis".to_owned());
            }
            for name in named(entry) {
                if seen.contains(&name) {
                    wrong(format!("the axis `{name}` has its place already"));
                }
                if let Some(there) = there.filter(|there| !there.iter().any(|own| own == name)) {
                    wrong(format!("the data have no axis `{name}`; they have {}", there.join(", ")));
                }
                seen.push(name);
            }
        }
        let left: Vec<_> = there.into_iter().flatten().filter(|own| !seen.contains(&own.as_str())).cloned().collect();
        if found.is_empty() && !left.is_empty() {
            let message = format!("no place for {}: every axis must be named", left.join(", "));
            found.push(Mistake::new("axes", message));
        }
        found
    }
}

/// The axes that an entry names.
fn named(entry: &str) -> impl Iterator<Item = &str> {
    entry.split_whitespace()
}

/// The numbers along axes each of which is made of these.
fn laid_out<T: Clone>(array: &ArrayD<T>, parts: &[Vec<usize>]) -> ArrayD<T> {
    let shape: Vec<usize> =
        parts.iter().map(|parts| parts.iter().map(|at| array.shape()[*at]).product::<usize>()).collect();
    let values = array.view().permuted_axes(IxDyn(&parts.concat())).iter().cloned().collect();
    ArrayD::from_shape_vec(IxDyn(&shape), values).expect("every axis has its place")
}

/// The axis that an entry makes of the tensor's axes at `parts`.
fn axis(entry: &str, parts: &[usize], tensor: &Tensor) -> Axis {
    let labels = match parts {
        [one] => tensor.axes[*one].labels.clone(),
        several => Some(several.iter().fold(vec![String::new()], |begun, at| {
            begun.iter().flat_map(|begun| places(tensor, *at).map(move |place| format!("{begun}{place}"))).collect()
        })),
    };
    Axis { name: entry.to_owned(), labels }
}

/// What the places of an axis are called within one that is made of several: its initial, then the place's label or number.
fn places(tensor: &Tensor, at: usize) -> impl Iterator<Item = String> {
    let axis = &tensor.axes[at];
    let initial: String = axis.name.chars().take(1).flat_map(char::to_uppercase).collect();
    let label = |i: usize| axis.labels.as_ref().map_or_else(|| i.to_string(), |labels| labels[i].clone());
    (0..tensor.shape()[at]).map(move |i| format!("{initial}{}", label(i)))
}

#[cfg(test)]
mod tests {
    use ndarray::Array;

    use super::*;
    use crate::{
        Arrived,
        contract::testing::TestCtx,
        lm::fixture::{inputs, stage},
    };

    /// [prompt, layer, step, head] = 2 × 3 × 4 × 5; each number says where it stands.
    fn captured() -> Tensor {
        let values = Array::from_shape_fn((2, 3, 4, 5), |(p, l, s, h)| (1000 * p + 100 * l + 10 * s + h) as f32);
        let mut tensor = Tensor::new(&["prompt", "layer", "step", "head"], Data::F32(values.into_dyn()));
        tensor.axes[1].labels = Some(["0", "4", "9"].map(str::to_owned).to_vec());
        tensor.with_unit("nats")
    }

    fn rearranged(toml: &str) -> Result<Tensor, Failure> {
        let outputs =
            stage::<Rearrange>(toml).run(&inputs(vec![("data", Artifact::Tensor(captured()))]), &TestCtx::new())?;
        match &outputs.artifacts["tensor"] {
            Artifact::Tensor(tensor) => Ok(tensor.clone()),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn two_axes_become_one_and_each_number_keeps_its_place() {
        let made = rearranged("axes = [\"prompt\", \"layer head\", \"step\"]").unwrap();
        assert_eq!((made.shape(), made.axis_names()), (&[2, 15, 4][..], vec!["prompt", "layer head", "step"]));
        let Data::F32(values) = &made.data else { panic!("32 bits stay") };
        for ((p, l), (s, h)) in (0..2).flat_map(|p| (0..3).map(move |l| (p, l))).zip((0..4).map(|s| (s, s + 1))) {
            assert_eq!(values[[p, 5 * l + h, s]], (1000 * p + 100 * l + 10 * s + h) as f32);
        }
        let labels = made.axes[1].labels.as_ref().unwrap();
        assert_eq!((labels[0].as_str(), labels[7].as_str(), labels[14].as_str()), ("L0H0", "L4H2", "L9H4"));
        assert_eq!((made.axes[0].labels.clone(), made.unit.as_deref()), (None, Some("nats")));
    }

    #[test]
    fn axes_change_places_and_keep_their_labels() {
        let made = rearranged("axes = [\"head\", \"layer\", \"step prompt\"]").unwrap();
        assert_eq!(made.shape(), [5, 3, 8]);
        assert_eq!(made.axes[1], captured().axes[1]);
        let Data::F32(values) = &made.data else { panic!("32 bits stay") };
        assert_eq!(values[[4, 2, 2 * 3 + 1]], 1234.0, "prompt 1, layer 2, step 3, head 4");
    }

    #[test]
    fn every_axis_has_one_place() {
        let said = |axes: &str| {
            let stage: Rearrange = stage(&format!("axes = {axes}"));
            let ty = PortType::tensor(&["prompt", "layer", "step", "head"]);
            let arrived = Arrived { from: "capture.z".into(), ty, facts: serde_json::Value::Null };
            let given = Given { inputs: [("data".into(), vec![arrived])].into(), ..Given::default() };
            let mistakes = stage.ports(&given).err().unwrap_or_default();
            mistakes.into_iter().map(|mistake| format!("{}: {}", mistake.at, mistake.message)).collect::<Vec<_>>()
        };
        assert_eq!(said("[\"prompt\", \"layer head\", \"step\"]"), [""; 0]);
        assert_eq!(said("[\"prompt\", \"layer\"]"), ["axes: no place for step, head: every axis must be named"]);
        assert_eq!(
            said("[\"prompt\", \"layer heads\", \"step step\", \" \"]"),
            [
                "axes[1]: the data have no axis `heads`; they have prompt, layer, step, head",
                "axes[2]: the axis `step` has its place already",
                "axes[3]: this names no axis",
            ]
        );
    }
}
