//! Tables and records as JSON that other programs and people read: what is short stands in one line.

use assay_cache::{Table, Values, finite};
use serde_json::Value;

/// An object or a list that fits here stands in one line; one of scalars alone may be a longer line, so that a row can
/// be searched for as a line.
const WIDEST: usize = 120;
const WIDEST_ROW: usize = 400;

/// A table as a list of objects, one a line, its columns in their order. What is missing is null, and a number that is
/// none is `"NaN"`, `"inf"` or `"-inf"`.
pub fn rows(table: &Table) -> String {
    let row = |i: usize| {
        let fields = table.columns.iter().map(|column| format!("{}: {}", text(&column.name), cell(&column.values, i)));
        format!("  {{{}}}", fields.collect::<Vec<_>>().join(", "))
    };
    match table.rows() {
        0 => "[]\n".to_owned(),
        count => format!("[\n{}\n]\n", (0..count).map(row).collect::<Vec<_>>().join(",\n")),
    }
}

fn cell(values: &Values, i: usize) -> Value {
    match values {
        Values::Int(values) => values[i].map_or(Value::Null, Value::from),
        Values::Float(values) => finite(values[i]),
        Values::Text(values) => Value::from(values[i].as_str()),
        Values::Bool(values) => Value::from(values[i]),
    }
}

fn text(text: &str) -> Value {
    Value::from(text)
}

/// A value in lines: indented by two where it does not fit in one.
pub fn laid_out(value: &Value) -> String {
    let mut out = String::new();
    write(value, 0, &mut out);
    out.push('\n');
    out
}

fn write(value: &Value, indent: usize, out: &mut String) {
    let line = in_a_line(value);
    let (open, close, items): (_, _, Vec<(String, &Value)>) = match value {
        _ if line.chars().count() + indent <= widest(value) => return out.push_str(&line),
        Value::Array(items) => ('[', ']', items.iter().map(|item| (String::new(), item)).collect()),
        Value::Object(fields) => {
            ('{', '}', fields.iter().map(|(name, item)| (format!("{}: ", text(name)), item)).collect())
        }
        _ => return out.push_str(&line),
    };
    out.push(open);
    for (i, (name, item)) in items.into_iter().enumerate() {
        out.push_str(if i == 0 { "\n" } else { ",\n" });
        out.push_str(&" ".repeat(indent + 2));
        out.push_str(&name);
        write(item, indent + 2, out);
    }
    out.push('\n');
    out.push_str(&" ".repeat(indent));
    out.push(close);
}

fn widest(value: &Value) -> usize {
    let is_row = value.as_object().is_some_and(|row| row.values().all(|item| !item.is_array() && !item.is_object()));
    if is_row { WIDEST_ROW } else { WIDEST }
}

fn in_a_line(value: &Value) -> String {
    let joined = |items: Vec<String>| items.join(", ");
    match value {
        Value::Array(items) => format!("[{}]", joined(items.iter().map(in_a_line).collect())),
        Value::Object(fields) => {
            let field = |(name, item): (&String, &Value)| format!("{}: {}", text(name), in_a_line(item));
            format!("{{{}}}", joined(fields.iter().map(field).collect()))
        }
        scalar => scalar.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_table_is_a_row_a_line_in_the_order_of_its_columns() {
        let table = Table::default()
            .with("step", Values::Int(vec![Some(0), None]))
            .with("a\"b", Values::Float(vec![0.1, f64::NAN]))
            .with("ok", Values::Bool(vec![true, false]))
            .with("name", Values::Text(vec!["σ".into(), "x".into()]));
        let text = rows(&table);
        assert_eq!(
            text,
            "[\n  {\"step\": 0, \"a\\\"b\": 0.1, \"ok\": true, \"name\": \"σ\"},\n  \
             {\"step\": null, \"a\\\"b\": \"NaN\", \"ok\": false, \"name\": \"x\"}\n]\n"
        );
        let read: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(read[1], json!({ "step": null, "a\"b": "NaN", "ok": false, "name": "x" }));
        assert_eq!(rows(&Table::default()), "[]\n");
    }

    #[test]
    fn what_is_short_stands_in_a_line_and_the_value_is_the_same() {
        let criteria: Vec<_> = (0..9).map(|i| json!({ "name": format!("c{i}"), "result": "SUCCESS" })).collect();
        let value = json!({ "criteria": criteria, "empty": {}, "long": "x".repeat(200), "n": [1, 2.5, 1e-9] });
        let text = laid_out(&value);
        assert!(text.contains("    {\"name\": \"c1\", \"result\": \"SUCCESS\"},\n"), "{text}");
        assert!(text.contains("  \"n\": [1, 2.5, 1e-9]\n"), "{text}");
        assert_eq!(serde_json::from_str::<Value>(&text).unwrap(), value);
    }
}
