//! Expectations held against what was measured. They are evaluated on every run and never cached.

use std::collections::BTreeSet;

use assay_cache::{Entry, Found, Store};
use serde::Serialize;
use serde_json::{Map, Value};

use crate::{
    manifest::Expect,
    plan::{Plan, picks},
};

/// One expectation and what became of it.
#[derive(Clone, Debug, Serialize)]
pub struct Finding {
    /// As the manifest writes it.
    pub that: String,
    pub cell: String,
    /// What picks rows or positions, as the manifest writes it.
    #[serde(rename = "where", skip_serializing_if = "Map::is_empty")]
    pub picks: Map<String, Value>,
    pub expected: Value,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub within: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub within_relative: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
    #[serde(flatten)]
    pub held: Held,
}

/// What became of an expectation.
#[derive(Clone, PartialEq, Debug, Serialize)]
#[serde(tag = "held", rename_all = "kebab-case")]
pub enum Held {
    Pass {
        found: Value,
    },
    Fail {
        found: Value,
        because: String,
    },
    /// It holds for other weights, or another model, than those of this run.
    NotApplicable {
        because: String,
    },
    /// Its stage is not finished.
    NotRun,
}

/// Holds every expectation of a study against the entries of a run.
pub fn findings(plan: &Plan, entries: &[Option<Entry>], store: &Store) -> Vec<Finding> {
    plan.manifest.expects.iter().map(|expect| finding(plan, entries, store, expect)).collect()
}

fn finding(plan: &Plan, entries: &[Option<Entry>], store: &Store, expect: &Expect) -> Finding {
    let stage = &expect.that.value[0];
    let meant = |cell: &usize| plan.stage_name(&plan.cells[*cell]) == stage && picks(expect, &plan.cells[*cell]);
    let cell = (0..plan.cells.len()).find(meant).expect("the plan has checked the expectation");
    let held = match (&entries[cell], of_others(plan, cell, expect)) {
        (None, _) => Held::NotRun,
        (Some(_), Some(because)) => Held::NotApplicable { because },
        (Some(entry), None) => held(plan, cell, entry, store, expect),
    };
    Finding {
        that: expect.that.value.join("."),
        cell: plan.cells[cell].id.clone(),
        picks: expect.r#where.iter().map(|(name, node)| (name.value.clone(), node.to_json())).collect(),
        expected: expect.equals.to_json(),
        within: expect.within,
        within_relative: expect.within_relative,
        source: expect.source.clone(),
        held,
    }
}

/// Which weights or models an expectation holds for, where they are not those that its cell rests on.
fn of_others(plan: &Plan, cell: usize, expect: &Expect) -> Option<String> {
    let above = above(plan, cell);
    if let Some(weights) = &expect.weights
        && !above.iter().any(|&cell| reads(plan, cell, &weights.value))
    {
        return Some(format!("holds for the weights {}", weights.value));
    }
    let meant = expect.models.as_ref()?;
    let found: BTreeSet<String> =
        above.iter().filter_map(|&cell| plan.cells[cell].model()).map(str::to_owned).collect();
    (found != *meant).then(|| format!("holds for {}, and this rests on {}", listed(meant), listed(&found)))
}

/// A cell, and all upstream of it.
fn above(plan: &Plan, cell: usize) -> BTreeSet<usize> {
    let (mut found, mut open) = (BTreeSet::new(), vec![cell]);
    while let Some(cell) = open.pop() {
        if found.insert(cell) {
            open.extend(plan.upstream(cell));
        }
    }
    found
}

/// Whether a cell reads a file of this digest (`blake3:…`).
fn reads(plan: &Plan, cell: usize, digest: &str) -> bool {
    let digest = digest.trim_start_matches("blake3:");
    let recipe = plan.cells[cell].keyed.as_ref().map(|keyed| &keyed.recipe);
    recipe.is_some_and(|recipe| recipe.files.values().any(|file| file.to_string() == digest))
}

fn listed(models: &BTreeSet<String>) -> String {
    match models.is_empty() {
        true => "no model".to_owned(),
        false => models.iter().map(String::as_str).collect::<Vec<_>>().join(" and "),
    }
}

