//! The weights of a trained model, and their stored form: a safetensors file that any program reads as a checkpoint.

use std::collections::BTreeMap;

use ndarray::{ArrayD, IxDyn};
use safetensors::{Dtype, SafeTensors};
use serde_json::{Map, Value, json};

use crate::{Malformed, canonical};

/// Tensors by their names in a checkpoint.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Weights(pub BTreeMap<String, ArrayD<f32>>);

impl Weights {
    /// The canonical safetensors bytes: no metadata, tensors in the order of their names, NaN always the positive quiet
    /// one.
    pub fn encode(&self) -> Vec<u8> {
        let mut end = 0;
        let mut header = Map::new();
        for (name, array) in &self.0 {
            let start = end;
            end += 4 * array.len();
            let entry = json!({ "dtype": "F32", "shape": array.shape(), "data_offsets": [start, end] });
            header.insert(name.clone(), entry);
        }
        let mut header = canonical(&Value::Object(header));
        header.extend(std::iter::repeat_n(' ', header.len().next_multiple_of(8) - header.len()));
        let mut bytes = Vec::with_capacity(8 + header.len() + end);
        bytes.extend((header.len() as u64).to_le_bytes());
        bytes.extend(header.into_bytes());
        for value in self.0.values().flatten() {
            bytes.extend(if value.is_nan() { f32::NAN } else { *value }.to_le_bytes());
        }
        bytes
    }

    /// The weights that these bytes are.
    pub fn decode(bytes: &[u8]) -> Result<Self, Malformed> {
        let bad = |error| Malformed(format!("bad safetensors: {error}"));
        let tensors = SafeTensors::deserialize(bytes).map_err(bad)?;
        let array = |name: &str| {
            let view = tensors.tensor(name).map_err(bad)?;
            if view.dtype() != Dtype::F32 {
                return Err(Malformed(format!("weights of type {}, where F32 is stored", view.dtype())));
            }
            let values = view.data().as_chunks().0.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect();
            Ok(ArrayD::from_shape_vec(IxDyn(view.shape()), values)
                .expect("safetensors checks the shape against the bytes"))
        };
        let named = tensors.names().into_iter().map(|name| Ok((name.to_owned(), array(name)?)));
        named.collect::<Result<_, _>>().map(Self)
    }
}

#[cfg(test)]
mod tests {
    use ndarray::array;
    use safetensors::tensor::{TensorView, serialize};

    use super::*;

    fn weights() -> Weights {
        Weights(BTreeMap::from([
            ("b.weight".to_owned(), array![[1.0_f32, -2.5], [3.0, 0.1]].into_dyn()),
            ("a".to_owned(), array![f32::MIN_POSITIVE].into_dyn()),
        ]))
    }

    #[test]
    fn another_program_reads_what_is_written() {
        let bytes = weights().encode();
        let theirs = SafeTensors::deserialize(&bytes).unwrap();
        assert_eq!(theirs.tensor("b.weight").unwrap().shape(), [2, 2]);
        assert_eq!(Weights::decode(&bytes).unwrap(), weights());
        assert_eq!(Weights::decode(&Weights::default().encode()).unwrap(), Weights::default());
    }

    #[test]
    fn what_is_no_file_of_ours_is_refused() {
        let whole = weights().encode();
        assert!(Weights::decode(&whole[..whole.len() - 1]).is_err());
        let half = serialize([("a", TensorView::new(Dtype::F16, vec![1], &[0; 2]).unwrap())], None).unwrap();
        assert_eq!(Weights::decode(&half).unwrap_err().to_string(), "weights of type F16, where F32 is stored");
    }
}
