//! What became of a run, cell by cell.

use assay_cache::Entry;

use super::StopKind;

/// What became of a cell.
#[derive(Clone, PartialEq, Debug)]
pub enum Outcome {
    /// Its entry was there.
    Cached,
    /// The same had been computed from the same bytes under another key: nothing ran.
    Same,
    Ran {
        seconds: f64,
    },
    /// It was forced, and made again what its entry says.
    Reproduced {
        seconds: f64,
    },
    Failed {
        cause: String,
    },
    /// Something upstream failed, or the run ended before its turn.
    Skipped {
        because: String,
    },
    /// The stop flag went up while it ran; its units are saved.
    Stopped,
    /// Not asked for.
    Unwanted,
}

impl Outcome {
    /// The word for it in `run --json`.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Cached => "cached",
            Self::Same => "same",
            Self::Ran { .. } => "ran",
            Self::Reproduced { .. } => "reproduced",
            Self::Failed { .. } => "failed",
            Self::Skipped { .. } => "skipped",
            Self::Stopped => "stopped",
            Self::Unwanted => "unwanted",
        }
    }

    /// How long it took in this run.
    pub fn seconds(&self) -> f64 {
        if let Self::Ran { seconds } | Self::Reproduced { seconds } = self { *seconds } else { 0.0 }
    }

    pub fn cause(&self) -> Option<&str> {
        match self {
            Self::Failed { cause } => Some(cause),
            Self::Skipped { because } => Some(because),
            _ => None,
        }
    }

    fn is_finished(&self) -> bool {
        matches!(self, Self::Cached | Self::Same | Self::Ran { .. } | Self::Reproduced { .. })
    }
}

/// What became of a run.
pub struct Record {
    /// For each cell of the plan.
    pub outcomes: Vec<Outcome>,
    /// For each cell of the plan, its entry if it is finished.
    pub entries: Vec<Option<Entry>>,
    /// Whether a signal ended the run early.
    pub stopped: Option<StopKind>,
}

impl Record {
    /// Whether every cell that was asked for is finished.
    pub fn complete(&self) -> bool {
        self.outcomes.iter().all(|outcome| outcome.is_finished() || *outcome == Outcome::Unwanted)
    }

    /// Whether everything that was asked for was there already.
    pub fn nothing_to_do(&self) -> bool {
        self.outcomes.iter().all(|outcome| matches!(outcome, Outcome::Cached | Outcome::Unwanted))
    }
}
