//! Looks at a model while it is trained: how it predicts, and how large its weights and its stream are.

use super::{
    learner::{Learner, predict},
    loss::Predictions,
    reading::{Reading, Score},
    texts::{Lesson, Texts},
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
    fn add(&mut self, values: &[f32], lesson: &Lesson, d: usize) {
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
