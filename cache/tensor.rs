//! A named-axis array on the host, and its stored form: safetensors with one tensor and one metadata key.
//!
//! The header is written here, so that its bytes are ours to keep; the `safetensors` crate reads it.

use ndarray::{ArrayD, IxDyn};
use safetensors::{Dtype, SafeTensors};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::{Malformed, canonical};

/// The name of the only tensor in the file.
const TENSOR: &str = "data";

/// The only metadata key: axes and unit, as canonical JSON.
const METADATA: &str = "assay";

/// One axis of a tensor: its name and, where its positions have names of their own, those.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Axis {
    pub name: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub labels: Option<Vec<String>>,
}

/// The numbers of a tensor, in row-major order.
#[derive(Clone, PartialEq, Debug)]
pub enum Data {
    F32(ArrayD<f32>),
    F64(ArrayD<f64>),
    I64(ArrayD<i64>),
}

/// An array whose axes have names, and whose numbers may have a unit.
#[derive(Clone, PartialEq, Debug)]
pub struct Tensor {
    pub axes: Vec<Axis>,
    pub unit: Option<String>,
    pub data: Data,
}

impl Axis {
    pub fn new(name: &str) -> Self {
        Self { name: name.to_owned(), labels: None }
    }

    pub fn labelled(name: &str, labels: Vec<String>) -> Self {
        Self { name: name.to_owned(), labels: Some(labels) }
    }
}

impl Data {
    pub fn shape(&self) -> &[usize] {
        match self {
            Self::F32(array) => array.shape(),
            Self::F64(array) => array.shape(),
            Self::I64(array) => array.shape(),
        }
    }

    /// The numbers as f64, exactly (integers beyond 2⁵³ lose digits).
    pub fn to_f64(&self) -> ArrayD<f64> {
        match self {
            Self::F32(array) => array.mapv(f64::from),
            Self::F64(array) => array.clone(),
            Self::I64(array) => array.mapv(|value| value as f64),
        }
    }
}

impl Tensor {
    /// A tensor over plain axes.
    ///
    /// # Panics
    /// Where the number of axes is not the number of dimensions of `data`.
    pub fn new(axes: &[&str], data: Data) -> Self {
        assert_eq!(axes.len(), data.shape().len(), "one name for each dimension");
        Self { axes: axes.iter().map(|name| Axis::new(name)).collect(), unit: None, data }
    }

    pub fn with_unit(mut self, unit: &str) -> Self {
        self.unit = Some(unit.to_owned());
        self
    }

    pub fn axis_names(&self) -> Vec<&str> {
        self.axes.iter().map(|axis| axis.name.as_str()).collect()
    }

    pub fn shape(&self) -> &[usize] {
        self.data.shape()
    }
}

/// What safetensors does not say of a tensor.
#[derive(Serialize, Deserialize)]
struct Naming {
    axes: Vec<Axis>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    unit: Option<String>,
}

impl Tensor {
    /// The canonical safetensors bytes. Every NaN is the positive quiet one, because its sign and payload are chance.
    ///
    /// # Panics
    /// Where the axes do not fit the data.
    pub fn encode(&self) -> Vec<u8> {
        let naming = Naming { axes: self.axes.clone(), unit: self.unit.clone() };
        fits(&naming, self.shape()).expect("axes fit the data");
        let mut bytes = self.header(&naming);
        match &self.data {
            Data::F32(array) => push(array, |x| if x.is_nan() { f32::NAN } else { x }.to_le_bytes(), &mut bytes),
            Data::F64(array) => push(array, |x| if x.is_nan() { f64::NAN } else { x }.to_le_bytes(), &mut bytes),
            Data::I64(array) => push(array, i64::to_le_bytes, &mut bytes),
        }
        bytes
    }

    /// The length of the header in eight bytes, then the header, padded with spaces so that numbers are aligned.
    fn header(&self, naming: &Naming) -> Vec<u8> {
        let (dtype, width) = match self.data {
            Data::F32(_) => ("F32", 4),
            Data::F64(_) => ("F64", 8),
            Data::I64(_) => ("I64", 8),
        };
        let naming = serde_json::to_value(naming).expect("names are strings");
        let naming = Value::from(canonical(&naming)).to_string();
        let shape = json!(self.shape());
        let end = self.shape().iter().product::<usize>() * width;
        let mut header = format!(
            r#"{{"__metadata__":{{"{METADATA}":{naming}}},"{TENSOR}":{{"dtype":"{dtype}","shape":{shape},"data_offsets":[0,{end}]}}}}"#
        );
        let padding = header.len().next_multiple_of(8) - header.len();
        header.extend(std::iter::repeat_n(' ', padding));
        let mut bytes = Vec::with_capacity(8 + header.len() + end);
        bytes.extend((header.len() as u64).to_le_bytes());
        bytes.extend(header.into_bytes());
        bytes
    }

    /// The tensor that these bytes are.
    pub fn decode(bytes: &[u8]) -> Result<Self, Malformed> {
        let bad = |error| Malformed(format!("bad safetensors: {error}"));
        let (_, metadata) = SafeTensors::read_metadata(bytes).map_err(bad)?;
        let naming = metadata.metadata().as_ref().and_then(|metadata| metadata.get(METADATA));
        let naming = naming.ok_or_else(|| Malformed(format!("safetensors without the metadata key `{METADATA}`")))?;
        let naming: Naming =
            serde_json::from_str(naming).map_err(|error| Malformed(format!("bad axes in safetensors: {error}")))?;
        let tensors = SafeTensors::deserialize(bytes).map_err(bad)?;
        let view = tensors.tensor(TENSOR).map_err(bad)?;
        fits(&naming, view.shape())?;
        let data = match view.dtype() {
            Dtype::F32 => Data::F32(array(view.shape(), view.data(), f32::from_le_bytes)),
            Dtype::F64 => Data::F64(array(view.shape(), view.data(), f64::from_le_bytes)),
            Dtype::I64 => Data::I64(array(view.shape(), view.data(), i64::from_le_bytes)),
            other => return Err(Malformed(format!("safetensors of type {other}, which no artifact has"))),
        };
        Ok(Self { axes: naming.axes, unit: naming.unit, data })
    }
}

