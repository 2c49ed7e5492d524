//! NumPy's formats: `.npy` holds one array, `.npz` several.
//!
//! The archive is opened here and not by `ndarray-npy`, which allocates what a header claims before it looks whether the
//! file has as much.

use std::{
    fs,
    io::{BufReader, Read},
    path::Path,
};

use assay_cache::Data;
use half::f16;
use ndarray::{ArrayD, IxDyn, ShapeBuilder};
use ndarray_npy::{ReadNpyExt, ReadableElement, npy::header::Header};
use zip::ZipArchive;

/// Bytes at the beginning of a file in which a header ends: NumPy's own have a hundred or two.
const LONGEST_HEADER: u64 = 1 << 20;
/// Magic number, version and, from version 2 on, the length of the header in four bytes.
const PREFIX: usize = 12;

/// The shape in the header of an `.npy` file, if its numbers can be read.
pub fn shape(path: &Path) -> Result<Vec<usize>, String> {
    let mut beginning = vec![];
    let file = fs::File::open(path).map_err(|error| error.to_string())?;
    file.take(LONGEST_HEADER).read_to_end(&mut beginning).map_err(|error| error.to_string())?;
    let (header, _) = header(&beginning)?;
    width(&header)?;
    Ok(header.shape)
}

pub fn read(path: &Path) -> Result<Data, String> {
    parse(&fs::read(path).map_err(|error| error.to_string())?)
}

/// The name of the array that is meant.
pub fn pick(path: &Path, name: Option<&str>) -> Result<String, String> {
    let archive = open(path)?;
    let names: Vec<String> = archive.file_names().map(|name| name.trim_end_matches(".npy").to_owned()).collect();
    super::choose(&names, name)
}

pub fn read_npz(path: &Path, name: Option<&str>) -> Result<Data, String> {
    let (name, mut archive) = (pick(path, name)?, open(path)?);
    let inside = |error: String| format!("`{name}`: {error}");
    let file = [format!("{name}.npy"), name.clone()].into_iter().find(|file| archive.index_for_name(file).is_some());
    let mut bytes = vec![];
    let mut file = archive.by_name(&file.unwrap_or_default()).map_err(|error| inside(error.to_string()))?;
    file.read_to_end(&mut bytes).map_err(|error| inside(error.to_string()))?;
    parse(&bytes).map_err(inside)
}

fn open(path: &Path) -> Result<ZipArchive<BufReader<fs::File>>, String> {
    let file = fs::File::open(path).map_err(|error| error.to_string())?;
    ZipArchive::new(BufReader::new(file)).map_err(|error| format!("not an .npz file: {error}"))
}

/// The array in the bytes of an `.npy` file.
fn parse(bytes: &[u8]) -> Result<Data, String> {
    let (header, rest) = header(bytes)?;
    let expected = header.shape.iter().try_fold(width(&header)?, |size, &n| size.checked_mul(n));
    // Before anything of the claimed size is allocated.
    if expected != Some(rest.len()) {
        return Err(format!("the header says shape {:?}, but {} bytes of numbers follow", header.shape, rest.len()));
    }
    match kind(&header).as_str() {
        "f2" => halves(&header, rest).map(Data::F32),
        "f4" => array(bytes).map(Data::F32),
        "f8" => array(bytes).map(Data::F64),
        "i4" => array(bytes).map(|values: ArrayD<i32>| Data::I64(values.mapv(i64::from))),
        _ => array(bytes).map(Data::I64),
    }
}

/// The header, and what follows it.
fn header(bytes: &[u8]) -> Result<(Header, &[u8]), String> {
    if let Some(&[.., major, _, a, b, c, d]) = bytes.first_chunk::<PREFIX>()
        && major >= 2
        && u64::from(u32::from_le_bytes([a, b, c, d])) > LONGEST_HEADER
    {
        return Err(malformed("its header claims more than a megabyte"));
    }
    let mut rest = bytes;
    let header = Header::from_reader(&mut rest).map_err(malformed)?;
    Ok((header, rest))
}

fn malformed(error: impl std::fmt::Display) -> String {
    format!("not an .npy file: {error}")
}

fn array<T: ReadableElement>(bytes: &[u8]) -> Result<ArrayD<T>, String> {
    ArrayD::read_npy(bytes).map_err(malformed)
}

/// The type without its byte order: `f4`.
fn kind(header: &Header) -> String {
    header.type_descriptor.to_string().trim_matches(['\'', '"']).trim_start_matches(['<', '>', '=', '|']).to_owned()
}

/// Bytes a number, if it is of a type that can be read.
fn width(header: &Header) -> Result<usize, String> {
    match kind(header).as_str() {
        "f2" => Ok(2),
        "f4" | "i4" => Ok(4),
        "f8" | "i8" => Ok(8),
        _ => Err(format!(
            "its numbers are of type {}: save them as float16, float32, float64, int32 or int64",
            header.type_descriptor
        )),
    }
}

fn halves(header: &Header, bytes: &[u8]) -> Result<ArrayD<f32>, String> {
    let big = header.type_descriptor.to_string().contains('>');
    let from = if big { f16::from_be_bytes } else { f16::from_le_bytes };
    let values = bytes.as_chunks().0.iter().map(|&chunk| from(chunk).to_f32()).collect();
    let shape = IxDyn(&header.shape).set_f(header.layout.is_fortran());
    ArrayD::from_shape_vec(shape, values).map_err(malformed)
}
