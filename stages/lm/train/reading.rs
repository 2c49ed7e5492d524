//! What was noted of a model at a step of its training, and the table that these notes make.

use assay_cache::{Table, Values};
use serde::{Deserialize, Serialize};

use crate::lm::{ModelFacts, site::Site};

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

/// What was noted at a step.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Reading {
    pub step: u64,
    pub train: Score,
    pub test: Score,
    /// For each layer, the mean norm of what leaves it.
    pub resid_norm: Vec<f64>,
    /// For each layer, the mean over tokens of the standard deviation over dimensions (ddof 1) of what leaves it.
    pub resid_std: Vec<f64>,
    /// The mean weight of the final norm, where there is one.
    pub final_norm: Option<f64>,
    /// The mean norm of what the final norm gives, and the standard deviation (ddof 0) of all its numbers about their
    /// dimension's mean.
    pub normalized: Option<[f64; 2]>,
    /// The sum over layers of the Frobenius norm of the value projection.
    pub value_norm: f64,
    /// The Euclidean norm of all weights.
    pub weight_norm: f64,
    /// For each head of each layer, how much of its attention is as it was some steps ago, where there was a look then.
    pub geometry: Option<Vec<Option<f64>>>,
}

impl Score {
    /// In the order of [`SCORES`].
    fn values(&self) -> [f64; 4] {
        [self.loss, self.accuracy, self.last_accuracy, self.margin]
    }
}

/// What a score is called in a column, after its side.
const SCORES: [&str; 4] = ["loss", "accuracy", "last_accuracy", "margin"];

impl Reading {
    /// The names of the columns beside `step`, for a model of these facts.
    fn names(facts: &ModelFacts) -> Vec<String> {
        let side = |side: &'static str| SCORES.map(|score| format!("{side}_{score}"));
        let layers = (0..facts.layers).flat_map(|layer| [format!("resid_norm_{layer}"), format!("resid_std_{layer}")]);
        let normed = facts.sites.contains(&Site::LnFinalNormalized);
        let norm = ["final_norm_weight", "normalized_norm", "normalized_std"].into_iter().filter(|_| normed);
        let sizes = norm.chain(["value_norm", "weight_norm"]).map(str::to_owned);
        let heads = (0..facts.layers).flat_map(|layer| (0..facts.heads).map(move |head| format!("{layer}_{head}")));
        let heads = heads.flat_map(|head| [format!("geometry_{head}"), format!("drift_{head}")]);
        side("train").into_iter().chain(side("test")).chain(layers).chain(sizes).chain(heads).collect()
    }

    /// What stands under these names, for a model of so many heads.
    fn values(&self, heads: usize) -> Vec<f64> {
        let layers = self.resid_norm.iter().zip(&self.resid_std).flat_map(|(norm, std)| [*norm, *std]);
        let sides = self.train.values().into_iter().chain(self.test.values());
        let norm = self.final_norm.into_iter().chain(self.normalized.into_iter().flatten());
        let geometry = self.geometry.clone().unwrap_or_else(|| vec![None; heads]);
        let heads = geometry.into_iter().map(|kept| kept.unwrap_or(f64::NAN)).flat_map(|kept| [kept, 1.0 - kept]);
        sides.chain(layers).chain(norm).chain([self.value_norm, self.weight_norm]).chain(heads).collect()
    }

    /// The names of the table's columns, before anything is read.
    pub fn columns(facts: &ModelFacts) -> Vec<String> {
        std::iter::once("step".to_owned()).chain(Self::names(facts)).collect()
    }

    /// A row for each reading of a model of these facts.
    pub fn table(readings: &[Self], facts: &ModelFacts) -> Table {
        let steps = readings.iter().map(|reading| Some(reading.step as i64)).collect();
        let rows: Vec<Vec<f64>> = readings.iter().map(|reading| reading.values(facts.layers * facts.heads)).collect();
        Self::names(facts)
            .iter()
            .enumerate()
            .fold(Table::default().with("step", Values::Int(steps)), |table, (i, name)| {
                table.with(name, Values::Float(rows.iter().map(|row| row[i]).collect()))
            })
    }
}
