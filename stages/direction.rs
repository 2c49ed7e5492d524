//! The kind `direction`: what sets the activations of some texts apart from those of others, as a direction to steer
//! along or to project on (difference in means: Marks & Tegmark 2023; Turner et al. 2023; Arditi et al. 2024).

use assay_cache::{Artifact, Axis, Data, Tensor};
use ndarray::{ArrayD, ArrayViewD, Dimension, IxDyn};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{
    Ctx, Failure, Given, InputPort, Inputs, Mistake, OutputPort, Outputs, PortType, Ports, Stage, metrics::summary,
};

/// The direction from the mean activation of some texts to that of others.
///
/// `toward` and `away` are captures of one site with vectors, raw or at chosen positions: the direction is the mean of
/// `toward` minus the mean of `away`, over prompts and positions, every token alike (what a text lacks is left out). Without
/// `away`, it is the mean of `toward`. It has the axes that are left, tensor[layer, d] or tensor[layer, head, d], as the edit
/// `steer` and the reduction `dot` take them.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Direction {
    /// Whether each vector is given the norm 1.
    #[serde(default)]
    pub normalize: bool,
}

/// What a capture of vectors may have for axes.
const FORMS: [&[&str]; 6] = [
    &["prompt", "layer", "position", "d"],
    &["prompt", "layer", "d"],
    &["prompt", "position", "d"],
    &["prompt", "d"],
    &["prompt", "layer", "position", "head", "d"],
    &["prompt", "layer", "head", "d"],
];

/// The axes that are averaged over.
const AVERAGED: [&str; 2] = ["prompt", "position"];

impl Stage for Direction {
    const KIND: &'static str = "direction";
    const VERSION: &'static [(&'static str, u32)] = &[("direction", 1)];

    fn ports(&self, given: &Given) -> Result<Ports, Vec<Mistake>> {
        let port = |name| {
            let first = InputPort::one(name, PortType::tensor(FORMS[0]));
            FORMS[1..].iter().fold(first, |port, axes| port.or(PortType::tensor(axes)))
        };
        let (toward, away) = (given.one("toward"), given.one("away"));
        if let (Some(toward), Some(away)) = (toward, away)
            && left(&toward.ty.axes) != left(&away.ty.axes)
        {
            let message = format!("`toward` is {}, and `away` is {}: nothing to subtract", toward.ty, away.ty);
            return Err(vec![Mistake::new("inputs.away", message).help("capture the same site, reduced alike")]);
        }
        let axes = toward.map(|toward| left(&toward.ty.axes)).unwrap_or_default();
        let facts = toward.map_or(Value::Null, |toward| toward.facts.clone());
        let output = OutputPort::new("direction", PortType { kind: "tensor", axes }).with_facts(facts);
        Ok(Ports { inputs: vec![port("toward"), port("away").optional()], outputs: vec![output] })
    }

    fn run(&self, inputs: &Inputs, _: &dyn Ctx) -> Result<Outputs, Failure> {
        let (axes, mut direction) = mean("toward", inputs.one("toward"))?;
        if let Some(away) = inputs.optional("away") {
            let (others, mean) = mean("away", away)?;
            if others != axes || mean.shape() != direction.shape() {
                let shapes = (direction.shape(), mean.shape());
                return Err(Failure::fatal(format!(
                    "`toward` has other layers, heads or vectors than `away`: {shapes:?}"
                )));
            }
            direction -= &mean;
        }
        if self.normalize {
            normalize(&mut direction)?;
        }
        let data = Data::F32(direction.mapv(|x| x as f32));
        Ok(Outputs::default().with("direction", Artifact::Tensor(Tensor { axes, unit: None, data })))
    }
}

fn left(axes: &[String]) -> Vec<String> {
    axes.iter().filter(|axis| !AVERAGED.contains(&axis.as_str())).cloned().collect()
}

/// The mean over prompts and positions, and the axes that it has.
fn mean(port: &str, artifact: &Artifact) -> Result<(Vec<Axis>, ArrayD<f64>), Failure> {
    let Artifact::Tensor(tensor) = artifact else {
        return Err(Failure::fatal(format!("the input `{port}` is no tensor")));
    };
    let values = tensor.data.to_f64();
    let (averaged, kept): (Vec<usize>, Vec<usize>) =
        (0..tensor.axes.len()).partition(|axis| AVERAGED.contains(&tensor.axes[*axis].name.as_str()));
    let shape: Vec<usize> = kept.iter().map(|axis| values.shape()[*axis]).collect();
    let order: Vec<usize> = kept.iter().chain(&averaged).copied().collect();
    let values = values.permuted_axes(order); // [kept…, prompt, position]
    let means: Option<Vec<f64>> = ndarray::indices(IxDyn(&shape)).into_iter().map(|at| present(&values, &at)).collect();
    let means = means.ok_or_else(|| Failure::fatal(format!("`{port}` holds no token: there is no mean")))?;
    let means = ArrayD::from_shape_vec(IxDyn(&shape), means).expect("a mean for each place");
    Ok((kept.iter().map(|axis| tensor.axes[*axis].clone()).collect(), means))
}

