//! How many prompts go through a model together, and which.

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error};
use serde_json::Value;

use super::{Device, ModelFacts};

/// Memory that `auto` lets keys, values and logits of one batch take.
const ROOM: usize = 1 << 30;

/// Prompts that go through the model together: a number, or `auto`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum BatchSize {
    /// What the device does well and has room for.
    #[default]
    Auto,
    Given(usize),
}

impl BatchSize {
    /// The number of rows for texts of up to `columns` tokens, of which `logits` have their logits kept at once.
    pub fn rows(self, facts: &ModelFacts, columns: usize, logits: usize, device: &Device) -> usize {
        match self {
            Self::Given(rows) => rows,
            Self::Auto => {
                let widest = if matches!(device, Device::Flex(_)) { 8 } else { 32 };
                let cache = 2 * facts.layers * facts.kv_heads * facts.d_head * columns;
                let row = 4 * (cache + logits * facts.vocab + facts.heads * columns * columns);
                (ROOM / row.max(1)).clamp(1, widest)
            }
        }
    }
}

/// Indices in groups of up to `rows`, those of similar length together; the longest first, so that what does not fit
/// into memory fails at once.
pub fn groups(mut pending: Vec<usize>, length: impl Fn(usize) -> usize, rows: usize) -> Vec<Vec<usize>> {
    pending.sort_by_key(|&i| (std::cmp::Reverse(length(i)), i));
    pending.chunks(rows).map(<[usize]>::to_vec).collect()
}

impl Serialize for BatchSize {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Auto => serializer.serialize_str("auto"),
            Self::Given(rows) => rows.serialize(serializer),
        }
    }
}

impl<'de> Deserialize<'de> for BatchSize {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let value = Value::deserialize(deserializer)?;
        match value.as_u64() {
            Some(rows) if rows > 0 => Ok(Self::Given(rows as usize)),
            None if value == "auto" => Ok(Self::Auto),
            _ => Err(D::Error::custom(format!("expected \"auto\" or a number of prompts, 1 or more, not {value}"))),
        }
    }
}

impl JsonSchema for BatchSize {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "BatchSize".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "prompts that go through the model together: \"auto\" or a number",
            "anyOf": [{ "const": "auto" }, { "type": "integer", "minimum": 1 }]
        })
    }

    fn inline_schema() -> bool {
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn similar_lengths_share_a_group() {
        let lengths = [5, 20, 6, 21, 7];
        assert_eq!(groups((0..5).collect(), |i| lengths[i], 2), [vec![3, 1], vec![4, 2], vec![0]]);
    }

    #[test]
    fn a_batch_is_auto_or_a_number() {
        let read = |json: &str| serde_json::from_str::<BatchSize>(json);
        assert_eq!(read("\"auto\"").unwrap(), BatchSize::Auto);
        assert_eq!(read("4").unwrap(), BatchSize::Given(4));
        assert!(read("0").unwrap_err().to_string().contains("1 or more"));
        assert!(read("\"many\"").is_err());
    }
}
