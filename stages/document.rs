//! A JSON document laid out in the manifest, for programs that expect results in a form of their own.
//!
//! It computes nothing that an expression cannot say. What it must not know, since it would make equal results
//! different (times, hosts, commits), it leaves as a wish that is fulfilled when the document is written out.

use std::collections::{BTreeMap, BTreeSet};

use assay_cache::Artifact;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::{
    Ctx, DOCUMENT, Failure, Given, InputPort, Inputs, MADE_FIELDS, MadeField, Mistake, OutputPort, Outputs, PortType,
    Ports, Stage,
    expression::{self, Scope, identifier},
    tables::{self, by_nearness},
};

/// Lays a JSON document out of what stands in its input ports, whose names the manifest chooses.
///
/// `content` is the document. A text in it that begins with `=` is an expression in the language of `verdict`, and stands
/// for its value: `"= mean(cells.si)"`, `"= rows(cells)"` for a table as a list of objects, `"= columns(cells)"` for an
/// object of lists. (`"=="` begins a text that begins with `=`.) A statistic that is not defined is `"NaN"`. All else is
/// itself.
///
/// `{ rows = "= rows(log)", with = { time = …, unit = "s" } }` is a list of objects with some fields more: each has the
/// element of its place where a list of that length is given, else the same value.
///
/// `{ made = "PORT", field = "started" }` stands for something that is known of how the artifact in a port was made. It
/// is put in when the document is written out, is no part of any digest, and changes nothing that hangs on the document.
/// Fields: `started`, `finished` and `times` (ISO 8601, UTC; `times` are those of the `seconds` that the stage noted, a
/// list), `stamp` (`started` as 20260131_235959), `seconds`, `run-started` and `run-stamp` (of the run, the process,
/// that computed it), `device`, `host`, `assay`, `git-commit`, `key`, `digest`, `notes.NAME`; what is not known is null.
/// With `text = "results/recovery_{}.json"` it is put into that text; with `item = 3` it is that element, where
/// it is a list.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Document {
    /// The document: tables, lists and values in any nesting.
    pub content: Map<String, Value>,
}

impl Stage for Document {
    const KIND: &'static str = "document";
    const VERSION: &'static [(&'static str, u32)] = &[("document", 1)];

    fn ports(&self, given: &Given) -> Result<Ports, Vec<Mistake>> {
        let names = tables::wired(given);
        let mut checked = Checked { given, names: &names, mistakes: vec![] };
        checked.object("content", &self.content);
        if !checked.mistakes.is_empty() {
            return Err(checked.mistakes);
        }
        let inputs = names.iter().map(|name| anything(name)).collect();
        Ok(Ports { inputs, outputs: vec![OutputPort::new(DOCUMENT, PortType::of("record"))] })
    }

    fn run(&self, inputs: &Inputs, _: &dyn Ctx) -> Result<Outputs, Failure> {
        let scope = Scope::of(&self.looked_into(inputs))?;
        let content = object(&self.content, &scope, "content")?;
        Ok(Outputs::default().with(DOCUMENT, Artifact::Record(Value::Object(content))))
    }
}

impl Document {
    /// The ports that expressions name: only those need to be something that has columns or fields.
    fn looked_into(&self, inputs: &Inputs) -> Inputs {
        let own = inputs.0.keys().map(|port| identifier(port)).collect();
        let mut named = BTreeSet::new();
        self.content.values().for_each(|value| names(value, &own, &mut named));
        let ports = inputs.0.iter().filter(|(port, _)| named.contains(&identifier(port)));
        Inputs(ports.map(|(port, loaded)| (port.clone(), loaded.clone())).collect::<BTreeMap<_, _>>())
    }
}

/// A port that takes whatever a stage can make.
fn anything(name: &str) -> InputPort {
    let kinds = ["tensor", "record", "figure", "model", "weights", "prompts", "tokens"];
    kinds.into_iter().fold(InputPort::many(name, PortType::of("table")), |port, kind| port.or(PortType::of(kind)))
}

/// The expression that a text is, if it is one.
fn expression(text: &str) -> Option<&str> {
    text.strip_prefix('=').filter(|rest| !rest.starts_with('='))
}

/// The names that the expressions below a value use.
fn names(value: &Value, own: &BTreeSet<String>, named: &mut BTreeSet<String>) {
    match value {
        Value::String(text) => {
            let used = expression(text).and_then(|text| expression::parse(text, own).ok());
            named.extend(used.into_iter().flatten().map(|(name, _)| name));
        }
        Value::Array(items) => items.iter().for_each(|item| names(item, own, named)),
        Value::Object(fields) => fields.values().for_each(|value| names(value, own, named)),
        _ => {}
    }
}

/// `rows` and `with`, where an object has these two keys and no other.
fn extended_rows(fields: &Map<String, Value>) -> Option<(&Value, &Map<String, Value>)> {
    let with = fields.get("with").and_then(Value::as_object).filter(|_| fields.len() == 2)?;
    Some((fields.get("rows")?, with))
}

