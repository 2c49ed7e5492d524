//! The schema of manifests takes what a plan takes, and refuses what is no manifest.

use std::{fs, path::Path};

use boon::{Compiler, SchemaIndex, Schemas};
use serde_json::{Value, json};

use crate::sandbox::Sandbox;

/// The schema that the binary prints, compiled.
struct Schema {
    schemas: Schemas,
    index: SchemaIndex,
}

impl Schema {
    fn printed() -> Self {
        let mut schemas = Schemas::new();
        let mut compiler = Compiler::new();
        compiler.add_resource("assay.json", printed()).unwrap();
        let index = compiler.compile("assay.json", &mut schemas).expect("a valid schema of Draft 7");
        Self { schemas, index }
    }

    fn check(&self, manifest: &str) -> Result<(), String> {
        let table: toml::Table = toml::from_str(manifest).unwrap_or_else(|error| panic!("{error}\n{manifest}"));
        let value = serde_json::to_value(table).unwrap();
        self.schemas.validate(&value, self.index).map_err(|error| format!("{error:#}"))
    }
}

fn printed() -> Value {
    let run = Sandbox::with("").assay(&["schema"]);
    assert_eq!(run.code, Some(0), "{}", run.stderr);
    run.json()
}

fn project(path: &str) -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

#[test]
fn the_shipped_schema_is_the_printed_one() {
    let shipped: Value =
        serde_json::from_str(&fs::read_to_string(project("manifests/assay.schema.json")).unwrap()).unwrap();
    assert!(shipped == printed(), "write it anew: assay schema > manifests/assay.schema.json");
    assert_eq!(shipped["$schema"], "http://json-schema.org/draft-07/schema#");
}

#[test]
fn shipped_manifests_are_valid_and_say_where_the_schema_is() {
    let schema = Schema::printed();
    let mut checked = 0;
    for item in fs::read_dir(project("manifests")).unwrap() {
        let path = item.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "toml") {
            let text = fs::read_to_string(&path).unwrap();
            assert_eq!(schema.check(&text), Ok(()), "{}", path.display());
            assert!(text.starts_with("#:schema assay.schema.json\n"), "{}", path.display());
            checked += 1;
        }
    }
    assert!(checked >= 3, "only {checked} manifests were found");
    let readme = fs::read_to_string(project("README.md")).unwrap();
    let manifest = readme.split("```toml\n").nth(1).and_then(|rest| rest.split("```").next()).expect("a manifest");
    assert_eq!(schema.check(manifest), Ok(()));
    let sandbox = Sandbox::with("");
    sandbox.assay(&["new", "first"]);
    assert_eq!(schema.check(&fs::read_to_string(sandbox.path("first.toml")).unwrap()), Ok(()));
}

const GOOD: &str = r#"
[study]
name = "good"

[axes]
tau   = [1, 2]
which = { first = { op = "zero" }, last = { op = "zero" } }

[stages.data]
kind = "load-tensor"
file = "${params.file}"
axes = ["prompt", "node", "step"]

[stages.pairs]
kind   = "phiid"
over   = ["tau"]
inputs = { activations = "data" }
tau    = "${tau}"

[stages.ranking]
kind   = "rank"
over   = ["tau"]
inputs = { sts = "pairs.sts", rtr = "pairs.rtr" }

[stages.summary]
kind   = "summarize"
inputs = { table = ["ranking", "ranking"] }
of     = "${params.columns}"
where  = { tau = 1 }

[[expect]]
that   = "ranking.avg_synergy"
equals = [1.0, "NaN"]
"#;

#[test]
fn a_reference_stands_wherever_a_value_does() {
    assert_eq!(Schema::printed().check(GOOD), Ok(()));
}

#[test]
fn what_is_no_manifest_is_not_valid() {
    let schema = Schema::printed();
    let edits = [
        ("tau    = \"${tau}\"", "taw    = \"${tau}\""),
        ("tau    = \"${tau}\"", "tau    = 0"),
        ("tau    = \"${tau}\"", "tau    = \"two\""),
        ("tau    = \"${tau}\"", "tau    = \"$${tau}\""),
        ("kind   = \"phiid\"", "kind   = \"phid\""),
        ("kind   = \"phiid\"\n", ""),
        ("name = \"good\"", "nam = \"good\""),
        ("name = \"good\"", "name = \"a/b\""),
        ("tau   = [1, 2]", "tau   = []"),
        ("tau   = [1, 2]", "params = [1]"),
        ("[study]", "[studdy]"),
        ("file = \"${params.file}\"\n", ""),
        ("inputs = { activations = \"data\" }", "inputs = { activations = 3 }"),
        ("[stages.data]", "[stages.\"a b\"]"),
        ("equals = [1.0, \"NaN\"]", "within = 1"),
        ("equals = [1.0, \"NaN\"]", "equals = 1\nwithin = -1"),
    ];
    for (from, to) in edits {
        assert!(GOOD.contains(from), "{from}");
        assert!(schema.check(&GOOD.replacen(from, to, 1)).is_err(), "{to} should not be valid");
    }
}

#[test]
fn documentation_and_defaults_are_in_it() {
    let schema = printed();
    let tau = &schema["definitions"]["phiid"]["properties"]["tau"];
    assert_eq!(tau["default"], json!(1));
    assert_eq!(tau["description"], "The lag between past and future, in steps.");
    let kinds = Sandbox::with("").assay(&["stages"]).stdout;
    for kind in kinds.lines().filter_map(|line| line.split(' ').next()) {
        assert_eq!(schema["definitions"][kind]["properties"]["kind"]["const"], kind);
    }
}
