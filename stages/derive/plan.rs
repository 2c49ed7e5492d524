//! The columns that a derived table will have, and what is wrong with the way to it, before anything runs.

use std::collections::BTreeSet;

use super::{Derive, Join, NewColumn};
use crate::{
    Given, Mistake,
    expression::{self, identifier},
    tables::{Filter, Known, by_nearness},
};

/// The columns of the derived table, where all of them are known.
pub fn columns(stage: &Derive, given: &Given, ports: &BTreeSet<&str>) -> Result<Option<Vec<String>>, Vec<Mistake>> {
    let from = match stage.from(ports) {
        Some(from) => Known::of(given, from),
        None => return Err(vec![from_mistake(stage, ports)]),
    };
    let mut walk = Walk { given, ports, columns: from, mistakes: vec![] };
    walk.rename(stage);
    walk.filter("where", &stage.filter);
    for (i, join) in stage.join.iter().enumerate() {
        walk.join(&format!("join[{i}]"), join);
    }
    for (i, new) in stage.columns.iter().enumerate() {
        walk.add(&format!("columns[{i}]"), new);
    }
    for (i, key) in stage.sort.iter().enumerate() {
        walk.need(&format!("sort[{i}]"), sort_key(key).0);
    }
    for (i, name) in stage.keep.iter().enumerate() {
        walk.need(&format!("keep[{i}]"), name);
        if stage.keep[..i].contains(name) {
            walk.mistakes.push(Mistake::new(format!("keep[{i}]"), taken(name)));
        }
    }
    if !walk.mistakes.is_empty() {
        return Err(walk.mistakes);
    }
    Ok(if stage.keep.is_empty() { walk.columns.complete().map(<[String]>::to_vec) } else { Some(stage.keep.clone()) })
}

pub fn no_from(ports: &BTreeSet<&str>) -> String {
    let names: Vec<_> = ports.iter().copied().collect();
    format!("`from` says the rows of which port are taken: one of {}", names.join(", "))
}

pub fn taken(name: &str) -> String {
    format!("two columns would be called `{name}`")
}

/// The column of a key of `sort`, and whether it falls.
pub fn sort_key(key: &str) -> (&str, bool) {
    key.strip_prefix('-').map_or((key, false), |name| (name, true))
}

/// Whether rows are ordered before new columns are made: all of `sort` is there.
pub fn sorts_first(sort: &[String], here: impl Fn(&str) -> bool) -> bool {
    sort.iter().all(|key| here(sort_key(key).0))
}

fn from_mistake(stage: &Derive, ports: &BTreeSet<&str>) -> Mistake {
    match &stage.from {
        Some(from) => no_port("from", from, ports),
        None if ports.is_empty() => {
            Mistake::new("", "there is no table to take rows from").help("inputs = { t = \"…\" }")
        }
        None => Mistake::new("", no_from(ports)),
    }
}

fn no_port(at: &str, name: &str, ports: &BTreeSet<&str>) -> Mistake {
    let known = by_nearness(name, ports.iter().copied()).join(", ");
    Mistake::new(at, format!("no input port is called `{name}`")).help(format!("`inputs` names: {known}"))
}

/// The columns as they stand after each step.
struct Walk<'g> {
    given: &'g Given<'g>,
    ports: &'g BTreeSet<&'g str>,
    columns: Known,
    mistakes: Vec<Mistake>,
}

impl Walk<'_> {
    fn need(&mut self, at: &str, name: &str) {
        self.mistakes.extend(self.columns.lacks(name).map(|message| Mistake::new(at, message)));
    }

    fn filter(&mut self, at: &str, filter: &Filter) {
        filter.keys().for_each(|name| self.need(&format!("{at}.{name}"), name));
    }

    fn rename(&mut self, stage: &Derive) {
        stage.rename.keys().for_each(|name| self.need(&format!("rename.{name}"), name));
        self.turn(|name| stage.rename.get(&name).cloned().unwrap_or(name), vec![]);
    }

    fn join(&mut self, at: &str, join: &Join) {
        if !self.ports.contains(join.port.as_str()) {
            self.mistakes.push(no_port(&format!("{at}.port"), &join.port, self.ports));
            self.columns = Known::default();
            return;
        }
        let other = Known::of(self.given, &join.port);
        for (i, name) in join.on.iter().enumerate() {
            let at = format!("{at}.on[{i}]");
            self.need(&at, name);
            self.mistakes.extend(other.lacks(name).map(|message| Mistake::new(&at, message)));
        }
        for name in join.filter.keys() {
            let mistake = other.lacks(name).map(|message| Mistake::new(format!("{at}.where.{name}"), message));
            self.mistakes.extend(mistake);
        }
        let Some(more) = other.complete() else {
            self.columns = Known::default();
            return;
        };
        let more: Vec<String> =
            more.iter().filter(|name| !join.on.contains(name)).map(|name| format!("{}{name}", join.prefix)).collect();
        if let Some(twice) = self.columns.complete().and_then(|here| more.iter().find(|name| here.contains(name))) {
            let help = "give the columns that come a `prefix`, or name the column in `on`";
            self.mistakes.push(Mistake::new(format!("{at}.prefix"), taken(twice)).help(help));
            return;
        }
        self.turn(|name| name, more);
    }

    fn add(&mut self, at: &str, new: &NewColumn) {
        match (&new.is, &new.gradient) {
            (Some(text), None) => self.expression(&format!("{at}.is"), text),
            (None, Some(of)) => {
                self.need(&format!("{at}.gradient"), of);
                for (i, name) in new.by.iter().enumerate() {
                    self.need(&format!("{at}.by[{i}]"), name);
                }
            }
            _ => self.mistakes.push(Mistake::new(at, "exactly one of `is` and `gradient` says what it holds")),
        }
        if new.gradient.is_none() && !new.by.is_empty() {
            self.mistakes.push(Mistake::new(format!("{at}.by"), "`by` belongs to `gradient`"));
        }
        if self.columns.complete().is_some_and(|here| here.contains(&new.name)) {
            self.mistakes.push(Mistake::new(format!("{at}.name"), taken(&new.name)));
        } else {
            self.turn(|name| name, vec![new.name.clone()]);
        }
    }

    /// A name is a column of this row, else a port. Where not all columns are known, any name may be one.
    fn expression(&mut self, at: &str, text: &str) {
        let ports: BTreeSet<String> = self.ports.iter().map(|port| identifier(port)).collect();
        match (self.columns.complete(), expression::parse(text, &BTreeSet::new())) {
            (_, Err(why)) => self.mistakes.push(Mistake::new(at, why)),
            (None, Ok(_)) => (),
            (Some(columns), Ok(_)) => {
                let columns = columns.iter().map(|name| identifier(name));
                let known = ports.into_iter().chain(columns).collect();
                self.mistakes.extend(expression::mistakes(at, text, &known, self.given));
            }
        }
    }

    /// The columns under their new names, and more of them; unknown ones stay unknown.
    fn turn(&mut self, name: impl Fn(String) -> String, more: Vec<String>) {
        match self.columns.complete() {
            Some(columns) => {
                let names = columns.iter().cloned().map(name).chain(more).collect();
                self.columns = Known::made("the table", names);
            }
            None => self.columns = std::mem::take(&mut self.columns).renamed(name, more),
        }
    }
}
