//! A safetensors file: header, every tensor.

#![no_main]

mod file;

use assay_stages::lm::weights::{checkpoint::Checkpoint, safetensors::Safetensors};

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let Ok(file) = Safetensors::open(&[file::holding("case.safetensors", bytes)]) else { return };
    for name in file.names() {
        let shape = file.shape(&name).expect("a tensor that is named has a shape");
        if let Ok(values) = file.read(&name) {
            assert_eq!(values.len(), shape.iter().product::<usize>(), "{name}");
        }
    }
});
