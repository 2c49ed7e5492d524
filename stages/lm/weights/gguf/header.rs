//! What a GGUF file says of itself: metadata, and where each tensor lies.
//!
//! The file is not trusted: every count and offset is checked against the bytes that there are before anything is
//! allocated or read, so a damaged or hostile file is an error with its offset, never a panic or an exhausted memory.

use std::{collections::BTreeMap, ops::Range};

use super::blocks::Format;

/// Longest name or key that is believed; the format allows 64 and 65535 bytes.
const LONGEST_NAME: usize = 65_535;
const MOST_DIMENSIONS: u32 = 4;
const DEFAULT_ALIGNMENT: usize = 32;

/// A metadata value.
#[derive(Clone, PartialEq, Debug)]
pub enum Meta {
    Bool(bool),
    Integer(i64),
    Unsigned(u64),
    F32(f32),
    F64(f64),
    String(String),
    Array(Vec<Meta>),
}

/// A tensor as the file describes it.
#[derive(Clone, PartialEq, Debug)]
pub struct TensorInfo {
    pub name: String,
    /// Innermost first, as GGUF has them.
    pub dims: Vec<usize>,
    pub format: Format,
    /// Where its bytes lie in the file.
    pub range: Range<usize>,
}

pub struct Header {
    pub meta: BTreeMap<String, Meta>,
    pub tensors: Vec<TensorInfo>,
}

impl Meta {
    pub fn as_str(&self) -> Option<&str> {
        if let Self::String(text) = self { Some(text) } else { None }
    }

    pub fn as_bool(&self) -> Option<bool> {
        if let Self::Bool(value) = self { Some(*value) } else { None }
    }

    pub fn as_u64(&self) -> Option<u64> {
        match self {
            Self::Unsigned(value) => Some(*value),
            Self::Integer(value) => u64::try_from(*value).ok(),
            _ => None,
        }
    }

    /// As the decimal that was meant: an f32 of 1e-5 is 1e-5, not 9.999999747378752e-6.
    pub fn as_f64(&self) -> Option<f64> {
        match self {
            Self::F32(value) => value.to_string().parse().ok(),
            Self::F64(value) => Some(*value),
            Self::Unsigned(value) => Some(*value as f64),
            Self::Integer(value) => Some(*value as f64),
            _ => None,
        }
    }

    pub fn as_array(&self) -> Option<&[Meta]> {
        if let Self::Array(items) = self { Some(items) } else { None }
    }
}

impl TensorInfo {
    /// Outermost first, as everybody else has them.
    pub fn shape(&self) -> Vec<usize> {
        self.dims.iter().rev().copied().collect()
    }
}

impl Header {
    pub fn read(bytes: &[u8]) -> Result<Self, String> {
        let mut cursor = Cursor { bytes, at: 0 };
        if cursor.take(4, "the magic number")? != b"GGUF" {
            return Err("this is no GGUF file: it does not begin with the letters GGUF".to_owned());
        }
        match cursor.u32("the version")? {
            2 | 3 => {}
            version => return Err(format!("GGUF version {version} is not supported (2 and 3 are)")),
        }
        let tensor_count = cursor.count("tensors", 24)?;
        let meta_count = cursor.count("metadata entries", 13)?;
        let mut meta = BTreeMap::new();
        for _ in 0..meta_count {
            let key = cursor.string("a metadata key", LONGEST_NAME)?;
            let kind = cursor.u32(&key)?;
            let value = cursor.value(kind, &key)?;
            if meta.insert(key.clone(), value).is_some() {
                return Err(format!("the metadata has `{key}` twice, the second before offset {}", cursor.at));
            }
        }
        let tensors = (0..tensor_count).map(|_| cursor.tensor()).collect::<Result<Vec<_>, _>>()?;
        let data = aligned(cursor.at, &meta)?;
        let tensors = tensors.into_iter().map(|raw| raw.locate(data, bytes.len())).collect::<Result<_, _>>()?;
        Ok(Self { meta, tensors })
    }
}

/// Where the data begins: the end of the header, rounded up.
fn aligned(end: usize, meta: &BTreeMap<String, Meta>) -> Result<usize, String> {
    let alignment = match meta.get("general.alignment") {
        None => DEFAULT_ALIGNMENT,
        Some(value) => value
            .as_u64()
            .and_then(|value| usize::try_from(value).ok())
            .filter(|value| value.is_power_of_two() && *value <= 1 << 20)
            .ok_or_else(|| format!("`general.alignment` is {value:?}, which is no power of two up to 2^20"))?,
    };
    Ok(end.next_multiple_of(alignment))
}

/// A tensor whose place in the file is not checked yet.
struct RawTensor {
    name: String,
    dims: Vec<usize>,
    format: Format,
    offset: u64,
}

