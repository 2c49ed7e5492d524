//! How the process ends: a code that scripts can rely on, and a last word for people.

use std::{io::IsTerminal, process::ExitCode};

use serde_json::json;

use crate::manifest::{Problems, visible};

/// An exit code, and what to say on stderr.
#[derive(Debug)]
pub struct Exit {
    code: u8,
    message: Option<String>,
}

impl Exit {
    pub const DONE: Self = Self { code: 0, message: None };
    pub const STAGE_FAILED: Self = Self { code: 1, message: None };
    /// `assay diff --exit-code` has found a difference.
    pub const DIFFERENT: Self = Self { code: 1, message: None };
    pub const EXPECTATION_FAILED: Self = Self { code: 3, message: None };
    pub const STOPPED: Self = Self { code: 75, message: None };
    pub const INTERRUPTED: Self = Self { code: 130, message: None };

    /// A stage, the store or a file failed.
    pub fn failed(message: impl Into<String>) -> Self {
        Self { code: 1, message: Some(visible(&format!("error: {}", message.into()))) }
    }

    /// The command line asks for something that is not there.
    pub fn usage(message: impl Into<String>) -> Self {
        Self { code: 2, message: Some(visible(&format!("error: {}", message.into()))) }
    }

    /// The manifest has mistakes. Under `--json` they go to stdout as a document.
    pub fn manifest(problems: &Problems, json: bool) -> Self {
        if json {
            println!("{:#}", json!({ "ok": false, "problems": problems.to_json() }));
        }
        Self { code: 2, message: (!json).then(|| terminal(problems)) }
    }

    pub fn report(self) -> ExitCode {
        if let Some(message) = self.message {
            eprintln!("{}", message.trim_end());
        }
        ExitCode::from(self.code)
    }
}

/// The problems as this terminal shows them: in colour where that is wanted, as wide as it is.
fn terminal(problems: &Problems) -> String {
    let plain = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    let color = std::io::stderr().is_terminal() && !plain;
    let width = console::Term::stderr().size_checked().map_or(100, |(_, columns)| usize::from(columns));
    problems.render(color, width)
}

impl From<assay_cache::StoreError> for Exit {
    fn from(error: assay_cache::StoreError) -> Self {
        Self::failed(error.to_string())
    }
}
