//! `assay gc`: drops what no kept study reaches. Which studies are kept must be said.

use std::{collections::BTreeSet, time::Duration};

use assay_cache::{Collect, Collected, Freed, Store};
use clap::Args;
use serde_json::{Value, json};

use super::{
    Exit, print,
    study::no_such,
    whole_store::{StoreArguments, counted, size},
};
use crate::manifest::visible;

/// Drop what no kept study reaches
///
/// A store remembers what each study had last: its stages, what they were computed from, and all their outputs are kept.
/// Everything else that nobody has written or needed for a day goes, unless a run is at work on it. Which studies are kept
/// must be said.
#[derive(Args)]
#[command(after_help = "\
Examples:
  assay gc --keep-all-studies --dry-run     what would go
  assay gc --keep-all-studies
  assay gc --forget old --forget old+seed=7 these are no longer kept; all others are
  assay gc --keep quickstart                all others are no longer kept
  assay gc --keep-all-studies --older-than 12h")]
pub struct Arguments {
    /// Keep what every study had last
    #[arg(long, conflicts_with_all = ["keep", "forget"])]
    keep_all_studies: bool,

    /// Keep this study, and forget those that are not named
    #[arg(long, value_name = "STUDY", conflicts_with = "forget")]
    keep: Vec<String>,

    /// Forget this study, and keep all others
    #[arg(long, value_name = "STUDY")]
    forget: Vec<String>,

    /// Spare what was written or needed since: 30m, 12h, 7d
    #[arg(long, value_name = "TIME", default_value = "1d", value_parser = span)]
    older_than: Duration,

    /// Only tell what would go
    #[arg(long)]
    dry_run: bool,

    #[command(flatten)]
    store: StoreArguments,

    /// Print one JSON document to stdout
    #[arg(long)]
    json: bool,
}

pub fn gc(arguments: &Arguments) -> Result<Exit, Exit> {
    let store = arguments.store.existing()?;
    let studies: BTreeSet<String> = store.studies()?.into_keys().collect();
    let forget = forgotten(arguments, &store, &studies)?;
    let kept: Vec<&String> = studies.difference(&forget).collect();
    let collect = Collect { forget: forget.clone(), older_than: arguments.older_than, dry_run: arguments.dry_run };
    let collected = store.collect(&collect)?;
    if arguments.json {
        print(&format!("{:#}\n", document(&store, &collect, &kept, &collected)))?;
    } else {
        print(&visible(&page(&store, &collect, &kept, &collected)))?;
    }
    Ok(Exit::DONE)
}

/// The studies that are no longer kept, as the command line says; it must say something.
fn forgotten(arguments: &Arguments, store: &Store, studies: &BTreeSet<String>) -> Result<BTreeSet<String>, Exit> {
    let known = || studies.iter().map(String::as_str);
    if let Some(name) = arguments.keep.iter().chain(&arguments.forget).find(|name| !studies.contains(*name)) {
        return Err(no_such("remembered study", name, known()));
    }
    let forget: BTreeSet<String> = match () {
        () if !arguments.forget.is_empty() => arguments.forget.iter().cloned().collect(),
        () if !arguments.keep.is_empty() => {
            studies.iter().filter(|study| !arguments.keep.contains(study)).cloned().collect()
        }
        () if studies.is_empty() => {
            return Err(Exit::usage(format!(
                "{} remembers no study, so that everything in it would go\n  help: run the studies that you want to keep, \
                 with this store; or remove the folder, if you want nothing of it",
                store.root().display()
            )));
        }
        () if arguments.keep_all_studies => BTreeSet::new(),
        () => {
            let names: Vec<_> = known().collect();
            return Err(Exit::usage(format!(
                "say which studies to keep: `--keep-all-studies`, `--keep STUDY` or `--forget STUDY`\n  help: this store \
                 remembers {}; `--dry-run` only tells what would go",
                names.join(", ")
            )));
        }
    };
    Ok(forget)
}

/// `30m`, `12h`, `7d`; seconds too, for the impatient.
fn span(text: &str) -> Result<Duration, String> {
    const EXPECTED: &str = "expected a number and a unit, such as 30m, 12h or 7d";
    let (number, seconds) = match text.char_indices().last() {
        Some((at, 's')) => (&text[..at], 1),
        Some((at, 'm')) => (&text[..at], 60),
        Some((at, 'h')) => (&text[..at], 3600),
        Some((at, 'd')) => (&text[..at], 86_400),
        _ => return Err(EXPECTED.to_owned()),
    };
    let number: u64 = number.parse().map_err(|_| EXPECTED.to_owned())?;
    number.checked_mul(seconds).map(Duration::from_secs).ok_or_else(|| "this is longer than time".to_owned())
}

fn document(store: &Store, collect: &Collect, kept: &[&String], collected: &Collected) -> Value {
    let part = |freed: Freed| json!({ "files": freed.files, "bytes": freed.bytes });
    json!({
        "store": store.root(), "dry-run": collect.dry_run, "kept-studies": kept, "forgotten-studies": collect.forget,
        "older-than-seconds": collect.older_than.as_secs(), "live-leases": collected.leases,
        "freed": {
            "entries": part(collected.entries), "blobs": part(collected.blobs), "units": part(collected.units),
            "leftovers": part(collected.leftovers), "files": collected.freed().files, "bytes": collected.freed().bytes,
        },
        "kept": part(collected.kept),
    })
}

fn page(store: &Store, collect: &Collect, kept: &[&String], collected: &Collected) -> String {
    let (forgets, freed_word) = if collect.dry_run { ("would forget", "would free") } else { ("forgot", "freed") };
    let mut page = String::new();
    for study in &collect.forget {
        page.push_str(&format!("{forgets} {study}\n"));
    }
    let parts = [
        (collected.entries, "entry", "entries"),
        (collected.blobs, "blob", "blobs"),
        (collected.units, "file of units", "files of units"),
        (collected.leftovers, "leftover", "leftovers"),
    ];
    for (freed, one, many) in parts.into_iter().filter(|(freed, ..)| freed.files > 0) {
        page.push_str(&format!("{freed_word} {}, {}\n", counted(freed.files, one, many), size(freed.bytes)));
    }
    if collected.leases > 0 {
        page.push_str(&format!(
            "{} under way, spared\n",
            counted(collected.leases as u64, "computation", "computations")
        ));
    }
    page + &format!(
        "{}: {freed_word} {}; {} left, of {} and of what is young\n",
        store.root().display(),
        size(collected.freed().bytes),
        size(collected.kept.bytes),
        counted(kept.len() as u64, "kept study", "kept studies"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_need_their_unit() {
        assert_eq!(span("90m"), Ok(Duration::from_secs(5400)));
        assert_eq!(span("7d"), Ok(Duration::from_secs(604_800)));
        for bad in ["", "7", "d", "1.5h", "-1d", "7é", "99999999999999999999d", "999999999999999999d"] {
            assert!(span(bad).is_err(), "{bad}");
        }
    }
}
