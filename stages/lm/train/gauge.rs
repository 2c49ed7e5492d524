//! What is noted of a model while it is trained: how it predicts, and the sizes of its weights and its stream.

use assay_cache::{Table, Values};
use serde::{Deserialize, Serialize};

use super::{
    course::floats,
    learner::{Learner, predict},
    loss::Predictions,
    texts::Texts,
};
use crate::{
    Failure,
    lm::{Model, ModelFacts, capture::Take, edit::Change, probe::Probe, site::Site},
};

/// Texts that go through the model together.
const TOGETHER: usize = 256;

/// Of the texts that are learned, the model is looked at on this many: a look should cost less than the steps between.
const LEARNED: usize = 1024;

/// The texts at which a model is looked at.
pub struct Gauge {
    train: Texts,
    test: Texts,
    probe: Probe,
}

/// How a model predicts some texts.
#[derive(Clone, Copy, PartialEq, Debug, Serialize, Deserialize)]
pub struct Score {
    pub loss: f64,
    pub accuracy: f64,
    /// Over the last token of each text.
    pub last_accuracy: f64,
    /// The mean of log p(right) − log p(all others).
    pub margin: f64,
}

/// The columns that do not depend on the model.
const COLUMNS: [&str; 8] = [
    "step",
    "train_loss",
    "train_accuracy",
    "train_last_accuracy",
    "test_loss",
    "test_accuracy",
    "test_last_accuracy",
    "test_margin",
];

/// What was noted at a step.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Reading {
    step: u64,
    pub train: Score,
    pub test: Score,
    /// For each layer, the mean norm of what leaves it.
    resid_norm: Vec<f64>,
    /// For each layer, the mean over tokens of the standard deviation over dimensions (ddof 1) of what leaves it.
    resid_std: Vec<f64>,
    /// The mean weight of the final norm, where there is one.
    final_norm: Option<f64>,
    /// The sum over layers of the Frobenius norm of the value projection.
    value_norm: f64,
    /// The Euclidean norm of all weights.
    weight_norm: f64,
}

impl Gauge {
    /// Looks at these texts, under the same changes as training.
    pub fn new(train: Texts, test: Texts, changes: Vec<Change>, facts: &ModelFacts) -> Self {
        let stream = Take::raw(Site::ResidPost, (0..facts.layers).collect());
        Self { train, test, probe: Probe { changes, takes: vec![stream] } }
    }

    pub fn read(&self, step: u64, learner: &Learner) -> Result<Reading, Failure> {
        let model = learner.model()?;
        let (train, _) = self.score(&model, &self.train, LEARNED);
        let (test, stream) = self.score(&model, &self.test, usize::MAX);
        let norm = |values: &[f32]| values.iter().map(|x| f64::from(*x).powi(2)).sum::<f64>();
        let all = || learner.weights.0.iter().map(|(name, (_, moving))| (name, moving.values.as_slice()));
        let values = all().filter(|(name, _)| name.ends_with("self_attn.v_proj.weight"));
        let last = all().find(|(name, _)| *name == "model.norm.weight").map(|(_, weights)| weights);
        Ok(Reading {
            step,
            train,
            test,
            resid_norm: stream.iter().map(|layer| layer.norm / layer.tokens).collect(),
            resid_std: stream.iter().map(|layer| layer.std / layer.tokens).collect(),
            final_norm: last.map(|weights| weights.iter().map(|x| f64::from(*x)).sum::<f64>() / weights.len() as f64),
            value_norm: values.map(|(_, weights)| norm(weights).sqrt()).sum(),
            weight_norm: all().map(|(_, weights)| norm(weights)).sum::<f64>().sqrt(),
        })
    }

