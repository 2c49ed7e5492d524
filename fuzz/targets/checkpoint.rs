//! A folder with a checkpoint: its configuration (the first line of the case), its index (the second), its tokenizer
//! (the rest). From configuration to architecture; from index to shards.

#![no_main]

mod file;

use std::collections::BTreeMap;

use assay_stages::{
    Fetch,
    lm::{
        ModelFacts,
        source::{Origin, Wanted},
        text::tokenizer::Bos,
        weights::files::ModelFiles,
    },
};

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let mut lines = bytes.splitn(3, |byte| *byte == b'\n');
    let config = file::holding("config.json", lines.next().unwrap_or_default());
    file::holding("model.safetensors.index.json", lines.next().unwrap_or_default());
    file::holding("tokenizer.json", lines.next().unwrap_or_default());
    if let Ok(config) = ModelFiles(&BTreeMap::from([("config".to_owned(), config.clone())])).config() {
        let _ = ModelFacts::of(&config);
    }
    let folder = config.parent().expect("a file has a folder").to_owned();
    let Ok(found) = Origin::Path(folder.clone()).find(None, Wanted::Configuration, Fetch::Never) else { return };
    assert!(found.files.values().all(|path| path.starts_with(&folder)));
    let Ok(tokenizer) = ModelFiles(&found.files).tokenizer() else { return };
    if let Ok(ids) = tokenizer.encode("ab  12\n<s>é", Bos::default(), Some(8)) {
        let _ = tokenizer.decode(&ids, true);
    }
});
