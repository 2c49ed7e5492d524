//! GGUF files: weights, metadata, tokenizer and chat template in one file, most of it quantised.
//!
//! `header` reads what the file says of itself, `blocks` turns quantised blocks into f32, `names` gives tensors and
//! metadata the names and the layout of the family's Hugging Face form. Nothing here keeps more than one tensor in
//! memory: the file is mapped, and a tensor is dequantised when it is asked for.

mod blocks;
mod header;
mod names;
#[cfg(test)]
pub(in crate::lm) mod writer;

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

pub use header::Meta;
use memmap2::Mmap;
use rayon::prelude::*;
use serde_json::Value;

use super::checkpoint::{Checkpoint, WeightsError, map_file, release};
use crate::lm::weights::gguf::{
    header::{Header, TensorInfo},
    names::{Family, Rows},
};

/// Rows that one task dequantises: enough work to be worth handing to another core.
const VALUES_PER_TASK: usize = 1 << 16;

/// An open GGUF file.
pub struct Gguf {
    path: PathBuf,
    bytes: Mmap,
    header: Header,
    family: Family,
    /// Hugging Face name → index into the header's tensors, and how its rows are ordered.
    tensors: BTreeMap<String, (usize, Rows)>,
}

impl Gguf {
    /// Reads the header of `path` and maps the rest.
    pub fn open(path: &Path) -> Result<Self, WeightsError> {
        let bytes = map_file(path)?;
        let inside = |message: String| WeightsError(format!("{}: {message}", path.display()));
        let header = Header::read(&bytes).map_err(inside)?;
        let family = Family::of(&header).map_err(inside)?;
        let mut tensors = BTreeMap::new();
        for (index, info) in header.tensors.iter().enumerate() {
            if let Some((name, rows)) = family.place(&info.name).map_err(inside)? {
                check_rows(info, &rows).map_err(inside)?;
                tensors.insert(name, (index, rows));
            }
        }
        Ok(Self { path: path.to_owned(), bytes, header, family, tensors })
    }

    /// The configuration in the form of a Hugging Face `config.json`.
    pub fn config(&self) -> Result<Value, WeightsError> {
        self.family.config(&self.header, &self.bytes).map_err(|message| self.wrong(&message))
    }

    /// A metadata value.
    pub fn meta(&self, key: &str) -> Option<&Meta> {
        self.header.meta.get(key)
    }

    fn wrong(&self, message: &str) -> WeightsError {
        WeightsError(format!("{}: {message}", self.path.display()))
    }
}

/// Permuted rows come in whole heads of an even size.
fn check_rows(info: &TensorInfo, rows: &Rows) -> Result<(), String> {
    let count = info.shape().first().copied().unwrap_or(1);
    match rows {
        Rows::Interleaved { heads } if heads.checked_mul(2).is_none_or(|halves| !count.is_multiple_of(halves)) => {
            Err(format!("tensor `{}` has {count} rows, which {heads} heads of an even size cannot fill", info.name))
        }
        _ => Ok(()),
    }
}

impl Checkpoint for Gguf {
    fn names(&self) -> Vec<String> {
        self.tensors.keys().cloned().collect()
    }

    fn shape(&self, name: &str) -> Option<Vec<usize>> {
        self.tensors.get(name).map(|(index, _)| self.header.tensors[*index].shape())
    }

    fn read(&self, name: &str) -> Result<Vec<f32>, WeightsError> {
        let (index, rows) =
            self.tensors.get(name).ok_or_else(|| self.wrong(&format!("there is no tensor `{name}`")))?;
        let info = &self.header.tensors[*index];
        let format = info.format;
        let row = info.dims.first().copied().unwrap_or(1); // a 1-D tensor is one row
        let (row, count) = match (info.dims.len(), rows) {
            (1, Rows::Interleaved { .. }) => (1, row), // a bias: its values are ordered as rows are
            _ => (row, info.dims.iter().skip(1).product()),
        };
        let source = &self.bytes[info.range.clone()];
        let row_bytes = source.len() / count.max(1);
        let mut values = vec![0.0; row * count];
        let at_once = (VALUES_PER_TASK / row.max(1)).max(1);
        values.par_chunks_mut(row.max(1) * at_once).enumerate().for_each(|(task, rows_out)| {
            for (i, out) in rows_out.chunks_mut(row.max(1)).enumerate() {
                let from = rows.stored_at(task * at_once + i, count);
                format.widen(&source[from * row_bytes..][..row_bytes], out);
            }
        });
        release(&self.bytes, info.range.clone());
        Ok(values)
    }
}
