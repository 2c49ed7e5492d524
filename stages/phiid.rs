//! Do the nodes of a model (heads, experts) process information synergistically or redundantly?
//!
//! Integrated information decomposition of every pair of node series, prompt by prompt; the time means of the atoms,
//! then their mean over the prompts in which a pair is sound. Or of all prompts at once, as one series. The mathematics is
//! `metrics::phiid`; here are the names, what is computed when, and what is said about degenerate input.

mod series;
mod unit;

use std::{num::NonZeroUsize, ops::Range};

use assay_cache::{Artifact, Data};
use ndarray::Axis;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use self::series::Series;
use crate::{
    Ctx, Failure, Given, InputPort, Inputs, Mistake, OutputPort, Outputs, PortType, Ports, Stage,
    metrics::phiid::{self, ATOMS, Block, Cell, Degenerate, Means, Wanted, Windows},
};

/// Decomposes what each pair of nodes tells of its own future into redundant, unique and synergistic atoms (PhiID).
///
/// Method: for each pair and prompt the atoms follow in closed form from the correlations of past and future windows;
/// a result is the mean over prompts, in nats. A pair that is degenerate in a prompt (a node that is constant or not
/// finite there, series too short or collinear) is left out of that mean and counted, never set to 0 silently; a pair
/// that is sound in no prompt is NaN.
///
/// Reference: Mediano et al., "Towards an extended taxonomy of information dynamics via Integrated Information
/// Decomposition", PNAS 2025.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Phiid {
    /// The lag between past and future, in steps.
    #[serde(default = "one")]
    pub tau: NonZeroUsize,
    /// Whether each prompt is decomposed by itself (the default) or all of them at once.
    #[serde(default, skip_serializing_if = "are_apart")]
    pub prompts: Prompts,
    /// What the redundancy of two sources is.
    #[serde(default)]
    pub redundancy: Redundancy,
    /// Which atoms to give: the synergistic `sts` and the redundant `rtr`, or each of the sixteen as an output of its
    /// own name.
    #[serde(default)]
    pub atoms: Atoms,
    /// What to do with a pair that is degenerate in a prompt.
    #[serde(default)]
    pub degenerate: Policy,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Prompts {
    /// Each by itself: a result is the mean over prompts.
    #[default]
    Apart,
    /// As one series, with one mean and one covariance, of the pairs of moments `tau` steps apart of each prompt. None reaches
    /// from one prompt into the next, as `tau` pairs at each border would if the series were laid end to end: the end of
    /// one prompt tells nothing about the beginning of another, and the order of prompts should not matter. A level in
    /// which prompts differ lasts, and counts as information. `count` is 1, or 0; a node that is not finite in one
    /// prompt is degenerate in all.
    Concatenated,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Redundancy {
    /// The smaller of the two mutual informations.
    #[default]
    Mmi,
    /// Common change in surprisal: what both sources tell at the same moments. Tens of times slower.
    Ccs,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Atoms {
    /// `sts` and `rtr`.
    #[default]
    StsRtr,
    /// All sixteen.
    All,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Policy {
    /// Leave it out of the pair's mean, count it and warn.
    #[default]
    Flag,
    /// Fail, and name it.
    Strict,
    /// Count it as 0, as public pipelines do.
    Zero,
}

fn one() -> NonZeroUsize {
    NonZeroUsize::MIN
}

fn are_apart(prompts: &Prompts) -> bool {
    *prompts == Prompts::Apart
}

impl Stage for Phiid {
    const KIND: &'static str = "phiid";
    const VERSION: &'static [(&'static str, u32)] = &[phiid::VERSION];

    fn ports(&self, given: &Given) -> Result<Ports, Vec<Mistake>> {
        let activations = InputPort::one("activations", PortType::tensor(&["prompt", "node", "step"]))
            .or(PortType::tensor(&["prompt", "layer", "step", "head"]))
            .or(PortType::tensor(&["prompt", "layer", "step", "expert"]));
        let facts = given.one("activations").map_or(Value::Null, |arrived| arrived.facts.clone());
        let matrix = |name: &str| OutputPort::new(name, PortType::tensor(&["node", "node"])).with_facts(facts.clone());
        Ok(Ports {
            inputs: vec![activations],
            outputs: self.names().iter().copied().chain(["count"]).map(matrix).collect(),
        })
    }

    fn run(&self, inputs: &Inputs, ctx: &dyn Ctx) -> Result<Outputs, Failure> {
        self.run_in_groups(inputs, ctx, GROUP)
    }
}

/// Multiplications between two looks at the stop flag: some tenths of a second on one core. A block that is not the
/// last group is saved then; a unit is a block of head rows, whatever this number is.
const GROUP: u64 = 4_000_000_000;

impl Phiid {
    /// The outputs, in the order in which they are declared, and their places among what is computed.
    fn names(&self) -> &'static [&'static str] {
        match self.atoms {
            Atoms::StsRtr => &["sts", "rtr"],
            Atoms::All => &[
                "sts", "rtr", "rtx", "rty", "rts", "xtr", "xtx", "xty", "xts", "ytr", "ytx", "yty", "yts", "str",
                "stx", "sty",
            ],
        }
    }

    fn redundancy(&self) -> phiid::Redundancy {
        match self.redundancy {
            Redundancy::Mmi => phiid::Redundancy::Mmi,
            Redundancy::Ccs => phiid::Redundancy::Ccs,
        }
    }

    fn wanted(&self) -> Wanted {
        match self.atoms {
            Atoms::StsRtr => Wanted::Balance,
            Atoms::All => Wanted::Atoms,
        }
    }

    fn run_in_groups(&self, inputs: &Inputs, ctx: &dyn Ctx, group: u64) -> Result<Outputs, Failure> {
        let series = Series::of(inputs.one("activations"), self.prompts)?;
        let windows = series.windows(self.tau.get());
        ctx.go_on()?;
        let unsound = series.unsound(&windows);
        if self.degenerate == Policy::Strict
            && let Some(first) = unsound.first()
        {
            return Err(strict(first));
        }
        let blocks = self.blocks(&windows, ctx, group)?;
        if self.degenerate == Policy::Strict
            && let Some(cell) = first_singular(&blocks)
        {
            return Err(strict(&series.describe(cell)));
        }
        let means = phiid::assemble(&windows, self.wanted(), &blocks, self.degenerate == Policy::Zero);
        let told = self.degeneracy(&series, &windows, &unsound, &blocks, ctx);
        let outputs =
            told.into_iter().fold(self.outputs(&series, &means), |outputs, (name, value)| outputs.note(name, value));
        Ok(outputs.note("instructions", phiid::instructions()))
    }

    /// All blocks: those that were saved, and the others, in groups of about `group` multiplications.
    fn blocks(&self, windows: &Windows, ctx: &dyn Ctx, group: u64) -> Result<Vec<(Range<usize>, Block)>, Failure> {
        let rows = phiid::blocks(windows.heads);
        let mut blocks = Vec::new();
        let mut missing = Vec::new();
        for rows in rows {
            match ctx.unit(&unit::name(&rows))?.and_then(|unit| unit::block(&unit, windows, self.wanted(), &rows)) {
                Some(block) => blocks.push((rows, block)),
                None => missing.push(rows),
            }
        }
        let pairs = |rows: &Range<usize>| rows.clone().map(|row| (windows.heads - 1 - row) as u64).sum::<u64>();
        let of = pairs(&(0..windows.heads));
        let mut done: u64 = blocks.iter().map(|(rows, _)| pairs(rows)).sum();
        while !missing.is_empty() {
            ctx.progress(done, of, "pairs");
            ctx.go_on()?;
            let rest = missing.split_off(affordable(windows, self.redundancy(), &missing, group));
            let found = phiid::compute(windows, self.redundancy(), self.wanted(), &missing);
            let found: Vec<_> = std::mem::replace(&mut missing, rest).into_iter().zip(found).collect();
            if !missing.is_empty() {
                let units: Vec<_> = found.iter().map(|(rows, block)| (unit::name(rows), unit::of(block))).collect();
                ctx.save(&units)?;
            }
            done += found.iter().map(|(rows, _)| pairs(rows)).sum::<u64>();
            blocks.extend(found);
        }
        ctx.progress(of, of, "pairs");
        blocks.sort_by_key(|(rows, _)| rows.start);
        Ok(blocks)
    }

    fn outputs(&self, series: &Series, means: &Means) -> Outputs {
        let computed: &[&str] = if self.atoms == Atoms::All { &ATOMS } else { self.names() };
        let mut outputs = Outputs::default();
        for (name, matrix) in computed.iter().zip(means.atoms.axis_iter(Axis(0))) {
            let tensor = series.matrix(Data::F64(matrix.to_owned().into_dyn())).with_unit("nats");
            outputs = outputs.with(name, Artifact::Tensor(tensor));
        }
        outputs.with("count", Artifact::Tensor(series.matrix(Data::I64(means.counts.clone().into_dyn()))))
    }

    /// Says what is degenerate, and gives the notes that record it.
    fn degeneracy(
        &self,
        series: &Series,
        windows: &Windows,
        unsound: &[String],
        blocks: &[(Range<usize>, Block)],
        ctx: &dyn Ctx,
    ) -> Vec<(&'static str, Value)> {
        let singular: u64 = blocks.iter().map(|(_, block)| block.singular).sum();
        let valid: i64 = blocks.iter().map(|(_, block)| block.counts.sum()).sum();
        let cells = windows.heads * (windows.heads - 1) / 2 * windows.prompts;
        let excluded = cells as u64 - valid as u64;
        if excluded > 0 {
            let first = unsound.first().cloned().or_else(|| first_singular(blocks).map(|cell| series.describe(cell)));
            let done = if self.degenerate == Policy::Zero { "count as 0" } else { "are left out of the means" };
            let within = if are_apart(&self.prompts) { "in a prompt" } else { "over all prompts" };
            ctx.warn(&format!(
                "{excluded} of {cells} cells (a pair {within}) are degenerate and {done}: {} series of a node {within} \
                 are not usable, {singular} further cells are singular; the first is {}",
                unsound.len(),
                first.unwrap_or_default(),
            ));
        }
        let by_status = |status: Degenerate| {
            let all = (0..windows.prompts).flat_map(|prompt| (0..windows.heads).map(move |head| (prompt, head)));
            all.filter(|&(prompt, head)| windows.status(prompt, head) == Some(status)).count()
        };
        let statuses = [Degenerate::NonFinite, Degenerate::Constant, Degenerate::Short];
        let counts: serde_json::Map<_, _> =
            statuses.iter().map(|&status| (status.name().to_owned(), json!(by_status(status)))).collect();
        let zeros: u64 = blocks.iter().map(|(_, block)| block.zeros).sum();
        if zeros > 0 {
            ctx.warn(&format!(
                "{zeros} of {} moments have a local information of 0, where a CCS redundancy jumps",
                valid * windows.samples as i64
            ));
        }
        vec![
            ("local-zeros", json!(zeros)),
            ("cells", json!(cells)),
            ("degenerate-cells", json!(excluded)),
            ("singular-cells", json!(singular)),
            ("degenerate-series", Value::Object(counts)),
            ("first-degenerate-series", json!(unsound.iter().take(LISTED).collect::<Vec<_>>())),
        ]
    }
}

/// How many degenerate series the notes name.
const LISTED: usize = 20;

fn strict(what: &str) -> Failure {
    Failure::fatal(format!(
        "{what}, and `degenerate = \"strict\"` allows none; \"flag\" leaves such cells out of the means and counts them"
    ))
}

fn first_singular(blocks: &[(Range<usize>, Block)]) -> Option<Cell> {
    blocks.iter().filter_map(|(_, block)| block.first_singular).min()
}

/// How many of these blocks make a group: at least one.
fn affordable(windows: &Windows, redundancy: phiid::Redundancy, rows: &[Range<usize>], group: u64) -> usize {
    let mut spent = 0;
    let fitting = rows.iter().take_while(|rows| {
        spent += phiid::cost(windows, redundancy, rows);
        spent <= group
    });
    fitting.count().max(1)
}

#[cfg(test)]
mod tests;
