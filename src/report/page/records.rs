//! Records: prompts, tokens, descriptions of models, and whatever else a stage says in JSON, leaf by leaf.

use assay_cache::{Artifact, Form};
use serde::Serialize;
use serde_json::Value;

use super::{
    known::{Known, Made, Stamp},
    number::Shown,
    tables::Link,
};
use crate::report::{
    document::{filled, is_document},
    results::READ_BY_PEOPLE,
};

#[derive(Serialize)]
pub struct RecordView {
    pub title: String,
    pub name: String,
    /// `record`, `tokens`, `model`, …
    pub kind: &'static str,
    pub leaves: Vec<Leaf>,
    pub more: usize,
    /// The file, for what stands in the folder of results.
    pub link: Option<Link>,
    pub broken: Option<String>,
    pub stamp: Stamp,
}

/// A value and where it stands: `layers.0.mean`.
#[derive(Serialize)]
pub struct Leaf {
    pub path: String,
    pub value: Shown,
}

const MOST_RECORDS: usize = 120;
const MOST_LEAVES: usize = 48;
/// A record of more bytes is not read for the page.
const MOST_BYTES: u64 = 4 << 20;
/// A list of so many scalars stands in one line.
const MOST_IN_A_LINE: usize = 16;

/// The records that are not verdicts, and how many more there are.
pub fn records(known: &Known, made: &[Made], is_verdict: impl Fn(&Made) -> bool) -> (Vec<RecordView>, usize) {
    let records: Vec<_> = made.iter().filter(|made| made.output.form == Form::Record && !is_verdict(made)).collect();
    let views = records.iter().take(MOST_RECORDS).map(|made| view(known, made)).collect();
    (views, records.len().saturating_sub(MOST_RECORDS))
}

fn view(known: &Known, made: &Made) -> RecordView {
    let mut leaves = vec![];
    let broken = match read(known, made).and_then(|record| written_out(known, made, record)) {
        Ok(record) => {
            collect(&record, String::new(), &mut leaves);
            None
        }
        Err(error) => Some(error),
    };
    let more = leaves.len().saturating_sub(MOST_LEAVES);
    leaves.truncate(MOST_LEAVES);
    let in_results = READ_BY_PEOPLE.contains(&made.kind);
    RecordView {
        title: known.title(made.cell),
        name: format!("{}.{}", made.cell.id, made.port),
        kind: made.kind,
        leaves,
        more,
        link: in_results.then(|| Link { text: format!("{}.json", made.port), href: known.link(made) }),
        broken,
        stamp: known.stamp(made.index, made.entry),
    }
}

/// A document as it is written out; any other record as it is.
fn written_out(known: &Known, made: &Made, record: Value) -> Result<Value, String> {
    if is_document(made.cell, made.port) { filled(known.plan, made.cell, known.store, &record) } else { Ok(record) }
}

/// The record in an output.
pub fn read(known: &Known, made: &Made) -> Result<Value, String> {
    if made.output.bytes > MOST_BYTES {
        return Err(format!("{} bytes are too many to show here", made.output.bytes));
    }
    match known.store.look(made.output) {
        Ok(Artifact::Record(record)) => Ok(record),
        Ok(_) => Err("is no record".to_owned()),
        Err(error) => Err(format!("cannot be read: {error}")),
    }
}

/// The leaves below a value, in order. (JSON is read to a bounded depth, so this ends.)
fn collect(value: &Value, path: String, leaves: &mut Vec<Leaf>) {
    let below = |name: &str| if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") };
    match value {
        Value::Object(fields) if !fields.is_empty() => {
            fields.iter().for_each(|(name, value)| collect(value, below(name), leaves));
        }
        Value::Array(items) if items.iter().any(|item| item.is_array() || item.is_object()) => {
            items.iter().enumerate().for_each(|(i, item)| collect(item, below(&i.to_string()), leaves));
        }
        Value::Array(items) => leaves.push(Leaf { value: line(items, MOST_IN_A_LINE), path }),
        scalar => leaves.push(Leaf { value: Shown::json(scalar), path }),
    }
}

/// The first of some scalars, and how many more there are.
pub fn line(items: &[Value], most: usize) -> Shown {
    let shown: Vec<_> = items.iter().take(most).map(|item| Shown::json(item).text).collect();
    match items.len().saturating_sub(most) {
        0 => Shown::text(shown.join(", ")),
        more => Shown::text(format!("{}, … {more} more", shown.join(", "))),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_record_is_shown_leaf_by_leaf() {
        let mut leaves = vec![];
        collect(&json!({"b": {"x": 0.5}, "a": [[1, 2], [3]], "n": null, "e": {}}), String::new(), &mut leaves);
        let lines: Vec<_> = leaves.iter().map(|leaf| format!("{}={}", leaf.path, leaf.value.text)).collect();
        assert_eq!(lines, ["a.0=1, 2", "a.1=3", "b.x=0.5", "e={}", "n=–"]);
    }
}
