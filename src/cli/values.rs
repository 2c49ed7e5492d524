//! Values for people, written as a manifest would write them and cut where they are long.

use serde_json::Value;

/// The most characters of a value that are shown.
const LONGEST: usize = 60;

/// A value in TOML's words; what TOML has no word for is `none`.
pub fn value(value: &Value) -> String {
    let mut text = String::new();
    write(value, &mut text);
    match text.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}

/// Writes no more than is shown, however large the value is.
fn write(value: &Value, text: &mut String) {
    if text.len() > 4 * LONGEST {
        return;
    }
    match value {
        Value::Null => text.push_str("none"),
        Value::Bool(_) | Value::Number(_) => text.push_str(&value.to_string()),
        Value::String(string) => {
            let shown: String = string.chars().take(LONGEST + 1).collect();
            text.push_str(&format!("{shown:?}"));
        }
        Value::Array(items) => {
            text.push('[');
            separated(items, text, write);
            text.push(']');
        }
        Value::Object(fields) if fields.is_empty() => text.push_str("{}"),
        Value::Object(fields) => {
            text.push_str("{ ");
            separated(fields, text, |(key, value), text| {
                text.push_str(&format!("{key} = "));
                write(value, text);
            });
            text.push_str(" }");
        }
    }
}

fn separated<T>(items: impl IntoIterator<Item = T>, text: &mut String, write: impl Fn(T, &mut String)) {
    for (i, item) in items.into_iter().take(LONGEST).enumerate() {
        text.push_str(if i == 0 { "" } else { ", " });
        write(item, text);
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn values_are_written_as_in_a_manifest() {
        assert_eq!(
            value(&json!({"op": "noise", "std": 0.1, "layers": [1, 2]})),
            r#"{ layers = [1, 2], op = "noise", std = 0.1 }"#
        );
        assert_eq!([json!(null), json!(true), json!({}), json!(1.0)].map(|v| value(&v)), ["none", "true", "{}", "1.0"]);
    }

    #[test]
    fn long_values_are_cut_and_escapes_are_shown() {
        assert_eq!(value(&json!("\u{1b}[31m")), r#""\u{1b}[31m""#);
        let long = value(&json!("é".repeat(1000)));
        assert_eq!(long, format!("\"{}…", "é".repeat(59)));
        assert!(value(&json!(vec![vec![1.5; 40]; 1000])).chars().count() == LONGEST + 1);
    }
}
