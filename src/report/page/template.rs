//! Fills `report.html`. Every value is escaped where it is written; only what is made here is markup.

use minijinja::{
    Environment, Error, ErrorKind, UndefinedBehavior, Value, context, syntax::SyntaxConfig, value::ValueKind,
};

use super::view::View;
use crate::{graph, markup::write_escaped};

pub fn render(view: &View) -> Result<String, Error> {
    let mut environment = Environment::new();
    environment
        .set_syntax(SyntaxConfig::builder().trim_blocks(true).lstrip_blocks(true).keep_trailing_newline(true).build()?);
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    environment.set_formatter(|out, _, value| match value.kind() {
        ValueKind::None => Ok(()),
        _ if value.is_safe() => Ok(out.write_str(value.as_str().unwrap_or_default())?),
        _ => Ok(write_escaped(&value.to_string(), out)?),
    });
    environment.add_template("report.html", include_str!("report.html"))?;
    let view =
        serde_json::to_value(view).map_err(|error| Error::new(ErrorKind::InvalidOperation, error.to_string()))?;
    environment.get_template("report.html")?.render(context! {
        style => trusted(&[graph::STYLE, include_str!("report.css")].concat()),
        script => trusted(include_str!("report.js")),
        drawing => trusted(view["drawing"].as_str().unwrap_or_default()),
        ..value(view)
    })
}

/// Markup of our own.
fn trusted(markup: &str) -> Value {
    Value::from_safe_string(markup.to_owned())
}

/// JSON as the template's values. What it holds is text, never markup.
fn value(json: serde_json::Value) -> Value {
    match json {
        serde_json::Value::Null => Value::from(()),
        serde_json::Value::Bool(truth) => Value::from(truth),
        serde_json::Value::Number(number) => match number.as_i64() {
            Some(integer) => Value::from(integer),
            None => Value::from(number.as_f64().unwrap_or(f64::NAN)),
        },
        serde_json::Value::String(text) => Value::from(text),
        serde_json::Value::Array(items) => items.into_iter().map(value).collect(),
        serde_json::Value::Object(fields) => {
            Value::from_pairs(fields.into_iter().map(|(name, json)| (name, value(json))))
        }
    }
}
