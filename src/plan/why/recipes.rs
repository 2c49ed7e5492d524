//! Two recipes of one cell: the one of the last run and the one of this plan.

use std::collections::{BTreeMap, BTreeSet};

use assay_cache::{Labels, Recipe, Slot, Upstream};
use serde_json::Value;

use super::{Why, path_of};
use crate::{
    manifest::{Axis, AxisValue, FieldPath, LeftOut, Shape, StageDecl, Written},
    plan::{self, Cell, Memory, Plan, Setting, State, differences},
};

/// A cell whose key is another than last time.
pub struct Comparison<'a> {
    pub plan: &'a Plan,
    pub states: &'a [State],
    pub memory: &'a Memory,
    pub cell: &'a Cell,
    pub shape: &'a Shape,
}

impl Comparison<'_> {
    /// What differs, the causes of this cell's own first.
    pub fn reasons(&self, was: &Recipe, now: &Recipe) -> Vec<Why> {
        let mut reasons = vec![];
        if was.kind == now.kind {
            reasons.extend(self.versions(&was.version, &now.version));
            reasons.extend(self.params(&was.params, &now.params));
            reasons.extend(self.files(was, now));
        } else {
            let line = self.plan.manifest.line(&self.decl().kind.span);
            reasons.push(Why::Kind { was: was.kind.clone(), now: now.kind.clone(), line });
        }
        let mut follows = Follows::default();
        for port in was.inputs.keys().chain(now.inputs.keys()).collect::<BTreeSet<_>>() {
            reasons.extend(self.input(port, was.inputs.get(port), &mut follows));
        }
        let cells = follows.cells(self.plan);
        reasons.extend((!cells.is_empty()).then_some(Why::Upstream { cells }));
        reasons
    }

    fn decl(&self) -> &StageDecl {
        &self.plan.manifest.stages[self.cell.stage]
    }

    fn versions(&self, was: &str, now: &str) -> Vec<Why> {
        let (was, now) = (parts(was), parts(now));
        let names: BTreeSet<_> = was.keys().chain(now.keys()).collect();
        let number = |of: &BTreeMap<String, u32>, part: &str| of.get(part).copied();
        names
            .into_iter()
            .filter(|part| was.get(*part) != now.get(*part))
            .map(|part| Why::Version { part: part.clone(), was: number(&was, part), now: number(&now, part) })
            .collect()
    }

    fn params(&self, was: &Value, now: &Value) -> Vec<Why> {
        let differences = differences(was, now).into_iter();
        differences
            .map(|difference| {
                let before = Setting::of(difference.was, self.shape, was, &difference.path);
                let after = Setting::of(difference.now.clone(), self.shape, now, &difference.path);
                let by_study = difference.now.is_some() && self.is_study_seed(&difference.path, now);
                let at = if by_study { self.plan.manifest.written_seed() } else { self.written(&difference.path) };
                Why::Param { field: difference.path, was: before, now: after, at }
            })
            .collect()
    }

    /// Whether a field is a seed that the stage leaves to the study.
    fn is_study_seed(&self, path: &FieldPath, params: &Value) -> bool {
        self.shape.left_out(params, path) == Some(LeftOut::StudySeed) && !self.decl().params.has(path)
    }

    fn written(&self, path: &FieldPath) -> Written {
        let manifest = &self.plan.manifest;
        let value = |(axis, label): &(String, String)| -> Option<(&Axis, &AxisValue)> {
            let axis = manifest.axes.iter().find(|own| own.name.value == *axis)?;
            Some((axis, axis.values.iter().find(|value| value.label == *label)?))
        };
        let values: Vec<_> = self.cell.labels.iter().filter_map(value).collect();
        manifest.written(self.decl(), &values, path)
    }

    fn files(&self, was: &Recipe, now: &Recipe) -> Vec<Why> {
        let roles: BTreeSet<_> = was.files.keys().chain(now.files.keys()).collect();
        let changed = roles.into_iter().filter(|role| was.files.get(*role) != now.files.get(*role));
        changed
            .map(|role| Why::File {
                role: role.clone(),
                path: path_of(self.cell, role),
                was: was.files.get(role).copied(),
                now: now.files.get(role).copied(),
                line: self.line_of_files(),
            })
            .collect()
    }

    /// The line of the parameter that names files.
    fn line_of_files(&self) -> usize {
        let decl = self.decl();
        let named = ["file", "source", "config"].into_iter().find(|key| decl.params.get(key).is_some());
        named.map_or_else(
            || self.plan.manifest.line(&decl.name.span),
            |key| self.written(&FieldPath::default().key(key)).line,
        )
    }

    /// What has changed in a port. Where only the result behind it has, the cell that made it is one to follow.
    fn input(&self, port: &str, was: Option<&Slot<Upstream>>, follows: &mut Follows) -> Option<Why> {
        let line = self.line_of_input(port);
        let now = self.cell.inputs.get(port);
        match (was, now) {
            (Some(Slot::Many(was)), Some(Slot::Many(now))) => return self.gathered(port, was, now, line, follows),
            (Some(Slot::Many(was)), None) => return self.gathered(port, was, &[], line, follows),
            (None, Some(Slot::Many(now))) => return self.gathered(port, &[], now, line, follows),
            _ => {}
        }
        let one_now = now.and_then(|slot| slot.items().first().copied());
        let one_was = was.and_then(|slot| slot.items().first().copied());
        if let (Some(was), Some(now)) = (one_was, one_now)
            && self.is_same_wire(was, now)
        {
            follows.note(self, was, now);
            return None;
        }
        let told_was = one_was.map(|was| self.name_was(was));
        let told_now = one_now.map(|now| self.name_now(now));
        (told_was != told_now).then(|| Why::Input { port: port.to_owned(), was: told_was, now: told_now, line })
    }

    /// A port that takes many: what was added and removed, by labels and the stage behind them.
    fn gathered(
        &self,
        port: &str,
        was: &[(Labels, Upstream)],
        now: &[(Labels, plan::From)],
        line: usize,
        follows: &mut Follows,
    ) -> Option<Why> {
        let mut left: Vec<_> = was.iter().collect();
        let mut added = vec![];
        for (labels, from) in now {
            match left.iter().position(|(own, upstream)| own == labels && self.is_same_wire(upstream, from)) {
                Some(at) => {
                    let (_, upstream) = left.remove(at);
                    follows.note(self, upstream, from);
                }
                None => added.push(self.name_now(from)),
            }
        }
        let removed: Vec<_> = left.into_iter().map(|(_, upstream)| self.name_was(upstream)).collect();
        let changed = !added.is_empty() || !removed.is_empty();
        changed.then(|| Why::Gathered { port: port.to_owned(), added, removed, line })
    }

    /// Whether a wire still leads to the output of the cell that it led to. A key that the memory no longer knows may
    /// be an older result of any cell: then the wire is taken to be the same.
    fn is_same_wire(&self, was: &Upstream, now: &plan::From) -> bool {
        let cell = &self.plan.cells[now.cell];
        let ids = self.memory.ids(was.key);
        was.port == now.port && (cell.key() == Some(was.key) || ids.is_empty() || ids.contains(&cell.id))
    }

    fn name_was(&self, was: &Upstream) -> String {
        match self.memory.ids(was.key).first() {
            Some(id) => format!("{id}.{}", was.port),
            None => format!("{:.8}….{}", was.key.to_string(), was.port),
        }
    }

    fn name_now(&self, now: &plan::From) -> String {
        format!("{}.{}", self.plan.cells[now.cell].id, now.port)
    }

    fn line_of_input(&self, port: &str) -> usize {
        let decl = self.decl();
        let input = decl.inputs.iter().find(|input| input.port.value == port);
        let span =
            input.map_or(&decl.name.span, |input| input.wires.first().map_or(&input.port.span, |wire| &wire.span));
        self.plan.manifest.line(span)
    }
}

/// Cells upstream that were upstream last time too, and whose result is another now.
#[derive(Default)]
struct Follows(BTreeSet<usize>);

impl Follows {
    fn note(&mut self, comparison: &Comparison, was: &Upstream, now: &plan::From) {
        let runs = !matches!(comparison.states[now.cell], State::Cached(_));
        if runs || comparison.plan.cells[now.cell].key() != Some(was.key) {
            self.0.insert(now.cell);
        }
    }

    fn cells(self, plan: &Plan) -> Vec<String> {
        self.0.into_iter().map(|up| plan.cells[up].id.clone()).collect()
    }
}

/// `generate=1,lm=3`, by part.
pub fn parts(version: &str) -> BTreeMap<String, u32> {
    let part = |part: &str| {
        let (name, number) = part.split_once('=')?;
        Some((name.to_owned(), number.parse().ok()?))
    };
    version.split(',').filter_map(part).collect()
}
