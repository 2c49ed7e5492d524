//! Mistakes as the binary tells them: each with its line, a caret, the nearest spelling and what to do. Further mistakes of
//! the grammar are tested in `src/manifest`.

use crate::sandbox::Sandbox;

const HEAD: &str = r#"[study]
name = "mistakes"

[axes]
tau = [1, 2]

[stages.norms]
kind = "load-tensor"
file = "norms.npy"
axes = ["prompt", "node", "step"]
"#;

/// What the binary says to a manifest that goes on after `HEAD` like this.
fn said(rest: &str) -> String {
    said_of(&format!("{HEAD}\n{rest}"), &[])
}

/// What the binary says to a manifest, with these arguments more.
fn said_of(manifest: &str, arguments: &[&str]) -> String {
    let sandbox = Sandbox::with(manifest);
    sandbox.fixture("stages/fixtures/phiid/job_activations.npy", "norms.npy");
    sandbox.fixture("stages/fixtures/gpt_neox/config.json", "config.json");
    refused(&sandbox, &[&["plan", "study.toml"], arguments].concat())
}

/// What the binary says when it refuses; nothing goes to stdout.
fn refused(sandbox: &Sandbox, arguments: &[&str]) -> String {
    let run = sandbox.assay(arguments);
    assert_eq!(run.code, Some(2), "{}\n{}", run.stdout, run.stderr);
    assert_eq!(run.stdout, "");
    let folder = sandbox.path("");
    let folder = folder.to_str().unwrap();
    run.stderr.replace(folder, "<folder>/").replace(folder.trim_end_matches('/'), "<folder>")
}

fn snapshot(name: &str, manifest: &str, said: String) {
    insta::with_settings!({ description => manifest, omit_expression => true, snapshot_path => "../snapshots", prepend_module_to_snapshot => false }, {
        insta::assert_snapshot!(name, said);
    });
}

macro_rules! mistakes {
    ($($name:ident: $manifest:expr;)*) => {$(
        #[test]
        fn $name() {
            snapshot(stringify!($name), $manifest, said($manifest));
        }
    )*};
}

mod hostile;
mod parameters;
mod references;
mod results;
mod text;
mod wiring;
