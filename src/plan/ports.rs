//! What is wired, held against the ports that a stage declares: names, types, how many.

use std::collections::BTreeMap;

use assay_cache::{Labels, Slot};
use assay_stages::{Arrived, DynStage, Given, InputPort, Mistake, Ports};

use super::{
    Cell, From, Sources,
    cells::{Planner, Wired, placed},
    unknown,
};
use crate::manifest::{InputDecl, Problem, Span, StageDecl};

/// What stands in each port.
type Slots = BTreeMap<String, Slot<From>>;

impl Planner<'_> {
    /// The ports that a stage declares, given what arrives.
    pub fn ports(
        &mut self,
        decl: &StageDecl,
        body: &dyn DynStage,
        sources: &Sources,
        wired: &[Wired],
    ) -> Option<Ports> {
        match body.ports(&self.given(sources, wired, |_| true)) {
            Ok(ports) => Some(ports),
            Err(mistakes) => {
                let mistakes = self.misfits(decl, body, sources, wired).unwrap_or(mistakes);
                self.problems.extend(mistakes.into_iter().map(|mistake| placed(decl, mistake)));
                None
            }
        }
    }

    /// Finds what is wrong with the wires of a stage that has mistakes of its own: which ports it takes, it says where it
    /// knows nothing of what arrives. From what does not belong into its port nothing follows, so that the mistakes are
    /// asked for again without it; `None` where all that arrives belongs there.
    fn misfits(
        &mut self,
        decl: &StageDecl,
        body: &dyn DynStage,
        sources: &Sources,
        wired: &[Wired],
    ) -> Option<Vec<Mistake>> {
        let Ok(ports) = body.ports(&self.given(sources, wired, |_| false)) else {
            self.misnamed_outputs(decl);
            return None;
        };
        let fitting = self.check(decl, &ports, wired).err()?;
        let given = self.given(sources, wired, |port| fitting.contains_key(port));
        Some(body.ports(&given).err().unwrap_or_default())
    }

    /// What a stage is told of its inputs: of those that `is_told` says.
    fn given<'s>(&self, sources: &'s Sources, wired: &[Wired], is_told: impl Fn(&str) -> bool) -> Given<'s> {
        let mut given = Given::default();
        if let Sources::Here { resolved, .. } = sources {
            given.files = Some(resolved);
        }
        for wire in wired {
            let port = wire.decl.port.value.clone();
            match wire.arrivals.as_ref().filter(|_| is_told(&port)) {
                Some(arrivals) => {
                    let arrived = arrivals.iter().map(|(_, from)| self.arrived(from)).collect();
                    given.inputs.insert(port, arrived);
                }
                None => given.unknown.push(port),
            }
        }
        given
    }

    fn arrived(&self, from: &From) -> Arrived {
        let cell = self.cells[from.cell].as_ref().expect("what arrives comes from a whole cell");
        let port = cell.output(Some(&from.port)).expect("wiring found the port");
        Arrived { from: format!("{}.{}", cell.id, from.port), ty: port.ty.clone(), facts: port.facts.clone() }
    }

    /// Holds what is wired against what the stage declares: the inputs, or, where something is wrong, those that fit.
    pub fn check(&mut self, decl: &StageDecl, ports: &Ports, wired: &[Wired]) -> Result<Slots, Slots> {
        let before = self.problems.len();
        self.misnamed_outputs(decl);
        let mut inputs = BTreeMap::new();
        for wire in wired {
            match ports.inputs.iter().find(|port| port.name == wire.decl.port.value) {
                None => self.unknown_port(decl, wire.decl, ports),
                Some(port) => {
                    if let Some(slot) = self.slot(port, wire) {
                        inputs.insert(port.name.clone(), slot);
                    }
                }
            }
        }
        // An input that is misspelt is not missing as well.
        let misspelt = self.problems.len() > before;
        for port in ports.inputs.iter().filter(|port| !port.optional && !misspelt) {
            if !wired.iter().any(|wire| wire.decl.port.value == port.name) {
                self.problems.push(
                    Problem::new(decl.name.span.clone(), format!("`{}` has no input `{}`", decl.name.value, port.name))
                        .help(format!("it takes {}: inputs = {{ {} = \"…\" }}", port.accept, port.name)),
                );
            }
        }
        if self.problems.len() == before { Ok(inputs) } else { Err(inputs) }
    }

    /// What stands in a port, if it may stand there.
    fn slot(&mut self, port: &InputPort, wire: &Wired) -> Option<Slot<From>> {
        let arrivals = wire.arrivals.as_ref()?;
        let before = self.problems.len();
        for (_, from) in arrivals {
            let arrived = self.arrived(from);
            if !port.accept.takes(&arrived.ty) {
                let message =
                    format!("port `{}` takes {}, but `{}` is {}", port.name, port.accept, arrived.from, arrived.ty);
                let problem = Problem::new(span_of(wire), message);
                self.problems.push(match self.fitting(port, from) {
                    Some(help) => problem.help(help),
                    None => problem,
                });
            }
        }
        if !port.many && (wire.decl.listed || arrivals.len() > 1) {
            self.problems.push(self.several(port, wire, arrivals));
        }
        if self.problems.len() > before {
            return None;
        }
        let (_, first) = arrivals.first()?;
        Some(if port.many { Slot::Many(arrivals.clone()) } else { Slot::One(first.clone()) })
    }

    /// Which other outputs of the same stage a port takes; else what that stage gives.
    fn fitting(&self, port: &InputPort, from: &From) -> Option<String> {
        let cell = self.cells[from.cell].as_ref()?;
        let id = &self.manifest.stages[cell.stage].name.value;
        let fits: Vec<_> = cell.ports.outputs.iter().filter(|output| port.accept.takes(&output.ty)).collect();
        Some(match fits.as_slice() {
            [] => {
                let gives: Vec<_> = cell.ports.outputs.iter().map(|out| format!("{} ({})", out.name, out.ty)).collect();
                format!("`{id}` gives {}", gives.join(", "))
            }
            fits => {
                let fits: Vec<_> = fits.iter().map(|output| format!("`{id}.{}`", output.name)).collect();
                format!("{} would fit", fits.join(", "))
            }
        })
    }

    fn several(&self, port: &InputPort, wire: &Wired, arrivals: &[(Labels, From)]) -> Problem {
        let gathered: Vec<_> =
            arrivals.first().map_or(&[][..], |(labels, _)| labels).iter().map(|(axis, _)| axis).collect();
        let problem = Problem::new(span_of(wire), format!("port `{}` takes one artifact, not several", port.name));
        match gathered.as_slice() {
            [] => problem.help("name one stage, without brackets"),
            [axis, ..] => problem.help(format!(
                "the input has the axis `{axis}`, this stage has not: add it to `over`, or gather it in a stage whose port takes many"
            )),
        }
    }

    /// Wires to a port that the upstream stage does not have.
    pub fn misnamed_outputs(&mut self, decl: &StageDecl) {
        for wire in decl.inputs.iter().flat_map(|input| &input.wires) {
            let Some(name) = wire.value.port.as_deref() else { continue };
            let Some(&stage) = self.stage_of.get(wire.value.stage.as_str()) else { continue };
            let upstream = self.cells.iter().flatten().find(|cell| cell.stage == stage);
            if let Some(upstream) = upstream.filter(|cell| cell.output(Some(name)).is_none()) {
                self.problems.push(unknown_output(upstream, &wire.value.stage, name, wire.span.clone()));
            }
        }
    }

    fn unknown_port(&mut self, decl: &StageDecl, input: &InputDecl, ports: &Ports) {
        let names = ports.inputs.iter().map(|port| port.name.as_str());
        let what = format!("input of `{}`", decl.kind.value);
        self.problems.push(unknown(input.port.span.clone(), &what, &input.port.value, names));
    }
}

/// The problem of a wire (or expectation, or export) to an output that is not there.
pub fn unknown_output(cell: &Cell, stage: &str, name: &str, span: Span) -> Problem {
    let names = cell.ports.outputs.iter().map(|port| port.name.as_str());
    unknown(span, &format!("output of `{stage}`"), name, names)
}

fn span_of(wire: &Wired) -> Span {
    wire.decl.wires.first().map_or(&wire.decl.port.span, |wire| &wire.span).clone()
}
