//! The tokenizer in a GGUF file, which must give back what it was given where it has all bytes.

#![no_main]

mod file;

use assay_stages::lm::{
    text::tokenizer::{Bos, Tokenizer},
    weights::gguf::Gguf,
};

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let Ok(gguf) = Gguf::open(&file::holding("case.gguf", bytes)) else { return };
    let Ok(tokenizer) = Tokenizer::from_gguf(&gguf) else { return };
    if let Ok(ids) = tokenizer.encode("ab  12\n<s>é", Bos::default(), Some(8)) {
        assert!(ids.len() <= 8);
        let _ = tokenizer.decode(&ids, true);
    }
    let _ = tokenizer.chat(&[]);
});
