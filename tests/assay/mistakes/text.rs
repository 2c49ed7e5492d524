//! Mistakes in the text itself, and of the whole file: no stage can stand before them.

use super::{HEAD, Sandbox, refused, said, said_of, snapshot};

mistakes! {
    syntax: r#"
[stages.pairs
kind = "phiid
tau  = [1,,2]
"#;

    duplicate_key: r#"
[stages.pairs]
kind   = "phiid"
inputs = { activations = "norms" }
kind   = "rank"
"#;

    duplicate_stage: r#"
[stages.norms]
kind = "prompts"
"#;

    unknown_table: r#"
[stage.pairs]
kind = "phiid"
"#;
}

/// Each with the arguments of the command line.
macro_rules! mistakes_of_the_whole {
    ($($name:ident $arguments:expr; $manifest:expr;)*) => {$(
        #[test]
        fn $name() {
            snapshot(stringify!($name), $manifest, said_of($manifest, &$arguments));
        }
    )*};
}

mistakes_of_the_whole! {
    empty_file []; "";
    no_stages []; "[study]\nname = \"empty\"\n";
    no_study []; "[stages.a]\nkind = \"prmpts\"\n";
    name_of_a_study []; "[study]\nname = \"../up\"\nsede = 1\n[stages.a]\nkind = \"prompts\"\ntokens = [[1]]\n";
    axes_that_are_none []; r#"
[study]
name = "axes"

[axes]
sigma  = []
tau    = [1, 1, ""]
layers = [[1, 2]]
params = [1]
size   = 3
day    = [2026-01-01]

[stages.a]
kind   = "prompts"
over   = ["tau"]
tokenz = [[1]]

[stages.b]
kind   = "prompts"
over   = ["sigma"]
tokens = [[1]]
"#;
    far_too_many_cells []; r#"
[study]
name = "cells"

[axes]
a = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]
b = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]
c = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]
d = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]
e = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]
f = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]

[stages.prompts]
kind   = "prompts"
over   = ["a", "b", "c", "d", "e", "f"]
tokens = [[1]]
"#;
    settings ["--set", "modle=x", "--set", "lag", "--set", "lag=[nan]", "--set", "lag=\u{1b}[31m"]; r#"
[study]
name = "settings"

[params]
model = "gpt2"
lag   = 1

[stages.prompts]
kind   = "prompts"
tokens = [[1, "${params.lag}"]]
"#;
    setting_of_the_wrong_type ["--set", "lag=two"]; r#"
[study]
name = "settings"

[params]
lag = 1

[stages.prompts]
kind   = "prompts"
tokens = [[1, "${params.lag}"]]
"#;
}

#[test]
fn what_is_no_manifest_at_all() {
    let sandbox = Sandbox::with(HEAD);
    sandbox.write("folder/study.toml", HEAD);
    sandbox.write("latin.toml", b"[study]\nname = \"caf\xe9\"\n");
    sandbox.write("utf16.toml", "\u{feff}[study]".encode_utf16().flat_map(u16::to_le_bytes).collect::<Vec<_>>());
    sandbox.write("large.toml", vec![b'#'; 9 << 20]);
    let cases = ["folder", "stduy.toml", "nowhere/study.toml", "latin.toml", "utf16.toml", "large.toml"];
    let said: String = cases.iter().map(|name| format!("--- {name}\n{}", refused(&sandbox, &["plan", name]))).collect();
    snapshot("what_is_no_manifest_at_all", "", said);
    let found = sandbox.assay(&["plan", "latin.toml", "--json"]).json();
    assert_eq!((&found["problems"][0]["line"], &found["problems"][0]["column"]), (&2.into(), &12.into()));
}
