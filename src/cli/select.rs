//! Which cells the stages and ids on a command line mean.

use std::collections::BTreeSet;

use super::{Exit, study::check_stages};
use crate::{
    manifest::{encode_label, suggest},
    plan::{Cell, Plan},
};

/// For each cell whether it is asked for: those of `stages`, those with the ids in `cells`, and all that they need.
/// Everything, where neither names anything.
pub fn wanted(plan: &Plan, stages: &[String], cells: &[String]) -> Result<Vec<bool>, Exit> {
    check_stages(plan, stages)?;
    if cells.is_empty() {
        return Ok(plan.wanted(stages));
    }
    let mut wanted = vec![false; plan.cells.len()];
    stages.iter().for_each(|stage| mark_stage(plan, stage, &mut wanted));
    for id in cells {
        wanted[cell(plan, id)?] = true;
    }
    Ok(plan.with_upstream(wanted))
}

/// For each cell whether one of `names`, stages or ids of cells, means it. What is not `wanted` cannot be forced.
pub fn forced(plan: &Plan, names: &[String], wanted: &[bool]) -> Result<Vec<bool>, Exit> {
    let mut forced = vec![false; plan.cells.len()];
    for name in names {
        let mut named = vec![false; plan.cells.len()];
        if is_stage(plan, name) {
            mark_stage(plan, name, &mut named);
        } else {
            named[cell(plan, name)?] = true;
        }
        if !named.iter().zip(wanted).any(|(named, wanted)| *named && *wanted) {
            let message = format!("`{name}` is forced, but nothing that is asked for needs it");
            return Err(Exit::usage(format!("{message}\n  help: name it among the stages to run too")));
        }
        forced.iter_mut().zip(named).for_each(|(forced, named)| *forced |= named);
    }
    Ok(forced)
}

fn is_stage(plan: &Plan, name: &str) -> bool {
    plan.manifest.stages.iter().any(|stage| stage.name.value == name)
}

fn mark_stage(plan: &Plan, name: &str, marks: &mut [bool]) {
    marks.iter_mut().zip(&plan.cells).for_each(|(mark, cell)| *mark |= plan.stage_name(cell) == name);
}

/// The cell with this id, whose labels may stand in any order.
fn cell(plan: &Plan, id: &str) -> Result<usize, Exit> {
    if let Some(found) = plan.cells.iter().position(|cell| cell.id == id) {
        return Ok(found);
    }
    let (stage, labels) = parts(id);
    check_stages(plan, &[stage.to_owned()])?;
    let of_stage = || plan.cells.iter().enumerate().filter(|(_, cell)| plan.stage_name(cell) == stage);
    let found = labels.and_then(|labels| of_stage().find(|(_, cell)| is_labelled(cell, &labels)));
    found.map(|(found, _)| found).ok_or_else(|| no_such_cell(id, stage, of_stage().map(|(_, cell)| cell.id.as_str())))
}

/// The stage in an id, and its `axis=label` pairs if they are well formed.
fn parts(id: &str) -> (&str, Option<BTreeSet<&str>>) {
    match id.split_once('[') {
        None => (id, None),
        Some((stage, labels)) => {
            (stage, labels.strip_suffix(']').map(|labels| labels.split(',').map(str::trim).collect()))
        }
    }
}

/// Whether these are the labels of a cell, as ids have them or as the manifest does.
fn is_labelled(cell: &Cell, labels: &BTreeSet<&str>) -> bool {
    let has = |(axis, label): &(String, String)| {
        labels.contains(format!("{axis}={label}").as_str())
            || labels.contains(format!("{axis}={}", encode_label(label)).as_str())
    };
    labels.len() == cell.labels.len() && cell.labels.iter().all(has)
}

fn no_such_cell<'a>(id: &str, stage: &str, ids: impl Iterator<Item = &'a str> + Clone) -> Exit {
    let example = ids.clone().next().unwrap_or_default();
    let help = suggest(id, &format!("cells of `{stage}`"), ids.clone())
        .unwrap_or_else(|| format!("`{stage}` has {} cells, such as `{example}`", ids.count()));
    Exit::usage(format!("there is no cell `{id}`\n  help: {help}"))
}
