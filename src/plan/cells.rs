//! Every cell of every stage: parameters substituted and typed, inputs wired, ports checked, recipe keyed.

use std::collections::BTreeMap;

use assay_cache::{FORMAT, Labels, Recipe, Upstream};
use assay_stages::{DynStage, Kind, Mistake, OutputPort};
use serde_json::Value;

use super::{Cell, Digests, From, Keyed, Sources, sources, unknown, wiring::Index};
use crate::manifest::{
    Axis, AxisValue, InputDecl, Lowering, Manifest, Problem, ROOM, Room, Scope, Shape, Span, StageDecl,
    canonical_params, encode_label, lower_cell,
};

/// The cells of the stages in `order`, in that order. A cell with a mistake is `None`, and its problem is reported.
pub fn expand(
    manifest: &Manifest,
    catalogue: &'static [Kind],
    order: &[usize],
    digests: &mut Digests,
    problems: &mut Vec<Problem>,
) -> Vec<Option<Cell>> {
    let lowering = match Lowering::of(manifest) {
        Ok(lowering) => lowering,
        Err(error) => {
            problems.push(Problem::nowhere(format!("there is no working directory: {error}")));
            return vec![];
        }
    };
    let mut planner = Planner {
        manifest,
        lowering,
        room: Room::of(ROOM),
        stage_of: manifest.stages.iter().enumerate().map(|(i, stage)| (stage.name.value.as_str(), i)).collect(),
        index: Index::new(manifest.stages.len()),
        cells: Vec::new(),
        digests,
        problems,
    };
    let mut shapes = BTreeMap::new();
    for &stage in order {
        let decl = &manifest.stages[stage];
        let Some(kind) = catalogue.iter().find(|kind| kind.name == decl.kind.value) else {
            planner.unknown_kind(decl, catalogue);
            planner.broken(stage);
            continue;
        };
        let shape = shapes.entry(kind.name).or_insert_with(|| Shape::of(&kind.schema()));
        planner.stage(stage, kind, shape);
    }
    planner.cells
}

/// Makes the cells of one stage after another; what is upstream is there already.
pub struct Planner<'a> {
    pub(super) manifest: &'a Manifest,
    lowering: Lowering,
    room: Room,
    pub(super) stage_of: BTreeMap<&'a str, usize>,
    index: Index,
    pub(super) cells: Vec<Option<Cell>>,
    digests: &'a mut Digests,
    pub(super) problems: &'a mut Vec<Problem>,
}

/// An input as it is wired: its declaration, and the outputs that arrive with the labels of gathered axes. `None`
/// stands for a stage that has a mistake of its own.
pub struct Wired<'a> {
    pub decl: &'a InputDecl,
    pub arrivals: Option<Vec<(Labels, From)>>,
}

impl<'a> Planner<'a> {
    fn stage(&mut self, stage: usize, kind: &'static Kind, shape: &Shape) {
        let decl = &self.manifest.stages[stage];
        if decl.is_partial {
            self.parameters_alone(decl, kind, shape);
            return self.broken(stage);
        }
        if let Some(problem) = self.too_many_cells(decl) {
            self.problems.push(problem);
            return self.broken(stage);
        }
        for combination in combinations(&self.axes(decl)) {
            if self.room.is_spent {
                return self.broken(stage);
            }
            let labels: Labels =
                combination.iter().map(|(axis, value)| (axis.name.value.clone(), value.label.clone())).collect();
            let scope = Scope { params: &self.manifest.params, axes: &self.manifest.axes, cell: &combination };
            let cell = self.cell(stage, kind, shape, &labels, &scope);
            self.index.add(stage, labels, self.cells.len());
            self.cells.push(cell);
        }
    }

    /// Finds what is wrong with the parameters of a stage whose axes are not all understood: whatever axis a reference
    /// names may be meant to be there.
    fn parameters_alone(&mut self, decl: &StageDecl, kind: &Kind, shape: &Shape) {
        let first: Option<Vec<_>> = self.manifest.axes.iter().map(|axis| Some((axis, axis.values.first()?))).collect();
        if let Some(cell) = first {
            self.body(
                decl,
                kind,
                shape,
                &Scope { params: &self.manifest.params, axes: &self.manifest.axes, cell: &cell },
            );
        }
    }

    fn too_many_cells(&self, decl: &StageDecl) -> Option<Problem> {
        const MOST: usize = 100_000;
        let lengths = self.axes(decl).into_iter().map(|axis| axis.values.len());
        let count = lengths.fold(1, usize::saturating_mul);
        let first = decl.over.first().filter(|_| count > MOST)?;
        let message = format!("`{}` would have {count} cells, and {MOST} are the most", decl.name.value);
        Some(Problem::new(first.span.clone(), message).help("take axes out of `over`, or values out of the axes"))
    }

