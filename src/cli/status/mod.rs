//! `assay status`: how far a study is, at a glance. Nothing is changed, and no blob is read.

mod page;
mod progress;

use std::path::PathBuf;

use assay_stages::Kind;
use clap::Args;
use serde_json::json;

use self::progress::{Counts, Study, failures, stages};
use super::{Exit, study::StudyArguments};
use crate::{manifest::visible, plan::states};

/// Show how far a study is: what is finished, what runs, what failed last
#[derive(Args)]
#[command(after_help = "\
Examples:
  assay status manifests/quickstart.toml
  watch assay status manifests/indra.toml          while it runs elsewhere

A cell is `ready` when all it needs is finished, `waiting` when something upstream is not, and `failed` when errors.log says
that it was tried as it is now: the next run tries it again. Saved units are the parts of an unfinished cell that its next
run goes on from.")]
pub struct Arguments {
    #[command(flatten)]
    study: StudyArguments,

    /// The folder for results, in which the study's errors.log is
    #[arg(long, value_name = "DIR", default_value = "results")]
    results: PathBuf,

    /// Print one JSON document to stdout
    #[arg(long)]
    json: bool,
}

pub fn status(arguments: &Arguments, catalogue: &'static [Kind]) -> Result<Exit, Exit> {
    let plan = arguments.study.plan(catalogue, arguments.json)?;
    let store = arguments.study.store();
    let states = states(&plan, &store)?;
    let log = arguments.results.join(arguments.study.results_name(&plan)).join("errors.log");
    let failures = failures(&log).map_err(|error| Exit::failed(format!("cannot read {}: {error}", log.display())))?;
    let study = Study { plan: &plan, states: &states, store: &store, failures: &failures };
    let stages = stages(&study)?;
    let totals = Counts::of(&stages);
    if arguments.json {
        let study = &plan.manifest.study.name.value;
        super::print(&format!("{:#}\n", json!({ "study": study, "totals": totals, "stages": stages })))?;
    } else {
        super::print(&visible(&page::page(&plan, &stages, &totals, &log)))?;
    }
    Ok(Exit::DONE)
}