/// The mean of what is no NaN at a place of the leading axes.
fn present(values: &ArrayD<f64>, at: &IxDyn) -> Option<f64> {
    let here: ArrayViewD<f64> =
        (0..at.ndim()).fold(values.view(), |here, axis| here.index_axis_move(ndarray::Axis(0), at[axis]));
    let there: Vec<f64> = here.iter().copied().filter(|x| !x.is_nan()).collect();
    (!there.is_empty()).then(|| summary::mean(&there))
}

fn normalize(direction: &mut ArrayD<f64>) -> Result<(), Failure> {
    let last = ndarray::Axis(direction.ndim() - 1);
    for mut vector in direction.lanes_mut(last) {
        let norm = vector.iter().map(|x| x * x).sum::<f64>().sqrt();
        if norm == 0.0 {
            return Err(Failure::fatal("a vector of the direction is zero: it has no norm to divide by"));
        }
        vector /= norm;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeMap, sync::Arc};

    use super::*;
    use crate::{Loaded, contract::testing::TestCtx};

    fn captured(shape: &[usize], axes: &[&str], values: &[f32]) -> Arc<Artifact> {
        let array = ArrayD::from_shape_vec(IxDyn(shape), values.to_vec()).unwrap();
        Arc::new(Artifact::Tensor(Tensor::new(axes, Data::F32(array))))
    }

    fn made(normalize: bool, ports: &[(&str, Arc<Artifact>)]) -> Result<Vec<f64>, Failure> {
        let loaded = |artifact: &Arc<Artifact>| {
            vec![Loaded { labels: vec![], from: "a.resid_post".into(), artifact: artifact.clone() }]
        };
        let inputs = ports.iter().map(|(name, artifact)| ((*name).to_owned(), loaded(artifact)));
        let outputs = Direction { normalize }.run(&Inputs(inputs.collect::<BTreeMap<_, _>>()), &TestCtx::new())?;
        let Some(Artifact::Tensor(tensor)) = outputs.artifacts.get("direction") else { panic!("a tensor") };
        assert_eq!(tensor.axes.iter().map(|axis| axis.name.as_str()).collect::<Vec<_>>(), ["layer", "d"]);
        Ok(tensor.data.to_f64().into_iter().collect())
    }

    /// By hand: the second text has one token, so layer 0 has the tokens (1, 2), (3, 4), (5, 9): mean (3, 5).
    #[test]
    fn every_token_counts_alike_and_what_is_missing_does_not() {
        let nan = f32::NAN;
        let toward = captured(
            &[2, 2, 2, 2],
            &["prompt", "layer", "position", "d"],
            &[1., 2., 3., 4., 10., 20., 30., 40., 5., 9., nan, nan, 50., 90., nan, nan],
        );
        assert_eq!(made(false, &[("toward", toward.clone())]).unwrap(), [3.0, 5.0, 30.0, 50.0]);
        let away = captured(&[1, 2, 2], &["prompt", "layer", "d"], &[0.0, 1.0, 0.0, 50.0]);
        let ports = [("toward", toward), ("away", away)];
        assert_eq!(made(false, &ports).unwrap(), [3.0, 4.0, 30.0, 0.0]);
        assert_eq!(made(true, &ports).unwrap(), [0.6f32, 0.8, 1.0, 0.0].map(f64::from));
    }

    #[test]
    fn what_cannot_be_subtracted_or_normalized_is_refused() {
        let one = captured(&[1, 1, 2], &["prompt", "layer", "d"], &[1.0, 1.0]);
        let two = captured(&[1, 1, 3], &["prompt", "layer", "d"], &[1.0, 1.0, 1.0]);
        let refused = made(false, &[("toward", one.clone()), ("away", two)]).unwrap_err().to_string();
        assert!(refused.contains("other layers"), "{refused}");
        let refused = made(true, &[("toward", one.clone()), ("away", one)]).unwrap_err().to_string();
        assert!(refused.contains("is zero"), "{refused}");
    }
}
