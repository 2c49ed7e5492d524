//! Artifacts as rows and columns: what the kinds that work on tables read, whatever stood in the port.
//!
//! A table is itself, a record is one row (nested fields joined by `.`), a tensor is one row an element (its axes and
//! `value`). Several artifacts in one port are stacked, with their axis labels as columns. No number is computed here.

mod groups;
mod known;
mod nearest;
mod rows;
mod stack;

pub use groups::{groups, heads, row_keys};
pub use known::Known;
pub use nearest::{by_nearness, is_axis_of, is_misspelt};
pub use rows::{Filter, keep, matching, numbers, pick, picked, texts};
pub use stack::{below, stack, typed};

use std::collections::BTreeSet;

use assay_cache::Table;

use crate::{Failure, Given, InputPort, Mistake, PortType};

/// The names of the ports that the manifest wires, whether or not it is known yet what arrives.
pub fn wired<'g>(given: &'g Given) -> BTreeSet<&'g str> {
    given.inputs.keys().chain(&given.unknown).map(String::as_str).collect()
}

/// A port that takes anything that reads as rows, several of it too.
pub fn port(name: &str) -> InputPort {
    InputPort::many(name, PortType::of("table")).or(PortType::of("tensor")).or(PortType::of("record"))
}

/// Such ports, under the names that a manifest chose.
pub fn ports(names: &BTreeSet<&str>) -> Vec<InputPort> {
    names.iter().map(|name| port(name)).collect()
}

/// What is wrong with columns that make groups, where a stage puts columns of its own behind them.
pub fn clash(by: &[String], own: &[&str]) -> Option<Mistake> {
    let i = by.iter().position(|name| own.contains(&name.as_str()))?;
    Some(Mistake::new(format!("by[{i}]"), format!("the output has a column `{}` of its own", by[i])))
}

/// The column of this name, or a failure that names those there are, the nearest first.
pub fn column<'t>(table: &'t Table, name: &str, at: &str) -> Result<&'t assay_cache::Column, Failure> {
    table.column(name).ok_or_else(|| {
        let names = table.columns.iter().map(|column| column.name.as_str());
        Failure::fatal(no_column(name, at, names))
    })
}

/// What to say where `at` has no column of this name.
pub fn no_column<'n>(name: &str, at: &str, names: impl Iterator<Item = &'n str>) -> String {
    let names = by_nearness(name, names);
    match names.as_slice() {
        [] => format!("`{at}` has no column `{name}`: it has no columns at all"),
        names => format!("`{at}` has no column `{name}`; it has {}", names.join(", ")),
    }
}
