//! What a study's own rules decided, said at the end of a run. A verdict is never an expectation: nothing fails by it.

use assay_cache::{Entry, Found, Store};
use serde::Serialize;
use serde_json::Value;

use crate::plan::Plan;

/// The verdict of one cell.
#[derive(Clone, Debug, Serialize)]
pub struct Verdict {
    pub cell: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    pub verdict: Value,
}

/// The output whose field of the same name is a verdict.
const PORT: &str = "verdict";

/// The verdicts of the finished cells, in the order of the plan. They are short, so they stand in the entries.
pub fn verdicts(plan: &Plan, entries: &[Option<Entry>], store: &Store) -> Vec<Verdict> {
    let verdict = |(cell, entry): (&crate::plan::Cell, &Option<Entry>)| {
        let output = entry.as_ref()?.outputs.get(PORT)?;
        let found = store.read(output).ok()?.look_up(&[PORT.to_owned()], &[]).ok()?;
        let Found::One(verdict) = found else { return None };
        let title = plan.manifest.stages[cell.stage].title.clone();
        Some(Verdict { cell: cell.id.clone(), title, verdict })
    };
    plan.cells.iter().zip(entries).filter_map(verdict).collect()
}
