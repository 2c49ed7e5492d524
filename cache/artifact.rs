//! What stands in a port, and the one stored form of each.
//!
//! | artifact | stored as |
//! | --- | --- |
//! | tensor | safetensors, one metadata key with sorted JSON (axes, labels, unit) |
//! | table | CSV, shortest round-trip floats; its schema in the entry |
//! | weights | safetensors with the names of a checkpoint, in their order, and no metadata |
//! | record | canonical JSON; non-finite numbers as strings (see [`finite`]) |
//! | figure | SVG with normalised ids |

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{Table, Tensor, Weights, canonical, canonical::shortest, table::ColumnSchema};

/// A finished output, on the host.
#[derive(Clone, PartialEq, Debug)]
pub enum Artifact {
    Tensor(Tensor),
    Table(Table),
    /// The weights of a trained model.
    Weights(Weights),
    /// Any JSON value: summaries, prompts, tokens, the description of a model.
    Record(Value),
    /// An SVG document.
    Figure(String),
}

/// The stored form of an artifact: all that is needed beside its bytes to read it again.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(tag = "form", rename_all = "lowercase")]
pub enum Form {
    Tensor,
    Table { schema: Vec<ColumnSchema> },
    Weights,
    Record,
    Figure,
}

/// Bytes that are not what their form says.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct Malformed(pub String);

impl Form {
    /// The extension of a file that holds this form.
    pub fn extension(&self) -> &'static str {
        match self {
            Self::Tensor | Self::Weights => "safetensors",
            Self::Table { .. } => "csv",
            Self::Record => "json",
            Self::Figure => "svg",
        }
    }
}

impl Artifact {
    /// The canonical bytes, and the form that reads them back: the same bytes for the same numbers, names and texts.
    ///
    /// # Panics
    /// Where a tensor's axes do not fit its data, or a table's columns differ in length: their constructors see to it.
    pub fn encode(&self) -> (Form, Vec<u8>) {
        match self {
            Self::Tensor(tensor) => (Form::Tensor, tensor.encode()),
            Self::Table(table) => (Form::Table { schema: table.schema() }, table.encode()),
            Self::Weights(weights) => (Form::Weights, weights.encode()),
            Self::Record(value) => (Form::Record, canonical(value).into_bytes()),
            Self::Figure(svg) => (Form::Figure, svg.clone().into_bytes()),
        }
    }

    pub fn decode(form: &Form, bytes: &[u8]) -> Result<Self, Malformed> {
        Ok(match form {
            Form::Tensor => Self::Tensor(Tensor::decode(bytes)?),
            Form::Table { schema } => Self::Table(Table::decode(schema, bytes)?),
            Form::Weights => Self::Weights(Weights::decode(bytes)?),
            Form::Record => Self::Record(serde_json::from_slice(bytes).map_err(|error| Malformed(error.to_string()))?),
            Form::Figure => Self::Figure(
                String::from_utf8(bytes.to_vec())
                    .map_err(|error| Malformed(format!("a figure is not text: {error}")))?,
            ),
        })
    }
}

/// A number as a record holds it: itself, or `"NaN"`, `"inf"`, `"-inf"`, which JSON has no numbers for.
pub fn finite(number: f64) -> Value {
    if number.is_finite() { Value::from(number) } else { Value::from(shortest(number)) }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_record_is_sorted_json() {
        let record = Artifact::Record(json!({"mean": finite(0.1), "best": finite(f64::NEG_INFINITY), "n": [1, 2]}));
        let (form, bytes) = record.encode();
        assert_eq!(form, Form::Record);
        assert_eq!(String::from_utf8_lossy(&bytes), r#"{"best":"-inf","mean":0.1,"n":[1,2]}"#);
        assert_eq!(Artifact::decode(&form, &bytes).unwrap(), record);
    }

    #[test]
    fn numbers_that_json_lacks_are_strings() {
        assert_eq!([finite(f64::NAN), finite(f64::INFINITY), finite(-2.0)], [json!("NaN"), json!("inf"), json!(-2.0)]);
    }

    #[test]
    fn a_figure_is_its_text() {
        let figure = Artifact::Figure("<svg>σ</svg>".into());
        let (form, bytes) = figure.encode();
        assert_eq!((form.extension(), bytes.as_slice()), ("svg", "<svg>σ</svg>".as_bytes()));
        assert_eq!(Artifact::decode(&form, &bytes).unwrap(), figure);
        assert!(Artifact::decode(&form, b"\xff").is_err());
    }

    #[test]
    fn a_form_stands_flat_in_an_output() {
        let (form, _) = Artifact::Table(Table::default()).encode();
        assert_eq!(serde_json::to_value(form).unwrap(), json!({"form": "table", "schema": []}));
    }
}
