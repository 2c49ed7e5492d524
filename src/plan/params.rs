//! Two sets of parameters, field by field. Parameters at their defaults are in neither, so a field that one of them
//! lacks had its default there.

use serde::Serialize;
use serde_json::{Map, Value};

use crate::manifest::{FieldPath, LeftOut, Shape};

/// A field in which two sets of parameters differ.
#[derive(Clone, PartialEq, Debug)]
pub struct Difference {
    pub path: FieldPath,
    pub was: Option<Value>,
    pub now: Option<Value>,
}

/// The value of a parameter.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct Setting {
    /// Null where the manifest left it out and the schema of the kind does not tell what stands in for it.
    pub value: Value,
    /// Whether this is what the field is when it is left out.
    pub default: bool,
}

impl Setting {
    /// A value, or what stands in for it in `params`, which lack it.
    pub fn of(value: Option<Value>, shape: &Shape, params: &Value, path: &FieldPath) -> Self {
        match value {
            Some(value) => Self { value, default: false },
            None => match shape.left_out(params, path) {
                Some(LeftOut::Default(value)) => Self { value, default: true },
                Some(LeftOut::StudySeed) | None => Self { value: Value::Null, default: true },
            },
        }
    }
}

/// The innermost fields that differ. Lists of numbers and words are compared whole, lists of tables item by item.
pub fn differences(was: &Value, now: &Value) -> Vec<Difference> {
    let mut found = vec![];
    walk(&FieldPath::default(), Some(was), Some(now), &mut found);
    found
}

fn walk(path: &FieldPath, was: Option<&Value>, now: Option<&Value>, found: &mut Vec<Difference>) {
    match (was, now) {
        (was, now) if was == now => {}
        (Some(Value::Object(was)), Some(Value::Object(now))) => tables(path, was, now, found),
        (Some(Value::Array(was)), Some(Value::Array(now))) if holds_tables(was) || holds_tables(now) => {
            for at in 0..was.len().max(now.len()) {
                walk(&path.at(at), was.get(at), now.get(at), found);
            }
        }
        _ => found.push(Difference { path: path.clone(), was: was.cloned(), now: now.cloned() }),
    }
}

fn tables(path: &FieldPath, was: &Map<String, Value>, now: &Map<String, Value>, found: &mut Vec<Difference>) {
    for (key, old) in was {
        walk(&path.key(key), Some(old), now.get(key), found);
    }
    for (key, new) in now.iter().filter(|(key, _)| !was.contains_key(*key)) {
        walk(&path.key(key), None, Some(new), found);
    }
}

fn holds_tables(items: &[Value]) -> bool {
    items.iter().any(Value::is_object)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn told(was: Value, now: Value) -> Vec<String> {
        let side = |value: Option<Value>| value.map_or("–".to_owned(), |value| value.to_string());
        let one = |d: Difference| format!("{}: {} → {}", d.path, side(d.was), side(d.now));
        differences(&was, &now).into_iter().map(one).collect()
    }

    #[test]
    fn fields_are_named_by_their_place() {
        let was = json!({"edits": [{"op": "noise", "std": 0.1}], "tau": 1, "layers": [1, 2]});
        let now = json!({"edits": [{"op": "noise", "std": 0.2}, {"op": "zero"}], "layers": [1, 2, 3]});
        let expected =
            ["edits[0].std: 0.1 → 0.2", r#"edits[1]: – → {"op":"zero"}"#, "layers: [1,2] → [1,2,3]", "tau: 1 → –"];
        assert_eq!(told(was, now), expected);
    }

    #[test]
    fn what_is_equal_is_not_told() {
        assert_eq!(told(json!({"a": [{"b": 1.0}]}), json!({"a": [{"b": 1.0}]})), [""; 0]);
        assert_eq!(told(json!({"a": 1}), json!({"a": {"b": 1}})), [r#"a: 1 → {"b":1}"#]);
    }
}
