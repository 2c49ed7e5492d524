//! `assay fetch`: brings the sources of a study to this machine, so that it runs offline afterwards.

use assay_stages::Kind;
use clap::Args;

use super::{Exit, study::StudyArguments};
use crate::run;

/// Bring the models and files of a study to this machine
#[derive(Args)]
pub struct Arguments {
    #[command(flatten)]
    study: StudyArguments,
}

pub fn fetch(arguments: &Arguments, catalogue: &'static [Kind]) -> Result<Exit, Exit> {
    let plan = arguments.study.plan(catalogue, false)?;
    let failures = run::complete(&plan, |id| eprintln!("fetching what `{id}` reads …"));
    if failures.is_empty() {
        if !plan.is_fetched() {
            // What was brought may not be what the study takes it for: that is told now, not when it runs.
            arguments.study.plan(catalogue, false)?;
        }
        eprintln!("everything that `{}` reads is on this machine", plan.manifest.study.name.value);
        return Ok(Exit::DONE);
    }
    let causes: Vec<_> = failures.iter().map(|(id, error)| format!("`{id}`: {error}")).collect();
    Err(Exit::failed(causes.join("\n")))
}
