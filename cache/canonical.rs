//! Canonical JSON: one text for each value, so that equal values have equal digests.
//!
//! Objects are sorted by key, nothing is padded, −0 is 0, a float that holds an integer is still written as a float
//! (`1.0`). The text of a float is Rust's own shortest one that reads back as the same number, not `serde_json`'s, whose
//! choice of exponents has changed between releases.

use serde_json::Value;

/// The canonical text of `value`. It cannot fail: `serde_json` refuses to hold a number that is not finite.
pub fn canonical(value: &Value) -> String {
    let mut text = String::new();
    write(value, &mut text);
    text
}

fn write(value: &Value, text: &mut String) {
    match value {
        Value::Object(map) => {
            let mut keys: Vec<_> = map.keys().collect();
            keys.sort_unstable();
            text.push('{');
            for (i, key) in keys.into_iter().enumerate() {
                separate(i, text);
                text.push_str(&Value::from(key.as_str()).to_string());
                text.push(':');
                write(&map[key], text);
            }
            text.push('}');
        }
        Value::Array(items) => {
            text.push('[');
            for (i, item) in items.iter().enumerate() {
                separate(i, text);
                write(item, text);
            }
            text.push(']');
        }
        Value::Number(number) => match number.as_f64().filter(|_| number.is_f64()) {
            Some(float) => text.push_str(&shortest(if float == 0.0 { 0.0 } else { float })),
            None => text.push_str(&number.to_string()),
        },
        scalar => text.push_str(&scalar.to_string()),
    }
}

/// The shortest text that reads back as this number: `0.1`, `1.0`, `1e-5`, `2.5e16`, `NaN`, `inf`, `-inf`.
pub fn shortest(float: f64) -> String {
    format!("{float:?}")
}

fn separate(i: usize, text: &mut String) {
    if i > 0 {
        text.push(',');
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn keys_are_sorted_at_every_depth() {
        assert_eq!(
            canonical(&json!({"b": 1, "a": {"d": [true, null], "c": "x\n"}})),
            r#"{"a":{"c":"x\n","d":[true,null]},"b":1}"#
        );
    }

    #[test]
    fn negative_zero_is_zero_and_floats_stay_floats() {
        assert_eq!(canonical(&json!([-0.0, 0.0, 1.0, 1, 0.1])), "[0.0,0.0,1.0,1,0.1]");
    }

    #[test]
    fn exponents_begin_where_the_specification_says() {
        let floats = json!([0.0001, 0.00001, 9007199254740993.0, 1e16, -1.5e300, 5e-324]);
        assert_eq!(canonical(&floats), "[0.0001,1e-5,9007199254740992.0,1e16,-1.5e300,5e-324]");
    }

    #[test]
    fn only_what_json_demands_is_escaped() {
        let text = json!("\u{0}\u{1f}\u{7f}\u{8}\u{c}\t\r\n\"\\/é\u{2028}");
        assert_eq!(canonical(&text), "\"\\u0000\\u001f\u{7f}\\b\\f\\t\\r\\n\\\"\\\\/é\u{2028}\"");
    }
}
