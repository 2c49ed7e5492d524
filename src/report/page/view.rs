//! The whole page as data: what `report.html` lays out.

use serde::Serialize;

use super::{
    figures::{FigureView, figures},
    judgement::{ControlView, FindingView, VerdictView, controls, expectations, is_verdict, undecided, verdicts},
    known::Known,
    provenance::{ProvenanceView, WarningView, provenance, warnings},
    records::{Leaf, RecordView, records},
    stages::{StageView, graph, stages},
    tables::{TableView, tables},
    tensors::{Summaries, TensorView, tensors},
    text::{LogView, TextView, log, manifest},
};
use crate::{
    graph::drawing,
    report::{clock, page::number::Shown},
};

/// How the run stands that a page tells of.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    GoesOn,
    Done,
    Failed,
    Stopped,
    Interrupted,
}

#[derive(Serialize)]
pub struct View {
    /// The digest of what a complete page is made from; empty for any other.
    pub content: String,
    pub study: String,
    pub question: Option<String>,
    pub seed: u64,
    pub sets: Vec<String>,
    pub params: Vec<Leaf>,
    pub state: &'static str,
    pub headline: &'static str,
    pub written: String,
    pub assay: &'static str,
    /// `11 ran`, `2 cached`.
    pub counts: Vec<Count>,
    pub devices: Vec<String>,
    pub failures: Vec<Failure>,
    pub verdicts: Vec<VerdictView>,
    /// Stages that will give a verdict and are not finished.
    pub undecided: Vec<String>,
    pub expectations: Vec<FindingView>,
    pub held: Vec<Count>,
    pub controls: Vec<ControlView>,
    pub warnings: Vec<WarningView>,
    pub figures: Vec<FigureView>,
    pub tables: Vec<TableView>,
    pub records: Vec<RecordView>,
    pub more_records: usize,
    pub tensors: Vec<TensorView>,
    pub more_tensors: usize,
    /// The graph, as SVG of our own.
    pub drawing: String,
    pub stages: Vec<StageView>,
    pub provenance: Vec<ProvenanceView>,
    pub more_provenance: usize,
    pub manifest: TextView,
    pub log: Option<LogView>,
}

#[derive(Serialize)]
pub struct Count {
    pub word: &'static str,
    pub count: usize,
}

#[derive(Serialize)]
pub struct Failure {
    pub cell: String,
    pub cause: String,
}

/// Failed cells whose causes stand at the top.
const MOST_FAILURES: usize = 20;

pub fn view(known: &Known, ending: Ending, content: String, summaries: &mut Summaries) -> View {
    let made = known.made();
    let graph = graph(known);
    let study = &known.plan.manifest.study;
    let (records, more_records) = records(known, &made, is_verdict);
    let (tensors, more_tensors) = tensors(known, &made, summaries);
    let (provenance, more_provenance) = provenance(known);
    let expectations = expectations(known, ending == Ending::GoesOn);
    let (state, headline) = ending.said();
    View {
        content,
        study: study.name.value.clone(),
        question: study.question.clone(),
        seed: study.seed,
        sets: known.sets.to_vec(),
        params: params(known),
        state,
        headline,
        written: clock::now(),
        assay: env!("CARGO_PKG_VERSION"),
        counts: counted(known.cells.iter().map(|cell| cell.word)),
        devices: super::tables::devices(&made),
        failures: failures(known),
        verdicts: verdicts(known, &made),
        undecided: undecided(known),
        held: counted(expectations.iter().map(|finding| finding.held)),
        expectations,
        controls: controls(known, &made),
        warnings: warnings(known),
        figures: figures(known, &made),
        tables: tables(known, &made),
        records,
        more_records,
        tensors,
        more_tensors,
        drawing: drawing(&graph, "The stages of the study and what flows between them"),
        stages: stages(known, &graph),
        provenance,
        more_provenance,
        manifest: manifest(known),
        log: log(known),
    }
}

impl Ending {
    /// A word for the class of the page, and what it says of the run.
    fn said(self) -> (&'static str, &'static str) {
        match self {
            Self::GoesOn => ("running", "Still running"),
            Self::Done => ("done", "Finished"),
            Self::Failed => ("failed", "Not finished: a stage failed"),
            Self::Stopped => ("stopped", "Stopped before the end: the same command goes on from here"),
            Self::Interrupted => ("stopped", "Interrupted before the end: the same command goes on from here"),
        }
    }
}

fn params(known: &Known) -> Vec<Leaf> {
    let params = known.plan.manifest.params.iter();
    params.map(|(name, node)| Leaf { path: name.value.clone(), value: Shown::json(&node.to_json()) }).collect()
}

/// How often each word comes, in the order in which it first does.
fn counted(words: impl Iterator<Item = &'static str>) -> Vec<Count> {
    let mut counts: Vec<Count> = vec![];
    for word in words {
        match counts.iter_mut().find(|count| count.word == word) {
            Some(count) => count.count += 1,
            None => counts.push(Count { word, count: 1 }),
        }
    }
    counts
}

fn failures(known: &Known) -> Vec<Failure> {
    let cells = known.plan.cells.iter().zip(known.cells).filter(|(_, standing)| standing.word == "failed");
    let failure = |(cell, standing): (&crate::plan::Cell, &super::Standing)| Failure {
        cell: cell.id.clone(),
        cause: standing.cause.clone().unwrap_or_default(),
    };
    cells.take(MOST_FAILURES).map(failure).collect()
}
