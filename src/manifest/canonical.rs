//! The part of a stage's parameters that its key depends on.

use serde_json::{Map, Value};

use super::shape::{Field, Role, Shape, Type};

/// `params` without what equals its default, at any depth, and without what only names files: those enter a key by
/// their digests. Give it what the kind itself serialises, so that two ways to write one value are one.
pub fn canonical_params(params: &Value, shape: &Shape) -> Value {
    canonical(params, &shape.root, shape)
}

fn canonical(value: &Value, of: &Type, shape: &Shape) -> Value {
    match (shape.resolve(of), value) {
        (Type::Float { single, .. }, Value::Number(number)) => match number.as_f64() {
            Some(number) if *single => Value::from(f64::from(number as f32)),
            Some(number) => Value::from(number),
            None => value.clone(),
        },
        (Type::Text { role: Role::File | Role::Source, .. }, _) => Value::Null, // one of several ways to write a field
        (Type::List { first, items, .. }, Value::Array(values)) => {
            let types = first.iter().chain(std::iter::repeat(&**items));
            values.iter().zip(types).map(|(value, of)| canonical(value, of, shape)).collect()
        }
        (Type::Map(of), Value::Object(object)) => {
            object.iter().map(|(key, value)| (key.clone(), canonical(value, of, shape))).collect()
        }
        (Type::Table(fields), Value::Object(object)) => table(object, fields, shape),
        (Type::Tagged { tag, variants }, Value::Object(object)) => {
            let chosen = object.get(tag).and_then(Value::as_str);
            match variants.iter().find(|(name, _)| Some(name.as_str()) == chosen) {
                Some((_, fields)) => table(object, fields, shape),
                None => value.clone(),
            }
        }
        (Type::Either(branches), _) => match branches.iter().find(|branch| fits(value, branch, shape)) {
            Some(branch) => canonical(value, branch, shape),
            None => value.clone(),
        },
        _ => value.clone(),
    }
}

fn table(object: &Map<String, Value>, fields: &[Field], shape: &Shape) -> Value {
    let mut kept = Map::new();
    for (key, value) in object {
        match fields.iter().find(|field| &field.name == key) {
            None => {
                kept.insert(key.clone(), value.clone());
            }
            Some(field) if field.hidden => {}
            Some(field) => {
                let value = canonical(value, &field.of, shape);
                if !is_default(&value, field, shape) {
                    kept.insert(key.clone(), value);
                }
            }
        }
    }
    Value::Object(kept)
}

/// An option without a default is none when it is left out.
fn is_default(value: &Value, field: &Field, shape: &Shape) -> bool {
    match &field.default {
        Some(default) => value == default || *value == canonical(default, &field.of, shape),
        None => value.is_null() && !field.required,
    }
}

/// Could this value have been lowered as this type?
pub(super) fn fits(value: &Value, of: &Type, shape: &Shape) -> bool {
    match (shape.resolve(of), value) {
        (Type::Any, _) | (Type::Bool, Value::Bool(_)) => true,
        (Type::Integer { .. }, Value::Number(number)) => !number.is_f64(),
        (Type::Float { .. }, Value::Number(_)) => true,
        (Type::Text { pattern, .. }, Value::String(text)) => pattern.as_ref().is_none_or(|form| form.is_match(text)),
        (Type::Choice(values), _) => values.contains(value),
        (Type::List { first, items, shortest, longest }, Value::Array(values)) => {
            let types = first.iter().chain(std::iter::repeat(&**items));
            (*shortest..=*longest).contains(&values.len())
                && values.iter().zip(types).all(|(value, of)| fits(value, of, shape))
        }
        (Type::Map(of), Value::Object(object)) => object.values().all(|value| fits(value, of, shape)),
        (Type::Table(fields), Value::Object(object)) => fits_table(object, fields, shape),
        (Type::Tagged { tag, variants }, Value::Object(object)) => {
            let chosen = object.get(tag).and_then(Value::as_str);
            variants.iter().any(|(name, fields)| Some(name.as_str()) == chosen && fits_table(object, fields, shape))
        }
        (Type::Either(branches), _) => branches.iter().any(|branch| fits(value, branch, shape)),
        _ => false,
    }
}

fn fits_table(object: &Map<String, Value>, fields: &[Field], shape: &Shape) -> bool {
    let known = |(key, value): (&String, &Value)| {
        let field = fields.iter().find(|field| &field.name == key);
        field.is_some_and(|field| (value.is_null() && !field.required) || fits(value, &field.of, shape))
    };
    object.iter().all(known) && fields.iter().all(|field| !field.required || object.contains_key(&field.name))
}
