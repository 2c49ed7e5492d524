//! Where an output stands under a folder: `<stage>/<port>.<extension>`, for a cell
//! `<stage>/<axis=label,…>/<port>.<extension>`.

use std::path::PathBuf;

use assay_cache::Output;

use crate::plan::{Cell, Plan};

/// The place of an output, without its extension.
pub fn place(plan: &Plan, cell: &Cell, port: &str) -> PathBuf {
    let stage = PathBuf::from(plan.stage_name(cell));
    match cell.folder() {
        Some(labels) => stage.join(labels).join(port),
        None => stage.join(port),
    }
}

/// The place of an output in its stored form.
pub fn stored(plan: &Plan, cell: &Cell, port: &str, output: &Output) -> PathBuf {
    let place = place(plan, cell, port);
    let name = format!("{port}.{}", output.form.extension());
    place.with_file_name(name)
}
