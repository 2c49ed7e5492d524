//! What a study's own rules decided, said at the end of a run. A verdict is never an expectation: nothing fails by it.

use assay_cache::{Artifact, Entry, Store};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::plan::{Cell, Plan};

/// The verdict of one cell.
#[derive(Clone, Debug, Serialize)]
pub struct Verdict {
    pub cell: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    #[serde(flatten)]
    pub decided: Decided,
}

/// What a record in a port `verdict` says: what was decided, and what came of each criterion.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Decided {
    pub verdict: Value,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub criteria: Vec<Criterion>,
    /// For people; a document says no more than what was decided.
    #[serde(skip)]
    pub reason: Option<Reason>,
}

/// Why a verdict is what it is.
#[derive(Clone, Debug)]
pub struct Reason {
    /// The condition of the rule that decided; none where no rule's held.
    pub when: Option<String>,
    /// The values that this condition names, or those of all rules where none held, in the manifest's order.
    pub values: Vec<(String, Value)>,
}

/// A demand on a value, and whether it is met.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Criterion {
    pub name: String,
    pub value: Value,
    pub threshold: String,
    /// `SUCCESS`, `FAIL` or `NOT TESTABLE`.
    pub result: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unit: Option<String>,
    /// Why it is not testable.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub because: Option<String>,
}

impl Criterion {
    /// What is demanded of the value: `> 1.3`.
    pub fn demand(&self) -> &str {
        self.threshold.strip_prefix("value ").unwrap_or(&self.threshold)
    }
}

/// The output whose field of the same name is a verdict.
const PORT: &str = "verdict";

/// What a control found: a check of the study's validity, which is neither a verdict nor an expectation.
#[derive(Clone, Debug, Serialize)]
pub struct Control {
    pub cell: String,
    /// What it checks, as the manifest says it.
    pub control: String,
    /// Whether its stage is finished.
    pub finished: bool,
    /// What it decided, where it decides something; its other outputs stand in the results.
    #[serde(flatten)]
    pub decided: Option<Decided>,
}

/// The verdicts of the finished cells, in the order of the plan. They are short, so they stand in the entries.
pub fn verdicts(plan: &Plan, entries: &[Option<Entry>], store: &Store) -> Vec<Verdict> {
    let verdict = |(cell, entry): (&Cell, &Option<Entry>)| {
        let stage = &plan.manifest.stages[cell.stage];
        let decided = decided(entry.as_ref()?, store).filter(|_| stage.control.is_none())?;
        Some(Verdict { cell: cell.id.clone(), title: stage.title.clone(), decided })
    };
    plan.cells.iter().zip(entries).filter_map(verdict).collect()
}

/// The cells of stages that the manifest declares to be controls, finished or not.
pub fn controls(plan: &Plan, entries: &[Option<Entry>], store: &Store) -> Vec<Control> {
    let control = |(cell, entry): (&Cell, &Option<Entry>)| {
        let control = plan.manifest.stages[cell.stage].control.clone()?;
        let decided = entry.as_ref().and_then(|entry| decided(entry, store));
        Some(Control { cell: cell.id.clone(), control, finished: entry.is_some(), decided })
    };
    plan.cells.iter().zip(entries).filter_map(control).collect()
}

fn decided(entry: &Entry, store: &Store) -> Option<Decided> {
    match store.read(entry.outputs.get(PORT)?).ok()? {
        Artifact::Record(record) => {
            let reason = reason(&record, &entry.recipe.params);
            Some(Decided { reason, ..serde_json::from_value(record).ok()? })
        }
        _ => None,
    }
}

fn reason(record: &Value, params: &Value) -> Option<Reason> {
    let rules = params["rules"].as_array()?;
    let decided = &rules.get(record["rule"]["index"].as_u64()? as usize)?["when"];
    let conditions: Vec<&str> = match decided.as_str() {
        Some(when) => vec![when],
        None => rules.iter().filter_map(|rule| rule["when"].as_str()).collect(),
    };
    Some(Reason { when: decided.as_str().map(str::to_owned), values: named_in(&conditions, record, params) })
}

/// The values of a verdict that conditions name, in the manifest's order.
pub fn named_in(conditions: &[&str], record: &Value, params: &Value) -> Vec<(String, Value)> {
    let names = params["values"].as_array().into_iter().flatten().filter_map(|value| value["name"].as_str());
    let named = names.filter(|name| conditions.iter().any(|condition| mentions(condition, name)));
    named.map(|name| (name.to_owned(), record["values"][name].clone())).collect()
}

/// Whether an expression names a value.
fn mentions(expression: &str, name: &str) -> bool {
    expression.split(|c: char| !c.is_alphanumeric() && c != '_').any(|word| word == name)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_reason_names_what_its_rules_look_at() {
        let params = json!({
            "values": [{ "name": "low" }, { "name": "lowest" }, { "name": "high" }],
            "rules": [{ "when": "high < 0", "then": "A" }, { "when": "low > 0", "then": "B" }, { "then": "C" }],
        });
        let told = |index: usize| {
            let values = json!({ "low": -1.0, "lowest": -2.0, "high": 3.0 });
            let reason = reason(&json!({ "rule": { "index": index }, "values": values }), &params).unwrap();
            (reason.when, reason.values.into_iter().map(|(name, _)| name).collect::<Vec<_>>())
        };
        assert_eq!(told(1), (Some("low > 0".to_owned()), vec!["low".to_owned()]));
        assert_eq!(told(2), (None, vec!["low".to_owned(), "high".to_owned()]));
        assert!(reason(&json!({ "verdict": "A" }), &params).is_none());
    }
}
