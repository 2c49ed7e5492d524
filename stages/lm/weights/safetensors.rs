//! Safetensors files, one or several shards, mapped into memory; f32, f16 and bf16 become f32.
//!
//! The header is read here rather than by the `safetensors` crate because a checkpoint that cannot be read must name
//! the file *and the tensor*. Nothing is written here.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use half::{bf16, f16};
use memmap2::Mmap;
use rayon::prelude::*;
use serde::Deserialize;
use serde_json::{Map, Value};

use super::checkpoint::{Checkpoint, WeightsError, map_file, release};

/// Headers longer than this are refused, as by every other reader.
const LONGEST_HEADER: usize = 100_000_000;

/// The tensors of one or several safetensors files.
pub struct Safetensors {
    shards: Vec<Shard>,
    /// Name → shard and place.
    tensors: BTreeMap<String, (usize, Place)>,
}

struct Shard {
    path: PathBuf,
    bytes: Mmap,
}

struct Place {
    dtype: String,
    shape: Vec<usize>,
    start: usize,
    end: usize,
}

/// A tensor as the header describes it.
#[derive(Deserialize)]
struct Entry {
    dtype: String,
    shape: Vec<usize>,
    data_offsets: (usize, usize),
}

impl Safetensors {
    /// Reads the headers of all shards.
    pub fn open(paths: &[PathBuf]) -> Result<Self, WeightsError> {
        let mut all = Self { shards: vec![], tensors: BTreeMap::new() };
        for path in paths {
            let bytes = map_file(path)?;
            let places = read_header(&bytes).map_err(|message| wrong(path, &message))?;
            for (name, place) in places {
                if let Some((other, _)) = all.tensors.insert(name.clone(), (all.shards.len(), place)) {
                    let other = all.shards.get(other).map_or(path.as_path(), |shard| shard.path.as_path());
                    return Err(wrong(path, &format!("tensor `{name}` is in {} too", other.display())));
                }
            }
            all.shards.push(Shard { path: path.clone(), bytes });
        }
        Ok(all)
    }

    fn find(&self, name: &str) -> Option<(&Shard, &Place)> {
        let found = self.tensors.get(name)?;
        Some((&self.shards[found.0], &found.1))
    }
}

impl Checkpoint for Safetensors {
    fn names(&self) -> Vec<String> {
        self.tensors.keys().cloned().collect()
    }

    fn shape(&self, name: &str) -> Option<Vec<usize>> {
        self.find(name).map(|(_, place)| place.shape.clone())
    }

    fn read(&self, name: &str) -> Result<Vec<f32>, WeightsError> {
        let (shard, place) = self.find(name).ok_or_else(|| {
            let files: Vec<_> = self.shards.iter().map(|shard| shard.path.display().to_string()).collect();
            WeightsError(format!("{}: there is no tensor `{name}`", files.join(", ")))
        })?;
        let bytes = &shard.bytes[place.start..place.end];
        let values = match place.dtype.as_str() {
            "F32" => Ok(bytes.par_chunks_exact(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]])).collect()),
            "F16" => Ok(bytes.par_chunks_exact(2).map(|b| f16::from_le_bytes([b[0], b[1]]).to_f32()).collect()),
            "BF16" => Ok(bytes.par_chunks_exact(2).map(|b| bf16::from_le_bytes([b[0], b[1]]).to_f32()).collect()),
            other => Err(wrong(
                &shard.path,
                &format!("tensor `{name}` is stored as {other}; weights are read from F32, F16 and BF16"),
            )),
        };
        release(&shard.bytes, place.start..place.end);
        values
    }
}

fn wrong(path: &Path, message: &str) -> WeightsError {
    WeightsError(format!("{}: {message}", path.display()))
}

fn read_header(bytes: &[u8]) -> Result<Vec<(String, Place)>, String> {
    let (length, rest) = bytes.split_first_chunk::<8>().ok_or("the file is too short for a safetensors header")?;
    let length = u64::from_le_bytes(*length);
    let header = usize::try_from(length)
        .ok()
        .filter(|length| *length <= LONGEST_HEADER)
        .and_then(|length| rest.get(..length))
        .ok_or_else(|| {
            format!("the header claims {length} bytes, the file has {} after it: this is no safetensors file, or it was not downloaded to its end", rest.len())
        })?;
    let data = 8 + header.len();
    let entries: Map<String, Value> =
        serde_json::from_slice(header).map_err(|error| format!("the header is not valid JSON: {error}"))?;
    entries
        .into_iter()
        .filter(|(name, _)| name != "__metadata__")
        .map(|(name, entry)| {
            let place = place(entry, data, bytes.len()).map_err(|message| format!("tensor `{name}`: {message}"))?;
            Ok((name, place))
        })
        .collect()
}