fn laid_out(value: &Value, scope: &Scope, at: &str) -> Result<Value, Failure> {
    Ok(match value {
        Value::String(text) => match expression(text) {
            Some(text) => scope.seen(text).map_err(|why| undefined(at, text, &why, scope))?,
            None => Value::from(text.strip_prefix('=').unwrap_or(text)),
        },
        Value::Array(items) => {
            let items = items.iter().enumerate().map(|(i, item)| laid_out(item, scope, &format!("{at}[{i}]")));
            items.collect::<Result<_, _>>()?
        }
        Value::Object(_) if MadeField::of(value).is_some() => value.clone(),
        Value::Object(fields) => match extended_rows(fields) {
            Some((rows, with)) => extended(rows, with, scope, at)?,
            None => Value::Object(object(fields, scope, at)?),
        },
        other => other.clone(),
    })
}

fn object(fields: &Map<String, Value>, scope: &Scope, at: &str) -> Result<Map<String, Value>, Failure> {
    let field = |(name, value): (&String, &Value)| Ok((name.clone(), laid_out(value, scope, &format!("{at}.{name}"))?));
    fields.iter().map(field).collect()
}

/// The rows, each with its part of what is to be added.
fn extended(rows: &Value, with: &Map<String, Value>, scope: &Scope, at: &str) -> Result<Value, Failure> {
    let Value::Array(mut rows) = laid_out(rows, scope, &format!("{at}.rows"))? else {
        return Err(Failure::fatal(format!("`{at}.rows` is no list of rows")));
    };
    let count = rows.len();
    for (name, value) in object(with, scope, &format!("{at}.with"))? {
        for (i, row) in rows.iter_mut().enumerate() {
            let row = row.as_object_mut();
            let row = row.ok_or_else(|| Failure::fatal(format!("`{at}.rows` has an element that is no row")))?;
            row.insert(name.clone(), part(&value, i, count));
        }
    }
    Ok(Value::Array(rows))
}

/// What row `i` of `count` has of a value.
fn part(value: &Value, i: usize, count: usize) -> Value {
    match value {
        Value::Array(items) if items.len() == count => items[i].clone(),
        Value::Object(fields) if MadeField::of(value).is_some_and(|wish| wish.item.is_none()) => {
            let mut fields = fields.clone();
            fields.insert("item".to_owned(), json!(i));
            Value::Object(fields)
        }
        other => other.clone(),
    }
}

fn undefined(at: &str, text: &str, why: &str, scope: &Scope) -> Failure {
    Failure::fatal(format!("`{at}` ={text} is not defined: {why}{}", scope.described()))
}

/// One way through the content, with all that is found wrong.
struct Checked<'a> {
    given: &'a Given<'a>,
    names: &'a BTreeSet<&'a str>,
    mistakes: Vec<Mistake>,
}

impl Checked<'_> {
    fn object(&mut self, at: &str, fields: &Map<String, Value>) {
        fields.iter().for_each(|(name, value)| self.value(&format!("{at}.{name}"), value));
    }

    fn value(&mut self, at: &str, value: &Value) {
        match value {
            Value::String(text) => expression(text).into_iter().for_each(|text| self.expression(at, text)),
            Value::Array(items) => {
                items.iter().enumerate().for_each(|(i, item)| self.value(&format!("{at}[{i}]"), item));
            }
            Value::Object(fields) => match MadeField::of(value) {
                Some(wish) => self.wish(at, &wish),
                None if fields.contains_key("made") => {
                    let message = "an object with `made` has `field` too, and nothing else but `text` and `item`";
                    self.mistakes.push(Mistake::new(at, message).help("as in { made = \"log\", field = \"started\" }"));
                }
                None => self.object(at, fields),
            },
            _ => {}
        }
    }

    fn expression(&mut self, at: &str, text: &str) {
        let known: BTreeSet<String> = self.names.iter().map(|port| identifier(port)).collect();
        self.mistakes.extend(expression::mistakes(at, text, &known, self.given));
        let used = expression::parse(text, &known).unwrap_or_default();
        for (port, arrived) in &self.given.inputs {
            let blind = arrived.iter().find(|arrived| ["figure", "weights"].contains(&arrived.ty.kind));
            let Some(blind) = blind.filter(|_| used.iter().any(|(name, _)| *name == identifier(port))) else {
                continue;
            };
            let message = format!("`{port}` is {}, which no expression can look into", blind.ty);
            let help = format!("`{{ made = \"{port}\", field = \"digest\" }}` names it");
            self.mistakes.push(Mistake::new(at, message).help(help));
        }
    }

    fn wish(&mut self, at: &str, wish: &MadeField) {
        if !self.names.contains(wish.port) {
            let known: Vec<_> = by_nearness(wish.port, self.names.iter().copied());
            let message = format!("no input port is called `{}`", wish.port);
            let help = format!("`inputs` names: {}", known.join(", "));
            self.mistakes.push(Mistake::new(format!("{at}.made"), message).help(help));
        }
        if !MADE_FIELDS.contains(&wish.field) && wish.note().is_none() {
            let known = by_nearness(wish.field, MADE_FIELDS.into_iter());
            let message = format!("nothing called `{}` is known of how something was made", wish.field);
            let help = format!("there is {}, notes.NAME", known.join(", "));
            self.mistakes.push(Mistake::new(format!("{at}.field"), message).help(help));
        }
        if wish.text.is_some_and(|text| !text.contains("{}")) {
            let message = "the text has no `{}` for it to stand in";
            self.mistakes.push(Mistake::new(format!("{at}.text"), message));
        }
    }
}

#[cfg(test)]
mod tests;
