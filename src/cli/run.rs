//! `assay run`: computes what is not cached, and goes on where an earlier run stopped.

use std::{num::NonZeroUsize, path::PathBuf, thread};

use assay_cache::Store;
use assay_stages::{Kind, open_session};
use clap::Args;
use serde_json::{Value, json};

use super::{
    Exit,
    progress::{Progress, Told},
    recorder::Recorder,
    study::{StudyArguments, check_stages},
};
use crate::{
    manifest::visible,
    plan::Plan,
    report::Results,
    run::{self, Finding, Held, Options, Outcome, Record, Stop, StopKind},
};

/// Run a study: compute what is not cached, and go on where an earlier run stopped
#[derive(Args)]
#[command(after_help = "\
Examples:
  assay run manifests/quickstart.toml
  assay run manifests/quickstart.toml rank                 only this stage and what it needs
  assay run manifests/quickstart.toml --set new-tokens=16  a variant, beside the original
  assay run manifests/quickstart.toml --device cpu --json")]
pub struct Arguments {
    #[command(flatten)]
    study: StudyArguments,

    /// Only these stages and what they need
    stages: Vec<String>,

    /// The folder for results; the study's stand in one of its name
    #[arg(long, value_name = "DIR", default_value = "results")]
    results: PathBuf,

    /// Where models run: auto, cpu, cuda or cuda:N
    #[arg(long, default_value = "auto", value_parser = device)]
    device: String,

    /// How many stages use the host's cores at the same time [default: the number of cores]
    #[arg(long, value_name = "N")]
    jobs: Option<NonZeroUsize>,

    /// When a stage fails, go on with those that do not depend on it
    #[arg(long)]
    keep_going: bool,

    /// Further attempts at a stage that fails for a cause that can pass
    #[arg(long, value_name = "N", default_value_t = 3)]
    retries: u32,

    /// Fetch nothing
    #[arg(long)]
    offline: bool,

    /// Print one JSON document to stdout
    #[arg(long)]
    json: bool,
}

pub fn run(arguments: &Arguments, catalogue: &'static [Kind]) -> Result<Exit, Exit> {
    let stop = Stop::on_signals().map_err(|error| Exit::failed(format!("cannot listen for signals: {error}")))?;
    let plan = fetched(arguments, catalogue)?;
    let store = arguments.study.store();
    // Before anything is computed: `gc` keeps what a study names, even where its run is killed.
    remember(arguments, &plan, &store)?;
    let session = open_session(&arguments.device);
    let mut results = Results::at(arguments.results.join(arguments.study.results_name(&plan)));
    let mut progress = Progress::new(&plan, arguments.json);
    let mut recorder = Recorder::new(&plan, &store, &mut results, &mut progress);
    let record = run::run(&plan, &store, &*session, &stop, &options(arguments, &plan), &mut recorder)?;
    let broken = recorder.broken.take();
    let told = Told {
        verdicts: run::verdicts(&plan, &record.entries, &store),
        findings: run::findings(&plan, &record.entries, &store),
    };
    results.finish().map_err(|error| Exit::failed(error.to_string()))?;
    if arguments.json {
        println!("{:#}", document(&plan, &record, &told, &results));
    } else {
        progress.conclude(&plan, &record, &told, &results);
    }
    match broken {
        Some(broken) => Err(Exit::failed(broken)),
        None => Ok(exit(&record, &told.findings)),
    }
}

/// The plan, with its sources on this machine as far as they can be had.
fn fetched(arguments: &Arguments, catalogue: &'static [Kind]) -> Result<Plan, Exit> {
    let plan = arguments.study.plan(catalogue, arguments.json)?;
    check_stages(&plan, &arguments.stages)?;
    if arguments.offline || plan.is_fetched() {
        return Ok(plan);
    }
    let wanted = plan.wanted(&arguments.stages);
    for (id, error) in run::fetch(&plan, &wanted, |id| eprintln!("fetching what `{id}` reads …")) {
        eprintln!("{}", visible(&format!("warning: `{id}`: {error}")));
    }
    arguments.study.plan(catalogue, arguments.json)
}

fn options(arguments: &Arguments, plan: &Plan) -> Options {
    let cores = thread::available_parallelism().map_or(1, NonZeroUsize::get);
    Options {
        jobs: arguments.jobs.map_or(cores, NonZeroUsize::get),
        keep_going: arguments.keep_going,
        retries: arguments.retries,
        wanted: plan.wanted(&arguments.stages),
    }
}

/// Notes which key each cell has: what the next run is compared with.
fn remember(arguments: &Arguments, plan: &Plan, store: &Store) -> Result<(), Exit> {
    let keys = plan.cells.iter().filter_map(|cell| Some((cell.id.clone(), cell.key()?))).collect();
    Ok(store.remember_study(&arguments.study.results_name(plan), &keys)?)
}

fn exit(record: &Record, findings: &[Finding]) -> Exit {
    match record.stopped {
        Some(StopKind::Interrupted) => Exit::INTERRUPTED,
        Some(StopKind::Terminated) => Exit::STOPPED,
        None if !record.complete() => Exit::STAGE_FAILED,
        None if findings.iter().any(|finding| matches!(finding.held, Held::Fail { .. })) => Exit::EXPECTATION_FAILED,
        None => Exit::DONE,
    }
}

fn document(plan: &Plan, record: &Record, told: &Told, results: &Results) -> Value {
    let stages = plan.cells.iter().zip(&record.outcomes).filter(|(_, outcome)| **outcome != Outcome::Unwanted);
    let stages: Vec<_> = stages
        .map(|(cell, outcome)| {
            let mut stage = json!({
                "id": cell.id, "kind": cell.kind.name, "key": cell.key(), "state": outcome.name(), "seconds": outcome.seconds(),
            });
            if let Some(cause) = outcome.cause() {
                stage["cause"] = json!(cause);
            }
            stage
        })
        .collect();
    json!({
        "study": plan.manifest.study.name.value,
        "ok": record.complete() && !told.findings.iter().any(|finding| matches!(finding.held, Held::Fail { .. })),
        "results": results.folder(),
        "stages": stages,
        "verdicts": told.verdicts,
        "expectations": told.findings,
    })
}

fn device(text: &str) -> Result<String, String> {
    let known = matches!(text, "auto" | "cpu" | "cuda");
    let numbered = text.strip_prefix("cuda:").is_some_and(|number| number.parse::<usize>().is_ok());
    if known || numbered { Ok(text.to_owned()) } else { Err("expected auto, cpu, cuda or cuda:N".to_owned()) }
}
