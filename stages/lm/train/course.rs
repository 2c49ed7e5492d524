//! A whole training run: its steps, what is noted of them, and what lets a killed run go on.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use assay_cache::{Artifact, Unit, Weights};
use ndarray::{ArrayD, IxDyn};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    adam::{Adam, Moving},
    diary::Diary,
    freeze::Freeze,
    gauge::Gauge,
    learner::{Learner, Moved, Step},
    schedule::Schedule,
    texts::Texts,
};
use crate::{Ctx, Failure, lm::edit::Dropout};

/// How a model is trained.
pub struct Course<'a> {
    pub steps: u64,
    /// Texts in a step; none: all.
    pub batch: Option<usize>,
    pub adam: Adam,
    pub schedule: Schedule,
    pub warmup: u64,
    pub freeze: &'a [Freeze],
    /// The share of numbers that is dropped; 0: none.
    pub dropout: f64,
    pub seed: u64,
    pub log: Log,
    /// Steps between checkpoints; none: as many as take ten seconds.
    pub checkpoint_every: Option<u64>,
}

/// When a run is looked at.
#[derive(Clone, Copy, PartialEq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default, rename_all = "kebab-case")]
pub struct Log {
    /// Steps between two looks.
    pub every: u64,
    /// Steps between two looks while the accuracy at the last token of held-out texts is inside `between`.
    pub closely: u64,
    /// The accuracies between which a run is looked at closely.
    pub between: [f64; 2],
    /// Steps over which the drift of attention is taken: where there was no look so many steps ago, since the one before.
    pub lag: u64,
}

impl Default for Log {
    fn default() -> Self {
        Self { every: 100, closely: 10, between: [0.15, 0.85], lag: 500 }
    }
}

/// A run is looked at at multiples of this in any case.
const ALWAYS: u64 = 500;

/// Work that a kill may cost.
const PAUSE: Duration = Duration::from_secs(10);

impl Log {
    /// Whether to look at `step`, after the last look found this accuracy.
    fn looks(&self, step: u64, accuracy: f64) -> bool {
        let close = (self.between[0]..self.between[1]).contains(&accuracy);
        let every = if close { self.closely } else { self.every };
        step.is_multiple_of(ALWAYS) || step.is_multiple_of(every)
    }
}

impl Course<'_> {
    /// Takes every step, or goes on after the last checkpoint; the weights are then the learner's. Gives back what was noted.
    pub fn run(&self, learner: &mut Learner, gauge: &Gauge, train: &Texts, ctx: &dyn Ctx) -> Result<Diary, Failure> {
        let (mut step, mut diary) = match ctx.last_checkpoint()? {
            Some((step, state)) => (step, restored(state, self.log.lag, learner)?),
            None => (0, Diary::new(self.log.lag)),
        };
        if diary.readings.is_empty() {
            diary.look(0, gauge, learner)?;
        }
        let (mut saved, mut saved_at) = (step, Instant::now());
        while step < self.steps {
            let due = match self.checkpoint_every {
                Some(every) => step - saved >= every,
                None => saved_at.elapsed() >= PAUSE && step > saved,
            };
            if due || ctx.stopping() {
                ctx.checkpoint(step, &state(learner, &diary))?;
                (saved, saved_at) = (step, Instant::now());
                ctx.go_on()?;
            }
            step += 1;
            ctx.progress(step, self.steps, "steps");
            self.take(step, learner, train)?;
            let accuracy = diary.readings.last().map_or(0.0, |reading| reading.test.last_accuracy);
            if step == self.steps || self.log.looks(step, accuracy) {
                still_a_number(step, diary.look(step, gauge, learner)?.train.loss)?;
            }
            diary.digest(step, step == self.steps, || weights(learner));
        }
        Ok(diary)
    }

    fn take(&self, step: u64, learner: &mut Learner, train: &Texts) -> Result<(), Failure> {
        let seen = train.seen_at(step, self.batch.unwrap_or(train.count()), self.seed);
        let rate = self.schedule.rate(step, self.steps, self.warmup);
        let dropout = (self.dropout > 0.0).then_some(Dropout { rate: self.dropout, seed: self.seed, step });
        let step = Step { number: step, adam: &self.adam, rate, freeze: self.freeze, dropout };
        let predictions = learner.step(train, &seen, &step)?;
        still_a_number(step.number, predictions.loss())
    }
}

fn still_a_number(step: u64, loss: f64) -> Result<(), Failure> {
    if loss.is_finite() {
        return Ok(());
    }
    Err(Failure::fatal(format!(
        "the loss is no number at step {step}: a smaller `learning-rate` or a longer `warmup` may help"
    )))
}

/// All that the rest of a run depends on.
fn state(learner: &Learner, diary: &Diary) -> Unit {
    let part = |of: fn(&Moving) -> &Vec<f32>| {
        let tensors = learner.weights.0.iter().map(|(name, (shape, moving))| (name.clone(), array(shape, of(moving))));
        Artifact::Weights(Weights(tensors.collect()))
    };
    let mut state = Unit::from([
        ("values".to_owned(), part(|moving| &moving.values)),
        ("mean".to_owned(), part(|moving| &moving.mean)),
        ("square".to_owned(), part(|moving| &moving.square)),
    ]);
    diary.write(&mut state);
    state
}

/// Puts a checkpoint's weights into the learner, and gives back what was noted so far.
fn restored(mut state: Unit, lag: u64, learner: &mut Learner) -> Result<Diary, Failure> {
    let strange = |what: &str| Failure::fatal(format!("the checkpoint of an interrupted run has no `{what}`"));
    let mut part = |name: &str| match state.remove(name) {
        Some(Artifact::Weights(Weights(tensors))) => Ok(tensors),
        _ => Err(strange(name)),
    };
    let (values, mut mean, mut square) = (part("values")?, part("mean")?, part("square")?);
    let mut moved = BTreeMap::new();
    for (name, values) in values {
        let of = |part: &mut BTreeMap<String, ArrayD<f32>>| part.remove(&name).ok_or_else(|| strange(&name));
        let shape = values.shape().to_vec();
        let moments = (flat(of(&mut mean)?), flat(of(&mut square)?));
        moved.insert(name, (shape, Moving { values: flat(values), mean: moments.0, square: moments.1 }));
    }
    learner.weights = Moved(moved);
    Diary::read(&mut state, lag).ok_or_else(|| strange("log"))
}

fn array(shape: &[usize], values: &[f32]) -> ArrayD<f32> {
    ArrayD::from_shape_vec(IxDyn(shape), values.to_vec()).expect("a tensor has as many values as its shape says")
}

fn flat(array: ArrayD<f32>) -> Vec<f32> {
    array.into_raw_vec_and_offset().0
}

/// The weights as they now are.
pub fn weights(learner: &Learner) -> Weights {
    Weights(
        learner.weights.0.iter().map(|(name, (shape, moving))| (name.clone(), array(shape, &moving.values))).collect(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_is_looked_at_closely_while_it_changes() {
        let log = Log::default();
        assert!(log.looks(100, 0.01) && !log.looks(110, 0.01));
        assert!(log.looks(110, 0.5) && !log.looks(115, 0.5));
        assert!(!log.looks(110, 0.85) && log.looks(1500, 0.9));
    }
}