impl RawTensor {
    fn locate(self, data: usize, file: usize) -> Result<TensorInfo, String> {
        let Self { name, dims, format, offset } = self;
        let (values, bytes) = format.block();
        let row = dims.first().copied().unwrap_or(1);
        if row % values != 0 {
            return Err(format!(
                "tensor `{name}` has rows of {row} values, but {format:?} comes in blocks of {values}"
            ));
        }
        let size = dims
            .iter()
            .try_fold(1usize, |product, dim| product.checked_mul(*dim).filter(|product| *product > 0))
            .and_then(|count| (count / values).checked_mul(bytes))
            .ok_or_else(|| format!("tensor `{name}` has the impossible dimensions {dims:?}"))?;
        let start = usize::try_from(offset).ok().and_then(|offset| data.checked_add(offset));
        let range = start.and_then(|start| Some(start..start.checked_add(size)?));
        match range {
            Some(range) if range.end <= file => Ok(TensorInfo { name, dims, format, range }),
            _ => Err(format!(
                "tensor `{name}` should lie at offset {offset} after {data} and take {size} bytes, but the file has \
                 {file}: it is damaged or was not downloaded to its end"
            )),
        }
    }
}

/// Reads little-endian values and knows where it is.
struct Cursor<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Cursor<'a> {
    fn take(&mut self, count: usize, what: &str) -> Result<&'a [u8], String> {
        let rest = &self.bytes[self.at..];
        let taken = rest.get(..count).ok_or_else(|| {
            format!("the file ends inside {what}: {count} bytes wanted at offset {}, {} left", self.at, rest.len())
        })?;
        self.at += count;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self, what: &str) -> Result<[u8; N], String> {
        Ok(self.take(N, what)?.try_into().expect("`take` gives as many bytes as were asked for"))
    }

    fn u32(&mut self, what: &str) -> Result<u32, String> {
        self.array(what).map(u32::from_le_bytes)
    }

    fn u64(&mut self, what: &str) -> Result<u64, String> {
        self.array(what).map(u64::from_le_bytes)
    }

    /// A count of things that take at least `least` bytes each: more than fit into the rest of the file is a lie.
    fn count(&mut self, what: &str, least: usize) -> Result<usize, String> {
        let at = self.at;
        let count = self.u64(what)?;
        let left = (self.bytes.len() - self.at) / least;
        match usize::try_from(count) {
            Ok(count) if count <= left => Ok(count),
            _ => Err(format!("{count} {what} are announced at offset {at}, but the file has room for {left} at most")),
        }
    }

    fn string(&mut self, what: &str, longest: usize) -> Result<String, String> {
        let at = self.at;
        let length = self.u64(what)?;
        let length = usize::try_from(length)
            .ok()
            .filter(|length| *length <= longest)
            .ok_or_else(|| format!("{what} at offset {at} claims a length of {length} bytes"))?;
        let bytes = self.take(length, what)?;
        String::from_utf8(bytes.to_vec()).map_err(|_| format!("{what} at offset {at} is not UTF-8"))
    }

    fn value(&mut self, kind: u32, key: &str) -> Result<Meta, String> {
        Ok(match kind {
            0 => Meta::Unsigned(u64::from(u8::from_le_bytes(self.array(key)?))),
            1 => Meta::Integer(i64::from(i8::from_le_bytes(self.array(key)?))),
            2 => Meta::Unsigned(u64::from(u16::from_le_bytes(self.array(key)?))),
            3 => Meta::Integer(i64::from(i16::from_le_bytes(self.array(key)?))),
            4 => Meta::Unsigned(u64::from(self.u32(key)?)),
            5 => Meta::Integer(i64::from(i32::from_le_bytes(self.array(key)?))),
            6 => Meta::F32(f32::from_le_bytes(self.array(key)?)),
            7 => Meta::Bool(self.array::<1>(key)? != [0]),
            8 => Meta::String(self.string(key, self.bytes.len())?),
            9 => Meta::Array(self.items(key)?),
            10 => Meta::Unsigned(self.u64(key)?),
            11 => Meta::Integer(i64::from_le_bytes(self.array(key)?)),
            12 => Meta::F64(f64::from_le_bytes(self.array(key)?)),
            _ => return Err(format!("`{key}` at offset {} has the unknown type {kind}", self.at)),
        })
    }

    fn items(&mut self, key: &str) -> Result<Vec<Meta>, String> {
        let kind = self.u32(key)?;
        let least = match kind {
            0 | 1 | 7 => 1,
            2 | 3 => 2,
            4..=6 => 4,
            8 | 10..=12 => 8,
            9 => return Err(format!("`{key}` is an array of arrays, which is not supported")),
            _ => return Err(format!("`{key}` is an array of the unknown type {kind}")),
        };
        let count = self.count("array items", least)?;
        (0..count).map(|_| self.value(kind, key)).collect()
    }

    fn tensor(&mut self) -> Result<RawTensor, String> {
        let name = self.string("a tensor's name", LONGEST_NAME)?;
        let dimensions = self.u32(&name)?;
        if dimensions > MOST_DIMENSIONS {
            return Err(format!("tensor `{name}` has {dimensions} dimensions; GGUF allows {MOST_DIMENSIONS}"));
        }
        let dims = (0..dimensions)
            .map(|_| {
                let dim = self.u64(&name)?;
                usize::try_from(dim).map_err(|_| format!("tensor `{name}` has an impossible dimension of {dim}"))
            })
            .collect::<Result<_, _>>()?;
        let format = self.u32(&name)?;
        let format = Format::of(format).map_err(|type_name| {
            format!("tensor `{name}` is stored as {type_name}; supported are {}", Format::SUPPORTED)
        })?;
        Ok(RawTensor { offset: self.u64(&name)?, name, dims, format })
    }
}

