//! The content-addressed store of Assay.
//!
//! A stage's *recipe* is all that determines its outputs; the blake3 hash of the recipe is its *key*. A finished
//! recipe leaves an *entry* in the *store*, which names its outputs by the digests of their canonical bytes (*blobs*).
//! An unfinished one leaves *units*: the parts that were done when the run was stopped.
//!
//! `README.md` beside this file specifies the format on disk. This crate knows nothing of stages, manifests or models.

mod artifact;
mod canonical;
mod census;
mod commit;
mod compare;
mod digest;
mod durable;
mod entry;
mod gc;
mod history;
mod holder;
mod layout;
mod lease;
mod lookup;
mod preview;
mod recipe;
mod runner;
mod store;
mod summary;
mod table;
mod tensor;
mod unit;
mod verify;
mod weights;

pub use artifact::{Artifact, Form, Malformed, finite};
pub use canonical::canonical;
pub use commit::{Committed, Recommitted};
pub use compare::{CellDifference, Change, ColumnDifference, Difference, FieldDifference};
pub use digest::{Digest, DigestError};
pub use entry::{Entry, Made, Output};
pub use gc::{Collect, Collected, Freed};
pub use history::{Aside, Saved};
pub use holder::Holder;
pub use lease::{Claim, HEARTBEAT, Leases, Watch};
pub use lookup::Found;
pub use preview::glance;
pub use recipe::{FORMAT, InputDigests, InputsKey, Key, Labels, Recipe, Slot, Upstream};
pub use store::{Store, StoreError};
pub use summary::Summary;
pub use table::{Column, ColumnKind, ColumnSchema, Table, Values};
pub use tensor::{Axis, Data, Tensor};
pub use unit::{Unit, Units};
pub use verify::{Checked, Fault, NamedBy, Wrong};
pub use weights::Weights;
