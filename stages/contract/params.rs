//! Parameter types that mean something to the engine. Each marks its JSON Schema with a `format`, which is how the
//! engine finds it: `file` paths are taken relative to the manifest, a missing `seed` becomes the study's, and what
//! has the format `file`, `source` or `provenance` never enters a key (the digests of the files do).

use std::{borrow::Cow, path::PathBuf};

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::DeserializeOwned, de::Error};
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

/// One thing, or a list of them: `"seed"` is `["seed"]`, in a key too.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct OneOrMany<T>(pub Vec<T>);

impl<T: Serialize> Serialize for OneOrMany<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0.as_slice() {
            [one] => one.serialize(serializer),
            several => several.serialize(serializer),
        }
    }
}

impl<'de, T: DeserializeOwned> Deserialize<'de> for OneOrMany<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let value = Value::deserialize(deserializer)?;
        let items = if value.is_array() { value } else { Value::Array(vec![value]) };
        serde_json::from_value(items).map(Self).map_err(D::Error::custom)
    }
}

impl<T: JsonSchema> JsonSchema for OneOrMany<T> {
    fn schema_name() -> Cow<'static, str> {
        format!("OneOrMany{}", T::schema_name()).into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let one = generator.subschema_for::<T>();
        json_schema!({ "anyOf": [one, { "type": "array", "items": one }] })
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
