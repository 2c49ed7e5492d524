//! JSON Schema → [`Type`]s.
//!
//! It understands what schemars writes for structs, options, lists, maps and enums (of all four taggings), and the
//! formats of the contract (`file`, `source`, `seed`, `provenance`). What it does not understand takes any value, and
//! the kind's own parser then has the only word.

use regex::Regex;
use serde_json::{Map, Value};

use super::shape::{Bounds, Field, Role, Type};

/// The definitions that a schema's `$ref`s name.
pub struct Compiler<'a> {
    names: Vec<&'a String>,
    definitions: &'a Map<String, Value>,
}

impl<'a> Compiler<'a> {
    pub fn new(definitions: &'a Map<String, Value>) -> Self {
        Self { names: definitions.keys().collect(), definitions }
    }

    pub(super) fn compile(&self, schema: &'a Value) -> Type {
        let Some(schema) = schema.as_object() else {
            return if schema == &Value::Bool(false) { Type::Choice(vec![]) } else { Type::Any };
        };
        if schema.contains_key("properties") || schema.contains_key("allOf") {
            return self.table(schema);
        }
        if let Some(reference) = schema.get("$ref").and_then(Value::as_str) {
            return self.index(reference).map_or(Type::Any, Type::Named);
        }
        if let Some(value) = schema.get("const") {
            return Type::Choice(vec![value.clone()]);
        }
        if let Some(values) = list(schema, "enum") {
            return Type::Choice(values.iter().filter(|value| !value.is_null()).cloned().collect());
        }
        match list(schema, "oneOf").or(list(schema, "anyOf")) {
            Some(branches) => self.union(branches),
            None => self.plain(schema),
        }
    }

    fn plain(&self, schema: &'a Map<String, Value>) -> Type {
        let names = type_names(schema);
        let mut types: Vec<_> = names.iter().filter_map(|name| self.of_type(name, schema)).collect();
        match types.len() {
            0 => Type::Any,
            1 => types.remove(0),
            _ => Type::Either(types),
        }
    }

    /// `None` for `null`, which TOML cannot write.
    fn of_type(&self, name: &str, schema: &'a Map<String, Value>) -> Option<Type> {
        let format = schema.get("format").and_then(Value::as_str).unwrap_or_default();
        Some(match name {
            "null" => return None,
            "boolean" => Type::Bool,
            "integer" => Type::Integer { bounds: Bounds::of(schema, format), seed: format == "seed" },
            "number" => Type::Float { bounds: Bounds::of(schema, format), single: format == "float" },
            "string" => Type::Text { role: Role::of(format), pattern: pattern(schema) },
            "array" => self.list(schema),
            "object" => match schema.get("additionalProperties") {
                Some(Value::Bool(false)) => Type::Table(vec![]),
                Some(values) => Type::Map(Box::new(self.compile(values))),
                None => Type::Map(Box::new(Type::Any)),
            },
            _ => Type::Any,
        })
    }

    fn list(&self, schema: &'a Map<String, Value>) -> Type {
        let count = |key| schema.get(key).and_then(Value::as_u64).map(|count| count as usize);
        let first = list(schema, "prefixItems").unwrap_or_default();
        Type::List {
            first: first.iter().map(|item| self.compile(item)).collect(),
            items: Box::new(schema.get("items").map_or(Type::Any, |items| self.compile(items))),
            shortest: count("minItems").unwrap_or(0),
            longest: count("maxItems").unwrap_or(usize::MAX),
        }
    }

    /// A table with fields of its own, those of flattened structs, and the variants of a flattened enum.
    fn table(&self, schema: &'a Map<String, Value>) -> Type {
        let mut fields = self.fields(schema);
        let mut variants = None;
        let flattened = schema.contains_key("oneOf").then(|| self.union(list(schema, "oneOf").unwrap_or_default()));
        let referred = schema.get("$ref").and_then(Value::as_str).and_then(|name| self.definition(name));
        let parts = list(schema, "allOf").unwrap_or_default().iter().chain(referred);
        for part in flattened.into_iter().chain(parts.map(|part| self.expanded(part))) {
            match part {
                Type::Table(more) => fields.extend(more),
                Type::Tagged { .. } | Type::Either(_) if variants.is_none() => variants = Some(part),
                _ => return Type::Any,
            }
        }
        match variants {
            None => Type::Table(fields),
            Some(part) => with_fields(part, &fields),
        }
    }

    fn fields(&self, schema: &'a Map<String, Value>) -> Vec<Field> {
        let Some(properties) = schema.get("properties").and_then(Value::as_object) else { return vec![] };
        let required = list(schema, "required").unwrap_or_default();
        properties
            .iter()
            .map(|(name, schema)| Field {
                name: name.clone(),
                of: self.compile(schema),
                required: required.iter().any(|required| required == name),
                default: schema.get("default").cloned(),
                hidden: self.hidden(schema),
                doc: schema.get("description").and_then(Value::as_str).map(str::to_owned),
            })
            .collect()
    }

