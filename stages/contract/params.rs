//! Parameter types that mean something to the engine. Each marks its JSON Schema with a `format`, which is how the
//! engine finds it: `file` paths are taken relative to the manifest, a missing `seed` becomes the study's, and what
//! has the format `file`, `source` or `provenance` never enters a key (the digests of the files do).

use std::{borrow::Cow, path::PathBuf};

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

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
