//! Looks at a model while it is trained: how it predicts, and how large its weights and what flows through it are.

use super::{
    learner::{Learner, predict},
    loss::Predictions,
    reading::{Reading, Score},
    routing::{Attention, Patterns},
    stream::{Cloud, Stream},
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
    /// For texts that are learned: of these only the predictions are noted.
    plain: Probe,
    /// For texts held out.
    inside: Probe,
}

/// What was noted inside a model.
#[derive(Default)]
struct Inside {
    stream: Vec<Stream>,
    patterns: Patterns,
    /// Of what the final norm gives, where there is one.
    normalized: Option<Cloud>,
}

impl Gauge {
    /// Looks at these texts, under the same changes as training.
    pub fn new(train: Texts, test: Texts, changes: Vec<Change>, facts: &ModelFacts) -> Self {
        let layers = || (0..facts.layers).collect();
        let mut takes = vec![Take::raw(Site::ResidPost, layers()), Take::raw(Site::Pattern, layers())];
        if facts.sites.contains(&Site::LnFinalNormalized) {
            takes.push(Take::raw(Site::LnFinalNormalized, vec![0]));
        }
        let plain = Probe { changes: changes.clone(), takes: vec![] };
        Self { train, test, plain, inside: Probe { changes, takes } }
    }

    /// What there is to note at a step, and where heads look.
    pub fn read(&self, step: u64, learner: &Learner) -> Result<(Reading, Attention), Failure> {
        let model = learner.model()?;
        let (train, _) = score(&model, &self.train, LEARNED, &self.plain)?;
        let (test, inside) = score(&model, &self.test, usize::MAX, &self.inside)?;
        let norm = |values: &[f32]| values.iter().map(|x| f64::from(*x).powi(2)).sum::<f64>();
        let all = || learner.weights.0.iter().map(|(name, (_, moving))| (name, moving.values.as_slice()));
        let values = all().filter(|(name, _)| name.ends_with("self_attn.v_proj.weight"));
        let last = all().find(|(name, _)| *name == "model.norm.weight").map(|(_, weights)| weights);
        let reading = Reading {
            step,
            train,
            test,
            resid_norm: inside.stream.iter().map(Stream::norm).collect(),
            resid_std: inside.stream.iter().map(Stream::std).collect(),
            final_norm: last.map(|weights| weights.iter().map(|x| f64::from(*x)).sum::<f64>() / weights.len() as f64),
            normalized: inside.normalized.map(|cloud| [cloud.norm(), cloud.std()]),
            value_norm: values.map(|(_, weights)| norm(weights).sqrt()).sum(),
            weight_norm: all().map(|(_, weights)| norm(weights)).sum::<f64>().sqrt(),
            geometry: None,
        };
        Ok((reading, inside.patterns.mean()))
    }
}

/// Over the first `most` of some texts.
fn score(model: &Model, texts: &Texts, most: usize, probe: &Probe) -> Result<(Score, Inside), Failure> {
    let mut all = Predictions::default();
    let mut last = vec![];
    let mut inside = Inside::default();
    let indices: Vec<usize> = (0..texts.count().min(most)).collect();
    for group in indices.chunks(TOGETHER) {
        let lesson = texts.lesson(group);
        let (predictions, taken) = predict(model, &lesson, probe)?;
        last.extend(lesson.last.iter().map(|place| predictions.right[*place]));
        inside.add(&taken, &lesson, &model.facts);
        all = all.and(predictions);
    }
    let right = last.iter().filter(|right| **right).count();
    let score = Score {
        loss: all.loss(),
        accuracy: all.accuracy(),
        last_accuracy: right as f64 / last.len() as f64,
        margin: all.margin(),
    };
    Ok((score, inside))
}

impl Inside {
    /// What the captures took of a batch: for each, a layer at a time.
    fn add(&mut self, taken: &[Vec<Vec<f32>>], lesson: &Lesson, facts: &ModelFacts) {
        let mut taken = taken.iter();
        if let (Some(stream), Some(patterns)) = (taken.next(), taken.next()) {
            self.stream.resize(stream.len(), Stream::default());
            let layers = self.stream.iter_mut().zip(stream);
            layers.for_each(|(sums, layer)| sums.add(layer, lesson, facts.d_model));
            self.patterns.add(patterns, &lesson.batch, facts.heads);
        }
        if let Some([normalized]) = taken.next().map(Vec::as_slice) {
            self.normalized.get_or_insert_default().add(normalized, lesson, facts.d_model);
        }
    }
}
