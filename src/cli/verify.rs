//! `assay verify`: reads everything in a store and says what is wrong. Nothing is deleted.

use std::io::IsTerminal;

use assay_cache::{Checked, Fault, Wrong};
use clap::Args;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde_json::{Value, json};

use super::{
    Exit, print,
    whole_store::{StoreArguments, counted, size},
};
use crate::manifest::visible;

/// Check every entry, blob and unit of a store against its digest
///
/// What is damaged is set aside under a name that nothing reads, never deleted, and so are the entries that named it: their
/// stages run again in the next run. Exits 0 if all is well, 1 if something was wrong.
#[derive(Args)]
#[command(after_help = "\
Examples:
  assay verify                          the store that studies in this folder use
  assay verify --store /scratch/store
  assay verify --json | jq '.faults[].path'")]
pub struct Arguments {
    #[command(flatten)]
    store: StoreArguments,

    /// Print one JSON document to stdout
    #[arg(long)]
    json: bool,
}

pub fn verify(arguments: &Arguments) -> Result<Exit, Exit> {
    let store = arguments.store.existing()?;
    let bar = bar();
    let checked = store.verify(&|bytes, of| {
        bar.set_length(of);
        bar.inc(bytes);
    });
    bar.finish_and_clear();
    let checked = checked?;
    if arguments.json {
        print(&format!("{:#}\n", document(&checked, store.root())))?;
    } else {
        print(&visible(&page(&checked, store.root())))?;
    }
    Ok(if checked.faults.is_empty() { Exit::DONE } else { Exit::STAGE_FAILED })
}

/// A line that moves, on a terminal.
fn bar() -> ProgressBar {
    if !std::io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let style = ProgressStyle::with_template("{bar:24} {bytes} of {total_bytes}, {bytes_per_sec}, {eta} left");
    ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr())
        .with_style(style.expect("the template is well formed").progress_chars("━╸ "))
}

fn document(checked: &Checked, root: &std::path::Path) -> Value {
    json!({
        "store": root, "ok": checked.faults.is_empty(), "entries": checked.entries, "blobs": checked.blobs,
        "units": checked.units, "bytes": checked.bytes, "faults": checked.faults,
    })
}

fn page(checked: &Checked, root: &std::path::Path) -> String {
    let mut page: String = checked.faults.iter().map(paragraph).collect();
    let read = [
        counted(checked.entries as u64, "entry", "entries"),
        counted(checked.blobs as u64, "blob", "blobs"),
        counted(checked.units as u64, "file of units", "files of units"),
    ];
    page.push_str(&format!("{}: {}, {}: ", root.display(), read.join(", "), size(checked.bytes)));
    page.push_str(&match checked.faults.len() {
        0 => "all is well\n".to_owned(),
        1 => "1 is not well; the next run of its study computes it again\n".to_owned(),
        n => format!("{n} are not well; the next runs of their studies compute them again\n"),
    });
    page
}

fn paragraph(fault: &Fault) -> String {
    let wrong = match &fault.wrong {
        Wrong::Damaged(reason) => format!("damaged: {reason}"),
        Wrong::Missing => "missing".to_owned(),
        Wrong::Unreadable(reason) => format!("cannot be read: {reason}"),
    };
    let mut text = format!("{}\n  {wrong}\n", fault.path.display());
    if let Some(aside) = &fault.aside {
        text.push_str(&format!("  set aside as {}\n", aside.display()));
    }
    for named in &fault.named_by {
        let kind = named.kind.as_deref().unwrap_or("a stage");
        let what =
            named.port.as_ref().map_or_else(|| format!("the entry of {kind}"), |port| format!("`{port}` of {kind}"));
        let stages = if named.stages.is_empty() { "no study has it now".to_owned() } else { named.stages.join(", ") };
        text.push_str(&format!("  it is {what}, key {:.12} ({stages})\n", named.key.to_string()));
    }
    text + "\n"
}