    fn union(&self, branches: &'a [Value]) -> Type {
        let mut branches: Vec<&Value> = branches.iter().filter(|branch| !is_null(branch)).collect();
        if branches.len() == 1 {
            return self.compile(branches.remove(0));
        }
        let types: Vec<_> = branches.iter().map(|branch| self.expanded(branch)).collect();
        if let Some(choices) = types.iter().map(choices).collect::<Option<Vec<_>>>() {
            return Type::Choice(choices.concat());
        }
        tagged(&types).unwrap_or_else(|| Type::Either(branches.iter().map(|branch| self.compile(branch)).collect()))
    }

    /// The type of a schema, names at its top followed.
    fn expanded(&self, schema: &'a Value) -> Type {
        let reference = schema.get("$ref").and_then(Value::as_str).filter(|_| schema.get("properties").is_none());
        match reference.and_then(|name| self.definition(name)) {
            Some(definition) => self.expanded(definition),
            None => self.compile(schema),
        }
    }

    /// Is this, or what it is a list or a map of, only the name of something whose content enters a key by its digest?
    fn hidden(&self, schema: &'a Value) -> bool {
        self.hidden_within(schema, 8)
    }

    /// A list of lists of itself ends at some depth. Of a union, every branch must be such a name.
    fn hidden_within(&self, schema: &'a Value, depth: usize) -> bool {
        if let Some(format) = schema.get("format") {
            return ["file", "source", "provenance"].iter().any(|hidden| format == hidden);
        }
        let referred = schema.get("$ref").and_then(Value::as_str).and_then(|name| self.definition(name));
        let inner = referred.or(schema.get("items")).or(schema.get("additionalProperties"));
        let branches = schema.get("anyOf").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
        let mut parts = inner.into_iter().chain(branches).filter(|part| !is_null(part)).peekable();
        depth > 0 && parts.peek().is_some() && parts.all(|part| self.hidden_within(part, depth - 1))
    }

    fn index(&self, reference: &str) -> Option<usize> {
        let name = reference.strip_prefix("#/$defs/")?;
        self.names.iter().position(|known| *known == name)
    }

    fn definition(&self, reference: &str) -> Option<&'a Value> {
        self.definitions.get(reference.strip_prefix("#/$defs/")?)
    }
}

/// What an option has beside its type.
fn is_null(schema: &Value) -> bool {
    schema.get("type").is_some_and(|name| name == "null")
}

/// The values of a type that is nothing but a choice.
fn choices(of: &Type) -> Option<Vec<Value>> {
    match of {
        Type::Choice(values) => Some(values.clone()),
        _ => None,
    }
}

/// The variants of an internally tagged enum: tables that all have one required key with a constant string.
fn tagged(types: &[Type]) -> Option<Type> {
    let tables: Vec<_> =
        types.iter().map(|of| if let Type::Table(fields) = of { Some(fields) } else { None }).collect();
    let tables = tables.into_iter().collect::<Option<Vec<_>>>()?;
    let tag =
        tables.first()?.iter().find(|field| tables.iter().all(|fields| constant(fields, &field.name).is_some()))?;
    let variant = |fields: &&Vec<Field>| Some((constant(fields, &tag.name)?.to_owned(), fields.to_vec()));
    Some(Type::Tagged { tag: tag.name.clone(), variants: tables.iter().map(variant).collect::<Option<_>>()? })
}

fn constant<'a>(fields: &'a [Field], name: &str) -> Option<&'a str> {
    let field = fields.iter().find(|field| field.name == name && field.required)?;
    match &field.of {
        Type::Choice(values) if values.len() == 1 => values[0].as_str(),
        _ => None,
    }
}

/// The same variants, each with some fields more.
fn with_fields(part: Type, more: &[Field]) -> Type {
    let join = |fields: Vec<Field>| more.iter().cloned().chain(fields).collect::<Vec<_>>();
    match part {
        Type::Table(fields) => Type::Table(join(fields)),
        Type::Tagged { tag, variants } => {
            let variants = variants.into_iter().map(|(name, fields)| (name, join(fields))).collect();
            Type::Tagged { tag, variants }
        }
        Type::Either(branches) => Type::Either(branches.into_iter().map(|branch| with_fields(branch, more)).collect()),
        _ => Type::Any,
    }
}

fn pattern(schema: &Map<String, Value>) -> Option<Regex> {
    schema.get("pattern").and_then(Value::as_str).and_then(|pattern| Regex::new(pattern).ok())
}

fn type_names(schema: &Map<String, Value>) -> Vec<&str> {
    match schema.get("type") {
        Some(Value::String(name)) => vec![name],
        Some(Value::Array(names)) => names.iter().filter_map(Value::as_str).collect(),
        _ => vec![],
    }
}

fn list<'a>(schema: &'a Map<String, Value>, key: &str) -> Option<&'a [Value]> {
    schema.get(key).and_then(Value::as_array).map(Vec::as_slice)
}
