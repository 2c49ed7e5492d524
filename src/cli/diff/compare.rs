//! Two sides held against each other: what differs, and what could not be compared.

use std::collections::{BTreeMap, BTreeSet};

use assay_cache::{Difference, Entry, Output, Recipe};
use assay_stages::Kind;
use rayon::prelude::*;
use serde::Serialize;
use serde_json::Value;

use super::side::{CellName, Known, Side};
use crate::{
    cli::Exit,
    manifest::Shape,
    plan::{Setting, differences, parts},
};

/// What `assay diff --json` prints.
#[derive(Serialize)]
pub struct Comparison {
    pub a: String,
    pub b: String,
    pub parameters: Vec<Parameter>,
    pub only_a: Vec<String>,
    pub only_b: Vec<String>,
    pub unfinished_a: Vec<String>,
    pub unfinished_b: Vec<String>,
    pub verdicts: Vec<VerdictDifference>,
    pub outputs: Vec<OutputDifference>,
    pub outputs_only_a: Vec<String>,
    pub outputs_only_b: Vec<String>,
    /// How many outputs are equal.
    pub equal: usize,
    /// What the store could not give.
    pub unreadable: Vec<Unreadable>,
}

/// Something in the recipe of a cell that differs.
#[derive(Clone, PartialEq, Serialize)]
pub struct Parameter {
    pub cell: String,
    #[serde(flatten)]
    pub what: What,
    pub a: Setting,
    pub b: Setting,
}

/// What of a recipe.
#[derive(Clone, PartialEq, Serialize)]
#[serde(tag = "what", content = "name", rename_all = "kebab-case")]
pub enum What {
    Kind,
    /// Of the kind, or of a part that it shares.
    Version(String),
    /// A parameter, by its place.
    Field(String),
    /// A file, by its role: the digests of its content.
    File(String),
}

/// A verdict that differs.
#[derive(Serialize)]
pub struct VerdictDifference {
    pub cell: String,
    pub a: Value,
    pub b: Value,
}

/// An output whose bytes differ.
#[derive(Serialize)]
pub struct OutputDifference {
    pub cell: String,
    pub port: String,
    pub difference: Difference,
}

#[derive(Serialize)]
pub struct Unreadable {
    pub cell: String,
    pub port: String,
    pub reason: String,
}

/// The output whose field of the same name is a verdict.
const VERDICT: &str = "verdict";

impl Comparison {
    pub fn of(a: &Side, b: &Side, catalogue: &'static [Kind]) -> Result<Self, Exit> {
        let of_b: BTreeMap<&CellName, &Known> = b.cells.iter().map(|cell| (&cell.name, cell)).collect();
        let in_a: BTreeSet<&CellName> = a.cells.iter().map(|cell| &cell.name).collect();
        let both: Vec<(&Known, &Known)> =
            a.cells.iter().filter_map(|cell| Some((cell, *of_b.get(&cell.name)?))).collect();
        let unfinished = |side: &Side| -> Vec<String> {
            side.cells.iter().filter(|cell| cell.entry.is_none()).map(|cell| cell.id.clone()).collect()
        };
        let mut comparison = Self {
            a: a.name.clone(),
            b: b.name.clone(),
            parameters: Recipes::default().parameters(&both, catalogue),
            only_a: ids(a.cells.iter().filter(|cell| !of_b.contains_key(&cell.name))),
            only_b: ids(b.cells.iter().filter(|cell| !in_a.contains(&cell.name))),
            unfinished_a: unfinished(a),
            unfinished_b: unfinished(b),
            verdicts: vec![],
            outputs: vec![],
            outputs_only_a: vec![],
            outputs_only_b: vec![],
            equal: 0,
            unreadable: vec![],
        };
        comparison.compare_outputs(&both, a, b);
        Ok(comparison)
    }

    /// Whether nothing differs, as far as could be seen.
    pub fn is_empty(&self) -> bool {
        let lists = [&self.only_a, &self.only_b, &self.outputs_only_a, &self.outputs_only_b];
        let unseen = self.unfinished_a != self.unfinished_b || !self.unreadable.is_empty();
        self.parameters.is_empty() && self.outputs.is_empty() && lists.iter().all(|list| list.is_empty()) && !unseen
    }

