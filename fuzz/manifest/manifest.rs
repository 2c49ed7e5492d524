//! A manifest, and how what is wrong with it is shown.

#![no_main]
#![allow(dead_code, reason = "the module is the program's own; the plan, which uses the rest of it, is not here")]

#[path = "../targets/file.rs"]
mod file;
#[path = "../../src/manifest/mod.rs"]
mod manifest;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let (_, problems) = manifest::Manifest::recover(&file::holding("case.toml", bytes), &[]);
    let shown = problems.render(false, 80);
    assert!(!shown.chars().any(|letter| letter.is_control() && letter != '\n'), "{shown:?}");
    let _ = problems.to_json();
});
