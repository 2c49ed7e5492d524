//! `assay new`: a commented manifest that runs as it is.

use std::{
    fs::OpenOptions,
    io::{ErrorKind, Write},
    path::{Path, PathBuf},
};

use clap::Args;

use super::{Exit, print};
use crate::manifest::{is_study_name, visible};

/// Write a commented manifest that runs, to begin a study with
#[derive(Args)]
#[command(after_help = "\
Examples:
  assay new my-study                writes my-study.toml
  assay new studies/heads.toml      writes it there; the study is called `heads`")]
pub struct Arguments {
    /// The name of the study, or the path of its manifest
    name: PathBuf,
}

const STARTER: &str = include_str!("starter.toml");

pub fn new(arguments: &Arguments) -> Result<Exit, Exit> {
    let path = match arguments.name.extension() {
        Some(extension) if extension == "toml" => arguments.name.clone(),
        _ => PathBuf::from(format!("{}.toml", arguments.name.display())),
    };
    let name = path.file_stem().and_then(|name| name.to_str()).filter(|name| is_study_name(name)).ok_or_else(|| {
        let help = "it names a folder: letters, digits, `.`, `_`, `+` and `-`, with no dot in front, 200 at most";
        Exit::usage(format!("{:?} cannot be the name of a study\n  help: {help}", arguments.name))
    })?;
    write(&path, &STARTER.replace("NAME", name))?;
    let shown = path.display();
    let commands = [
        (format!("assay plan {shown}"), "what would run"),
        (format!("assay run {shown}"), "run it: the first time, this fetches a small model (93 MB) with pip"),
        ("assay stages".to_owned(), "what else a stage can be"),
    ];
    let width = commands.iter().map(|(command, _)| command.chars().count()).max().unwrap_or(0);
    let lines: String = commands.iter().map(|(command, what)| format!("  {command:<width$}    {what}\n")).collect();
    print(&visible(&format!("{shown} is a study that runs. Next:\n{lines}")))?;
    Ok(Exit::DONE)
}

/// Writes a file that is not there yet.
fn write(path: &Path, text: &str) -> Result<(), Exit> {
    let file = OpenOptions::new().write(true).create_new(true).open(path);
    let written = file.and_then(|mut file| file.write_all(text.as_bytes()));
    written.map_err(|error| match error.kind() {
        ErrorKind::AlreadyExists => {
            Exit::usage(format!("{} is there already\n  help: choose another name, or remove it", path.display()))
        }
        ErrorKind::NotFound => Exit::usage(format!("there is no folder for {}\n  help: make it first", path.display())),
        _ => Exit::failed(format!("cannot write {}: {error}", path.display())),
    })
}
