//! How the learning rate rises and falls over a run.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The course of the learning rate after its warm-up.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Schedule {
    /// It stays.
    #[default]
    Constant,
    /// It falls in a straight line to 0 at the last step.
    Linear,
    /// It falls along half a cosine to 0 at the last step.
    Cosine,
}

impl Schedule {
    /// The share of the largest learning rate at `step` of `steps`, counted from 1, after a warm-up of `warmup` steps in
    /// which it rises in a straight line.
    pub fn rate(self, step: u64, steps: u64, warmup: u64) -> f64 {
        if step <= warmup {
            return step as f64 / warmup as f64;
        }
        let gone = (step - warmup) as f64 / (steps - warmup).max(1) as f64;
        match self {
            Self::Constant => 1.0,
            Self::Linear => 1.0 - gone,
            Self::Cosine => 0.5 * (1.0 + (std::f64::consts::PI * gone).cos()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_rises_and_falls() {
        let rates = |schedule: Schedule| [1, 5, 10, 15, 20].map(|step| schedule.rate(step, 20, 10));
        assert_eq!(rates(Schedule::Constant), [0.1, 0.5, 1.0, 1.0, 1.0]);
        assert_eq!(rates(Schedule::Linear), [0.1, 0.5, 1.0, 0.5, 0.0]);
        let cosine = rates(Schedule::Cosine);
        assert!((cosine[3] - 0.5).abs() < 1e-12 && cosine[4].abs() < 1e-12);
        assert_eq!(Schedule::Constant.rate(1, 1, 0), 1.0);
    }
}
