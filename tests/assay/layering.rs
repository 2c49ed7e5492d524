//! Arrows run one way: `cache ← stages ← src`, and inside each crate there is no cycle of modules. The `use` lines
//! (and paths such as `crate::plan::Plan`) are read from the source.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

/// The Rust files below a folder of the project, tests and benches aside, with what stands in them.
fn sources(folder: &str) -> Vec<(PathBuf, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
    let mut found = Vec::new();
    let mut folders = vec![root.clone()];
    while let Some(next) = folders.pop() {
        for item in fs::read_dir(next).unwrap() {
            let path = item.unwrap().path();
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            if path.is_dir() {
                if !matches!(name.as_str(), "target" | "benches" | "fixtures" | "tests" | "store" | "fuzz") {
                    folders.push(path);
                }
            } else if name.ends_with(".rs") && !name.contains("test") {
                let code = code(&fs::read_to_string(&path).unwrap());
                found.push((path.strip_prefix(&root).unwrap().to_owned(), code));
            }
        }
    }
    assert!(!found.is_empty(), "no source in {folder}");
    found
}

/// The source without comments and without its unit tests, which stand last in a file.
fn code(text: &str) -> String {
    let text = text.split("#[cfg(test)]\nmod tests").next().unwrap_or_default();
    text.lines().map(|line| line.split("//").next().unwrap_or_default()).collect::<Vec<_>>().join("\n")
}

/// The names that follow `prefix` in the source: `use crate::{a, b::c}` and `crate::a::f()` both name `a`.
fn names_after(code: &str, prefix: &str) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    for (at, _) in code.match_indices(prefix) {
        let before = code[..at].chars().next_back();
        if before.is_some_and(|c| c.is_alphanumeric() || c == '_' || c == ':') {
            continue;
        }
        let rest = &code[at + prefix.len()..];
        match rest.strip_prefix('{') {
            Some(group) => names.extend(heads(group)),
            None => names.extend(identifier(rest)),
        }
    }
    names
}

/// The first name of each item of a group, up to its closing brace.
fn heads(group: &str) -> Vec<String> {
    let mut heads = Vec::new();
    let mut depth = 0;
    let mut fresh = true;
    for (i, c) in group.char_indices() {
        match c {
            '{' => depth += 1,
            '}' if depth == 0 => break,
            '}' => depth -= 1,
            ',' if depth == 0 => fresh = true,
            c if fresh && depth == 0 && (c.is_alphabetic() || c == '_') => {
                heads.extend(identifier(&group[i..]));
                fresh = false;
            }
            _ => {}
        }
    }
    heads
}

fn identifier(text: &str) -> Option<String> {
    let name: String = text.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
    (!name.is_empty()).then_some(name)
}

/// The module of a crate that a file belongs to: its first folder or its own name.
fn module(path: &Path) -> String {
    let first = path.components().next().unwrap().as_os_str().to_string_lossy().into_owned();
    first.trim_end_matches(".rs").to_owned()
}

fn assert_names_none(folder: &str, forbidden: &[&str], unless: impl Fn(&Path) -> bool, why: &str) {
    for (path, code) in sources(folder) {
        for prefix in forbidden {
            let named = names_after(&code, prefix);
            assert!(named.is_empty() || unless(&path), "{folder}/{}: `{prefix}{named:?}`: {why}", path.display());
        }
    }
}

#[test]
fn the_store_knows_no_stages_and_stages_know_no_engine() {
    assert_names_none("cache", &["assay_stages::", "assay::"], |_| false, "the store stands below everything");
    assert_names_none("stages", &["assay::"], |_| false, "stages stand below the engine");
}

#[test]
fn only_the_models_name_burn() {
    let models = |path: &Path| path.starts_with("lm");
    assert_names_none("stages", &["burn::", "burn_flex::", "burn_cuda::"], models, "tensors of a device stay in `lm`");
    assert_names_none("src", &["burn::", "ndarray::", "assay_stages::lm"], |_| false, "the engine names no tensor");
    assert_names_none("cache", &["burn::"], |_| false, "the store names no device");
}

#[test]
fn the_engine_names_no_tensor_and_no_model() {
    for (path, code) in sources("src") {
        for name in ["Tensor", "Model", "Device"] {
            let named = names_after(&code, "assay_cache::").contains(name)
                || names_after(&code, "assay_stages::").contains(name);
            assert!(!named, "src/{} names `{name}`", path.display());
        }
    }
}

