//! `assay plan`: what a run would do, and why. Nothing runs, nothing is fetched, nothing is written.

use assay_stages::Kind;
use clap::Args;
use serde_json::{Value, json};

use super::{
    Exit,
    cells::{Group, grouped, named},
    print,
    reasons::{first_of, reason},
    study::StudyArguments,
};
use crate::{
    manifest::visible,
    plan::{Cell, Explanation, Memory, Plan, State, Why, explain, states},
};

/// Show what would run and what is cached
#[derive(Args)]
#[command(after_help = "\
Examples:
  assay plan manifests/quickstart.toml
  assay plan manifests/quickstart.toml --why            what has changed since the last run: field, old → new, line
  assay plan manifests/quickstart.toml --set texts=16 --why

The last run is that of the same variant; a variant that has not run yet is compared with the study that it varies.")]
pub struct Arguments {
    #[command(flatten)]
    study: StudyArguments,

    /// Say what has changed since this study's last run
    #[arg(long)]
    why: bool,

    /// Print one JSON document to stdout
    #[arg(long)]
    json: bool,
}

pub fn plan(arguments: &Arguments, catalogue: &'static [Kind]) -> Result<Exit, Exit> {
    let plan = arguments.study.plan(catalogue, arguments.json)?;
    let store = arguments.study.store();
    let states = states(&plan, &store)?;
    let page = if arguments.why {
        let names = [&arguments.study.results_name(&plan), &plan.manifest.study.name.value];
        let memory = Memory::of(&store, &names.map(String::as_str))?;
        let explanation = explain(&plan, states, &store, &memory)?;
        match arguments.json {
            true => format!("{:#}\n", with_reasons(&plan, &explanation, &memory)),
            false => why_page(&plan, &explanation, &memory),
        }
    } else {
        match arguments.json {
            true => format!(
                "{:#}\n",
                json!({ "study": plan.manifest.study.name.value, "stages": stages(&plan, &states, &briefly(&states)) })
            ),
            false => page(&plan, &states),
        }
    };
    print(&visible(&page))?;
    Ok(Exit::DONE)
}

/// The reasons that a plan knows without being asked.
fn briefly(states: &[State]) -> Vec<Vec<Why>> {
    let why = |state: &State| match state {
        State::Cached(_) => vec![],
        State::Run(why) | State::Unknown(why) => vec![why.clone()],
    };
    states.iter().map(why).collect()
}

fn with_reasons(plan: &Plan, explanation: &Explanation, memory: &Memory) -> Value {
    let stages = stages(plan, &explanation.states, &explanation.why);
    json!({ "study": plan.manifest.study.name.value, "since": memory.of, "stages": stages })
}

fn stages(plan: &Plan, states: &[State], why: &[Vec<Why>]) -> Vec<Value> {
    let stage = |((cell, state), why): ((&Cell, &State), &Vec<Why>)| {
        let title = &plan.manifest.stages[cell.stage].title;
        json!({
            "id": cell.id, "title": title, "kind": cell.kind.name, "key": cell.key(), "state": state.name(), "why": why,
        })
    };
    plan.cells.iter().zip(states).zip(why).map(stage).collect()
}

fn page(plan: &Plan, states: &[State]) -> String {
    let width = plan.cells.iter().map(|cell| cell.id.chars().count()).max().unwrap_or(0);
    let kinds = plan.cells.iter().map(|cell| cell.kind.name.len()).max().unwrap_or(0);
    let mut page = heading(plan);
    for (cell, state) in plan.cells.iter().zip(states) {
        let why = match state {
            State::Cached(_) => String::new(),
            State::Run(why) | State::Unknown(why) => reason(why, &first_of),
        };
        let line = format!("{:<8}{:<width$}  {:<kinds$}  {why}", state.name(), cell.id, cell.kind.name);
        page.push_str(line.trim_end());
        page.push('\n');
    }
    page + &counts(states)
}

/// Cells of a stage that are in one state for the same reasons are one paragraph.
fn why_page(plan: &Plan, explanation: &Explanation, memory: &Memory) -> String {
    let mut page = heading(plan);
    page.push_str(&match &memory.of {
        Some(name) => format!("Compared with the last run of `{name}`.\n\n"),
        None => "No run of this study is remembered in this store.\n\n".to_owned(),
    });
    let reasons = |at: usize| -> Vec<String> {
        explanation.why[at].iter().map(|why| reason(why, &|ids| beside(plan, at, ids))).collect()
    };
    for Group { cells, same: (state, reasons) } in grouped(plan, |at| (explanation.states[at].name(), reasons(at))) {
        page.push_str(&format!("{state:<8}{}\n", title(plan, &cells)));
        reasons.iter().for_each(|reason| page.push_str(&format!("          {reason}\n")));
    }
    page + &counts(&explanation.states)
}

/// `rank`, `treated[sigma=0.1]`, `treated (60 cells)`, `treated (20 of 60 cells)`.
fn title(plan: &Plan, cells: &[usize]) -> String {
    let ids: Vec<_> = cells.iter().map(|&cell| plan.cells[cell].id.clone()).collect();
    named(plan, &ids)
}

/// Cells that something is told of beside `at`: where it is one of several cells, the cell of another stage that
/// belongs to it needs no labels.
fn beside(plan: &Plan, at: usize, ids: &[String]) -> String {
    match ids {
        [id] if !plan.cells[at].labels.is_empty() => id.split('[').next().unwrap_or(id).to_owned(),
        ids => named(plan, ids),
    }
}

fn heading(plan: &Plan) -> String {
    let study = &plan.manifest.study;
    match &study.question {
        Some(question) => format!("{}: {question}\n\n", study.name.value),
        None => format!("{}\n\n", study.name.value),
    }
}

fn counts(states: &[State]) -> String {
    let count = |name| states.iter().filter(|state| state.name() == name).count();
    format!("\n{} to run, {} cached, {} unknown\n", count("run"), count("cached"), count("unknown"))
}
