//! A GGUF file: header, metadata, configuration, every tensor.

#![no_main]

mod file;

use assay_stages::lm::weights::{checkpoint::Checkpoint, gguf::Gguf};

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let Ok(gguf) = Gguf::open(&file::holding("case.gguf", bytes)) else { return };
    let _ = gguf.config();
    for name in gguf.names() {
        let shape = gguf.shape(&name).expect("a tensor that is named has a shape");
        let values = gguf.read(&name).expect("a tensor whose place was checked can be read");
        assert_eq!(values.len(), shape.iter().product::<usize>(), "{name}");
    }
});
