//! The stages of a study in a line each: where their cells stand, and how long they took, in this run or in an earlier
//! one.

use serde::Serialize;

use super::known::Known;
use crate::{
    graph::{Grain, Graph},
    report::clock::span,
};

#[derive(Serialize)]
pub struct StageView {
    pub name: String,
    pub kind: String,
    /// `×60 (region × sigma × seed)`.
    pub cells: Option<String>,
    /// The word for the gravest of its cells, and the count of each.
    pub state: &'static str,
    pub states: String,
    pub progress: Option<String>,
    /// What its cells took when they were computed: in this run, and earlier.
    pub now: Option<String>,
    pub earlier: Option<String>,
    /// The same as shares of the longest stage, in percent.
    pub now_share: String,
    pub earlier_share: String,
    pub devices: Vec<String>,
    /// The key, of a stage with one cell.
    pub key: Option<String>,
    pub short: Option<String>,
}

/// What one stage took, in seconds.
#[derive(Clone, Copy, Default)]
struct Took {
    now: f64,
    earlier: f64,
}

/// The graph of the study as this run left it, for the drawing and for the table.
pub fn graph(known: &Known) -> Graph {
    Graph::of(known.plan, Grain::Stages, |cell| known.cells[cell].word)
}

pub fn stages(known: &Known, graph: &Graph) -> Vec<StageView> {
    let rows: Vec<_> = graph.nodes.iter().map(|node| cells_of(known, &node.name)).collect();
    let took: Vec<Took> = rows.iter().map(|cells| took(known, cells)).collect();
    let longest = took.iter().map(|took| took.now + took.earlier).fold(0.0, f64::max);
    let share = |seconds: f64| if longest > 0.0 { format!("{:.2}", 100.0 * seconds / longest) } else { "0".into() };
    let shown = |seconds: f64| (seconds > 0.0).then(|| span(seconds));
    let view = |((node, cells), took): ((&crate::graph::Node, &Vec<usize>), &Took)| StageView {
        name: node.name.clone(),
        kind: node.kind.clone(),
        cells: node.cells_text(),
        state: node.state(),
        states: node.state_text(),
        progress: cells.iter().find_map(|&cell| known.cells[cell].progress.clone()),
        now: shown(took.now),
        earlier: shown(took.earlier),
        now_share: share(took.now),
        earlier_share: share(took.earlier),
        devices: devices(known, cells),
        key: only_key(known, cells).map(|key| key.to_string()),
        short: only_key(known, cells).map(|key| key.0.short()),
    };
    graph.nodes.iter().zip(&rows).zip(&took).map(view).collect()
}

fn cells_of(known: &Known, stage: &str) -> Vec<usize> {
    let cells = known.plan.cells.iter().enumerate();
    cells.filter(|(_, cell)| known.plan.stage_name(cell) == stage).map(|(index, _)| index).collect()
}

fn took(known: &Known, cells: &[usize]) -> Took {
    let mut took = Took::default();
    for &cell in cells {
        if let Some(entry) = &known.entries[cell] {
            let computed_now = matches!(known.cells[cell].word, "ran" | "reproduced");
            *if computed_now { &mut took.now } else { &mut took.earlier } += entry.made.seconds;
        }
    }
    took
}

fn devices(known: &Known, cells: &[usize]) -> Vec<String> {
    let devices = cells.iter().filter_map(|&cell| known.entries[cell].as_ref());
    let mut devices: Vec<String> = devices.map(|entry| entry.made.device.clone()).collect();
    devices.sort_unstable();
    devices.dedup();
    devices
}

fn only_key(known: &Known, cells: &[usize]) -> Option<assay_cache::Key> {
    if let [only] = cells { known.plan.cells[*only].key() } else { None }
}
