//! Parameter types that mean something to the engine. Each marks its JSON Schema with a `format`, which is how the
//! engine finds it: `file` paths are taken relative to the manifest, a missing `seed` becomes the study's, and what
//! has the format `file`, `source` or `provenance` never enters a key (the digests of the files do).

use std::{borrow::Cow, path::PathBuf};

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error};
use serde_json::Value;

/// A file, relative to the manifest's folder.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(transparent)]
pub struct File(pub PathBuf);

/// Where a model comes from: a folder, a file, `pip:PACKAGE==VERSION#PATH`, or a repository of the hub.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Source(pub String);

/// A seed; where a manifest gives none, the study's.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Seed(pub u64);

/// Which of several things (layers, heads, positions): `"all"`, a half-open range `"10..26"`, one number, or a list.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub enum Select {
    #[default]
    All,
    Range(usize, usize),
    List(Vec<usize>),
}

impl Select {
    /// The selected indices below `count`, ascending; or what is out of bounds.
    pub fn indices(&self, count: usize, what: &str) -> Result<Vec<usize>, String> {
        let picked = match self {
            Self::All => (0..count).collect(),
            Self::Range(from, to) => (*from..*to).collect(),
            Self::List(list) => {
                let mut list = list.clone();
                list.sort_unstable();
                list.dedup();
                list
            }
        };
        match picked.iter().find(|&&i| i >= count) {
            Some(i) => Err(format!("{what} {i} does not exist: there are {count} (0 to {})", count.saturating_sub(1))),
            None => Ok(picked),
        }
    }

    fn parse(value: &Value) -> Result<Self, String> {
        let expected =
            || format!("expected \"all\", a range such as \"10..26\", a number or a list of numbers, not {value}");
        match value {
            Value::String(text) if text == "all" => Ok(Self::All),
            Value::String(text) => {
                let (from, to) = text.split_once("..").ok_or_else(expected)?;
                let (from, to) =
                    (from.trim().parse().map_err(|_| expected())?, to.trim().parse().map_err(|_| expected())?);
                if from < to { Ok(Self::Range(from, to)) } else { Err(format!("the range \"{text}\" is empty")) }
            }
            Value::Number(number) => Ok(Self::List(vec![number.as_u64().ok_or_else(expected)? as usize])),
            Value::Array(items) => items
                .iter()
                .map(|item| item.as_u64().map(|i| i as usize).ok_or_else(expected))
                .collect::<Result<_, _>>()
                .map(Self::List),
            _ => Err(expected()),
        }
    }
}

impl Serialize for Select {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::All => serializer.serialize_str("all"),
            Self::Range(from, to) => serializer.collect_str(&format_args!("{from}..{to}")),
            Self::List(list) => list.serialize(serializer),
        }
    }
}

impl<'de> Deserialize<'de> for Select {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::parse(&Value::deserialize(deserializer)?).map_err(D::Error::custom)
    }
}

impl JsonSchema for Select {
    fn schema_name() -> Cow<'static, str> {
        "Select".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "\"all\", a half-open range such as \"10..26\", a number, or a list of numbers",
            "anyOf": [
                { "type": "string", "pattern": r"^(all|\d+\.\.\d+)$" },
                { "type": "integer", "minimum": 0 },
                { "type": "array", "items": { "type": "integer", "minimum": 0 } }
            ]
        })
    }

    fn inline_schema() -> bool {
        true
    }
}

/// A schema for a transparent type that the engine recognises by its format.
macro_rules! marked {
    ($type:ident, $format:literal, $base:literal) => {
        impl JsonSchema for $type {
            fn schema_name() -> Cow<'static, str> {
                stringify!($type).into()
            }

            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                json_schema!({ "type": $base, "format": $format })
            }

            fn inline_schema() -> bool {
                true
            }
        }
    };
}

marked!(File, "file", "string");
marked!(Source, "source", "string");
marked!(Seed, "seed", "integer");

#[cfg(test)]
mod tests {
    use super::*;

    fn select(json: &str) -> Result<Select, String> {
        Select::parse(&serde_json::from_str(json).unwrap())
    }

    #[test]
    fn ranges_are_half_open_and_lists_are_lists() {
        assert_eq!(select("\"10..13\"").unwrap().indices(20, "layer").unwrap(), [10, 11, 12]);
        assert_eq!(select("[4, 0, 2, 2]").unwrap().indices(5, "layer").unwrap(), [0, 2, 4]);
        assert_eq!(select("3").unwrap().indices(5, "layer").unwrap(), [3]);
        assert_eq!(select("\"all\"").unwrap().indices(2, "layer").unwrap(), [0, 1]);
    }

    #[test]
    fn what_does_not_exist_is_named() {
        assert_eq!(
            select("\"1..5\"").unwrap().indices(3, "layer").unwrap_err(),
            "layer 3 does not exist: there are 3 (0 to 2)"
        );
        assert!(select("\"5..5\"").unwrap_err().contains("empty"));
        assert!(select("\"5-7\"").is_err());
        assert!(select("-1").is_err());
    }
}
