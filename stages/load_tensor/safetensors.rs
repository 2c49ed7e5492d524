//! Safetensors files: Assay's own, which name their axes, and others, which do not.

use std::{fs::File, path::Path};

use assay_cache::{Data, Tensor};
use half::{bf16, f16};
use memmap2::Mmap;
use ndarray::{ArrayD, IxDyn};
use safetensors::{Dtype, SafeTensors, tensor::TensorView};

use super::{Found, Header};

/// What is known of a tensor without its numbers.
pub fn header(path: &Path, name: Option<&str>) -> Result<Header, String> {
    let bytes = map(path)?;
    if ours(&bytes) {
        let tensor = Tensor::decode(&bytes).map_err(|error| error.to_string())?;
        return Ok(Header { shape: Some(tensor.shape().to_vec()), axes: Some(tensor.axes) });
    }
    let tensors = open(&bytes)?;
    let view = pick(&tensors, name)?;
    readable(&view)?;
    Ok(Header { shape: Some(view.shape().to_vec()), axes: None })
}

pub fn read(path: &Path, name: Option<&str>) -> Result<Found, String> {
    let bytes = map(path)?;
    if ours(&bytes) {
        let tensor = Tensor::decode(&bytes).map_err(|error| error.to_string())?;
        return Ok(Found { data: tensor.data, axes: Some(tensor.axes), unit: tensor.unit });
    }
    let tensors = open(&bytes)?;
    let view = pick(&tensors, name)?;
    Ok(Found { data: data(&view)?, axes: None, unit: None })
}

fn map(path: &Path) -> Result<Mmap, String> {
    let file = File::open(path).map_err(|error| error.to_string())?;
    // SAFETY: the map is only read; whoever changes a study's files while it runs gets wrong numbers in any case.
    unsafe { Mmap::map(&file) }.map_err(|error| error.to_string())
}

/// Whether Assay wrote it.
fn ours(bytes: &[u8]) -> bool {
    let metadata = SafeTensors::read_metadata(bytes).ok();
    metadata.is_some_and(|(_, all)| all.metadata().as_ref().is_some_and(|keys| keys.contains_key("assay")))
}

fn open(bytes: &[u8]) -> Result<SafeTensors<'_>, String> {
    SafeTensors::deserialize(bytes).map_err(|error| format!("not a safetensors file: {error}"))
}

fn pick<'a>(tensors: &SafeTensors<'a>, name: Option<&str>) -> Result<TensorView<'a>, String> {
    let mut names: Vec<_> = tensors.names().into_iter().map(str::to_owned).collect();
    names.sort();
    let name = super::choose(&names, name)?;
    tensors.tensor(&name).map_err(|error| error.to_string())
}

fn readable(view: &TensorView) -> Result<(), String> {
    match view.dtype() {
        Dtype::F16 | Dtype::BF16 | Dtype::F32 | Dtype::F64 | Dtype::I32 | Dtype::I64 => Ok(()),
        other => Err(format!("its numbers are of type {other}: save them as F16, BF16, F32, F64, I32 or I64")),
    }
}

fn data(view: &TensorView) -> Result<Data, String> {
    readable(view)?;
    Ok(match view.dtype() {
        Dtype::F64 => Data::F64(array(view, f64::from_le_bytes)),
        Dtype::F32 => Data::F32(array(view, f32::from_le_bytes)),
        Dtype::F16 => Data::F32(array(view, |bytes| f16::from_le_bytes(bytes).to_f32())),
        Dtype::BF16 => Data::F32(array(view, |bytes| bf16::from_le_bytes(bytes).to_f32())),
        Dtype::I32 => Data::I64(array(view, |bytes| i64::from(i32::from_le_bytes(bytes)))),
        _ => Data::I64(array(view, i64::from_le_bytes)),
    })
}

fn array<T, const N: usize>(view: &TensorView, from: impl Fn([u8; N]) -> T) -> ArrayD<T> {
    let values = view.data().as_chunks().0.iter().map(|&chunk| from(chunk)).collect();
    ArrayD::from_shape_vec(IxDyn(view.shape()), values).expect("safetensors checks the shape against the bytes")
}
