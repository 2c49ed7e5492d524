//! `assay graph`: draws a study. Nothing runs, nothing is fetched.

use std::{io::Write, path::PathBuf};

use assay_stages::Kind;
use clap::{Args, ValueEnum};

use super::{Exit, study::StudyArguments};
use crate::{
    graph::{Grain, Graph, mermaid, standalone},
    plan::states,
    report::replace,
};

/// Draw the graph of a study, with what is cached
#[derive(Args)]
#[command(after_help = "\
Examples:
  assay graph manifests/quickstart.toml                            Mermaid, for a README or a wiki
  assay graph manifests/quickstart.toml --format svg -o graph.svg")]
pub struct Arguments {
    #[command(flatten)]
    study: StudyArguments,

    #[arg(long, value_enum, default_value_t = Format::Mermaid)]
    format: Format,

    /// Write into this file instead of stdout
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,

    /// Draw every cell, instead of one node for the cells of a stage
    #[arg(long)]
    cells: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    Mermaid,
    Svg,
}

/// A drawing of more nodes is read by nobody; as text it still can be searched.
const MOST_DRAWN: usize = 200;

pub fn graph(arguments: &Arguments, catalogue: &'static [Kind]) -> Result<Exit, Exit> {
    let plan = arguments.study.plan(catalogue, false)?;
    let states = states(&plan, &arguments.study.store())?;
    let grain = if arguments.cells { Grain::Cells } else { Grain::Stages };
    let graph = Graph::of(&plan, grain, |cell| states[cell].name());
    let nodes = graph.nodes.len();
    if arguments.format == Format::Svg && nodes > MOST_DRAWN {
        let help = if arguments.cells { ", or leave out --cells" } else { "" };
        return Err(Exit::usage(format!(
            "{nodes} nodes are too many for a drawing (at most {MOST_DRAWN})\n  help: use --format mermaid{help}"
        )));
    }
    let text = match arguments.format {
        Format::Mermaid => mermaid(&graph),
        Format::Svg => standalone(&graph),
    };
    match &arguments.output {
        Some(path) => replace(path, text.as_bytes())
            .map_err(|error| Exit::failed(format!("cannot write {}: {error}", path.display())))?,
        // A reader that has seen enough closes the pipe.
        None => drop(std::io::stdout().write_all(text.as_bytes())),
    }
    Ok(Exit::DONE)
}
