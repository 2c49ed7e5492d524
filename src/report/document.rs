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

/// When the stage was at each of the seconds that it noted.
fn times(entry: &Entry) -> Value {
    let Some(seconds) = entry.made.notes.get("seconds").and_then(Value::as_array) else { return Value::Null };
    let time = |after: &Value| after.as_f64().map(|after| iso(entry.made.started() + after.max(0.0) as u64));
    seconds.iter().map(|after| json!(time(after))).collect()
}
