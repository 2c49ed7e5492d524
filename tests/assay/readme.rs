//! What README says of the catalogue is what the catalogue says, and the shipped manifests plan.

use std::{fs, path::Path};

use crate::sandbox::{Sandbox, states};

fn project(path: &str) -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

#[test]
fn the_table_of_kinds_is_the_catalogue() {
    let listed = Sandbox::with("").assay(&["stages"]).stdout;
    let row = |line: &str| {
        let (kind, summary) = line.split_once(' ').expect("a kind and what it does");
        format!("| `{kind}` | {} |", summary.trim())
    };
    let table: Vec<_> = listed.lines().map(row).collect();
    let table = format!("| kind | what it does |\n| --- | --- |\n{}\n", table.join("\n"));
    let readme = fs::read_to_string(project("README.md")).unwrap();
    let (_, rest) = readme.split_once("<!-- kinds -->\n").expect("the mark before the table");
    let (shown, _) = rest.split_once("<!-- end of kinds -->").expect("the mark after the table");
    assert_eq!(shown, table, "put this table into README.md:\n{table}");
}

#[test]
fn files_that_readme_names_are_there() {
    for page in ["README.md", "ARCHITECTURE.md"] {
        let text = fs::read_to_string(project(page)).unwrap();
        for link in text.split("](").skip(1).map(|rest| rest.split(')').next().unwrap()) {
            assert!(link.starts_with("http") || project(link).exists(), "{page} names {link}, which is not there");
        }
    }
}

#[test]
fn the_manifest_of_readme_plans() {
    let readme = fs::read_to_string(project("README.md")).unwrap();
    let manifest = readme.split("```toml\n").nth(1).and_then(|rest| rest.split("```").next()).expect("a manifest");
    let sandbox = Sandbox::with(manifest);
    sandbox.write("prompts/cognitive-60.toml", fs::read(project("manifests/prompts/cognitive-60.toml")).unwrap());
    let plan = sandbox.assay(&["plan", "study.toml", "--json"]);
    assert_eq!(plan.code, Some(0), "{}", plan.stderr);
    assert_eq!(states(&plan.json()).len(), 9, "three stages, and two over three time lags");
}

#[test]
fn every_kind_is_explained() {
    let sandbox = Sandbox::with("");
    for line in sandbox.assay(&["stages"]).stdout.lines() {
        let kind = line.split(' ').next().unwrap();
        let page = sandbox.assay(&["stages", kind]);
        assert_eq!(page.code, Some(0));
        assert!(page.stdout.lines().count() > 4, "{}", page.stdout);
    }
    let page = sandbox.assay(&["stages", "generate"]).stdout;
    for line in
        ["  model: model", "  tokens: tokens", "  new-tokens (default 100)", "op = \"noise\"", "\"pattern\"  Attention"]
    {
        assert!(page.contains(line), "{line} is missing:\n{page}");
    }
}

/// A study may be run on other models than its own (`--set model=…`), of which its numbers say nothing.
#[test]
fn expectations_of_shipped_manifests_name_what_they_hold_for() {
    for item in fs::read_dir(project("manifests")).unwrap() {
        let path = item.unwrap().path();
        let Some(manifest) = fs::read_to_string(&path).ok().filter(|_| path.extension().is_some_and(|e| e == "toml"))
        else {
            continue;
        };
        let manifest: toml::Table = manifest.parse().unwrap();
        let texts =
            |table: &str| manifest.get(table).and_then(toml::Value::as_table).into_iter().flat_map(toml::Table::values);
        let sources: Vec<_> = texts("stages").filter_map(|stage| stage.get("source")).chain(texts("params")).collect();
        let loads = texts("stages").any(|stage| stage["kind"].as_str() == Some("load-model"));
        for expect in manifest.get("expect").and_then(toml::Value::as_array).into_iter().flatten() {
            let defined =
                expect.get("source").and_then(toml::Value::as_str).is_some_and(|why| why.starts_with("definition"));
            let bound = expect.get("model").or(expect.get("weights")).is_some();
            assert!(!loads || bound || defined, "{}: {expect} would be held against any model", path.display());
            if let Some(model) = expect.get("model") {
                assert!(sources.contains(&model), "{}: {model} is not a model of this study", path.display());
            }
        }
    }
}

#[test]
fn shipped_manifests_plan_without_their_models() {
    let sandbox = Sandbox::with("");
    let mut planned = 0;
    for item in fs::read_dir(project("manifests")).unwrap() {
        let path = item.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "toml") {
            let run = sandbox.assay(&["plan", path.to_str().unwrap(), "--json"]);
            assert_eq!(run.code, Some(0), "{}: {}{}", path.display(), run.stdout, run.stderr);
            let document = run.json();
            let unknown = states(&document).into_iter().filter(|(_, state)| *state == "unknown").count();
            // Models that are trained in the study, or shipped with it, need no fetching.
            let manifest: toml::Table = fs::read_to_string(&path).unwrap().parse().unwrap();
            let fetched = |stage: &toml::Value| match stage.get("source").and_then(toml::Value::as_str) {
                Some(source) if stage["kind"].as_str() == Some("load-model") => !source.starts_with("./"),
                _ => false,
            };
            let fetches = manifest["stages"].as_table().unwrap().values().any(fetched);
            match fetches {
                true => assert!(unknown > 0, "{}: nothing is fetched in a new cache folder", path.display()),
                false => assert_eq!(unknown, 0, "{}: it has all that it needs", path.display()),
            }
            planned += 1;
        }
    }
    assert!(planned >= 3, "only {planned} manifests were found");
}
