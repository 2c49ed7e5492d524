//! Sentences for people: why a cell runs.

use assay_cache::Digest;
use serde_json::Value;

use super::values::value;
use crate::{
    manifest::{Origin, Written},
    plan::{Fate, Setting, Why},
};

/// One reason in one line. `named` says several cells in few words.
pub fn reason(why: &Why, named: &dyn Fn(&[String]) -> String) -> String {
    match why {
        Why::NotInStore => "not in the store".to_owned(),
        Why::NotFetched { reason } => format!("not fetched: {reason}"),
        Why::Upstream { cells } => format!("follows {}", named(cells)),
        Why::OtherInputs { ports } => format!("its inputs have other bytes now: {}", ports.join(", ")),
        Why::NewStage => "new: no run of this study has finished this stage".to_owned(),
        Why::NewCell => "a new cell: no run of this study has finished it".to_owned(),
        Why::Kind { was, now, line } => format!("kind: {was} → {now}  (line {line})"),
        Why::Version { part, was, now } => format!("version of {part}: {} → {}", number(*was), number(*now)),
        Why::Param { field, was, now, at } => format!("{field}: {} → {}  ({})", setting(was), setting(now), place(at)),
        Why::File { role, path, was, now, line } => {
            let path = path.as_ref().map_or(String::new(), |path| format!(" {}", path.display()));
            format!("content of the file `{role}`: {} → {}  (line {line}){path}", digest(*was), digest(*now))
        }
        Why::Input { port, was, now, line } => {
            let side = |side: &Option<String>| side.as_ref().map_or("nothing".to_owned(), |from| wire(from, named));
            format!("input `{port}`: {} → {}  (line {line})", side(was), side(now))
        }
        Why::Gathered { port, added, removed, line } => {
            let added = (!added.is_empty()).then(|| format!("gathers {} too", wires_of(added, named)));
            let removed = (!removed.is_empty()).then(|| format!("no longer gathers {}", wires_of(removed, &first_of)));
            let sides: Vec<_> = added.into_iter().chain(removed).collect();
            format!("input `{port}` {}  (line {line})", sides.join(" and "))
        }
        Why::Gone => "its entry is gone from the store".to_owned(),
        Why::SetAside { because: Fate::Damaged } => "its entry was damaged, and set aside".to_owned(),
        Why::SetAside { because: Fate::Superseded } => "its entry was set aside, to be computed again".to_owned(),
        Why::Lost { ports, needed_by } if needed_by.is_empty() => {
            format!("{} is gone from the store: `assay verify`, then `assay run` makes it again", ports.join(", "))
        }
        Why::Lost { ports, needed_by } => {
            format!("{} is gone from the store, and {} needs it", ports.join(", "), named(needed_by))
        }
        Why::Forgotten => "the record of its last run is gone: what has changed since cannot be told".to_owned(),
        Why::Saved { units, checkpoint } => saved(*units, *checkpoint),
    }
}

/// `12 units are saved`, `a checkpoint at step 300 is saved`.
pub fn saved(units: usize, checkpoint: Option<u64>) -> String {
    match (units, checkpoint) {
        (0, Some(step)) => format!("a checkpoint at step {step} is saved"),
        (1, None) => "1 unit is saved".to_owned(),
        (units, None) => format!("{units} units are saved"),
        (units, Some(step)) => format!("{units} units and a checkpoint at step {step} are saved"),
    }
}

/// The first of some cells, and how many more there are.
pub fn first_of(ids: &[String]) -> String {
    match ids {
        [] => String::new(),
        [id] => id.clone(),
        [id, rest @ ..] => format!("{id} and {} more", rest.len()),
    }
}

fn number(version: Option<u32>) -> String {
    version.map_or("none".to_owned(), |number| number.to_string())
}

fn digest(digest: Option<Digest>) -> String {
    digest.map_or("none".to_owned(), |digest| digest.to_string()[..12].to_owned())
}

pub fn setting(setting: &Setting) -> String {
    match (&setting.value, setting.default) {
        (Value::Null, true) => "(default)".to_owned(),
        (default, true) => format!("{} (default)", value(default)),
        (set, false) => value(set),
    }
}

fn place(at: &Written) -> String {
    match &at.by {
        Origin::Stage => format!("line {}", at.line),
        Origin::Param(name) => format!("line {}, [params] {name}", at.line),
        Origin::Set(name) => format!("--set {name}"),
        Origin::Axis(name) => format!("line {}, axis {name}", at.line),
        Origin::StudySeed => format!("line {}, the study's seed", at.line),
    }
}

/// `stage.port`, the cell in few words.
fn wire(wire: &str, named: &dyn Fn(&[String]) -> String) -> String {
    match wire.rsplit_once('.') {
        Some((cell, port)) => format!("{}.{port}", named(&[cell.to_owned()])),
        None => wire.to_owned(),
    }
}

fn wires_of(wires: &[String], named: &dyn Fn(&[String]) -> String) -> String {
    let cell = |wire: &String| wire.rsplit_once('.').map_or(wire.as_str(), |(cell, _)| cell).to_owned();
    match wires {
        [one] => wire(one, named),
        several => named(&several.iter().map(cell).collect::<Vec<_>>()),
    }
}
