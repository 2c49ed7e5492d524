//! Numbers as a page shows them: few digits to look at, all of them on hover.

use assay_cache::glance;
use serde::Serialize;
use serde_json::Value;

/// A value and, where that leaves something out, the whole of it.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct Shown {
    pub text: String,
    pub full: Option<String>,
    /// Numbers stand to the right.
    pub number: bool,
}

/// Significant digits: what a glance takes in.
const DIGITS: i32 = 5;

impl Shown {
    pub fn text(text: impl Into<String>) -> Self {
        Self { text: text.into(), full: None, number: false }
    }

    pub fn number(value: f64) -> Self {
        Self::with_decimals(value, None)
    }

    /// A number of which the size alone matters: a deviation.
    pub fn roughly(value: f64) -> Self {
        let text = typeset(&glance(value + 0.0, 2));
        let full = shortest(value);
        Self { full: (full != text).then_some(full), text, number: true }
    }

    /// A number with as many decimals as others of its column have.
    pub fn with_decimals(value: f64, decimals: Option<usize>) -> Self {
        let full = shortest(value);
        let text = short(value, decimals);
        Self { full: (full != text).then_some(full), text, number: true }
    }

    pub fn integer(value: i64) -> Self {
        Self { text: signed(value.to_string()), full: None, number: true }
    }

    /// A JSON scalar; of a list or a table, its JSON, cut where it is long.
    pub fn json(value: &Value) -> Self {
        match value {
            Value::Number(number) => match number.as_i64() {
                Some(integer) => Self::integer(integer),
                None => Self::number(number.as_f64().unwrap_or(f64::NAN)),
            },
            Value::String(text) => Self::cut(text),
            Value::Null => Self::text("–"),
            other => Self::cut(&other.to_string()),
        }
    }

    fn cut(text: &str) -> Self {
        const MOST: usize = 240;
        match text.char_indices().nth(MOST) {
            None => Self::text(text),
            Some((end, _)) => Self::text(format!("{} …", &text[..end])),
        }
    }
}

/// How many decimals a column's numbers have, so that they compare at a glance: enough for its smallest.
pub fn decimals(values: impl Iterator<Item = f64>) -> usize {
    let least = values.filter(|x| x.is_finite() && *x != 0.0).map(f64::abs).fold(f64::INFINITY, f64::min);
    if least.is_finite() { (DIGITS - 2 - least.log10().floor() as i32).clamp(0, 6) as usize } else { 0 }
}

fn short(value: f64, decimals: Option<usize>) -> String {
    let seen = glance(value + 0.0, DIGITS as usize); // no minus before nothing
    match decimals {
        _ if !value.is_finite() => shortest(value),
        Some(decimals) if value != 0.0 && !seen.contains('e') => signed(format!("{value:.decimals$}")),
        _ => typeset(&seen),
    }
}

/// `1.234 × 10⁻⁹` for `1.23400e-9`, and `0.5` for `0.50000`.
fn typeset(text: &str) -> String {
    let (mantissa, exponent) = text.split_once('e').unwrap_or((text, ""));
    let mantissa = if mantissa.contains('.') { mantissa.trim_end_matches('0').trim_end_matches('.') } else { mantissa };
    let raised: String = exponent
        .chars()
        .map(|digit| match digit {
            '-' => '⁻',
            digit => digit.to_digit(10).and_then(|digit| "⁰¹²³⁴⁵⁶⁷⁸⁹".chars().nth(digit as usize)).unwrap_or(digit),
        })
        .collect();
    signed(if exponent.is_empty() { mantissa.to_owned() } else { format!("{mantissa} × 10{raised}") })
}

/// The shortest text that reads back as this number.
fn shortest(value: f64) -> String {
    match value {
        value if value.is_nan() => "NaN".to_owned(),
        value if value.is_infinite() => signed(if value > 0.0 { "∞" } else { "-∞" }.to_owned()),
        value => serde_json::Number::from_f64(value).map_or_else(|| value.to_string(), |number| number.to_string()),
    }
}

/// A text with minus signs before its negative numbers.
pub fn with_minus(text: &str) -> String {
    let mut signed = String::with_capacity(text.len());
    let mut before = ' ';
    for (at, character) in text.char_indices() {
        let follows_number = text[at + character.len_utf8()..].starts_with(|next: char| next.is_ascii_digit());
        let is_sign = character == '-' && follows_number && matches!(before, ' ' | '(' | '[' | ',');
        signed.push(if is_sign { '−' } else { character });
        before = character;
    }
    signed
}

/// With a minus sign as wide as the plus and the digits.
fn signed(text: String) -> String {
    match text.strip_prefix('-') {
        Some(rest) => format!("−{rest}"),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_glance_takes_in_five_digits_and_the_rest_is_there() {
        let shown = |value: f64| Shown::number(value).text;
        assert_eq!([0.13794123, 4.59988, 12345678.0, 0.5].map(shown), ["0.13794", "4.5999", "1.2346 × 10⁷", "0.5"]);
        assert_eq!([-1.5e-9, f64::NAN, f64::NEG_INFINITY, 0.0].map(shown), ["−1.5 × 10⁻⁹", "NaN", "−∞", "0"]);
        assert_eq!(Shown::number(0.1 + 0.2).full.as_deref(), Some("0.30000000000000004"));
        assert_eq!(Shown::number(0.25).full, None);
    }

    #[test]
    fn a_deviation_is_shown_roughly_and_texts_have_minus_signs() {
        let shown = |value: f64| Shown::roughly(value).text;
        assert_eq!([3.0838e-8, -0.25, 0.0].map(shown), ["3.1 × 10⁻⁸", "−0.25", "0"]);
        assert_eq!(with_minus("-3.5 ± 0.2, x-1, 2024-01"), "−3.5 ± 0.2, x-1, 2024-01");
    }

    #[test]
    fn a_column_has_the_decimals_that_its_smallest_needs() {
        let column = [0.0055, 4.59988, 0.0];
        let decimals = decimals(column.into_iter());
        let shown = column.map(|value| Shown::with_decimals(value, Some(decimals)).text);
        assert_eq!(shown, ["0.005500", "4.599880", "0"]);
    }

    #[test]
    fn long_values_are_cut() {
        assert_eq!(Shown::json(&json!([1, "a"])).text, "[1,\"a\"]");
        assert!(Shown::json(&json!("σ".repeat(1000))).text.chars().count() < 250);
        assert_eq!(Shown::json(&json!(-3)), Shown { text: "−3".into(), full: None, number: true });
    }
}
