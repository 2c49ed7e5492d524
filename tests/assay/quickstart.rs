//! README's first command, on the real model.

use std::{
    env,
    io::{self, Write},
    path::Path,
};

use serde_json::Value;

use crate::sandbox::{Run, Sandbox, in_state};

#[test]
fn the_quickstart_runs_to_its_figures_and_then_does_nothing() {
    if env::var_os("ASSAY_TEST_MODELS").is_none_or(|wanted| wanted != "1") {
        // Past the test harness, which swallows what a passing test prints.
        let _ = writeln!(io::stderr(), "SKIPPED: ASSAY_TEST_MODELS=1 fetches the model that this needs");
        return;
    }
    let sandbox = Sandbox::with("");
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR")).join("manifests/quickstart.toml");
    let run = || {
        // The model goes where the user's other runs find it.
        let mut command = sandbox.command(&["run", manifest.to_str().unwrap(), "--json"]);
        let run = Run::of(command.env_remove("ASSAY_CACHE_HOME").output().unwrap());
        assert_eq!(run.code, Some(0), "{}\n{}", run.stdout, run.stderr);
        run.json()
    };
    let first = run();
    assert_eq!(in_state(&first, "ran").len(), first["stages"].as_array().unwrap().len());
    let results = sandbox.path("results/quickstart");
    for figure in ["profile", "heads", "ablation"] {
        let svg = std::fs::read_to_string(results.join(figure).join("figure.svg")).unwrap();
        assert!(svg.starts_with("<svg"), "{figure}: {}", &svg[..60]);
    }
    let verdict = std::fs::read_to_string(results.join("synergistic-first/verdict.json")).unwrap();
    let verdict: Value = serde_json::from_str(&verdict).unwrap();
    assert!(verdict["values"]["ratio"].as_f64().unwrap() > 0.0);
    assert_eq!(first["verdicts"][0]["verdict"], verdict["verdict"], "the run says what the study decided");
    assert_eq!(in_state(&run(), "ran"), [""; 0]);
}