fn fits(naming: &Naming, shape: &[usize]) -> Result<(), Malformed> {
    if naming.axes.len() != shape.len() {
        return Err(Malformed(format!("{} axes are named, but the shape is {shape:?}", naming.axes.len())));
    }
    let misfit = naming.axes.iter().zip(shape).find(|(axis, n)| axis.labels.as_ref().is_some_and(|l| l.len() != **n));
    match misfit {
        Some((axis, n)) => Err(Malformed(format!("axis `{}` of length {n} has another number of labels", axis.name))),
        None => Ok(()),
    }
}

fn push<T: Copy, const N: usize>(array: &ArrayD<T>, to_bytes: impl Fn(T) -> [u8; N], bytes: &mut Vec<u8>) {
    let start = bytes.len();
    bytes.resize(start + array.len() * N, 0);
    let (places, _) = bytes[start..].as_chunks_mut::<N>();
    for (place, &value) in places.iter_mut().zip(array) {
        *place = to_bytes(value);
    }
}

fn array<T, const N: usize>(shape: &[usize], bytes: &[u8], from_bytes: impl Fn([u8; N]) -> T) -> ArrayD<T> {
    let values = bytes.as_chunks().0.iter().map(|&chunk| from_bytes(chunk)).collect();
    ArrayD::from_shape_vec(IxDyn(shape), values).expect("safetensors checks the shape against the bytes")
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use ndarray::array;
    use safetensors::tensor::{TensorView, serialize};

    use super::*;

    fn tensor() -> Tensor {
        let data = array![[1.0_f32, -2.5, 3.0], [0.1, f32::INFINITY, 5.0]].into_dyn();
        let axes = vec![Axis::labelled("head", vec!["L0H0".into(), "a\"b".into()]), Axis::new("step")];
        Tensor { axes, unit: Some("nats".into()), data: Data::F32(data) }
    }

    #[test]
    fn the_stored_form_is_what_the_safetensors_crate_writes() {
        let numbers: Vec<u8> =
            [1.0_f32, -2.5, 3.0, 0.1, f32::INFINITY, 5.0].iter().flat_map(|x| x.to_le_bytes()).collect();
        let naming = r#"{"axes":[{"labels":["L0H0","a\"b"],"name":"head"},{"name":"step"}],"unit":"nats"}"#;
        let view = TensorView::new(Dtype::F32, vec![2, 3], &numbers).unwrap();
        let theirs = serialize([("data", view)], Some(HashMap::from([("assay".to_owned(), naming.to_owned())])));
        assert_eq!(tensor().encode(), theirs.unwrap());
    }

    #[test]
    fn the_layout_in_memory_does_not_matter() {
        let Data::F32(array) = tensor().data else { unreachable!("it is built so") };
        let columns_first = array.t().as_standard_layout().into_owned().reversed_axes();
        assert!(!columns_first.is_standard_layout());
        assert_eq!(Tensor { data: Data::F32(columns_first), ..tensor() }.encode(), tensor().encode());
    }

    #[test]
    fn every_type_and_shape_survives() {
        let data = [
            Data::F64(array![[f64::MIN_POSITIVE, -0.0], [1e300, 0.1 + 0.2]].into_dyn()),
            Data::I64(array![[i64::MIN, 0], [1, i64::MAX]].into_dyn()),
            Data::F32(ArrayD::zeros(IxDyn(&[0, 3]))),
        ];
        for tensor in data.map(|data| Tensor::new(&["a", "b"], data)).into_iter().chain([tensor()]) {
            assert_eq!(Tensor::decode(&tensor.encode()).unwrap(), tensor);
        }
        let scalar = Tensor::new(&[], Data::F64(ndarray::arr0(2.0).into_dyn()));
        assert_eq!(Tensor::decode(&scalar.encode()).unwrap(), scalar);
    }

    #[test]
    fn every_nan_has_the_same_bytes() {
        let of = |bits| Tensor::new(&["a"], Data::F32(array![f32::from_bits(bits)].into_dyn())).encode();
        assert_eq!(of(0xffc0_0000), of(0x7fc0_0001));
        assert!(of(0xffc0_0000).ends_with(&0x7fc0_0000_u32.to_le_bytes()));
    }

    #[test]
    fn bytes_that_are_no_tensor_of_ours_are_refused() {
        let whole = tensor().encode();
        assert!(Tensor::decode(&whole[..whole.len() - 1]).is_err());
        assert!(Tensor::decode(b"").is_err());
        let view = TensorView::new(Dtype::F32, vec![1], &[0; 4]).unwrap();
        let says = |naming: Option<&str>| {
            let metadata = naming.map(|naming| HashMap::from([("assay".to_owned(), naming.to_owned())]));
            Tensor::decode(&serialize([("data", &view)], metadata).unwrap()).unwrap_err().to_string()
        };
        assert_eq!(says(None), "safetensors without the metadata key `assay`");
        assert_eq!(says(Some(r#"{"axes":[]}"#)), "0 axes are named, but the shape is [1]");
        assert!(says(Some(r#"{"axes":[{"name":"a","labels":[]}]}"#)).contains("axis `a` of length 1"));
        assert!(says(Some("{}")).contains("bad axes"));
    }
}
