//! What the parameters of a kind may look like, in the terms that lowering needs: its JSON Schema, compiled once.

use regex::Regex;
use schemars::Schema;
use serde_json::{Map, Value};

use super::compile::Compiler;

/// A compiled schema.
#[derive(Debug)]
pub struct Shape {
    pub(super) root: Type,
    /// What `$ref` names.
    defs: Vec<Type>,
}

#[derive(Clone, Debug)]
pub(super) enum Type {
    Any,
    Bool,
    Integer {
        bounds: Bounds,
        seed: bool,
    },
    Float {
        bounds: Bounds,
        single: bool,
    },
    Text {
        role: Role,
        pattern: Option<Regex>,
    },
    Choice(Vec<Value>),
    List {
        first: Vec<Type>,
        items: Box<Type>,
        shortest: usize,
        longest: usize,
    },
    Map(Box<Type>),
    Table(Vec<Field>),
    /// A table whose `tag` says which fields it has.
    Tagged {
        tag: String,
        variants: Vec<(String, Vec<Field>)>,
    },
    Either(Vec<Type>),
    Named(usize),
}

/// What a string stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    Plain,
    File,
    Source,
}

#[derive(Clone, Debug)]
pub(super) struct Field {
    pub name: String,
    pub of: Type,
    pub required: bool,
    pub default: Option<Value>,
    /// Never enters a key.
    pub hidden: bool,
    pub doc: Option<String>,
}

/// Which numbers are allowed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Bounds {
    pub least: f64,
    pub most: f64,
    /// The bounds themselves are not allowed.
    pub above: bool,
    pub below: bool,
}

impl Shape {
    /// A pattern that is not a regular expression is a mistake of the kind, not of a manifest: it allows everything.
    pub fn of(schema: &Schema) -> Self {
        let empty = Map::new();
        let definitions = schema.get("$defs").and_then(Value::as_object).unwrap_or(&empty);
        let compiler = Compiler::new(definitions);
        let defs = definitions.values().map(|schema| compiler.compile(schema)).collect();
        Self { root: compiler.compile(schema.as_value()), defs }
    }

    /// The type behind a name.
    pub(super) fn resolve<'a>(&'a self, of: &'a Type) -> &'a Type {
        match of {
            Type::Named(at) => self.resolve(&self.defs[*at]),
            other => other,
        }
    }
}

impl Role {
    pub(super) fn of(format: &str) -> Self {
        match format {
            "file" => Self::File,
            "source" => Self::Source,
            _ => Self::Plain,
        }
    }
}

impl Bounds {
    pub(super) fn of(schema: &Map<String, Value>, format: &str) -> Self {
        let number = |key| schema.get(key).and_then(Value::as_f64);
        let (least, most) = of_format(format);
        Self {
            least: number("exclusiveMinimum").or(number("minimum")).unwrap_or(least).max(least),
            most: number("exclusiveMaximum").or(number("maximum")).unwrap_or(most).min(most),
            above: schema.contains_key("exclusiveMinimum"),
            below: schema.contains_key("exclusiveMaximum"),
        }
    }
}

/// What the Rust type behind a format holds. (All 64-bit integers of TOML fit those of 64 bits.)
fn of_format(format: &str) -> (f64, f64) {
    match format {
        "seed" | "uint" | "uint64" => (0.0, f64::INFINITY),
        "uint8" => (0.0, u8::MAX.into()),
        "uint16" => (0.0, u16::MAX.into()),
        "uint32" => (0.0, u32::MAX.into()),
        "int8" => (i8::MIN.into(), i8::MAX.into()),
        "int16" => (i16::MIN.into(), i16::MAX.into()),
        "int32" => (i32::MIN.into(), i32::MAX.into()),
        "float" => (f32::MIN.into(), f32::MAX.into()),
        _ => (f64::NEG_INFINITY, f64::INFINITY),
    }
}
