//! `assay show`: prints an artifact of a finished stage.

use std::{io::IsTerminal, path::Path};

use assay_cache::Artifact;
use assay_stages::{Kind, render};
use clap::Args;

use super::{
    Exit, print,
    study::{StudyArguments, check_stages, no_such},
};
use crate::{
    manifest::visible,
    plan::{Cell, From, Plan},
    report::{filled, is_document},
};

/// Print an artifact: a table, a record, a tensor's shape and numbers, a figure's SVG
#[derive(Args)]
#[command(after_help = "\
Examples:
  assay show manifests/quickstart.toml rank
  assay show manifests/quickstart.toml written.tokens --json
  assay show manifests/indra.toml 'treated[region=early,sigma=0.1,seed=42]'")]
pub struct Arguments {
    #[command(flatten)]
    study: StudyArguments,

    /// STAGE or STAGE.PORT; a cell's id where the stage has axes
    what: String,

    /// Print the artifact as one JSON document
    #[arg(long)]
    json: bool,

    /// Print every row
    #[arg(long)]
    all: bool,
}

/// Rows of a table and numbers of a tensor that are printed to a terminal, unless all are asked for.
const ROWS: usize = 40;

pub fn show(arguments: &Arguments, catalogue: &'static [Kind]) -> Result<Exit, Exit> {
    let plan = arguments.study.plan(catalogue, arguments.json)?;
    let (cell, port) = find(&plan, &arguments.what)?;
    let store = arguments.study.store();
    let entry = cell.key().map(|key| store.entry(key)).transpose()?.flatten();
    let entry = entry.ok_or_else(|| Exit::failed(format!("`{}` is not finished: `assay run` computes it", cell.id)))?;
    let mut artifact = store.read(&entry.outputs[port]).inspect_err(|error| store.give_up(&entry, error))?;
    if let Artifact::Record(record) = &mut artifact
        && is_document(cell, port)
    {
        *record = filled(&plan, cell, &store, record).map_err(Exit::failed)?;
    }
    let rows = if arguments.all || !std::io::stdout().is_terminal() { usize::MAX } else { ROWS };
    let text = match (&artifact, arguments.json) {
        (_, true) => format!("{:#}\n", artifact.to_json()),
        // A figure that goes into a file goes as it is; a terminal gets nothing that it would obey.
        (Artifact::Figure(svg), false) if !std::io::stdout().is_terminal() => svg.clone(),
        (Artifact::Record(record), false) => visible(&render::laid_out(record)),
        (_, false) => visible(&artifact.preview(rows)),
    };
    print(&text)?;
    if is_tokens(cell, port) && !arguments.json {
        eprintln!("{}", visible(&in_words(&plan, cell, port, &arguments.study.manifest)));
    }
    Ok(Exit::DONE)
}

fn is_tokens(cell: &Cell, port: &str) -> bool {
    cell.output(Some(port)).is_some_and(|output| output.ty.kind == "tokens")
}

/// Where the texts stand whose token ids these are: what a `decode` stage reads from here and puts into its port.
fn in_words(plan: &Plan, cell: &Cell, port: &str, manifest: &Path) -> String {
    const TEXTS: &str = "texts";
    let from = |from: &&From| plan.cells[from.cell].id == cell.id && from.port == port;
    let reads = |other: &&Cell| other.inputs.values().any(|slot| slot.items().iter().any(from));
    let says = |other: &&Cell| other.output(Some(TEXTS)).is_some_and(|output| output.ty.kind == "table");
    match plan.cells.iter().filter(reads).find(says) {
        Some(decoded) => {
            let quote = if decoded.labels.is_empty() { "" } else { "'" };
            format!("Token ids. In words: assay show {} {quote}{}{quote}", manifest.display(), decoded.id)
        }
        None => "Token ids. A stage of the kind `decode` makes texts of them: `assay stages decode`".to_owned(),
    }
}

/// The cell and the output that `STAGE`, `STAGE.PORT` or a cell's id (with or without a port) means.
fn find<'p>(plan: &'p Plan, what: &str) -> Result<(&'p Cell, &'p str), Exit> {
    let labels_end = what.rfind(']').map_or(0, |end| end + 1);
    let (id, port) = match what[labels_end..].split_once('.') {
        Some((rest, port)) => (&what[..labels_end + rest.len()], Some(port)),
        None => (what, None),
    };
    let stage = id.split('[').next().unwrap_or(id).to_owned();
    check_stages(plan, std::slice::from_ref(&stage))?;
    let cells: Vec<_> = plan.cells.iter().filter(|cell| plan.stage_name(cell) == stage).collect();
    let cell = match cells.as_slice() {
        [only] if id == stage => only,
        _ => cells
            .iter()
            .find(|cell| cell.id == id)
            .ok_or_else(|| no_such("cell", id, cells.iter().map(|cell| cell.id.as_str())))?,
    };
    let names = || cell.ports.outputs.iter().map(|port| port.name.as_str());
    let output = cell.output(port).ok_or_else(|| no_such("output", port.unwrap_or_default(), names()))?;
    Ok((cell, &output.name))
}