    /// Over the first `most` of some texts.
    fn score(&self, model: &Model, texts: &Texts, most: usize) -> (Score, Vec<Stream>) {
        let mut all = Predictions { losses: vec![], right: vec![], margins: vec![] };
        let mut last = vec![];
        let mut stream = vec![Stream::default(); model.facts.layers];
        let indices: Vec<usize> = (0..texts.count().min(most)).collect();
        for group in indices.chunks(TOGETHER) {
            let lesson = texts.lesson(group);
            let (predictions, layers) = predict(model, &lesson, &self.probe);
            last.extend(lesson.last.iter().map(|place| predictions.right[*place]));
            for (sums, layer) in stream.iter_mut().zip(layers) {
                sums.add(&layer, &lesson, model.facts.d_model);
            }
            all.losses.extend(predictions.losses);
            all.right.extend(predictions.right);
            all.margins.extend(predictions.margins);
        }
        let right = last.iter().filter(|right| **right).count();
        let score = Score {
            loss: all.loss(),
            accuracy: all.accuracy(),
            last_accuracy: right as f64 / last.len() as f64,
            margin: all.margin(),
        };
        (score, stream)
    }
}

/// Sums over tokens of what leaves a layer.
#[derive(Clone, Copy, Default)]
struct Stream {
    tokens: f64,
    norm: f64,
    std: f64,
}

impl Stream {
    /// `values` is `[row, pos, d]` with padding, which does not count.
    fn add(&mut self, values: &[f32], lesson: &super::texts::Lesson, d: usize) {
        let width = lesson.batch.width();
        for (row, real) in lesson.batch.real.iter().enumerate() {
            for token in values[row * width * d..][..real.len() * d].chunks_exact(d) {
                let sum = token.iter().map(|x| f64::from(*x)).sum::<f64>();
                let squares = token.iter().map(|x| f64::from(*x).powi(2)).sum::<f64>();
                let variance = (squares - sum * sum / d as f64) / (d as f64 - 1.0);
                self.tokens += 1.0;
                self.norm += squares.sqrt();
                self.std += variance.max(0.0).sqrt();
            }
        }
    }
}

impl Reading {
    /// The names of the columns, before anything is read.
    pub fn columns(facts: &ModelFacts) -> Vec<String> {
        let mut names: Vec<String> = COLUMNS.map(str::to_owned).to_vec();
        names.extend((0..facts.layers).flat_map(|layer| [format!("resid_norm_{layer}"), format!("resid_std_{layer}")]));
        names.extend(facts.sites.contains(&Site::LnFinalScale).then(|| "final_norm_weight".to_owned()));
        names.extend(["value_norm", "weight_norm"].map(str::to_owned));
        names
    }

    /// A row for each reading.
    pub fn table(readings: &[Self]) -> Table {
        let column = |of: &dyn Fn(&Self) -> f64| floats(readings.iter().map(of));
        let steps = readings.iter().map(|reading| Some(reading.step as i64)).collect();
        let mut table = Table::default()
            .with("step", Values::Int(steps))
            .with("train_loss", column(&|r| r.train.loss))
            .with("train_accuracy", column(&|r| r.train.accuracy))
            .with("train_last_accuracy", column(&|r| r.train.last_accuracy))
            .with("test_loss", column(&|r| r.test.loss))
            .with("test_accuracy", column(&|r| r.test.accuracy))
            .with("test_last_accuracy", column(&|r| r.test.last_accuracy))
            .with("test_margin", column(&|r| r.test.margin));
        for layer in 0..readings.first().map_or(0, |reading| reading.resid_norm.len()) {
            table = table
                .with(&format!("resid_norm_{layer}"), column(&|r| r.resid_norm[layer]))
                .with(&format!("resid_std_{layer}"), column(&|r| r.resid_std[layer]));
        }
        if readings.iter().any(|reading| reading.final_norm.is_some()) {
            table = table.with("final_norm_weight", column(&|r| r.final_norm.unwrap_or(f64::NAN)));
        }
        table.with("value_norm", column(&|r| r.value_norm)).with("weight_norm", column(&|r| r.weight_norm))
    }
}
