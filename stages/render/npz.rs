//! Tensors as NumPy's `.npz`.

use std::io::Cursor;

use assay_cache::{Artifact, Data};
use ndarray_npy::NpzWriter;

/// The bytes of an archive with an array of each name.
pub fn npz(arrays: &[(&str, Artifact)]) -> Result<Vec<u8>, String> {
    let mut bytes = Cursor::new(Vec::new());
    let mut archive = NpzWriter::new(&mut bytes);
    for (name, artifact) in arrays {
        let Artifact::Tensor(tensor) = artifact else {
            return Err(format!("`{name}` is not a tensor"));
        };
        let added = match &tensor.data {
            Data::F32(array) => archive.add_array(*name, array),
            Data::F64(array) => archive.add_array(*name, array),
            Data::I64(array) => archive.add_array(*name, array),
        };
        added.map_err(|error| error.to_string())?;
    }
    archive.finish().map_err(|error| error.to_string())?;
    Ok(bytes.into_inner())
}

#[cfg(test)]
mod tests {
    use assay_cache::Tensor;
    use ndarray::{Array2, arr2};
    use ndarray_npy::NpzReader;

    use super::*;

    #[test]
    fn numpy_gets_the_numbers_back() {
        let numbers = arr2(&[[1.5, f64::NAN], [-0.0, 1e-300]]);
        let tensor = Tensor::new(&["node", "step"], Data::F64(numbers.clone().into_dyn()));
        let bytes = npz(&[("sts", Artifact::Tensor(tensor))]).unwrap();
        let read: Array2<f64> = NpzReader::new(Cursor::new(bytes)).unwrap().by_name("sts.npy").unwrap();
        assert_eq!(read.mapv(f64::to_bits), numbers.mapv(f64::to_bits));
    }
}
