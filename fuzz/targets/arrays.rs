//! Data that was made elsewhere: `.npy`, `.npz`, `.safetensors` and `.csv`. The first byte says which.

#![no_main]

mod file;

use std::{collections::BTreeMap, path::PathBuf};

use assay_cache::{Digest, Unit};
use assay_stages::{Ctx, Failure, Inputs, Session, Stage, load_table::LoadTable, load_tensor::LoadTensor};
use serde_json::{from_value, json};

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let Some((which, bytes)) = bytes.split_first() else { return };
    let name = ["a.npy", "a.npz", "a.safetensors", "a.csv"][usize::from(*which % 4)];
    let params = json!({ "file": file::holding(name, bytes) });
    if name == "a.csv" {
        let stage: LoadTable = from_value(params).expect("parameters of a table");
        let _ = stage.run(&Inputs::default(), &Nobody);
    } else {
        let stage: LoadTensor = from_value(params).expect("parameters of a tensor");
        let _ = stage.run(&Inputs::default(), &Nobody);
    }
});

/// These stages ask the engine for nothing.
struct Nobody;

impl Ctx for Nobody {
    fn unit(&self, _: &str) -> Result<Option<Unit>, Failure> {
        unreachable!()
    }

    fn save(&self, _: &[(String, Unit)]) -> Result<(), Failure> {
        unreachable!()
    }

    fn checkpoint(&self, _: u64, _: &Unit) -> Result<(), Failure> {
        unreachable!()
    }

    fn last_checkpoint(&self) -> Result<Option<(u64, Unit)>, Failure> {
        unreachable!()
    }

    fn stopping(&self) -> bool {
        false
    }

    fn progress(&self, _: u64, _: u64, _: &str) {}

    fn warn(&self, _: &str) {}

    fn files(&self) -> &BTreeMap<String, Digest> {
        unreachable!()
    }

    fn place(&self, _: &Digest) -> Result<PathBuf, Failure> {
        unreachable!()
    }

    fn session(&self) -> &dyn Session {
        unreachable!()
    }
}
