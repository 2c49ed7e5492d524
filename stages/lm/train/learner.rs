//! A model that learns: its weights on the host, built into a model for each step.

use std::collections::BTreeMap;

use burn::tensor::TensorData;
use rayon::prelude::*;
use serde_json::Value;

use super::{
    adam::{Adam, Moving},
    freeze::{Freeze, moves},
    loss::{Predictions, gradient},
    texts::{Lesson, Texts},
};
use crate::{
    Failure,
    lm::{
        Device, Dtype, Model, ModelFacts, Tensor,
        edit::{Change, Dropout},
        families::{self, architecture::Architecture},
        layers::linear::host,
        pass::{Pass, Wanted},
        probe::Probe,
        weights::{
            Weights,
            checkpoint::{Checkpoint, WeightsError},
            initial::InitialWeights,
            tape::Tape,
        },
    },
};

/// For each tensor, by its path, the gradient with respect to its values.
type Gradients = Vec<(String, Vec<f32>)>;

/// Tokens of a step that go through the model together on the host: each core has parts of its own, and what a part keeps for
/// the way back is small enough to stay near it. The parts are those of the texts, never of the machine, since sums of
/// gradients round by them: another number here is another version of `train`.
const PART: usize = 2048;

/// Weights that move, and what they are of.
pub struct Learner {
    pub facts: ModelFacts,
    architecture: Architecture,
    pub weights: Moved,
    device: Device,
    changes: Vec<Change>,
}

/// How one step is taken.
pub struct Step<'a> {
    /// Counted from 1.
    pub number: u64,
    pub adam: &'a Adam,
    /// The share of the largest learning rate.
    pub rate: f64,
    pub freeze: &'a [Freeze],
    /// What is lost on the way, if anything.
    pub dropout: Option<Dropout>,
}

/// Every tensor of a model, its shape and its moments.
pub struct Moved(pub BTreeMap<String, (Vec<usize>, Moving)>);

impl Checkpoint for Moved {
    fn names(&self) -> Vec<String> {
        self.0.keys().cloned().collect()
    }

    fn shape(&self, name: &str) -> Option<Vec<usize>> {
        self.0.get(name).map(|(shape, _)| shape.clone())
    }

    fn read(&self, name: &str) -> Result<Vec<f32>, WeightsError> {
        let found = self.0.get(name).map(|(_, moving)| moving.values.clone());
        found.ok_or_else(|| WeightsError(format!("the model has no tensor `{name}`")))
    }
}

impl Learner {
    /// A model of a configuration before its first step.
    pub fn new(config: &Value, seed: u64, changes: Vec<Change>, device: &Device) -> Result<Self, Failure> {
        let architecture = families::architecture(config).map_err(Failure::fatal)?;
        let initial = InitialWeights::new(config, seed).map_err(fatal)?;
        let of = |name: String| {
            let shape = initial.shape(&name).expect("a tensor that is named has a shape");
            let values = initial.read(&name).map_err(fatal)?;
            Ok((name, (shape, Moving::new(values))))
        };
        let weights = Moved(initial.names().into_iter().map(of).collect::<Result<_, Failure>>()?);
        Ok(Self { facts: ModelFacts::from(&architecture), architecture, weights, device: device.clone(), changes })
    }

    /// The model as it now is, for reading.
    pub fn model(&self) -> Result<Model, Failure> {
        let weights = Weights::new(&self.weights, &self.architecture, Dtype::F32, &self.device).map_err(fatal)?;
        Model::of(&self.architecture, &weights).map_err(fatal)
    }

    /// One step on the texts of these indices: what was predicted before it, and weights that have moved after it.
    pub fn step(&mut self, texts: &Texts, seen: &[usize], step: &Step) -> Result<Predictions, Failure> {
        let (predictions, gradients) = self.learned(texts, seen, step.dropout)?;
        for (path, gradient) in gradients {
            let (shape, moving) = self.weights.0.get_mut(&path).expect("the tape holds the weights of this model");
            let moves = moves(step.freeze, step.number, &path, shape, &self.facts);
            step.adam.step(moving, &gradient, step.number, step.rate, moves.as_deref());
        }
        Ok(predictions)
    }

