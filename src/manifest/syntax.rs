//! TOML text → [`Node`]: syntax errors, and values that no manifest has (dates, numbers that are not finite).
//!
//! Order is that of the text, which the `toml` crate's sorted tables do not keep: the spans of the keys restore it.

use toml::de::{DeString, DeTable, DeValue, Error};

use super::{Node, NodeValue, Problem, Span, Spanned};

/// Of a text that is no TOML at all, the first few errors say as much as all of them.
const MOST_ERRORS: usize = 8;

/// Deeper values than this would only endanger the stack of whoever walks them.
const DEEPEST: usize = 64;
const TOO_DEEP: &str = "this is nested too deeply";

/// Stands for a number that cannot be one, so that nothing more is said of it: it is of every type and in most bounds.
const STAND_IN: i64 = 1;

/// The document as a table; `None` where it is no TOML. A value that no manifest has is told and kept, so that what
/// is wrong elsewhere is found as well.
pub fn document(text: &str, problems: &mut Vec<Problem>) -> Option<Node> {
    let (table, errors) = DeTable::parse_recoverable(text);
    problems.extend(errors.iter().take(MOST_ERRORS).map(|error| syntax_error(error, text)));
    let node = errors.is_empty().then(|| Node::new(0..0, from_table(table.get_ref(), 0, problems)));
    dismantle(DeValue::Table(table.into_inner()));
    node
}

/// One value alone, as after `--set name=`; `None` where it is no TOML.
pub fn value(text: &str, problems: &mut Vec<Problem>) -> Option<Node> {
    let (value, errors) = DeValue::parse_recoverable(text);
    let node = errors.is_empty().then(|| from_value(value.span(), value.get_ref(), 0, problems));
    dismantle(value.into_inner());
    node
}

/// Drops a value level by level. The parser limits brackets and dots each, but not their product: thousands of levels
/// that drop each other would need more stack than a thread may have.
fn dismantle(value: DeValue) {
    let mut rest = vec![value];
    while let Some(value) = rest.pop() {
        match value {
            DeValue::Table(table) => rest.extend(table.into_iter().map(|(_, value)| value.into_inner())),
            DeValue::Array(array) => rest.extend(array.into_iter().map(toml::Spanned::into_inner)),
            _ => {}
        }
    }
}

fn syntax_error(error: &Error, text: &str) -> Problem {
    let span = error.span().unwrap_or(text.len()..text.len());
    match error.message() {
        message if message.contains("recurs") => Problem::new(span, TOO_DEEP),
        "duplicate key" => Problem::new(span, "this key is already there").help("remove one of the two"),
        message => Problem::new(span, format!("this is not TOML: {message}")),
    }
}

fn from_table(table: &DeTable, depth: usize, problems: &mut Vec<Problem>) -> NodeValue {
    let mut entries: Vec<_> = table.iter().collect();
    entries.sort_by_key(|(key, _)| key.span().start);
    let entry = |(key, value): (&toml::Spanned<DeString>, &toml::Spanned<DeValue>)| {
        let name = Spanned { span: key.span(), value: key.get_ref().to_string() };
        (name, from_value(value.span(), value.get_ref(), depth + 1, problems))
    };
    NodeValue::Table(entries.into_iter().map(entry).collect())
}

fn from_value(span: Span, value: &DeValue, depth: usize, problems: &mut Vec<Problem>) -> Node {
    let mut wrong = |message: &str, help: &str| problems.push(Problem::new(span.clone(), message).help(help));
    let value = match value {
        _ if depth > DEEPEST => {
            wrong(TOO_DEEP, "no parameter needs this");
            NodeValue::Table(vec![])
        }
        DeValue::String(text) => NodeValue::String(text.to_string()),
        DeValue::Boolean(value) => NodeValue::Bool(*value),
        DeValue::Integer(number) => {
            let integer = i64::from_str_radix(number.as_str(), number.radix());
            if integer.is_err() {
                wrong("this integer does not fit into 64 bits", "write it as a float, or as a string");
            }
            NodeValue::Integer(integer.unwrap_or(STAND_IN))
        }
        DeValue::Float(number) => {
            let float = number.as_str().parse().unwrap_or(f64::NAN);
            if float.is_finite() {
                NodeValue::Float(float)
            } else {
                wrong("this number is not finite", "write a number, or leave the key out");
                NodeValue::Integer(STAND_IN)
            }
        }
        DeValue::Datetime(date) => {
            wrong("dates and times are not used in manifests", "put it in quotes");
            NodeValue::String(date.to_string())
        }
        DeValue::Array(items) => {
            let item = |item: &toml::Spanned<DeValue>| from_value(item.span(), item.get_ref(), depth + 1, problems);
            NodeValue::Array(items.iter().map(item).collect())
        }
        DeValue::Table(table) => from_table(table, depth, problems),
    };
    Node::new(span, value)
}
