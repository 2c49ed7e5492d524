//! A kind of stage, and how the engine holds one whose type it does not know.

use schemars::{JsonSchema, Schema, schema_for};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value;

use super::{Ctx, Failure, Fetch, Given, Inputs, Mistake, Outputs, Ports, Resolved, SourceError};

/// What a stage occupies while it runs.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Lane {
    /// Cores of the host, through rayon.
    Host,
    /// The device, which runs one stage at a time.
    Device,
}

/// A kind of stage: the implementing type is its parameters.
///
/// The struct's doc comment is the kind's documentation (question, method, reference), its fields' doc comments are
/// those of the manifest's keys. Derive `Serialize, Deserialize, JsonSchema` with
/// `#[serde(deny_unknown_fields, rename_all = "kebab-case")]`, and give optional fields a `#[serde(default…)]`: a
/// parameter that equals its default stays out of the key.
pub trait Stage: Serialize + DeserializeOwned + JsonSchema + Send + Sync + 'static {
    /// The manifest's `kind`, and the file's name with `_` for `-`.
    const KIND: &'static str;

    /// The stage's own version and those of the shared parts it uses, such as `&[("generate", 1), lm::VERSION]`.
    /// Raise one when outputs change.
    const VERSION: &'static [(&'static str, u32)];

    const LANE: Lane = Lane::Host;

    /// The files that this stage reads.
    fn resolve(&self, _fetch: Fetch) -> Result<Resolved, SourceError> {
        Ok(Resolved::default())
    }

    /// The ports, given what is known at plan time; or everything that is wrong.
    fn ports(&self, given: &Given) -> Result<Ports, Vec<Mistake>>;

    /// Computes the outputs.
    fn run(&self, inputs: &Inputs, ctx: &dyn Ctx) -> Result<Outputs, Failure>;

    /// The parameters that outputs depend on. A stage leaves out what cannot matter beside the others.
    fn keyed(&self) -> Value {
        serde_json::to_value(self).expect("parameters are plain data")
    }
}

/// A stage whose type the engine does not know.
pub trait DynStage: Send + Sync {
    fn resolve(&self, fetch: Fetch) -> Result<Resolved, SourceError>;
    fn ports(&self, given: &Given) -> Result<Ports, Vec<Mistake>>;
    fn run(&self, inputs: &Inputs, ctx: &dyn Ctx) -> Result<Outputs, Failure>;
    /// The parameters that outputs depend on, defaults included.
    fn keyed(&self) -> Value;
}

impl<S: Stage> DynStage for S {
    fn resolve(&self, fetch: Fetch) -> Result<Resolved, SourceError> {
        Stage::resolve(self, fetch)
    }

    fn ports(&self, given: &Given) -> Result<Ports, Vec<Mistake>> {
        Stage::ports(self, given)
    }

    fn run(&self, inputs: &Inputs, ctx: &dyn Ctx) -> Result<Outputs, Failure> {
        Stage::run(self, inputs, ctx)
    }

    fn keyed(&self) -> Value {
        Stage::keyed(self)
    }
}

/// An entry of the catalogue.
pub struct Kind {
    pub name: &'static str,
    pub lane: Lane,
    version: &'static [(&'static str, u32)],
    schema: fn() -> Schema,
    parse: fn(Value) -> Result<Box<dyn DynStage>, Mistake>,
}

impl Kind {
    pub const fn of<S: Stage>() -> Self {
        Self {
            name: S::KIND,
            lane: S::LANE,
            version: S::VERSION,
            schema: || schema_for!(S),
            parse: |params| Ok(Box::new(typed::<S>(params)?)),
        }
    }

    /// `generate=1,lm=3`: what a recipe holds.
    pub fn version(&self) -> String {
        let parts: Vec<_> = self.version.iter().map(|(part, number)| format!("{part}={number}")).collect();
        parts.join(",")
    }

    /// The JSON Schema of the parameters; its description is the kind's documentation.
    pub fn schema(&self) -> Schema {
        (self.schema)()
    }

    /// A stage with these parameters.
    pub fn parse(&self, params: Value) -> Result<Box<dyn DynStage>, Mistake> {
        (self.parse)(params)
    }
}

fn typed<S: Stage>(params: Value) -> Result<S, Mistake> {
    serde_path_to_error::deserialize(params)
        .map_err(|error| Mistake::new(error.path().to_string(), error.inner().to_string()))
}