fn held(plan: &Plan, cell: usize, entry: &Entry, store: &Store, expect: &Expect) -> Held {
    match look_up(plan, cell, entry, store, expect) {
        Ok(found) => compare(found, &expect.equals.to_json(), expect.within, expect.within_relative),
        Err(because) => Held::Fail { found: Value::Null, because },
    }
}

fn look_up(plan: &Plan, cell: usize, entry: &Entry, store: &Store, expect: &Expect) -> Result<Found, String> {
    let cell = &plan.cells[cell];
    let (port, path) = cell.address(&expect.that.value);
    let port = &cell.output(port).ok_or("its stage has no outputs")?.name;
    let artifact = store.read(&entry.outputs[port]).map_err(|error| error.to_string())?;
    let filters: Vec<_> = expect.r#where.iter().map(|(name, node)| (name.value.clone(), node.to_json())).collect();
    artifact.look_up(path, &filters)
}

/// Holds what was found against what was expected, to within an absolute or a relative tolerance.
fn compare(found: Found, expected: &Value, within: Option<f64>, relative: Option<f64>) -> Held {
    let fits = |found: &Value, expected: &Value| match (found.as_f64(), expected.as_f64()) {
        (Some(found), Some(expected)) => {
            let tolerance = within.unwrap_or(0.0).max(relative.unwrap_or(0.0) * expected.abs());
            (found - expected).abs() <= tolerance
        }
        _ => found == expected,
    };
    let (found, fit) = match (found, expected) {
        (Found::One(found), expected) => {
            let fit = match (&found, expected) {
                (found, Value::Array(expected)) if expected.len() == 1 => fits(found, &expected[0]),
                (found, expected) => fits(found, expected),
            };
            (found, fit)
        }
        (Found::Many(found), Value::Array(expected)) => {
            let fit = found.len() == expected.len() && found.iter().zip(expected).all(|(a, b)| fits(a, b));
            (if fit { Value::from(found) } else { shortened(found) }, fit)
        }
        (Found::Many(found), _) => {
            let because = match found.len() {
                0 => "there is nothing there: `where` picks no row".to_owned(),
                many => format!("{many} values were found where one is expected: narrow them down with `where`"),
            };
            return Held::Fail { found: shortened(found), because };
        }
    };
    match fit {
        true => Held::Pass { found },
        false => Held::Fail { because: "it differs by more than the tolerance".to_owned(), found },
    }
}

/// The first of many values: enough to see what kind of thing was found.
fn shortened(mut found: Vec<Value>) -> Value {
    let more = found.len().saturating_sub(SHOWN);
    found.truncate(SHOWN);
    found.extend((more > 0).then(|| Value::from(format!("… {more} more"))));
    Value::from(found)
}

/// Values of a failed expectation that are shown.
const SHOWN: usize = 20;

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn passes(found: Found, expected: Value, within: Option<f64>, relative: Option<f64>) -> bool {
        matches!(compare(found, &expected, within, relative), Held::Pass { .. })
    }

    #[test]
    fn tolerances_are_absolute_or_relative() {
        let found = || Found::One(json!(0.5));
        assert!(passes(found(), json!(0.5), None, None));
        assert!(!passes(found(), json!(0.51), None, None));
        assert!(passes(found(), json!(0.51), Some(0.011), None));
        assert!(passes(found(), json!(0.51), None, Some(0.02)));
        assert!(!passes(found(), json!(0.51), None, Some(0.01)));
    }

    #[test]
    fn lists_compare_element_by_element() {
        let found = || Found::Many(vec![json!(1), json!(2.0)]);
        assert!(passes(found(), json!([1, 2]), None, None));
        assert!(!passes(found(), json!([1]), None, None));
        assert!(!passes(found(), json!(1), None, None));
    }

    #[test]
    fn a_missing_number_never_passes() {
        assert!(!passes(Found::One(json!("NaN")), json!(0.5), Some(1e9), None));
        assert!(!passes(Found::Many(vec![]), json!(0.5), Some(1e9), None));
    }
}
