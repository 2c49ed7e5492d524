//! How messages name what a type takes.

use serde_json::Value;

use super::shape::{Role, Shape, Type};

pub fn describe(of: &Type, shape: &Shape) -> String {
    or(&names(of, shape))
}

/// What a type takes, each in a few words.
pub fn names(of: &Type, shape: &Shape) -> Vec<String> {
    let name = match shape.resolve(of) {
        Type::Any | Type::Named(_) => "a value",
        Type::Bool => "true or false",
        Type::Integer { .. } => "an integer",
        Type::Float { .. } => "a number",
        Type::Text { role: Role::Plain, .. } => "a string",
        Type::Text { role: Role::File, .. } => "the path of a file",
        Type::Text { role: Role::Source, .. } => "the source of a model",
        Type::List { .. } => "a list",
        Type::Map(_) | Type::Table(_) | Type::Tagged { .. } => "a table",
        Type::Choice(values) => return values.iter().map(Value::to_string).collect(),
        Type::Either(branches) => return branches.iter().flat_map(|branch| names(branch, shape)).collect(),
    };
    vec![name.to_owned()]
}

pub fn one_of(values: &[Value]) -> String {
    or(&values.iter().map(Value::to_string).collect::<Vec<_>>())
}

/// `a, b or c`.
pub fn or(names: &[String]) -> String {
    match names {
        [] => "nothing".into(),
        [one] => one.clone(),
        [first @ .., last] => format!("{} or {last}", first.join(", ")),
    }
}

/// The first paragraph of a field's documentation.
pub fn documented(name: &str, doc: &str) -> String {
    let paragraph = doc.split("\n\n").next().unwrap_or_default();
    format!("`{name}`: {}", paragraph.split_whitespace().collect::<Vec<_>>().join(" "))
}
