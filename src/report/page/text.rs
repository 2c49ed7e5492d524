//! The manifest as it was run, and what `errors.log` says.

use std::{
    fs,
    io::{Read, Seek, SeekFrom},
};

use serde::Serialize;

use super::known::Known;

#[derive(Serialize)]
pub struct TextView {
    pub name: String,
    pub lines: Vec<String>,
    /// How many more lines the file has.
    pub more: usize,
}

#[derive(Serialize)]
pub struct LogView {
    /// What this run added.
    pub lines: Vec<String>,
    pub more: usize,
    /// Whether earlier runs left something.
    pub earlier: bool,
}

const MOST_LINES: usize = 4000;
const MOST_IN_A_LINE: usize = 2000;
const MOST_OF_LOG: usize = 200;
/// Bytes of the log that are looked at.
const MOST_BYTES: u64 = 1 << 20;

pub fn manifest(known: &Known) -> TextView {
    let text = &known.plan.manifest.text;
    let name = text.path.file_name().unwrap_or(text.path.as_os_str()).to_string_lossy().into_owned();
    let lines: Vec<String> = text.content.lines().take(MOST_LINES).map(cut).collect();
    let more = text.content.lines().count() - lines.len();
    TextView { name, lines, more }
}

fn cut(line: &str) -> String {
    match line.char_indices().nth(MOST_IN_A_LINE) {
        None => line.to_owned(),
        Some((end, _)) => format!("{} …", &line[..end]),
    }
}

/// The failures that this run logged; none, where it logged none.
pub fn log(known: &Known) -> Option<LogView> {
    let mut file = fs::File::open(known.folder.join("errors.log")).ok()?;
    file.seek(SeekFrom::Start(known.log_began)).ok()?;
    let mut bytes = vec![];
    file.take(MOST_BYTES).read_to_end(&mut bytes).ok()?;
    let text = String::from_utf8_lossy(&bytes);
    let lines: Vec<String> = text.lines().take(MOST_OF_LOG).map(cut).collect();
    let more = text.lines().count() - lines.len();
    (!lines.is_empty()).then_some(LogView { lines, more, earlier: known.log_began > 0 })
}