    fn compare_outputs(&mut self, both: &[(&Known, &Known)], a: &Side, b: &Side) {
        let mut pairs = vec![];
        for (of_a, of_b) in both {
            let (Some(entry_a), Some(entry_b)) = (&of_a.entry, &of_b.entry) else { continue };
            self.outputs_only_a.extend(lacking(&of_a.id, entry_a, entry_b));
            self.outputs_only_b.extend(lacking(&of_b.id, entry_b, entry_a));
            for (port, output) in &entry_a.outputs {
                match entry_b.outputs.get(port) {
                    Some(other) if other.digest == output.digest && other.form == output.form => self.equal += 1,
                    Some(other) => pairs.push((of_a.id.as_str(), port.as_str(), output, other)),
                    None => {}
                }
            }
        }
        let compared: Vec<_> = pairs.par_iter().map(|(_, _, x, y)| compared(a, b, x, y)).collect();
        for ((cell, port, ..), compared) in pairs.into_iter().zip(compared) {
            let (cell, port) = (cell.to_owned(), port.to_owned());
            match compared {
                Err(reason) => self.unreadable.push(Unreadable { cell, port, reason }),
                Ok(difference) => {
                    self.verdicts.extend(verdict(&cell, &port, &difference));
                    self.outputs.push(OutputDifference { cell, port, difference });
                }
            }
        }
    }
}

fn ids<'k>(cells: impl Iterator<Item = &'k Known>) -> Vec<String> {
    cells.map(|cell| cell.id.clone()).collect()
}

/// The outputs of `entry` that `other` lacks.
fn lacking(id: &str, entry: &Entry, other: &Entry) -> Vec<String> {
    entry.outputs.keys().filter(|port| !other.outputs.contains_key(*port)).map(|port| format!("{id}.{port}")).collect()
}

fn compared(a: &Side, b: &Side, of_a: &Output, of_b: &Output) -> Result<Difference, String> {
    let read = |side: &Side, output| side.store.read(output).map_err(|error| format!("{}: {error}", side.name));
    Ok(read(a, of_a)?.difference(&read(b, of_b)?))
}

fn verdict(cell: &str, port: &str, difference: &Difference) -> Option<VerdictDifference> {
    let Difference::Record { fields } = difference else { return None };
    let field = fields.iter().find(|field| port == VERDICT && field.field == VERDICT)?;
    let change = &field.change;
    Some(VerdictDifference { cell: cell.to_owned(), a: change.a.clone(), b: change.b.clone() })
}

/// Compares recipes; the schema of a kind is compiled once.
#[derive(Default)]
struct Recipes {
    shapes: BTreeMap<&'static str, Shape>,
}

impl Recipes {
    fn parameters(&mut self, both: &[(&Known, &Known)], catalogue: &'static [Kind]) -> Vec<Parameter> {
        let recipes = both.iter().filter_map(|(a, b)| Some((a.id.as_str(), a.recipe.as_ref()?, b.recipe.as_ref()?)));
        recipes.flat_map(|(id, a, b)| self.of_cell(id, a, b, catalogue)).collect()
    }

    fn of_cell(&mut self, id: &str, a: &Recipe, b: &Recipe, catalogue: &'static [Kind]) -> Vec<Parameter> {
        let parameter = |what, a, b| Parameter { cell: id.to_owned(), what, a, b };
        if a.kind != b.kind {
            return vec![parameter(What::Kind, stated(Some(&a.kind)), stated(Some(&b.kind)))];
        }
        let mut found = vec![];
        let (versions_a, versions_b) = (parts(&a.version), parts(&b.version));
        for (part, a, b) in unequal(&versions_a, &versions_b) {
            found.push(parameter(What::Version(part), stated(a), stated(b)));
        }
        let kind = catalogue.iter().find(|kind| kind.name == a.kind);
        let shape = kind.map(|kind| &*self.shapes.entry(kind.name).or_insert_with(|| Shape::of(&kind.schema())));
        for difference in differences(&a.params, &b.params) {
            let setting = |value: Option<Value>, params: &Value| match shape {
                Some(shape) => Setting::of(value, shape, params, &difference.path),
                None => Setting { default: value.is_none(), value: value.unwrap_or_default() },
            };
            let (of_a, of_b) = (setting(difference.was.clone(), &a.params), setting(difference.now.clone(), &b.params));
            found.push(parameter(What::Field(difference.path.to_string()), of_a, of_b));
        }
        for (role, a, b) in unequal(&a.files, &b.files) {
            let digest = |digest: Option<&assay_cache::Digest>| stated(digest.map(ToString::to_string));
            found.push(parameter(What::File(role), digest(a), digest(b)));
        }
        found
    }
}

/// A value that is written, or null.
fn stated(value: Option<impl Serialize>) -> Setting {
    Setting { value: serde_json::json!(value), default: false }
}

/// The keys under which two maps differ, with both values.
fn unequal<'m, T: PartialEq>(
    a: &'m BTreeMap<String, T>,
    b: &'m BTreeMap<String, T>,
) -> Vec<(String, Option<&'m T>, Option<&'m T>)> {
    let keys: BTreeSet<&String> = a.keys().chain(b.keys()).collect();
    let both = keys.into_iter().map(|key| (key.clone(), a.get(key), b.get(key)));
    both.filter(|(_, a, b)| a != b).collect()
}
