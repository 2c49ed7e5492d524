//! `assay stages`: the catalogue, from the same schemas that check manifests.

use std::collections::BTreeSet;

use assay_stages::{Given, Kind};
use clap::Args;
use serde_json::{Value, json};

use super::{Exit, study::no_such};

/// List the kinds of stages, or explain one
#[derive(Args)]
pub struct Arguments {
    /// The kind to explain
    kind: Option<String>,
}

pub fn stages(arguments: &Arguments, catalogue: &'static [Kind]) -> Result<Exit, Exit> {
    match &arguments.kind {
        None => list(catalogue),
        Some(name) => {
            let names = || catalogue.iter().map(|kind| kind.name);
            let kind = catalogue.iter().find(|kind| kind.name == name);
            let kind = kind.ok_or_else(|| no_such("kind", name, names()))?;
            print!("{}", explanation(kind));
        }
    }
    Ok(Exit::DONE)
}

fn list(catalogue: &[Kind]) {
    let width = catalogue.iter().map(|kind| kind.name.len()).max().unwrap_or(0) + 2;
    catalogue.iter().for_each(|kind| println!("{:<width$}{}", kind.name, summary(&kind.schema().to_value())));
}

/// The first sentence of a kind's documentation, without its full stop.
fn summary(schema: &Value) -> String {
    let text = schema["description"].as_str().unwrap_or_default().replace('\n', " ");
    let sentence = text.split_once(". ").map_or(text.as_str(), |(first, _)| first);
    sentence.split("  ").next().unwrap_or_default().trim_end_matches('.').to_owned()
}

fn explanation(kind: &Kind) -> String {
    let schema = kind.schema().to_value();
    let mut page = format!("{}\n\n{}\n", kind.name, schema["description"].as_str().unwrap_or_default());
    page.push_str(&ports(kind).unwrap_or_default());
    let parameters = Explainer { schema: &schema, told: BTreeSet::new() }.table(&schema, "  ");
    if !parameters.is_empty() {
        page.push_str("\nParameters:\n");
        page.push_str(&parameters);
    }
    page
}

/// What goes in and out, for a kind whose ports do not wait for parameters.
fn ports(kind: &Kind) -> Option<String> {
    let ports =
        kind.parse(json!({ "seed": 0 })).or_else(|_| kind.parse(json!({}))).ok()?.ports(&Given::default()).ok()?;
    let inputs = ports.inputs.iter().map(|port| {
        let optional = if port.optional { ", optional" } else { "" };
        format!("  {}: {}{optional}\n", port.name, port.accept)
    });
    let outputs = ports.outputs.iter().map(|port| format!("  {}: {}\n", port.name, port.ty));
    let (inputs, outputs) = (inputs.collect::<String>(), outputs.collect::<String>());
    (!inputs.is_empty()).then(|| format!("\nInputs:\n{inputs}\nOutputs:\n{outputs}"))
}

/// Explains a schema; what several keys share is told where it stands first.
struct Explainer<'a> {
    schema: &'a Value,
    told: BTreeSet<&'a str>,
}

impl<'a> Explainer<'a> {
    /// The keys of a table, and indented below each what stands in it. A key of one possible value is its table's tag.
    fn table(&mut self, table: &'a Value, indent: &str) -> String {
        self.keys(table, indent, |_| true)
    }

    /// Those of the keys of a table that are wanted.
    fn keys(&mut self, table: &'a Value, indent: &str, wanted: impl Fn(&str) -> bool) -> String {
        let required: Vec<_> = table["required"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
        let mut text = String::new();
        let keys = table["properties"].as_object().into_iter().flatten();
        for (name, property) in keys.filter(|(name, property)| property.get("const").is_none() && wanted(name)) {
            let default = match property.get("default") {
                _ if property["format"] == "seed" => "the study's by default".to_owned(),
                Some(default) => format!("default {default}"),
                None if required.contains(&name.as_str()) => "required".to_owned(),
                None => "optional".to_owned(),
            };
            text.push_str(&format!("{indent}{name} ({default})\n"));
            let described = property["description"].as_str().unwrap_or_default();
            described.lines().for_each(|line| text.push_str(&format!("{indent}    {line}\n")));
            text.push_str(&self.inner(property, &format!("{indent}    ")));
        }
        text
    }

    /// What stands in a property: the keys of its table or of the tables in its list, the choices there are.
    fn inner(&mut self, property: &'a Value, indent: &str) -> String {
        if let Some(name) = property["$ref"].as_str().and_then(|name| name.strip_prefix("#/$defs/")) {
            let fresh = self.told.insert(name);
            return if fresh { self.inner(&self.schema["$defs"][name], indent) } else { String::new() };
        }
        if property["items"].is_object() {
            return self.inner(&property["items"], indent);
        }
        let variants = property["oneOf"].as_array().or(property["anyOf"].as_array());
        let variants = variants.map_or(&[][..], Vec::as_slice);
        let shared = shared(variants);
        let told =
            variants.first().map(|first| self.keys(first, indent, |key| shared.contains(key))).unwrap_or_default();
        let each: String = variants.iter().map(|variant| self.choice(variant, indent, &shared)).collect();
        self.table(property, indent) + &words(property, indent) + &told + &each
    }

    /// One variant: a word and what it means, or a table under its tag, without the keys that all variants share.
    fn choice(&mut self, variant: &'a Value, indent: &str, shared: &BTreeSet<&str>) -> String {
        let described = variant["description"].as_str().unwrap_or_default().replace('\n', " ");
        if let Some(word) = variant["const"].as_str() {
            return format!("{indent}{word:?}  {described}").trim_end().to_owned() + "\n";
        }
        let tag = variant["properties"].as_object().into_iter().flatten();
        match tag.filter_map(|(name, property)| Some((name, property.get("const")?))).next() {
            Some((name, value)) => {
                let inner = self.keys(variant, &format!("{indent}    "), |key| !shared.contains(key));
                format!("{indent}{name} = {value}  {described}").trim_end().to_owned() + "\n" + &inner
            }
            None => self.inner(variant, indent),
        }
    }
}

/// The keys that mean the same in every variant.
fn shared(variants: &[Value]) -> BTreeSet<&str> {
    let [first, others @ ..] = variants else { return BTreeSet::new() };
    let keys = first["properties"].as_object().into_iter().flatten();
    let same =
        |name: &str, property: &Value| others.iter().all(|other| other["properties"].get(name) == Some(property));
    let keys = keys.filter(|(name, property)| !others.is_empty() && same(name, property));
    keys.map(|(name, _)| name.as_str()).collect()
}

/// The choices that have no description of their own.
fn words(property: &Value, indent: &str) -> String {
    property["enum"].as_array().into_iter().flatten().map(|word| format!("{indent}{word}\n")).collect()
}
