//! Models that are loaded, by the digest of the artifact that describes them.
//!
//! A model is loaded when a running stage first asks, and stays until the engine says that nothing planned needs it
//! ([`Pool::keep_only`]). Two stages that ask at once load it once. The pool holds models of one device.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use assay_cache::{Digest, canonical};
use serde_json::Value;

use super::{
    Device, Model, ModelRecord,
    text::tokenizer::Tokenizer,
    weights::{checkpoint::Checkpoint, files::ModelFiles, initial::InitialWeights},
};
use crate::contract::{Ctx, Failure};

/// What is loaded on one device.
#[derive(Default)]
pub struct Pool {
    models: Shelf<Model>,
    tokenizers: Shelf<Tokenizer>,
}

/// Things by the digest of the record that describes them. A place is made first and filled under its own lock, so
/// that loading one model does not keep others from being used.
struct Shelf<T>(Mutex<BTreeMap<Digest, Place<T>>>);

type Place<T> = Arc<Mutex<Option<Arc<T>>>>;

impl<T> Default for Shelf<T> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl Pool {
    /// The model that `record` describes, loaded on `device` if it is not there yet.
    pub fn model(&self, record: &Value, device: &Device, ctx: &dyn Ctx) -> Result<Arc<Model>, Failure> {
        self.models.get(record, || {
            let described = ModelRecord::read(record)?;
            let checkpoint: Box<dyn Checkpoint> = match described.init {
                Some(seed) => Box::new(InitialWeights::new(&described.config, seed).map_err(fatal)?),
                None => ModelFiles(&places(&described, ctx)?).checkpoint().map_err(fatal)?,
            };
            Model::load_as(described.dtype, &described.config, &*checkpoint, device).map_err(fatal)
        })
    }

    /// The tokenizer of the model that `record` describes.
    pub fn tokenizer(&self, record: &Value, ctx: &dyn Ctx) -> Result<Arc<Tokenizer>, Failure> {
        self.tokenizers.get(record, || {
            let described = ModelRecord::read(record)?;
            ModelFiles(&places(&described, ctx)?).tokenizer().map_err(|error| Failure::fatal(error.0))
        })
    }

    /// Drops what nobody holds, unless it was loaded from an artifact of one of these digests.
    pub fn keep_only(&self, needed: &BTreeSet<Digest>) {
        self.models.keep_only(needed);
        self.tokenizers.keep_only(needed);
    }
}

impl<T> Shelf<T> {
    fn get(&self, record: &Value, load: impl FnOnce() -> Result<T, Failure>) -> Result<Arc<T>, Failure> {
        // The digest that the record has as an artifact.
        let digest = Digest::of(canonical(record).as_bytes());
        let place = locked(&self.0).entry(digest).or_default().clone();
        let mut place = locked(&place);
        if let Some(loaded) = &*place {
            return Ok(loaded.clone());
        }
        Ok(place.insert(Arc::new(load()?)).clone())
    }

    fn keep_only(&self, needed: &BTreeSet<Digest>) {
        locked(&self.0).retain(|digest, place| {
            // a place that somebody else holds is being filled or about to be
            let unused = |place: &Place<T>| locked(place).as_ref().is_none_or(|loaded| Arc::strong_count(loaded) == 1);
            needed.contains(digest) || Arc::strong_count(place) > 1 || !unused(place)
        });
    }
}

/// A load that panicked left its place empty, and every other place as it was.
fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn places(record: &ModelRecord, ctx: &dyn Ctx) -> Result<BTreeMap<String, PathBuf>, Failure> {
    record.files.iter().map(|(role, digest)| Ok((role.clone(), ctx.place(digest)?))).collect()
}

fn fatal(error: super::weights::checkpoint::WeightsError) -> Failure {
    Failure::fatal(error.0)
}
