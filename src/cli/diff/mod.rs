//! `assay diff`: two runs or two variants side by side: parameters, numbers with their differences, figures.
//!
//! It compares what is finished and computes nothing. Two manifests need not be of one study: stages are matched by
//! name, cells by their labels.

mod compare;
mod html;
mod page;
mod side;

use std::path::PathBuf;

use assay_stages::Kind;
use clap::Args;

use self::{compare::Comparison, side::Side};
use super::{Exit, study::StudyArguments};
use crate::manifest::visible;

/// Compare two runs or two variants: parameters, numbers with their differences, figures side by side
#[derive(Args)]
#[command(after_help = "\
A and B are manifests, or folders of results. Without B, A is compared with itself as --set changes it.
Stages are matched by name, cells by their labels, rows by the columns that name them.

Examples:
  assay diff a.toml b.toml                              two studies
  assay diff a.toml --set sigma=0.2                     the study as it stands, and a variant
  assay diff results/indra results/indra+sigma=0.2      two runs, by their index.json and the store
  assay diff a.toml --set sigma=0.2 --html diff.html    a page with the figures side by side

What is not finished on either side is named, and the rest compared.

Exit codes: 0 compared, also where things differ (1 then with --exit-code);
1 the store cannot be read; 2 a manifest or the usage is wrong.")]
pub struct Arguments {
    /// A manifest, or a folder of results
    a: PathBuf,

    /// Another one; left out, A with --set
    b: Option<PathBuf>,

    /// Change a value of [params] of B
    #[arg(long = "set", value_name = "NAME=VALUE")]
    set: Vec<String>,

    /// Where results are cached [default: for each side, as for `assay run`]
    #[arg(long, value_name = "DIR")]
    store: Option<PathBuf>,

    /// Tell every value that differs
    #[arg(long)]
    all: bool,

    /// Write a page with tables and figures side by side
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,

    /// Print one JSON document to stdout
    #[arg(long)]
    json: bool,

    /// Exit with 1 where anything differs
    #[arg(long)]
    exit_code: bool,
}

pub fn diff(arguments: &Arguments, catalogue: &'static [Kind]) -> Result<Exit, Exit> {
    let (a, b) = sides(arguments, catalogue)?;
    let comparison = Comparison::of(&a, &b, catalogue)?;
    if arguments.json {
        super::print(&format!("{:#}\n", serde_json::json!(comparison)))?;
    } else {
        super::print(&visible(&page::page(&comparison, arguments.all)))?;
    }
    if let Some(file) = &arguments.html {
        let page = html::page(&comparison, &a, &b).map_err(Exit::failed)?;
        crate::report::replace(file, page.as_bytes())
            .map_err(|error| Exit::failed(format!("cannot write {}: {error}", file.display())))?;
        eprintln!("the page is {}", file.display());
    }
    Ok(if arguments.exit_code && !comparison.is_empty() { Exit::DIFFERENT } else { Exit::DONE })
}

fn sides(arguments: &Arguments, catalogue: &'static [Kind]) -> Result<(Side, Side), Exit> {
    let b = match &arguments.b {
        Some(b) => b,
        None if arguments.set.is_empty() => {
            return Err(Exit::usage(
                "there is nothing to compare with: name a second manifest or folder of results, or a variant with --set",
            ));
        }
        None => &arguments.a,
    };
    let side = |path: &PathBuf, set: &[String]| {
        if path.is_dir() {
            if set.is_empty() {
                return Side::of_results(path, arguments.store.as_deref());
            }
            return Err(Exit::usage(format!(
                "--set changes a manifest, and {} is a folder of results",
                path.display()
            )));
        }
        let study = StudyArguments { manifest: path.clone(), set: set.to_vec(), store: arguments.store.clone() };
        Side::of_manifest(&study, catalogue, arguments.json)
    };
    Ok((side(&arguments.a, &[])?, side(b, &arguments.set)?))
}
