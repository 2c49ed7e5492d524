//! One file a mistake in `mistakes/`, and beside it what is said about it. A line `#: --set k=v` is an argument.

use std::path::{Path, PathBuf};

use super::all_problems;
use crate::manifest::Manifest;

#[test]
fn each_mistake_is_shown_with_what_to_do() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/manifest/tests/mistakes");
    let mut paths: Vec<PathBuf> = std::fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "toml"));
    paths.sort();
    assert!(paths.len() >= 14);
    let mut settings = insta::Settings::new();
    settings.set_snapshot_path(&folder);
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    let _bound = settings.bind_to_scope();
    for path in paths {
        let name = path.file_stem().unwrap().to_str().unwrap();
        insta::assert_snapshot!(name, shown(&path));
    }
}

fn shown(path: &Path) -> String {
    let content = std::fs::read_to_string(path).unwrap();
    let sets: Vec<_> = content.lines().filter_map(|line| line.strip_prefix("#: --set ")).map(str::to_owned).collect();
    let (manifest, problems) = Manifest::recover(path, &sets);
    let name = path.file_name().unwrap().to_str().unwrap();
    let problems = all_problems(manifest.as_ref(), problems, name);
    assert!(!problems.list.is_empty(), "{name} is all right");
    problems.render(false, 100)
}
