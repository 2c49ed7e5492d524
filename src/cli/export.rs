//! `assay export`: writes finished results under human names.

use std::path::PathBuf;

use assay_stages::Kind;
use clap::Args;

use super::{Exit, study::StudyArguments};
use crate::report::{Formats, export as write};

/// Write the results of a study into a folder, under human names
#[derive(Args)]
pub struct Arguments {
    #[command(flatten)]
    study: StudyArguments,

    /// The folder to write into
    folder: PathBuf,

    /// Write tensors as .npz too
    #[arg(long)]
    npz: bool,

    /// Write figures as .png too
    #[arg(long)]
    png: bool,
}

pub fn export(arguments: &Arguments, catalogue: &'static [Kind]) -> Result<Exit, Exit> {
    let plan = arguments.study.plan(catalogue, false)?;
    let formats = Formats { npz: arguments.npz, png: arguments.png };
    let exported = write(&plan, &arguments.study.store(), &arguments.folder, formats).map_err(Exit::failed)?;
    eprintln!("{} files in {}", exported.files, arguments.folder.display());
    if exported.unfinished.is_empty() {
        return Ok(Exit::DONE);
    }
    Err(Exit::failed(format!(
        "not finished, so not exported: {}; `assay run` computes them",
        exported.unfinished.join(", ")
    )))
}