fn place(entry: Value, data: usize, file: usize) -> Result<Place, String> {
    let Entry { dtype, shape, data_offsets: (from, to) } =
        serde_json::from_value(entry).map_err(|error| format!("malformed header entry: {error}"))?;
    let (start, end) = match (data.checked_add(from), data.checked_add(to)) {
        (Some(start), Some(end)) if start <= end && end <= file => (start, end),
        _ => return Err(format!("offsets {from} to {to} lie outside the {} bytes of data", file - data)),
    };
    let count = shape.iter().try_fold(1usize, |product, dim| product.checked_mul(*dim));
    let size = match dtype.as_str() {
        "F32" => Some(4),
        "F16" | "BF16" => Some(2),
        _ => None, // refused only if somebody reads it: masks and counters are stored beside weights
    };
    let expected = |size| count.and_then(|count: usize| count.checked_mul(size));
    match size {
        Some(size) if expected(size) != Some(end - start) => {
            Err(format!("the shape {shape:?} of {dtype} does not take the {} bytes that it is given", end - start))
        }
        _ => Ok(Place { dtype, shape, start, end }),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::lm::fixture::Fixture;

    fn file(header: &str, data: &[u8]) -> Vec<u8> {
        [&(header.len() as u64).to_le_bytes()[..], header.as_bytes(), data].concat()
    }

    fn opened(files: &[Vec<u8>]) -> Result<Safetensors, String> {
        let folder = tempfile::tempdir().unwrap();
        let paths: Vec<_> = (0..files.len()).map(|i| folder.path().join(format!("{i}.safetensors"))).collect();
        for (path, bytes) in paths.iter().zip(files) {
            fs::write(path, bytes).unwrap();
        }
        Safetensors::open(&paths).map_err(|error| error.0)
    }

    #[test]
    fn three_dtypes_over_two_shards() {
        let first = file(
            r#"{"__metadata__":{"format":"pt"},"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},"b":{"dtype":"F16","shape":[1,2],"data_offsets":[8,12]}}"#,
            &[&1.5f32.to_le_bytes()[..], &(-2.0f32).to_le_bytes(), &[0x00, 0x38, 0x00, 0xC2]].concat(),
        );
        let second = file(r#"{"h.0.c":{"dtype":"BF16","shape":[1],"data_offsets":[0,2]}}"#, &[0x40, 0xC0]);
        let weights = opened(&[first, second]).unwrap();
        assert_eq!(weights.names(), ["a", "b", "h.0.c"]);
        assert_eq!(weights.shape("b"), Some(vec![1, 2]));
        assert_eq!(weights.read("a").unwrap(), [1.5, -2.0]);
        assert_eq!(weights.read("b").unwrap(), [0.5, -3.0]);
        assert_eq!(weights.read("h.0.c").unwrap(), [-3.0]);
        assert!(weights.read("d").unwrap_err().0.contains("1.safetensors: there is no tensor `d`"));
    }

    /// The other reader is the `safetensors` crate.
    #[test]
    fn a_real_file_reads_as_the_reference_implementation_reads_it() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/llama/model.safetensors");
        let ours = Safetensors::open(&[path]).unwrap();
        let theirs = Fixture::of("llama").weights;
        assert_eq!(ours.names(), theirs.0.keys().cloned().collect::<Vec<_>>());
        for (name, (shape, values)) in &theirs.0 {
            assert_eq!((ours.shape(name).as_ref(), &ours.read(name).unwrap()), (Some(shape), values), "{name}");
        }
    }

    #[test]
    fn lies_name_file_and_tensor() {
        let refused = |header: &str, data: &[u8]| opened(&[file(header, data)]).err().expect("must be refused");
        let entry = |shape: &str, offsets: &str| {
            format!(r#"{{"w":{{"dtype":"F32","shape":{shape},"data_offsets":{offsets}}}}}"#)
        };
        let beyond = refused(&entry("[2]", "[0,8]"), &[0; 4]);
        assert!(beyond.contains("0.safetensors: tensor `w`: offsets 0 to 8 lie outside the 4 bytes"), "{beyond}");
        assert!(refused(&entry("[1]", "[4,0]"), &[0; 4]).contains("tensor `w`: offsets 4 to 0"));
        assert!(refused(&entry("[3]", "[0,4]"), &[0; 4]).contains("tensor `w`: the shape [3] of F32"));
        let overflow = refused(&entry("[4294967296,4294967296,4]", "[0,0]"), &[]);
        assert!(overflow.contains("tensor `w`: the shape"), "{overflow}");
        assert!(refused(&entry("[-1]", "[0,4]"), &[0; 4]).contains("tensor `w`: malformed"));
        assert!(refused(&entry("[1]", "[18446744073709551615,18446744073709551615]"), &[]).contains("tensor `w`"));
        assert!(refused("[]", &[]).contains("not valid JSON"));
        assert!(opened(&[u64::MAX.to_le_bytes().to_vec()]).err().unwrap().contains("the header claims"));
        assert!(opened(&[vec![1, 2]]).err().unwrap().contains("too short"));
    }

    #[test]
    fn other_dtypes_are_refused_when_read_and_twins_when_opened() {
        let header = r#"{"mask":{"dtype":"BOOL","shape":[4],"data_offsets":[0,4]}}"#;
        let weights = opened(&[file(header, &[0; 4])]).unwrap();
        assert!(weights.read("mask").unwrap_err().0.contains("stored as BOOL"));
        let twice = opened(&[file(header, &[0; 4]), file(header, &[0; 4])]).err().unwrap();
        assert!(twice.contains("1.safetensors: tensor `mask` is in ") && twice.contains("0.safetensors too"));
    }
}