/// A number of the metadata, if it is there.
pub fn number(header: &Header, key: &str) -> Result<Option<f64>, String> {
    match header.meta.get(key) {
        None => Ok(None),
        Some(value) => value
            .as_f64()
            .filter(|value| value.is_finite())
            .map(Some)
            .ok_or_else(|| format!("`{key}` is {value:?}, not a number")),
    }
}

/// A positive integer of the metadata, if it is there.
pub fn size(header: &Header, key: &str) -> Result<Option<usize>, String> {
    match header.meta.get(key) {
        None => Ok(None),
        Some(value) => value
            .as_u64()
            .and_then(|value| usize::try_from(value).ok())
            .filter(|value| *value > 0)
            .map(Some)
            .ok_or_else(|| format!("`{key}` is {value:?}, not a positive integer")),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::lm::weights::gguf::writer::{Writer, text};

    fn written() -> Vec<u8> {
        Writer::default()
            .meta("general.architecture", 8, text("llama"))
            .meta("eps", 6, 1e-5f32.to_le_bytes().to_vec())
            .tensor("a", &[32, 2], 2, &[0; 36])
            .finish()
    }

    #[test]
    fn a_small_file_is_read_back() {
        let header = Header::read(&written()).unwrap();
        assert_eq!(header.meta["general.architecture"].as_str(), Some("llama"));
        assert_eq!(header.meta["eps"].as_f64(), Some(1e-5));
        assert_eq!(header.tensors[0].shape(), [2, 32]);
        assert_eq!(header.tensors[0].range.len(), 36);
    }

    #[test]
    fn every_cut_is_an_error() {
        let whole = written();
        for end in 0..whole.len() {
            assert!(Header::read(&whole[..end]).is_err(), "cut at {end} of {}", whole.len());
        }
    }

    #[test]
    fn lies_are_named() {
        let refused = |bytes: &[u8]| Header::read(bytes).err().expect("a lie must be refused");
        let mut counts = written();
        counts[8..16].copy_from_slice(&u64::MAX.to_le_bytes());
        assert!(refused(&counts).contains("18446744073709551615 tensors are announced at offset 8"));

        let huge = Writer::default().tensor("big", &[32, 1 << 40, 1 << 40], 0, &[]).finish();
        assert!(refused(&huge).contains("tensor `big` has the impossible dimensions"));
        let beyond = Writer::default().tensor("far", &[32, 64], 0, &[0; 8]).finish();
        assert!(refused(&beyond).contains("tensor `far` should lie at offset 0"));
        let empty = Writer::default().tensor("none", &[0, 1 << 40, 1 << 40], 0, &[]).finish();
        assert!(refused(&empty).contains("tensor `none` has the impossible dimensions"));
        let ragged = Writer::default().tensor("ragged", &[33], 8, &[0; 64]).finish();
        assert!(refused(&ragged).contains("rows of 33 values"));
        let strange = Writer::default().tensor("odd", &[256], 20, &[0; 144]).finish();
        assert!(refused(&strange).contains("tensor `odd` is stored as IQ4_NL; supported are"));
        let lengthy = Writer::default().meta("s", 8, u64::MAX.to_le_bytes().to_vec()).finish();
        assert!(refused(&lengthy).contains("claims a length of 18446744073709551615"));
        let one = |key: &str| Writer::default().meta(key, 7, vec![1]).meta("twin", 7, vec![0]).finish();
        let mut twins = one("twan");
        twins[32 + 2] = b'i'; // the first key begins at byte 32
        assert!(Header::read(&one("twan")).is_ok() && refused(&twins).contains("the metadata has `twin` twice"));
        assert!(refused(b"PK\x03\x04").contains("no GGUF file"));
    }

    proptest! {
        #[test]
        fn damage_never_panics(at in 0usize..200, byte: u8) {
            let mut bytes = written();
            let at = at % bytes.len();
            bytes[at] = byte;
            let _ = Header::read(&bytes);
        }
    }
}