#[test]
fn only_main_names_the_catalogue() {
    for (path, code) in sources("src") {
        assert!(
            !code.contains("CATALOGUE") || path == Path::new("main.rs"),
            "src/{} names the catalogue",
            path.display()
        );
    }
}

#[test]
fn stages_never_touch_the_store() {
    for (path, code) in sources("stages") {
        let named = names_after(&code, "assay_cache::");
        for forbidden in ["Store", "Units", "Entry"] {
            assert!(!named.contains(forbidden), "stages/{} names `{forbidden}`", path.display());
        }
    }
}

#[test]
fn metrics_are_pure() {
    const ALLOWED: [&str; 5] = ["std", "core", "ndarray", "rayon", "statrs"];
    for (path, code) in sources("stages/metrics") {
        let outside = code.lines().filter_map(|line| line.trim().strip_prefix("use ")).filter_map(identifier);
        for name in outside.filter(|name| !matches!(name.as_str(), "crate" | "super" | "self")) {
            assert!(
                ALLOWED.contains(&name.as_str()) || code.contains(&format!("mod {name};")),
                "stages/metrics/{}: `{name}`",
                path.display()
            );
        }
        let inside = names_after(&code, "crate::");
        assert!(inside.iter().all(|name| name == "metrics"), "stages/metrics/{} names {inside:?}", path.display());
        for io in ["std::fs", "std::env", "std::net", "println!"] {
            assert!(!code.contains(io), "stages/metrics/{} uses {io}", path.display());
        }
    }
}

#[test]
fn no_crate_has_a_cycle_of_modules() {
    for folder in ["cache", "stages", "src"] {
        let graph = arrows(folder);
        if let Some(cycle) = cycle(&graph) {
            panic!("{folder}: {}", cycle.join(" → "));
        }
    }
}

/// Which module of a crate names which.
fn arrows(folder: &str) -> BTreeMap<String, BTreeSet<String>> {
    let sources = sources(folder);
    let modules: BTreeSet<String> = sources.iter().map(|(path, _)| module(path)).collect();
    let mut graph = BTreeMap::<String, BTreeSet<String>>::new();
    for (path, code) in &sources {
        let from = module(path);
        let in_root = path.components().count() == 1;
        let mut named = names_after(code, "crate::");
        // From a file of the root, `super::` means the root as well.
        if in_root {
            named.extend(names_after(code, "super::"));
        }
        named.retain(|name| modules.contains(name) && *name != from);
        if from != "lib" && from != "main" {
            graph.entry(from).or_default().extend(named);
        }
    }
    graph
}

/// A closed path, if there is one.
fn cycle(graph: &BTreeMap<String, BTreeSet<String>>) -> Option<Vec<String>> {
    fn walk<'g>(
        at: &'g str,
        path: &mut Vec<&'g str>,
        graph: &'g BTreeMap<String, BTreeSet<String>>,
    ) -> Option<Vec<String>> {
        if let Some(start) = path.iter().position(|&module| module == at) {
            return Some(path[start..].iter().chain([&at]).map(|&module| module.to_owned()).collect());
        }
        path.push(at);
        let found = graph.get(at).into_iter().flatten().find_map(|next| walk(next, path, graph));
        path.pop();
        found
    }
    graph.keys().find_map(|module| walk(module, &mut vec![], graph))
}

#[test]
fn the_reader_of_use_lines_reads_them() {
    let code = "use crate::{plan::{Plan, Cell}, run};\nlet x = crate::report::f();\nuse mycrate::other;";
    assert_eq!(names_after(code, "crate::").into_iter().collect::<Vec<_>>(), ["plan", "report", "run"]);
    let graph = |arrows: &[(&str, &str)]| {
        let mut graph = BTreeMap::<String, BTreeSet<String>>::new();
        for (from, to) in arrows {
            graph.entry((*from).to_owned()).or_default().insert((*to).to_owned());
        }
        graph
    };
    assert_eq!(cycle(&graph(&[("a", "b"), ("b", "c")])), None);
    assert_eq!(cycle(&graph(&[("a", "b"), ("b", "c"), ("c", "b")])).unwrap(), ["b", "c", "b"]);
}
