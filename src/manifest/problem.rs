//! One mistake in a manifest, and all of them together.

use std::sync::Arc;

use serde_json::{Value, json};

use super::{Node, Span, Text, excerpt, render};

/// One mistake: where it is, what is wrong and what to do.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Problem {
    /// In the text that `place` names.
    pub span: Span,
    pub place: Place,
    pub message: String,
    pub help: Option<String>,
}

/// Which text a problem's span counts in.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Place {
    /// The manifest could not be read at all: there is no text.
    Nowhere,
    /// An argument of the command line.
    Argument(String),
    #[default]
    Manifest,
}

/// All mistakes of a manifest, in the order of its text.
#[derive(Debug)]
pub struct Problems {
    pub text: Arc<Text>,
    pub list: Vec<Problem>,
}

impl Problem {
    pub fn new(span: Span, message: impl Into<String>) -> Self {
        Self { span, place: Place::Manifest, message: message.into(), help: None }
    }

    /// A problem that stands nowhere in a text, such as a file that cannot be read.
    pub fn nowhere(message: impl Into<String>) -> Self {
        Self { place: Place::Nowhere, ..Self::new(0..0, message) }
    }

    /// `expected a string, found the integer 3`.
    pub fn expected(what: &str, found: &Node) -> Self {
        Self::new(found.span.clone(), format!("expected {what}, found {}", found.describe()))
    }

    /// The span counts in this argument of the command line.
    pub fn in_argument(mut self, argument: &str) -> Self {
        self.place = Place::Argument(argument.to_owned());
        self
    }

    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }
}

impl Problems {
    /// Sorted by position; a problem that many cells share is told once.
    pub fn new(text: Arc<Text>, mut list: Vec<Problem>) -> Self {
        list.sort_by(|a, b| {
            let position = |p: &Problem| (p.span.start, p.span.end);
            a.place.cmp(&b.place).then(position(a).cmp(&position(b))).then_with(|| a.message.cmp(&b.message))
        });
        list.dedup();
        Self { text, list }
    }

    /// Each problem with its source line, a caret and what to do.
    pub fn render(&self, color: bool, width: usize) -> String {
        render::render(self, color, width)
    }

    /// For `--json`: file, line and column (from 1, in characters), message and help.
    pub fn to_json(&self) -> Value {
        self.list.iter().map(|problem| self.problem_json(problem)).collect()
    }

    fn problem_json(&self, problem: &Problem) -> Value {
        let (line, column) = match &problem.place {
            Place::Manifest => excerpt::position(&self.text.content, problem.span.start),
            Place::Argument(_) | Place::Nowhere => return self.unplaced_json(problem),
        };
        json!({
            "file": self.text.path.to_string_lossy(), "line": line, "column": column,
            "message": problem.message, "help": problem.help,
        })
    }

    fn unplaced_json(&self, problem: &Problem) -> Value {
        let argument = match &problem.place {
            Place::Argument(argument) => Some(argument),
            Place::Manifest | Place::Nowhere => None,
        };
        json!({
            "file": self.text.path.to_string_lossy(), "line": null, "column": null, "argument": argument,
            "message": problem.message, "help": problem.help,
        })
    }
}

impl std::fmt::Display for Problems {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.render(false, 100))
    }
}

impl std::error::Error for Problems {}
