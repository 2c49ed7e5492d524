//! NumPy's formats: `.npy` holds one array, `.npz` several.

use std::{fs, io::BufReader, path::Path};

use assay_cache::Data;
use half::f16;
use ndarray::{ArrayD, IxDyn, OwnedRepr, ShapeBuilder};
use ndarray_npy::{NpzReader, ReadNpyError, ReadNpyExt, ReadNpzError, ReadableElement, npy::header::Header};

/// The shape in the header of an `.npy` file, if its numbers can be read.
pub fn shape(path: &Path) -> Result<Vec<usize>, String> {
    let mut file = BufReader::new(fs::File::open(path).map_err(|error| error.to_string())?);
    let header = Header::from_reader(&mut file).map_err(malformed)?;
    width(&header)?;
    Ok(header.shape)
}

pub fn read(path: &Path) -> Result<Data, String> {
    let bytes = fs::read(path).map_err(|error| error.to_string())?;
    let mut rest = &bytes[..];
    let header = Header::from_reader(&mut rest).map_err(malformed)?;
    let expected = header.shape.iter().try_fold(width(&header)?, |size, &n| size.checked_mul(n));
    // Before anything of the claimed size is allocated.
    if expected != Some(rest.len()) {
        return Err(format!("the header says shape {:?}, but {} bytes of numbers follow", header.shape, rest.len()));
    }
    match kind(&header).as_str() {
        "f2" => halves(&header, rest).map(Data::F32),
        "f4" => array(&bytes).map(Data::F32),
        "f8" => array(&bytes).map(Data::F64),
        "i4" => array(&bytes).map(|values: ArrayD<i32>| Data::I64(values.mapv(i64::from))),
        _ => array(&bytes).map(Data::I64),
    }
}

/// The name of the array that is meant.
pub fn pick(path: &Path, name: Option<&str>) -> Result<String, String> {
    super::choose(&open(path)?.names().map_err(|error| format!("not an .npz file: {error}"))?, name)
}

pub fn read_npz(path: &Path, name: Option<&str>) -> Result<Data, String> {
    let (name, mut file) = (pick(path, name)?, open(path)?);
    // The type stands inside: the first that fits.
    if let Some(values) = entry(&mut file, &name)? {
        return Ok(Data::F32(values));
    }
    if let Some(values) = entry(&mut file, &name)? {
        return Ok(Data::F64(values));
    }
    if let Some(values) = entry(&mut file, &name)? {
        return Ok(Data::I64(values));
    }
    if let Some(values) = entry::<i32>(&mut file, &name)? {
        return Ok(Data::I64(values.mapv(i64::from)));
    }
    Err(format!("`{name}` is neither of 32- nor of 64-bit numbers: save it as float32, float64, int32 or int64"))
}

fn open(path: &Path) -> Result<NpzReader<BufReader<fs::File>>, String> {
    let file = fs::File::open(path).map_err(|error| error.to_string())?;
    NpzReader::new(BufReader::new(file)).map_err(|error| format!("not an .npz file: {error}"))
}

/// The array of this name, if it is of this type.
fn entry<T: ReadableElement>(
    file: &mut NpzReader<BufReader<fs::File>>,
    name: &str,
) -> Result<Option<ArrayD<T>>, String> {
    match file.by_name::<OwnedRepr<T>, IxDyn>(name) {
        Ok(array) => Ok(Some(array)),
        Err(ReadNpzError::Npy(ReadNpyError::WrongDescriptor(_))) => Ok(None),
        Err(error) => Err(format!("`{name}`: {error}")),
    }
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
