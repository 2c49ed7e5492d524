//! GGUF files: weights, metadata, tokenizer and chat template in one file, most of it quantised.
//!
//! `header` reads what the file says of itself, `blocks` turns quantised blocks into f32, `names` gives tensors and
//! `config` gives metadata the form that the family has at Hugging Face. Nothing here keeps more than one tensor in
//! memory: the file is mapped, and a tensor is dequantised when it is asked for.

mod blocks;
mod config;
mod header;
mod k_quants;
mod names;
#[cfg(test)]
pub(in crate::lm) mod writer;

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

pub use header::Meta;
use memmap2::Mmap;
pub(in crate::lm) use names::Family;
use rayon::prelude::*;
use serde_json::Value;

use super::checkpoint::{Checkpoint, WeightsError, map_file, release};
use crate::lm::weights::gguf::{header::Header, names::Layout};

/// Rows that one task dequantises: enough work to be worth handing to another core.
const VALUES_PER_TASK: usize = 1 << 16;

/// An open GGUF file.
pub struct Gguf {
    path: PathBuf,
    bytes: Mmap,
    header: Header,
    family: Family,
    /// Hugging Face name → index into the header's tensors, and how it is stored.
    tensors: BTreeMap<String, (usize, Layout)>,
}

impl Gguf {
    /// Reads the header of `path` and maps the rest.
    pub fn open(path: &Path) -> Result<Self, WeightsError> {
        let bytes = map_file(path)?;
        let inside = |message: String| WeightsError(format!("{}: {message}", path.display()));
        let header = Header::read(&bytes).map_err(inside)?;
        let family = Family::of(&header).map_err(inside)?;
        let tensors = places(&header, family).map_err(inside)?;
        Ok(Self { path: path.to_owned(), bytes, header, family, tensors })
    }

    /// The configuration in the form of a Hugging Face `config.json`.
    pub fn config(&self) -> Result<Value, WeightsError> {
        config::config(self.family, &self.header, &self.bytes).map_err(|message| self.wrong(&message))
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The architecture that the file names.
    pub(in crate::lm) fn family(&self) -> Family {
        self.family
    }

    /// A metadata value.
    pub fn meta(&self, key: &str) -> Option<&Meta> {
        self.header.meta.get(key)
    }

    fn wrong(&self, message: &str) -> WeightsError {
        WeightsError(format!("{}: {message}", self.path.display()))
    }
}

/// Which tensor has which Hugging Face name, and how it is stored.
fn places(header: &Header, family: Family) -> Result<BTreeMap<String, (usize, Layout)>, String> {
    let heads = family.heads(header)?;
    let mut places = BTreeMap::new();
    for (index, info) in header.tensors.iter().enumerate() {
        let Some((name, layout)) = family.place(&info.name, heads)? else { continue };
        layout.check(info)?;
        if places.insert(name, (index, layout)).is_some() {
            return Err(format!("the file has a tensor `{}` twice", info.name));
        }
    }
    Ok(places)
}

impl Checkpoint for Gguf {
    fn names(&self) -> Vec<String> {
        self.tensors.keys().cloned().collect()
    }

    fn shape(&self, name: &str) -> Option<Vec<usize>> {
        self.tensors.get(name).map(|(index, _)| self.header.tensors[*index].shape())
    }

    fn read(&self, name: &str) -> Result<Vec<f32>, WeightsError> {
        let (index, layout) =
            self.tensors.get(name).ok_or_else(|| self.wrong(&format!("there is no tensor `{name}`")))?;
        let info = &self.header.tensors[*index];
        let format = info.format;
        let row = info.dims.first().copied().unwrap_or(1); // a 1-D tensor is one row
        let (row, count) = match (info.dims.len(), layout) {
            (1, Layout::Interleaved { .. }) => (1, row), // a bias: its values are ordered as rows are
            _ => (row, info.dims.iter().skip(1).product()),
        };
        let source = &self.bytes[info.range.clone()];
        let row_bytes = source.len() / count.max(1);
        let mut values = vec![0.0; row * count];
        let at_once = (VALUES_PER_TASK / row.max(1)).max(1);
        values.par_chunks_mut(row.max(1) * at_once).enumerate().for_each(|(task, rows_out)| {
            for (i, out) in rows_out.chunks_mut(row.max(1)).enumerate() {
                let from = layout.stored_at(task * at_once + i, count);
                format.widen(&source[from * row_bytes..][..row_bytes], out);
            }
            if *layout == Layout::OneAdded {
                rows_out.iter_mut().for_each(|value| *value -= 1.0);
            }
        });
        release(&self.bytes, info.range.clone());
        Ok(values)
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::lm::{
        Model,
        batch::Batch,
        fixture::{Arrays, device},
        pass::{Pass, Wanted},
        probe::Probe,
    };

    fn logits(config: &Value, checkpoint: &dyn Checkpoint) -> Vec<f32> {
        let model = Model::load(config, checkpoint, &device()).unwrap();
        let batch = Batch::right_padded(&[(0, &[1, 3, 0, 4])]);
        model.forward(&mut Pass::new(&batch, &Probe::default(), Wanted::All), None).into_data().to_vec().unwrap()
    }

    /// `models.py` made both; the configurations are those that it gave the `gguf` package to write.
    #[test]
    fn a_model_computes_the_same_from_gguf_as_from_its_hugging_face_form() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/gguf");
        let configs: Value = serde_json::from_slice(&fs::read(folder.join("configs.json")).unwrap()).unwrap();
        for (architecture, config) in configs.as_object().unwrap() {
            let gguf = Gguf::open(&folder.join(format!("{architecture}.gguf"))).unwrap();
            let arrays = Arrays::of(&fs::read(folder.join(format!("{architecture}.safetensors"))).unwrap());
            let found = logits(&gguf.config().unwrap(), &gguf);
            assert!(found.len() == 4 * 5 && found.iter().all(|logit| logit.is_finite()), "{architecture}");
            assert_eq!(found, logits(config, &arrays), "{architecture}");
        }
    }
}
