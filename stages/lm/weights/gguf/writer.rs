//! Writes tiny GGUF files for the tests of this folder and of what reads them.

use super::Gguf;

/// A file in the making: version 3, alignment 32.
#[derive(Default)]
pub struct Writer {
    /// Keys, and types with values.
    meta: Vec<(String, Vec<u8>)>,
    tensors: Vec<Vec<u8>>,
    data: Vec<u8>,
}

/// A string as GGUF writes it.
pub fn text(value: &str) -> Vec<u8> {
    [&(value.len() as u64).to_le_bytes(), value.as_bytes()].concat()
}

/// An array of strings as GGUF writes it.
pub fn texts(values: &[&str]) -> Vec<u8> {
    let mut bytes = [&8u32.to_le_bytes()[..], &(values.len() as u64).to_le_bytes()].concat();
    values.iter().for_each(|value| bytes.extend(text(value)));
    bytes
}

/// An array of i32 as GGUF writes it.
pub fn integers(values: &[i32]) -> Vec<u8> {
    let mut bytes = [&5u32.to_le_bytes()[..], &(values.len() as u64).to_le_bytes()].concat();
    values.iter().for_each(|value| bytes.extend(value.to_le_bytes()));
    bytes
}

/// An array of f32 as GGUF writes it.
pub fn numbers(values: &[f32]) -> Vec<u8> {
    [&6u32.to_le_bytes()[..], &(values.len() as u64).to_le_bytes(), &floats(values)].concat()
}

/// f32 values as bytes.
pub fn floats(values: &[f32]) -> Vec<u8> {
    values.iter().flat_map(|value| value.to_le_bytes()).collect()
}

/// What becomes of opening such a file.
pub fn opened(writer: Writer) -> Result<Gguf, String> {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), writer.finish()).unwrap();
    Gguf::open(file.path()).map_err(|error| error.0)
}

impl Writer {
    /// A metadata value, in place of an earlier one of this key.
    pub fn meta(mut self, key: &str, kind: u32, value: Vec<u8>) -> Self {
        self.meta.retain(|(known, _)| known != key);
        self.meta.push((key.to_owned(), [kind.to_le_bytes().to_vec(), value].concat()));
        self
    }

    pub fn u32(self, key: &str, value: u32) -> Self {
        self.meta(key, 4, value.to_le_bytes().to_vec())
    }

    /// A tensor; `dims` innermost first.
    pub fn tensor(mut self, name: &str, dims: &[u64], format: u32, data: &[u8]) -> Self {
        let mut info = [text(name), (dims.len() as u32).to_le_bytes().to_vec()].concat();
        dims.iter().for_each(|dim| info.extend(dim.to_le_bytes()));
        info.extend(format.to_le_bytes());
        self.data.resize(self.data.len().next_multiple_of(32), 0);
        info.extend((self.data.len() as u64).to_le_bytes());
        self.tensors.push(info);
        self.data.extend(data);
        self
    }

    pub fn finish(self) -> Vec<u8> {
        let mut bytes = b"GGUF".to_vec();
        bytes.extend(3u32.to_le_bytes());
        bytes.extend((self.tensors.len() as u64).to_le_bytes());
        bytes.extend((self.meta.len() as u64).to_le_bytes());
        self.meta.iter().for_each(|(key, value)| bytes.extend([text(key), value.clone()].concat()));
        bytes.extend(self.tensors.concat());
        bytes.resize(bytes.len().next_multiple_of(32), 0);
        bytes.extend(self.data);
        bytes
    }
}
