//! `assay plan`: what a run would do. Nothing runs, nothing is fetched, nothing is written.

use assay_stages::Kind;
use clap::Args;
use serde_json::{Value, json};

use super::{Exit, print, study::StudyArguments};
use crate::{
    manifest::visible,
    plan::{Plan, State, states},
};

/// Show what would run and what is cached
#[derive(Args)]
pub struct Arguments {
    #[command(flatten)]
    study: StudyArguments,

    /// Print one JSON document to stdout
    #[arg(long)]
    json: bool,
}

pub fn plan(arguments: &Arguments, catalogue: &'static [Kind]) -> Result<Exit, Exit> {
    let plan = arguments.study.plan(catalogue, arguments.json)?;
    let states = states(&plan, &arguments.study.store())?;
    if arguments.json {
        println!("{:#}", document(&plan, &states));
    } else {
        print(&visible(&page(&plan, &states)));
    }
    Ok(Exit::DONE)
}

fn document(plan: &Plan, states: &[State]) -> Value {
    let stage = |(cell, state): (&crate::plan::Cell, &State)| {
        let why = match state {
            State::Cached(_) => vec![],
            State::Run(why) | State::Unknown(why) => vec![json!(why)],
        };
        let title = &plan.manifest.stages[cell.stage].title;
        json!({
            "id": cell.id, "title": title, "kind": cell.kind.name, "key": cell.key(), "state": state.name(), "why": why,
        })
    };
    let stages: Vec<_> = plan.cells.iter().zip(states).map(stage).collect();
    json!({ "study": plan.manifest.study.name.value, "stages": stages })
}

fn page(plan: &Plan, states: &[State]) -> String {
    let width = plan.cells.iter().map(|cell| cell.id.chars().count()).max().unwrap_or(0);
    let study = &plan.manifest.study;
    let mut page = match &study.question {
        Some(question) => format!("{}: {question}\n\n", study.name.value),
        None => format!("{}\n\n", study.name.value),
    };
    for (cell, state) in plan.cells.iter().zip(states) {
        let why = match state {
            State::Cached(_) => String::new(),
            State::Run(why) | State::Unknown(why) => why.to_string(),
        };
        let line = format!("{:<8}{:<width$}  {:<14}{why}", state.name(), cell.id, cell.kind.name);
        page.push_str(line.trim_end());
        page.push('\n');
    }
    let count = |name| states.iter().filter(|state| state.name() == name).count();
    page + &format!("\n{} to run, {} cached, {} unknown\n", count("run"), count("cached"), count("unknown"))
}
