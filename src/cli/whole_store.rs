//! What the subcommands about a whole store share: which store is meant, and how sizes are written.

use std::path::PathBuf;

use assay_cache::Store;
use clap::Args;

use super::{Exit, study::store_for};

/// Which store is meant.
#[derive(Args)]
pub struct StoreArguments {
    /// The store [default: $ASSAY_STORE, else cache/store in this folder or one above, else .assay in this folder]
    #[arg(long, value_name = "DIR")]
    store: Option<PathBuf>,
}

impl StoreArguments {
    /// The store, which must be one: nothing here is done to other folders.
    pub fn existing(&self) -> Result<Store, Exit> {
        let store = store_for(self.store.as_deref(), "study.toml".as_ref());
        if store.exists() {
            return Ok(store);
        }
        Err(Exit::usage(format!(
            "there is no store in {}\n  help: name one with `--store DIR`; a run makes one",
            store.root().display()
        )))
    }
}

/// A number of bytes, for people.
pub fn size(bytes: u64) -> String {
    const UNITS: [&str; 4] = ["KiB", "MiB", "GiB", "TiB"];
    if bytes < 1024 {
        return format!("{bytes} B");
    }
    let mut value = bytes as f64 / 1024.0;
    let mut unit = 0;
    while value >= 1024.0 && unit + 1 < UNITS.len() {
        value /= 1024.0;
        unit += 1;
    }
    format!("{value:.1} {}", UNITS[unit])
}

/// `1 entry`, `2 entries`.
pub fn counted(count: u64, one: &str, many: &str) -> String {
    format!("{count} {}", if count == 1 { one } else { many })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_in_the_unit_that_suits_them() {
        assert_eq!([0, 1023, 1024, 1536 << 10, 5 << 40].map(size), ["0 B", "1023 B", "1.0 KiB", "1.5 MiB", "5.0 TiB"]);
    }
}
