//! `assay run`: computes what is not cached, and goes on where an earlier run stopped.

use std::{env, num::NonZeroUsize, path::PathBuf, thread, time::Duration};

use assay_cache::HEARTBEAT;
use assay_stages::{Kind, open_session};
use clap::Args;
use serde_json::{Value, json};

use super::{
    Exit,
    conclusion::{Told, conclude},
    print,
    progress::Progress,
    recorder::Recorder,
    select,
    study::StudyArguments,
};
use crate::{
    manifest::visible,
    plan::{Plan, begin, remember},
    report::{Page, Results},
    run::{self, Finding, Held, Options, Outcome, Record, Stop, StopKind},
};

/// Run a study: compute what is not cached, and go on where an earlier run stopped
#[derive(Args)]
#[command(after_help = "\
Examples:
  assay run manifests/quickstart.toml
  assay run manifests/quickstart.toml rank                 only this stage and what it needs
  assay run manifests/indra.toml --cell 'treated[region=early,sigma=0.1,seed=42]'
  assay run manifests/quickstart.toml --force rank         compute it again, and compare
  assay run manifests/quickstart.toml --set texts=16       a variant, beside the original
  assay run manifests/quickstart.toml --device cpu --json")]
pub struct Arguments {
    #[command(flatten)]
    study: StudyArguments,

    /// Only these stages and what they need
    stages: Vec<String>,

    /// Only this cell and what it needs, by its id in `plan`, as in 'treated[region=early,sigma=0.1]'; can be repeated
    #[arg(long = "cell", value_name = "ID")]
    cells: Vec<String>,

    /// Compute this stage or cell even if it is cached, taking nothing from earlier runs; can be repeated. What it made
    /// before is kept: as it is where it is reproduced, else set aside
    #[arg(long, value_name = "STAGE")]
    force: Vec<String>,

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

    /// Fetch nothing: what is not on this machine fails
    #[arg(long)]
    offline: bool,

    /// Print one JSON document to stdout
    #[arg(long)]
    json: bool,
}

pub fn run(arguments: &Arguments, catalogue: &'static [Kind]) -> Result<Exit, Exit> {
    let stop = Stop::on_signals().map_err(|error| Exit::failed(format!("cannot listen for signals: {error}")))?;
    let (plan, options) = prepared(arguments, catalogue)?;
    let store = arguments.study.store();
    // Before anything is computed: `gc` keeps what a study names, even where its run is killed.
    begin(&plan, &store, &arguments.study.results_name(&plan))?;
    let session = open_session(&arguments.device);
    let mut results = Results::at(arguments.results.join(arguments.study.results_name(&plan)));
    let mut progress = Progress::new(&plan, &options, arguments.json);
    let page = Page::of(&plan, &store, results.folder(), &arguments.study.set);
    let ((record, broken), mut page) = page.beside(|notes| {
        let mut recorder = Recorder::new(&plan, &store, &mut results, &mut progress, notes);
        let record = run::run(&plan, &store, &*session, &stop, &options, &mut recorder);
        (record, recorder.broken.take())
    });
    let record = record?;
    progress.end();
    let written = page.finish(&record);
    let broken = broken.or(written.err());
    remember(&plan, &record.entries, &store, &arguments.study.results_name(&plan))?;
    let told = Told {
        verdicts: run::verdicts(&plan, &record.entries, &store),
        findings: run::findings(&plan, &record.entries, &store),
        controls: run::controls(&plan, &record.entries, &store),
    };
    results.finish().map_err(|error| Exit::failed(error.to_string()))?;
    if arguments.json {
        print(&format!("{:#}\n", document(&plan, &record, &told, &results)))?;
    } else {
        conclude(&plan, &record, &told, &results);
    }
    match broken {
        Some(broken) => Err(Exit::failed(broken)),
        None => Ok(exit(&record, &told.findings)),
    }
}

/// The plan, with its sources on this machine as far as they can be had, and what of it is to be run. Whatever is wrong
/// with the command line is said before anything is fetched.
fn prepared(arguments: &Arguments, catalogue: &'static [Kind]) -> Result<(Plan, Options), Exit> {
    let plan = arguments.study.plan(catalogue, arguments.json)?;
    let options = options(arguments, &plan)?;
    if arguments.offline || plan.is_fetched() {
        return Ok((plan, options));
    }
    for (id, error) in run::fetch(&plan, &options.wanted, |id| eprintln!("fetching what `{id}` reads …")) {
        eprintln!("{}", visible(&format!("warning: `{id}`: {error}")));
    }
    let plan = arguments.study.plan(catalogue, arguments.json)?;
    Ok((plan, options))
}

fn options(arguments: &Arguments, plan: &Plan) -> Result<Options, Exit> {
    let cores = thread::available_parallelism().map_or(1, NonZeroUsize::get);
    let wanted = select::wanted(plan, &arguments.stages, &arguments.cells)?;
    let forced = select::forced(plan, &arguments.force, &wanted)?;
    Ok(Options {
        jobs: arguments.jobs.map_or(cores, NonZeroUsize::get),
        keep_going: arguments.keep_going,
        retries: arguments.retries,
        wanted,
        forced,
        heartbeat: heartbeat()?,
    })
}

/// How often leases are renewed. `ASSAY_HEARTBEAT_MS` is for tests, which cannot wait for what takes minutes.
fn heartbeat() -> Result<Duration, Exit> {
    let Some(text) = env::var_os("ASSAY_HEARTBEAT_MS") else { return Ok(HEARTBEAT) };
    let milliseconds = text.to_str().and_then(|text| text.parse().ok()).filter(|milliseconds| *milliseconds > 0);
    let wrong = || Exit::usage("ASSAY_HEARTBEAT_MS is a number of milliseconds above 0");
    milliseconds.map(Duration::from_millis).ok_or_else(wrong)
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
        "report": results.page(),
        "stages": stages,
        "verdicts": told.verdicts,
        "expectations": told.findings,
        "controls": told.controls,
    })
}

fn device(text: &str) -> Result<String, String> {
    let known = matches!(text, "auto" | "cpu" | "cuda");
    let numbered = text.strip_prefix("cuda:").is_some_and(|number| number.parse::<usize>().is_ok());
    if known || numbered { Ok(text.to_owned()) } else { Err("expected auto, cpu, cuda or cuda:N".to_owned()) }
}
