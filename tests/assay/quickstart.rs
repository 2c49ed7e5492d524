//! README's first command: on the model that is shipped, from an empty store, without a network.

use std::{fs, path::Path};

use assay_cache::Digest;
use serde_json::Value;

use crate::sandbox::{Sandbox, in_state};

fn project(path: &str) -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

#[test]
fn the_quickstart_runs_to_its_verdicts_and_then_does_nothing() {
    let sandbox = Sandbox::with("");
    let manifest = project("manifests/quickstart.toml");
    let run = || {
        let run = sandbox.assay(&["run", manifest.to_str().unwrap(), "--offline", "--json"]);
        assert_eq!(run.code, Some(0), "{}\n{}", run.stdout, run.stderr);
        run.json()
    };
    let first = run();
    assert_eq!(in_state(&first, "ran").len(), first["stages"].as_array().unwrap().len());
    let results = sandbox.path("results/quickstart");
    for figure in ["overview", "previous", "synergy"] {
        let svg = fs::read_to_string(results.join(figure).join("figure.svg")).unwrap();
        assert!(svg.starts_with("<svg"), "{figure}: {}", &svg[..60]);
    }
    let verdict = |stage: &str| -> Value {
        let path = results.join(stage).join("verdict.json");
        serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap()
    };
    assert_eq!(verdict("stands-out")["verdict"], "ONE_INDUCTION_HEAD");
    assert_eq!(verdict("copying")["verdict"], "IT_ALONE_COPIES");
    let held = first["expectations"].as_array().unwrap();
    assert!(held.len() >= 8 && held.iter().all(|finding| finding["held"] == "pass"), "{held:?}");
    // The texts are words, and what is written is what was given, from its second word on.
    let said = fs::read_to_string(results.join("said/texts.csv")).unwrap();
    let row: Vec<&str> = said.lines().nth(1).unwrap().split(',').collect();
    let (given, written): (Vec<_>, Vec<_>) = (row[1].split(' ').collect(), row[2].split(' ').collect());
    assert_eq!((given.len(), written.len(), given[0]), (25, 23, given[24]));
    let copied = given[1..24].iter().zip(&written).filter(|(a, b)| a == b).count();
    assert!(copied > 20, "{said}");
    assert_eq!(in_state(&run(), "ran"), [""; 0]);
    // For people, a run ends with its verdicts, why they are what they are, and how many expectations hold.
    let told = sandbox.assay(&["run", manifest.to_str().unwrap(), "--offline"]).stderr;
    let all = held.len();
    for line in [
        "  because score >= 0.7 and best_of_the_others < score / 2 (score = 0.74101, best_of_the_others = 0.19315)\n",
        &format!("expectations: {all} of {all} hold\n"),
    ] {
        assert!(told.contains(line), "{told}");
    }
    // Token ids say nothing to people: what does is named.
    let shown = sandbox.assay(&["show", manifest.to_str().unwrap(), "written.tokens"]);
    assert!(
        shown.stdout.contains("\"sequences\"") && shown.stderr.ends_with("quickstart.toml said\n"),
        "{}",
        shown.stderr
    );
}

/// The weights are those that README's page of models and the manifest's expectations speak of.
#[test]
fn the_shipped_weights_are_the_ones_that_are_described() {
    let digest = Digest::of_file(&project("manifests/models/induction/model.safetensors")).unwrap().to_string();
    let text = |path: &str| fs::read_to_string(project(path)).unwrap();
    assert!(text("manifests/models/README.md").contains(&digest), "{digest}");
    assert!(text("manifests/quickstart.toml").contains(&format!("blake3:{digest}")), "{digest}");
    // And of the model that the manifest describes.
    let config: Value = serde_json::from_str(&text("manifests/models/induction/config.json")).unwrap();
    let manifest: toml::Table = text("manifests/induction-model.toml").parse().unwrap();
    for (name, described) in manifest["stages"]["learned"]["model"].as_table().unwrap() {
        assert_eq!(serde_json::to_value(described).unwrap(), config[name], "{name}");
    }
    let words: Value = serde_json::from_str(&text("manifests/models/induction/tokenizer.json")).unwrap();
    assert_eq!(config["vocab-size"], words["model"]["vocab"].as_object().unwrap().len());
}
