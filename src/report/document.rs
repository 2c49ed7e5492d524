//! Documents as they are written out: with what the store's entries say of how things were made.

use assay_cache::{Entry, Store};
use assay_stages::{DOCUMENT, MadeField};
use serde_json::{Value, json};

use super::clock::{iso, stamp};
use crate::plan::{Cell, From, Plan};

/// Whether an output is a document.
pub fn is_document(cell: &Cell, port: &str) -> bool {
    port == DOCUMENT && cell.output(Some(port)).is_some_and(|output| output.ty.kind == "record")
}

/// A document of `cell` with its wishes fulfilled. What is not known is null; an entry that is gone is an error.
pub fn filled(plan: &Plan, cell: &Cell, store: &Store, document: &Value) -> Result<Value, String> {
    match document {
        Value::Array(items) => items.iter().map(|item| filled(plan, cell, store, item)).collect(),
        Value::Object(fields) => match MadeField::of(document) {
            Some(wish) => fulfilled(plan, cell, store, &wish),
            None => {
                let field = |(name, value): (&String, &Value)| {
                    filled(plan, cell, store, value).map(|value| (name.clone(), value))
                };
                fields.iter().map(field).collect()
            }
        },
        scalar => Ok(scalar.clone()),
    }
}

/// What is wished to be known of what stands in a port; a list where several artifacts do.
fn fulfilled(plan: &Plan, cell: &Cell, store: &Store, wish: &MadeField) -> Result<Value, String> {
    let Some(slot) = cell.inputs.get(wish.port) else { return Ok(Value::Null) };
    let of = |from: &From| {
        let up = &plan.cells[from.cell];
        let entry = up.key().map_or(Ok(None), |key| store.entry(key)).map_err(|error| error.to_string())?;
        let entry = entry.ok_or_else(|| format!("`{}` is no longer in the store: `assay run` makes it", up.id))?;
        Ok(said(wish, known(wish, &entry, &from.port)))
    };
    let mut all = slot.items().into_iter().map(of).collect::<Result<Vec<Value>, String>>()?;
    Ok(if all.len() == 1 { all.remove(0) } else { Value::from(all) })
}

/// Its element, or the text around it.
fn said(wish: &MadeField, value: Value) -> Value {
    let value = match (wish.item, value) {
        (Some(item), Value::Array(mut items)) if item < items.len() => items.swap_remove(item),
        (Some(_), Value::Array(_)) => Value::Null,
        (_, value) => value,
    };
    match (wish.text, value) {
        (Some(text), Value::String(value)) => Value::from(text.replace("{}", &value)),
        (Some(text), value) => Value::from(text.replace("{}", &value.to_string())),
        (None, value) => value,
    }
}

fn known(wish: &MadeField, entry: &Entry, port: &str) -> Value {
    let made = &entry.made;
    if let Some(name) = wish.note() {
        return made.notes.get(name).cloned().unwrap_or(Value::Null);
    }
    match wish.field {
        "started" => json!(iso(made.started())),
        "stamp" => json!(stamp(made.started())),
        "finished" => json!(iso(made.at)),
        "times" => times(entry),
        "seconds" => json!(made.seconds),
        "run-started" => json!(iso(made.run_started())),
        "run-stamp" => json!(stamp(made.run_started())),
        "device" => json!(made.device),
        "host" => json!(made.host),
        "assay" => json!(made.assay),
        "git-commit" => json!(made.git_commit),
        "key" => json!(entry.key),
        "digest" => entry.outputs.get(port).map_or(Value::Null, |output| json!(format!("blake3:{}", output.digest))),
        _ => Value::Null, // the plan has checked the field
    }
}

/// When the stage was at each of the seconds that it noted, counted from its end. (Those of a stage that was stopped and
/// went on are the seconds of its work: before a pause, they are times that are too late by the pause.)
fn times(entry: &Entry) -> Value {
    let Some(seconds) = entry.made.notes.get("seconds").and_then(Value::as_array) else { return Value::Null };
    let last = seconds.iter().filter_map(Value::as_f64).fold(entry.made.seconds, f64::max);
    let began = entry.made.at.saturating_sub(last.round() as u64);
    let time = |after: &Value| after.as_f64().map(|after| iso(began + after.max(0.0) as u64));
    seconds.iter().map(|after| json!(time(after))).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use assay_cache::{FORMAT, Made, Recipe};

    use super::*;

    fn entry(made: Made) -> Entry {
        let recipe = Recipe {
            format: FORMAT,
            kind: "train".to_owned(),
            version: "train=1".to_owned(),
            params: json!({}),
            files: BTreeMap::new(),
            inputs: BTreeMap::new(),
        };
        let inputs = BTreeMap::new();
        let inputs_key = recipe.inputs_key(&inputs);
        Entry { key: recipe.key(), inputs_key, recipe, inputs, outputs: BTreeMap::new(), made, provenance: Value::Null }
    }

    #[test]
    fn times_end_when_the_computation_did() {
        let notes = BTreeMap::from([("seconds".to_owned(), json!([0.0, 10.5, 40.0]))]);
        // From `date -u -d @951827696`; the last attempt took 30 of the 40 seconds of work.
        let entry = entry(Made { at: 951_827_696, seconds: 30.0, notes, ..Made::default() });
        assert_eq!(times(&entry), json!(["2000-02-29T12:34:16Z", "2000-02-29T12:34:26Z", "2000-02-29T12:34:56Z"]));
    }

    #[test]
    fn a_wish_for_a_part_or_in_a_text_is_fulfilled_so() {
        let wish = json!({ "made": "log", "field": "stamp", "text": "log_{}.json" });
        assert_eq!(said(&MadeField::of(&wish).unwrap(), json!("20000229")), json!("log_20000229.json"));
        let wish = json!({ "made": "log", "field": "times", "item": 1 });
        let wish = MadeField::of(&wish).unwrap();
        assert_eq!(said(&wish, json!(["a", "b"])), json!("b"));
        assert_eq!((said(&wish, json!(["a"])), said(&wish, json!("host"))), (Value::Null, json!("host")));
    }
}
