//! Why a stage did not finish.

use assay_cache::StoreError;

/// Why a stage did not finish.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// The stop flag went up: what is done is saved, and the next run goes on from there.
    #[error("stopped")]
    Stopped,
    /// A cause that can pass (device memory, I/O): the engine tries again.
    #[error("{0}")]
    Transient(String),
    /// A cause that stays: the message says what is wrong and what to do.
    #[error("{0}")]
    Fatal(String),
    /// The store could not be read or written.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Failure {
    pub fn fatal(message: impl Into<String>) -> Self {
        Self::Fatal(message.into())
    }
}
