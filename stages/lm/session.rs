//! The device of a run, and what is loaded on it.

use std::{
    any::Any,
    collections::BTreeSet,
    fmt,
    sync::{Arc, OnceLock},
};

use assay_cache::Digest;
use serde_json::Value;

use super::{
    Device, Model,
    device::{self, Opened},
    pool::Pool,
    text::tokenizer::Tokenizer,
};
use crate::contract::{self, Ctx, Failure};

/// One process's hold on a device. Nothing is touched until a stage asks for it.
pub struct Session {
    wanted: String,
    opened: OnceLock<Result<Opened, String>>,
    pool: Pool,
}

impl Session {
    /// A session on `wanted`: `auto`, `cpu`, `cuda` or `cuda:N`. No device is probed yet.
    pub fn on(wanted: &str) -> Self {
        Self { wanted: wanted.to_owned(), opened: OnceLock::new(), pool: Pool::default() }
    }

    /// The session of a running stage.
    ///
    /// # Panics
    /// Where the engine was started on a session that is not of this catalogue.
    pub fn of(ctx: &dyn Ctx) -> &Self {
        let session: &dyn Any = ctx.session();
        session.downcast_ref().expect("the engine carries the session that this crate opened")
    }

    /// The device; the first call probes it.
    pub fn device(&self) -> Result<&Device, Failure> {
        self.opened().map(|opened| &opened.device).map_err(Failure::fatal)
    }

    /// The model that a `model` record describes, loaded when it is first asked for.
    pub fn model(&self, record: &Value, ctx: &dyn Ctx) -> Result<Arc<Model>, Failure> {
        self.pool.model(record, self.device()?, ctx)
    }

    /// The tokenizer of that model. Needs no device.
    pub fn tokenizer(&self, record: &Value, ctx: &dyn Ctx) -> Result<Arc<Tokenizer>, Failure> {
        self.pool.tokenizer(record, ctx)
    }

    fn opened(&self) -> Result<&Opened, String> {
        self.opened.get_or_init(|| device::open(&self.wanted)).as_ref().map_err(Clone::clone)
    }
}

impl contract::Session for Session {
    fn device_name(&self) -> String {
        self.opened().map_or_else(|_| self.wanted.clone(), |opened| opened.name.clone())
    }

    fn keep_only(&self, needed: &BTreeSet<Digest>) {
        self.pool.keep_only(needed);
    }
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Session({})", self.wanted)
    }
}
