//! What a process holds between stages, as the engine sees it: a device, and what is loaded on it.
//!
//! The engine only carries it. What stands behind it belongs to the models (`lm::Session`), so that this module, which
//! everything stands on, names none of them.

use std::{any::Any, collections::BTreeSet};

use assay_cache::Digest;

/// One process's hold on a device. Nothing is touched until a stage asks for it.
pub trait Session: Any + Send + Sync {
    /// The name of the device, as entries record it: `cpu`, `cuda:0 (…)`; what was wanted where it cannot be had.
    fn device_name(&self) -> String;

    /// Drops what no running stage holds, unless it was loaded from an artifact of one of these digests.
    fn keep_only(&self, needed: &BTreeSet<Digest>);
}
