//! What a running stage is given, and what it gives back.

use std::{collections::BTreeMap, path::PathBuf, sync::Arc};

use assay_cache::{Artifact, Digest, Labels, Table, Tensor, Unit};
use serde_json::Value;

use super::{Failure, Session};

/// The engine, as a running stage sees it.
pub trait Ctx: Sync {
    /// A unit that an earlier, interrupted run of this very computation saved.
    fn unit(&self, name: &str) -> Result<Option<Unit>, Failure>;

    /// Saves finished units, in one file, at once. Their names are pure functions of parameters and inputs.
    fn save(&self, units: &[(String, Unit)]) -> Result<(), Failure>;

    /// Saves the state of a training run at `step`; the last two are kept.
    fn checkpoint(&self, step: u64, state: &Unit) -> Result<(), Failure>;

    /// The last checkpoint and its step.
    fn last_checkpoint(&self) -> Result<Option<(u64, Unit)>, Failure>;

    /// Whether the run should stop. Look at it between units and in inner loops; what is done must be saved first.
    fn stopping(&self) -> bool;

    /// `done` of `of` things (`what`, in the plural: "prompts", "pairs") are finished.
    fn progress(&self, done: u64, of: u64, what: &str);

    /// Says something that the user should know; it goes to the log and into the entry.
    fn warn(&self, message: &str);

    /// The digests of the stage's own files, by the roles that its `resolve` gave them.
    fn files(&self) -> &BTreeMap<String, Digest>;

    /// Where a file of this digest lies, as far as the running plan has resolved it.
    fn place(&self, digest: &Digest) -> Result<PathBuf, Failure>;

    /// The device and the models that are loaded on it.
    fn session(&self) -> &dyn Session;

    /// Leaves with [`Failure::Stopped`] where the run should stop.
    fn go_on(&self) -> Result<(), Failure> {
        if self.stopping() { Err(Failure::Stopped) } else { Ok(()) }
    }
}

/// One artifact that stands in an input port.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// Axis labels, where it was gathered.
    pub labels: Labels,
    /// The id of the stage and its port, as in [`Arrived`](super::Arrived).
    pub from: String,
    pub artifact: Arc<Artifact>,
}

/// The artifacts in a stage's input ports. The plan has checked their types.
#[derive(Clone, Debug, Default)]
pub struct Inputs(pub BTreeMap<String, Vec<Loaded>>);

/// What a stage made: an artifact for each output port, and what it chose for itself (the batch it used).
#[derive(Clone, Debug, Default)]
pub struct Outputs {
    pub artifacts: BTreeMap<String, Artifact>,
    pub notes: BTreeMap<String, Value>,
}

impl Inputs {
    /// What stands in a port that takes one artifact.
    ///
    /// # Panics
    /// Where nothing does: the plan refuses a stage whose required port is empty.
    pub fn one(&self, port: &str) -> &Artifact {
        self.optional(port).unwrap_or_else(|| panic!("the plan filled the port `{port}`"))
    }

    /// The record in a port.
    pub fn record(&self, port: &str) -> Result<&Value, Failure> {
        match self.one(port) {
            Artifact::Record(record) => Ok(record),
            _ => Err(Failure::fatal(format!("the input `{port}` is no record"))),
        }
    }

    /// The table in a port.
    pub fn table(&self, port: &str) -> Result<&Table, Failure> {
        match self.one(port) {
            Artifact::Table(table) => Ok(table),
            _ => Err(Failure::fatal(format!("the input `{port}` is no table"))),
        }
    }

    /// The tensor in a port.
    pub fn tensor(&self, port: &str) -> Result<&Tensor, Failure> {
        match self.one(port) {
            Artifact::Tensor(tensor) => Ok(tensor),
            _ => Err(Failure::fatal(format!("the input `{port}` is no tensor"))),
        }
    }

    pub fn optional(&self, port: &str) -> Option<&Artifact> {
        self.many(port).first().map(|loaded| &*loaded.artifact)
    }

    pub fn many(&self, port: &str) -> &[Loaded] {
        self.0.get(port).map_or(&[], Vec::as_slice)
    }
}

impl Outputs {
    pub fn with(mut self, port: &str, artifact: Artifact) -> Self {
        self.artifacts.insert(port.to_owned(), artifact);
        self
    }

    pub fn note(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.notes.insert(name.to_owned(), value.into());
        self
    }
}
