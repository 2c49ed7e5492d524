//! Many cells in few words: those of a stage that have something in common stand together.

use crate::plan::Plan;

/// Cells of one stage, and what they have in common.
pub struct Group<T> {
    pub cells: Vec<usize>,
    pub same: T,
}

/// The cells of each stage, grouped by what `of` says of each, in the order of the plan.
pub fn grouped<T: PartialEq>(plan: &Plan, of: impl Fn(usize) -> T) -> Vec<Group<T>> {
    let mut groups: Vec<Group<T>> = vec![];
    // Cells of a stage stand together in a plan: only its own groups are searched.
    let mut first_of_stage = 0;
    for at in 0..plan.cells.len() {
        if at > 0 && plan.cells[at].stage != plan.cells[at - 1].stage {
            first_of_stage = groups.len();
        }
        let same = of(at);
        match groups[first_of_stage..].iter_mut().find(|group| group.same == same) {
            Some(group) => group.cells.push(at),
            None => groups.push(Group { cells: vec![at], same }),
        }
    }
    groups
}

/// Cells by name: `rank`, `treated[sigma=0.1]`, `treated (60 cells)`, `treated (20 of 60 cells)`.
pub fn named(plan: &Plan, ids: &[String]) -> String {
    let stage = |id: &str| id.split('[').next().unwrap_or_default().to_owned();
    let mut stages: Vec<(String, Vec<&String>)> = vec![];
    for id in ids {
        match stages.iter_mut().find(|(name, _)| *name == stage(id)) {
            Some((_, ids)) => ids.push(id),
            None => stages.push((stage(id), vec![id])),
        }
    }
    let told = |(name, ids): &(String, Vec<&String>)| match ids.as_slice() {
        [id] => (*id).clone(),
        ids => match plan.cells.iter().filter(|cell| plan.stage_name(cell) == name).count() {
            all if all == ids.len() => format!("{name} ({all} cells)"),
            all => format!("{name} ({} of {all} cells)", ids.len()),
        },
    };
    stages.iter().map(told).collect::<Vec<_>>().join(", ")
}