    /// What is predicted, and the gradient of the mean loss with respect to each tensor.
    fn learned(
        &self,
        texts: &Texts,
        seen: &[usize],
        dropout: Option<Dropout>,
    ) -> Result<(Predictions, Gradients), Failure> {
        let lessons: Vec<Lesson> = seen.chunks(self.together(texts, seen)).map(|part| texts.lesson(part)).collect();
        let places = lessons.iter().map(|lesson| lesson.places.len()).sum();
        let parts: Vec<_> =
            lessons.par_iter().map(|lesson| self.gradients(lesson, places, dropout)).collect::<Result<_, Failure>>()?;
        Ok(parts.into_iter().reduce(|all, part| (all.0.and(part.0), sum(all.1, part.1))).expect("a step sees texts"))
    }

    /// How many of these texts go through the model together: all where one changes another, or where the device wants many.
    fn together(&self, texts: &Texts, seen: &[usize]) -> usize {
        let alone = matches!(self.device, Device::Flex(_)) && !self.changes.iter().any(Change::mixes_texts);
        let tokens = seen.len() * texts.longest();
        let parts = if alone { tokens.div_ceil(PART).max(1) } else { 1 };
        seen.len().div_ceil(parts)
    }

    /// What is predicted, and what these texts add to the gradient of the mean loss over so many places.
    fn gradients(
        &self,
        lesson: &Lesson,
        places: usize,
        dropout: Option<Dropout>,
    ) -> Result<(Predictions, Gradients), Failure> {
        // An edit sees what dropout has left.
        let dropped = dropout.map(|dropout| dropout.changes(&self.facts)).unwrap_or_default();
        let probe = Probe { changes: [dropped, self.changes.clone()].concat(), takes: vec![] };
        let (tape, device) = (Tape::default(), Device::autodiff(self.device.clone()));
        let weights =
            Weights::new(&self.weights, &self.architecture, Dtype::F32, &device).map_err(fatal)?.on_tape(&tape);
        let model = Model::of(&self.architecture, &weights).map_err(fatal)?;
        let mut pass = Pass::new(&lesson.batch, &probe, Wanted::Listed(lesson.places.clone()));
        let logits = model.forward(&mut pass, None); // [place, vocab]
        pass.checked()?;
        let shape = logits.dims();
        let values = host(logits.clone().inner());
        let slope = TensorData::new(gradient(&values, &lesson.targets, places), shape);
        // The gradient of Σ logits · slope is what the loss, taken on the host, would send back.
        let gradients = tape.gradients(logits * Tensor::from_data(slope, &device));
        Ok((Predictions::of(&values, &lesson.targets), gradients))
    }
}

/// Two sums of gradients of the same model.
fn sum(mut all: Gradients, part: Gradients) -> Gradients {
    for ((path, all), (same, part)) in all.iter_mut().zip(&part) {
        debug_assert_eq!(path, same, "a model has its weights in one order");
        all.iter_mut().zip(part).for_each(|(sum, slope)| *sum += slope);
    }
    all
}

/// The values that each capture of a probe took at each layer.
type Taken = Vec<Vec<Vec<f32>>>;

/// What a model predicts, with nothing learned from it, and what the captures of the probe took.
pub fn predict(model: &Model, lesson: &Lesson, probe: &Probe) -> Result<(Predictions, Taken), Failure> {
    let mut pass = Pass::new(&lesson.batch, probe, Wanted::Listed(lesson.places.clone()));
    let predictions = Predictions::of(&host(model.forward(&mut pass, None)), &lesson.targets);
    pass.checked()?;
    let taken = pass.taken().into_iter().map(|layers| layers.into_iter().map(host).collect()).collect();
    Ok((predictions, taken))
}

