//! Keys of a small study, pinned byte for byte: results of an older Assay stay found.
//!
//! The keys were computed apart from Assay by `tests/golden/keys.py`, from the specification in cache/README.md. Where a kind
//! raises its VERSION, write the new version there, run it, and copy what it prints; where nothing was raised and a key
//! moves, the change is a mistake.

use std::{fs, path::Path};

use crate::sandbox::Sandbox;

const KEYS: [(&str, &str); 6] = [
    ("norms", "387e483068b5c73003c668f282ca9f0e84b69f7eb39f6fc4ae8e167efff593b1"),
    ("pairs[tau=1]", "a1f4d61507e790faf8c62937191461ba3af775a52ff4c8cc8a5db83d0e6f0146"),
    ("pairs[tau=2]", "55fba6ed84f18d899faf71b05a6e359e48c4f89272ca9056b1a6c6e9f965b8d4"),
    ("ranking[tau=1]", "2c0979b06ff112b788fa6af2bf3ac2f0d617191966f9dc755be5b0960d70dbdd"),
    ("ranking[tau=2]", "46297ddb7d180c59834e1940969ab0d00c55d0a50052c536e721cb790cf5c52e"),
    ("summary", "41738fd2603d21aa4edb7eaba5a17ae6d1d0dd5ffdae9478ac0c3685cbe734ed"),
];

#[test]
fn keys_are_those_that_the_specification_gives() {
    let manifest = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/keys.toml")).unwrap();
    let sandbox = Sandbox::with(&manifest);
    sandbox.fixture("stages/fixtures/phiid/job_activations.npy", "norms.npy");
    let plan = sandbox.assay(&["plan", "study.toml", "--json"]).json();
    let stages = plan["stages"].as_array().unwrap();
    let keys: Vec<_> =
        stages.iter().map(|stage| (stage["id"].as_str().unwrap(), stage["key"].as_str().unwrap())).collect();
    assert_eq!(keys, KEYS);
}
