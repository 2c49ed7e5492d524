//! All that is noted of a training run while it goes on, and what of it goes into a checkpoint.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use assay_cache::{Artifact, Digest, Unit, Weights};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{
    gauge::Gauge,
    learner::Learner,
    reading::Reading,
    routing::{Past, kept},
};
use crate::Failure;

/// Steps between two digests of the weights.
const DIGESTS: u64 = 1000;

/// What was noted of a run so far.
pub struct Diary {
    pub readings: Vec<Reading>,
    /// The digest of the weights at some steps.
    pub digests: BTreeMap<u64, Digest>,
    /// How long the run had gone on at each reading, in seconds, whatever machine it was on.
    pub seconds: Vec<f64>,
    past: Past,
    /// Over how many steps the drift of attention is taken.
    lag: u64,
    /// How long the run had gone on before it was resumed.
    before: Duration,
    since: Instant,
}

/// The part of a diary that is text.
#[derive(Serialize, Deserialize)]
struct Pages {
    readings: Vec<Reading>,
    digests: BTreeMap<u64, Digest>,
    seconds: Vec<f64>,
    elapsed: f64,
}

impl Diary {
    pub fn new(lag: u64) -> Self {
        Self {
            readings: vec![],
            digests: BTreeMap::new(),
            seconds: vec![],
            past: Past::default(),
            lag,
            before: Duration::ZERO,
            since: Instant::now(),
        }
    }

    /// Looks at the model.
    pub fn look(&mut self, step: u64, gauge: &Gauge, learner: &Learner) -> Result<&Reading, Failure> {
        let (reading, attention) = gauge.read(step, learner)?;
        let geometry = self.past.before(step, self.lag).map(|then| kept(&attention, then));
        self.past.keep(step, self.lag, attention);
        self.seconds.push(self.elapsed().as_secs_f64());
        self.readings.push(Reading { geometry, ..reading });
        Ok(self.readings.last().expect("one was just noted"))
    }

    /// Notes the digest of the weights, where it is due.
    pub fn digest(&mut self, step: u64, last: bool, weights: impl Fn() -> Weights) {
        if step.is_multiple_of(DIGESTS) || last {
            self.digests.insert(step, Digest::of(&Artifact::Weights(weights()).encode().1));
        }
    }

    /// The digests, by step.
    pub fn checkpoints(&self) -> Value {
        self.digests.iter().map(|(step, digest)| (step.to_string(), json!(format!("blake3:{digest}")))).collect()
    }

    fn elapsed(&self) -> Duration {
        self.before + self.since.elapsed()
    }

    /// Puts everything into a checkpoint.
    pub fn write(&self, state: &mut Unit) {
        let pages = Pages {
            readings: self.readings.clone(),
            digests: self.digests.clone(),
            seconds: self.seconds.clone(),
            elapsed: self.elapsed().as_secs_f64(),
        };
        let pages = serde_json::to_value(pages).expect("a diary is plain data");
        state.insert("log".to_owned(), Artifact::Record(pages));
        state.insert("attention".to_owned(), Artifact::Weights(Weights(self.past.arrays())));
    }

    /// Takes it out of one again; nothing where it is not there.
    pub fn read(state: &mut Unit, lag: u64) -> Option<Self> {
        let (Artifact::Record(pages), Artifact::Weights(Weights(past))) =
            (state.remove("log")?, state.remove("attention")?)
        else {
            return None;
        };
        let Pages { readings, digests, seconds, elapsed } = serde_json::from_value(pages).ok()?;
        let before = Duration::try_from_secs_f64(elapsed).ok()?;
        Some(Self { readings, digests, seconds, before, past: Past::of(past)?, ..Self::new(lag) })
    }
}
