//! The status of a study as a table: a line a stage, and a line more where something is to be told.

use std::path::Path;

use super::progress::{Counts, StageStatus};
use crate::{cli::reasons::saved, plan::Plan, report::span};

/// Names that are longer are cut.
const WIDEST_NAME: usize = 24;

/// The page has at most this many columns where the terminal does not say.
const WIDTH: usize = 80;

pub fn page(plan: &Plan, stages: &[StageStatus], totals: &Counts, log: &Path) -> String {
    let study = &plan.manifest.study;
    let mut page = study.name.value.clone();
    page += &study.question.as_ref().map_or("\n\n".to_owned(), |question| format!(": {question}\n\n"));
    let name = stages.iter().map(|stage| stage.stage.chars().count()).max().unwrap_or(0).min(WIDEST_NAME);
    let count = stages.iter().map(|stage| done(stage).len()).max().unwrap_or(0);
    let width = console::Term::stdout().size_checked().map_or(WIDTH, |(_, columns)| usize::from(columns).max(WIDTH));
    for stage in stages {
        page.push_str(&rows(stage, name, count, width));
    }
    page + &sum(totals) + &where_failures_are(totals, log)
}

/// `treated  34/60  █████░░░░░   3.1 s  2 running`, and what has no room beside it below.
fn rows(stage: &StageStatus, name: usize, count: usize, width: usize) -> String {
    let time = if stage.counts.done > 0 { span(stage.counts.seconds) } else { String::new() };
    let head = format!("{:<name$}  {:>count$}  {}  {time:>7}", cut(&stage.stage, name), done(stage), bar(stage));
    let notes = notes(stage);
    let beside = format!("{head}  {}", notes.join(", "));
    let mut rows = match beside.chars().count() <= width {
        true => beside.trim_end().to_owned(),
        false => format!("{}\n    {}", head.trim_end(), notes.join("\n    ")),
    };
    rows.push('\n');
    if let Some(failure) = &stage.failure {
        let line = format!("    failed {}: {}: {}", failure.time, failure.cell, failure.cause);
        rows += &(cut(&line, width) + "\n");
    }
    rows
}

fn done(stage: &StageStatus) -> String {
    format!("{}/{}", stage.counts.done, stage.counts.cells)
}

/// Ten places; the last is filled only when all is done.
fn bar(stage: &StageStatus) -> String {
    let filled = stage.counts.done * 10 / stage.counts.cells.max(1);
    "█".repeat(filled) + &"░".repeat(10 - filled)
}

fn notes(stage: &StageStatus) -> Vec<String> {
    let several = |count: usize, what: &str| (count > 0).then(|| format!("{count} {what}"));
    let running = several(stage.counts.running, "running").map(|running| format!("{running} ({})", runners(stage)));
    let failed = several(stage.counts.failed, "failed");
    let ready = several(stage.counts.ready, "ready");
    let waiting = (stage.counts.waiting > 0)
        .then(|| format!("{} waiting for {}", stage.counts.waiting, few(stage.waits_for.iter())));
    let unknown = several(stage.counts.unknown, "not known: something is not fetched");
    let begun = stage.begun > 0;
    let saved = begun.then(|| saved(stage.units, stage.checkpoint));
    [running, failed, ready, waiting, unknown, saved].into_iter().flatten().collect()
}

fn runners(stage: &StageStatus) -> String {
    let names: Vec<_> = stage.runners.iter().map(ToString::to_string).collect();
    few(names.iter())
}

/// The first three names, and how many more there are.
fn few<'a>(names: impl ExactSizeIterator<Item = &'a String>) -> String {
    const SHOWN: usize = 3;
    let more = names.len().saturating_sub(SHOWN);
    let shown: Vec<_> = names.take(SHOWN).cloned().collect();
    if more == 0 { shown.join(", ") } else { format!("{} and {more} more", shown.join(", ")) }
}

fn sum(totals: &Counts) -> String {
    let parts = [
        (totals.running, "running"),
        (totals.failed, "failed"),
        (totals.ready, "ready"),
        (totals.waiting, "waiting"),
        (totals.unknown, "not known"),
    ];
    let parts: Vec<_> = parts.iter().filter(|(n, _)| *n > 0).map(|(n, what)| format!("{n} {what}")).collect();
    let rest = if parts.is_empty() { String::new() } else { format!("; {}", parts.join(", ")) };
    format!("\n{} of {} cells done in {}{rest}\n", totals.done, totals.cells, span(totals.seconds))
}

fn where_failures_are(totals: &Counts, log: &Path) -> String {
    if totals.failed == 0 { String::new() } else { format!("every failure: {}\n", log.display()) }
}

/// Text of at most so many characters.
fn cut(text: &str, width: usize) -> String {
    match text.char_indices().nth(width) {
        None => text.to_owned(),
        Some(_) => text.chars().take(width.saturating_sub(1)).chain(['…']).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stage(done: usize, cells: usize) -> StageStatus {
        let counts = Counts { cells, done, ready: cells - done, ..Counts::default() };
        StageStatus { stage: "treated".into(), counts, ..StageStatus::default() }
    }

    #[test]
    fn a_bar_is_full_only_when_all_is_done() {
        assert_eq!([0, 999, 1000].map(|done| bar(&stage(done, 1000))), ["░░░░░░░░░░", "█████████░", "██████████"]);
    }

    #[test]
    fn a_line_fits_80_columns_and_what_does_not_stands_below() {
        let mut sweep = stage(340, 1000);
        sweep.stage = "a-very-long-name-of-a-stage".into();
        sweep.counts.seconds = 12_345.0;
        assert_eq!(rows(&sweep, 24, 9, 80), "a-very-long-name-of-a-s…   340/1000  ███░░░░░░░    3.4 h  660 ready\n");
        sweep.units = 12_000;
        sweep.begun = 600;
        let expected =
            "a-very-long-name-of-a-s…   340/1000  ███░░░░░░░    3.4 h\n    660 ready\n    12000 units are saved\n";
        assert_eq!(rows(&sweep, 24, 9, 80), expected);
    }
}