    /// The axes of a stage, in the order of `[axes]`.
    fn axes(&self, decl: &StageDecl) -> Vec<&'a Axis> {
        let has = |axis: &&Axis| decl.over.iter().any(|name| name.value == axis.name.value);
        self.manifest.axes.iter().filter(has).collect()
    }

    fn cell(
        &mut self,
        stage: usize,
        kind: &'static Kind,
        shape: &Shape,
        labels: &Labels,
        scope: &Scope,
    ) -> Option<Cell> {
        let decl = &self.manifest.stages[stage];
        let before = self.problems.len();
        let body = self.body(decl, kind, shape, scope);
        let wired = self.wire(decl, labels);
        let Some((body, params)) = body else {
            self.misnamed_outputs(decl);
            return None;
        };
        let sources = sources::find(&*body, self.digests).unwrap_or_else(|reason| {
            self.problems.push(Problem::new(place_of_source(decl), reason.clone()));
            Sources::NotFetched(reason) // so that the rest of the stage is looked at all the same
        });
        let ports = self.ports(decl, &*body, &sources, &wired)?;
        let inputs = self.check(decl, &ports, &wired).ok()?;
        if self.problems.len() > before || wired.iter().any(|wire| wire.arrivals.is_none()) {
            return None;
        }
        let id = id(&decl.name.value, labels);
        let mut cell =
            Cell { stage, id, labels: labels.clone(), kind, body, ports, inputs, sources, params, keyed: None };
        cell.keyed = self.key(&cell);
        Some(cell)
    }

    /// The stage with its typed parameters, and those as they enter the key.
    fn body(
        &mut self,
        decl: &StageDecl,
        kind: &Kind,
        shape: &Shape,
        scope: &Scope,
    ) -> Option<(Box<dyn DynStage>, Value)> {
        let params = match lower_cell(&decl.params, scope, shape, &self.lowering, &mut self.room) {
            Ok(params) => params,
            Err(problems) => {
                self.problems.extend(problems);
                return None;
            }
        };
        match kind.parse(params) {
            Ok(body) => {
                let params = canonical_params(&body.keyed(), shape);
                Some((body, params))
            }
            Err(mistake) => {
                self.problems.push(placed(decl, mistake));
                None
            }
        }
    }

    fn wire(&self, decl: &'a StageDecl, labels: &Labels) -> Vec<Wired<'a>> {
        let wired = |input: &'a InputDecl| {
            let mut arrivals = Some(Vec::new());
            for wire in &input.wires {
                let cells = self.stage_of.get(wire.value.stage.as_str()).map(|&up| self.index.matching(up, labels));
                for (gathered, cell) in cells.unwrap_or_default() {
                    let port = self.cells[cell].as_ref().and_then(|up| up.output(wire.value.port.as_deref()));
                    match (port, &mut arrivals) {
                        (Some(port), Some(arrivals)) => {
                            arrivals.push((gathered, From { cell, port: port.name.clone() }));
                        }
                        _ => arrivals = None,
                    }
                }
            }
            let arrivals = arrivals.filter(|arrivals| !arrivals.is_empty());
            Wired { decl: input, arrivals }
        };
        decl.inputs.iter().map(wired).collect()
    }

    fn unknown_kind(&mut self, decl: &StageDecl, catalogue: &[Kind]) {
        let names = catalogue.iter().map(|kind| kind.name);
        self.problems.push(unknown(decl.kind.span.clone(), "kind", &decl.kind.value, names));
    }

    /// A stage whose cells are not known: those downstream are not checked against it.
    fn broken(&mut self, stage: usize) {
        self.index.add(stage, Labels::new(), self.cells.len());
        self.cells.push(None);
    }

    fn key(&self, cell: &Cell) -> Option<Keyed> {
        let Sources::Here { digests, .. } = &cell.sources else { return None };
        let upstream = |from: &From| {
            let key = self.cells[from.cell].as_ref().and_then(Cell::key).ok_or(())?;
            Ok::<_, ()>(Upstream { key, port: from.port.clone() })
        };
        let slots = cell.inputs.iter().map(|(port, slot)| Ok((port.clone(), slot.try_map(upstream)?)));
        let recipe = Recipe {
            format: FORMAT,
            kind: cell.kind.name.to_owned(),
            version: cell.kind.version(),
            params: cell.params.clone(),
            files: digests.clone(),
            inputs: slots.collect::<Result<_, ()>>().ok()?,
        };
        let key = recipe.key();
        Some(Keyed { recipe, key })
    }
}

impl Cell {
    /// The output of this name; without one, the first.
    pub fn output(&self, name: Option<&str>) -> Option<&OutputPort> {
        match name {
            Some(name) => self.ports.outputs.iter().find(|port| port.name == name),
            None => self.ports.outputs.first(),
        }
    }
}

/// `treated[region=early,sigma=0.1]`; without axes, the name.
pub fn id(name: &str, labels: &Labels) -> String {
    if labels.is_empty() {
        return name.to_owned();
    }
    let labels: Vec<_> = labels.iter().map(|(axis, label)| format!("{axis}={}", encode_label(label))).collect();
    format!("{name}[{}]", labels.join(","))
}

/// Every combination of values of the axes, the last axis fastest.
fn combinations<'a>(axes: &[&'a Axis]) -> Vec<Vec<(&'a Axis, &'a AxisValue)>> {
    axes.iter().fold(vec![vec![]], |combinations, axis| {
        let with_each = |combination: Vec<_>| {
            axis.values.iter().map(move |value| combination.iter().copied().chain([(*axis, value)]).collect())
        };
        combinations.into_iter().flat_map(with_each).collect()
    })
}

/// Where a stage says which files it reads.
fn place_of_source(decl: &StageDecl) -> Span {
    let node = ["source", "file", "config"].iter().find_map(|key| decl.params.get(key));
    node.map_or(&decl.name.span, |node| &node.span).clone()
}

/// A stage's own mistake, where it stands in the manifest: in its parameters, or in an input.
pub fn placed(decl: &StageDecl, mistake: Mistake) -> Problem {
    Problem { help: mistake.help, ..Problem::new(place(decl, &mistake.at), mistake.message) }
}

fn place(decl: &StageDecl, at: &str) -> Span {
    let input = at.strip_prefix("inputs.").and_then(|port| decl.inputs.iter().find(|input| input.port.value == port));
    match input {
        Some(input) => input.wires.first().map_or(&input.port.span, |wire| &wire.span).clone(),
        None if at.is_empty() => decl.name.span.clone(),
        None => decl.params.span_at(at),
    }
}
