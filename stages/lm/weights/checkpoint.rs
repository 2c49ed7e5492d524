//! A checkpoint: named tensors in the layout and under the names of the family's Hugging Face form, whatever file
//! they are read from.

use std::{fs::File, ops::Range, path::Path};

use memmap2::{Mmap, UncheckedAdvice};

/// Weights that a model is built from, one tensor at a time.
pub trait Checkpoint: Send + Sync {
    /// Every tensor there is.
    fn names(&self) -> Vec<String>;

    /// The shape of a tensor, if there is one of this name.
    fn shape(&self, name: &str) -> Option<Vec<usize>>;

    /// The values in row-major order, widened or dequantised to f32.
    fn read(&self, name: &str) -> Result<Vec<f32>, WeightsError>;
}

/// Weights that cannot be read. The message names the file, the tensor and, where it helps, the offset.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct WeightsError(pub String);

/// A file of weights, mapped into memory.
pub(super) fn map_file(path: &Path) -> Result<Mmap, WeightsError> {
    let file = File::open(path).map_err(|error| WeightsError(format!("{}: {error}", path.display())))?;
    // SAFETY: the map is read-only. Someone who truncates the file while it is in use ends this process with SIGBUS;
    // weights in use are not edited in place by any tool that we know, and a copy would double the memory.
    unsafe { Mmap::map(&file) }.map_err(|error| WeightsError(format!("{}: cannot map it: {error}", path.display())))
}

/// Lets go of the memory that a part of a mapped file takes, once it has been read: a model is loaded from its file
/// piece by piece, and would otherwise be in memory twice.
pub(super) fn release(map: &Mmap, part: Range<usize>) {
    // SAFETY: nothing was ever written to the map, so that what is asked for again comes from the file again.
    let released = unsafe { map.unchecked_advise_range(UncheckedAdvice::DontNeed, part.start, part.len()) };
    if let Err(error) = released {
        tracing::debug!("cannot release a part of a mapped file: {error}");
    }
}