fn fatal(error: WeightsError) -> Failure {
    Failure::fatal(error.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        Select,
        lm::{
            edit::{Op, Over},
            fixture::{Fixture, device},
            site::Site,
            text::tokens::{Sequence, Tokens},
        },
    };

    /// Texts of eight tokens.
    fn texts(count: u32) -> Texts {
        let text = |seed: u32| {
            let tokens: Vec<u32> = (0..8).map(|i| (seed * 31 + i * i * 7) % 250).collect();
            Sequence { id: seed.to_string(), prompt: tokens[..1].to_vec(), new: tokens[1..].to_vec() }
        };
        Texts::new(&Tokens { sequences: (0..count).map(text).collect(), vocab: None })
    }

    fn learner() -> Learner {
        Learner::new(&Fixture::of("llama").config, 5, vec![], &device()).unwrap()
    }

    /// Central differences of the loss along single weights of every kind.
    #[test]
    fn gradients_are_slopes_of_the_loss() {
        let mut learner = learner();
        let lesson = texts(4).lesson(&[0, 1, 2, 3]);
        let (_, gradients) = learner.learned(&texts(4), &[0, 1, 2, 3], None).unwrap();
        assert_eq!(gradients.len(), learner.weights.0.len());
        for (path, gradient) in gradients {
            let steepest =
                (0..gradient.len()).max_by(|&a, &b| gradient[a].abs().total_cmp(&gradient[b].abs())).unwrap();
            let mut loss_at = |by: f32| {
                learner.weights.0.get_mut(&path).unwrap().1.values[steepest] += by;
                let loss = predict(&learner.model().unwrap(), &lesson, &Probe::default()).unwrap().0.loss();
                learner.weights.0.get_mut(&path).unwrap().1.values[steepest] -= by;
                loss
            };
            let slope = (loss_at(5e-3) - loss_at(-5e-3)) / 1e-2;
            let ours = f64::from(gradient[steepest]);
            assert!((slope - ours).abs() <= 0.02 * slope.abs().max(1e-3), "{path}: {ours}, not {slope}");
        }
    }

    /// 300 texts of eight tokens are two parts.
    #[test]
    fn parts_of_a_step_add_up_to_it() {
        let texts = texts(300);
        let (learner, seen): (_, Vec<usize>) = (learner(), (0..300).rev().collect());
        assert_eq!(learner.together(&texts, &seen), 150);
        let (predictions, gradients) = learner.learned(&texts, &seen, None).unwrap();
        let whole = texts.lesson(&seen);
        let (at_once, of_whole) = learner.gradients(&whole, whole.places.len(), None).unwrap();
        assert_eq!(predictions.right, at_once.right);
        assert!((predictions.loss() - at_once.loss()).abs() < 1e-6);
        for ((path, ours), (_, theirs)) in gradients.iter().zip(&of_whole) {
            let largest = theirs.iter().fold(0f32, |a, b| a.max(b.abs()));
            let off = ours.iter().zip(theirs).fold(0f32, |a, (x, y)| a.max((x - y).abs()));
            assert!(off <= 1e-5 * largest, "{path}: off by {off} of {largest}");
        }
    }

    /// Over a batch, a text's clamp depends on the others.
    #[test]
    fn texts_that_change_one_another_stay_together() {
        let clamp = Change {
            site: Site::LnFinalNormalized,
            layers: vec![0],
            heads: vec![],
            positions: Select::All,
            op: Op::Norm(1.0, Over::Batch),
        };
        let learner = Learner::new(&Fixture::of("llama").config, 5, vec![clamp], &device()).unwrap();
        let seen = vec![0; 1000];
        assert_eq!(learner.together(&texts(1), &seen), 1000);
    }

    #[test]
    fn a_model_learns_its_texts_by_heart_and_the_same_each_time() {
        let run = || {
            let (mut learner, texts) = (learner(), texts(4));
            let adam = Adam { learning_rate: 1e-2, ..Adam::default() };
            let step = |number| Step { number, adam: &adam, rate: 1.0, freeze: &[], dropout: None };
            let losses: Vec<f64> =
                (1..=40).map(|number| learner.step(&texts, &[0, 1, 2, 3], &step(number)).unwrap().loss()).collect();
            (losses, learner.weights.0["model.norm.weight"].1.values.clone())
        };
        let (losses, weights) = run();
        assert!((losses[0] - 257f64.ln()).abs() < 0.3, "{}", losses[0]);
        assert!(losses[39] < 0.1, "{}", losses[39]);
        assert_eq!((losses, weights), run());
    }
}
