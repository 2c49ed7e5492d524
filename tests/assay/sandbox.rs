//! A folder of its own for each test: manifests, store, results and user cache; and the binary run in it.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Output},
};

use serde_json::Value;
use tempfile::TempDir;

pub struct Sandbox {
    folder: TempDir,
}

/// The stages of a small study over an axis `tau`: activations of 24 heads, and how they share information at each lag.
const DECOMPOSED: &str = r#"
[stages.activations]
kind = "load-tensor"
file = "activations.npy"
axes = ["prompt", "node", "step"]

[stages.phiid]
kind   = "phiid"
over   = ["tau"]
inputs = { activations = "activations" }
tau    = "${tau}"
"#;

/// A third one, which ranks the heads.
pub const RANKING: &str = r#"
[stages.ranking]
kind   = "rank"
over   = ["tau"]
inputs = { sts = "phiid.sts", rtr = "phiid.rtr" }
"#;

/// The manifest of a small study: `head` says what it is called and which axes there are, `rest` is what else it has.
pub fn small_study(head: &str, rest: &str) -> String {
    format!("{head}{DECOMPOSED}{rest}")
}

/// What the binary printed, and how it ended.
pub struct Run {
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

impl Sandbox {
    /// A sandbox with this manifest as `study.toml`.
    pub fn with(manifest: &str) -> Self {
        let sandbox = Self { folder: tempfile::tempdir().expect("a temporary folder") };
        sandbox.write("study.toml", manifest);
        sandbox
    }

    /// A sandbox with a small study, and the activations that it reads.
    pub fn small(head: &str, rest: &str) -> Self {
        let sandbox = Self::with(&small_study(head, rest));
        sandbox.fixture("stages/fixtures/phiid/job_activations.npy", "activations.npy");
        sandbox
    }

    /// Makes the last of the activations no number, which a strict `phiid` refuses.
    pub fn spoil_activations(&self) {
        let mut bytes = fs::read(self.path("activations.npy")).unwrap();
        let last = bytes.len() - 8;
        bytes[last..].copy_from_slice(&f64::NAN.to_le_bytes());
        self.write("activations.npy", bytes);
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub fn write(&self, name: &str, content: impl AsRef<[u8]>) {
        let path = self.path(name);
        fs::create_dir_all(path.parent().expect("a file has a folder")).unwrap();
        fs::write(path, content).unwrap();
    }

    /// Copies a fixture of the project beside the manifest.
    pub fn fixture(&self, from: &str, name: &str) {
        fs::copy(Path::new(env!("CARGO_MANIFEST_DIR")).join(from), self.path(name))
            .unwrap_or_else(|e| panic!("{from}: {e}"));
    }

    /// Replaces the first occurrence of `from` in the manifest.
    pub fn edit(&self, from: &str, to: &str) {
        let manifest = fs::read_to_string(self.path("study.toml")).unwrap();
        assert!(manifest.contains(from), "the manifest holds no `{from}`");
        self.write("study.toml", manifest.replacen(from, to, 1));
    }

    /// The binary with these arguments, not started yet; the store is `store` unless the test says otherwise.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_assay"));
        command
            .args(arguments)
            .current_dir(self.folder.path())
            .env("ASSAY_STORE", self.path("store"))
            .env("ASSAY_CACHE_HOME", self.path("user-cache"))
            .env("NO_COLOR", "1")
            .env_remove("ASSAY_LOG");
        command
    }

    pub fn assay(&self, arguments: &[&str]) -> Run {
        Run::of(self.command(arguments).output().expect("the binary starts"))
    }

    /// Runs the study and gives back its JSON; panics with its stderr unless it ended well.
    pub fn run(&self, arguments: &[&str]) -> Value {
        let run = self.assay(&[&["run", "study.toml", "--json"], arguments].concat());
        assert_eq!(run.code, Some(0), "{}\n{}", run.stdout, run.stderr);
        run.json()
    }
}

impl Run {
    pub fn of(output: Output) -> Self {
        Self {
            code: output.status.code(),
            stdout: String::from_utf8(output.stdout).expect("UTF-8 on stdout"),
            stderr: String::from_utf8(output.stderr).expect("UTF-8 on stderr"),
        }
    }

    pub fn json(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("{error}: {}\n{}", self.stdout, self.stderr))
    }
}

/// The state of each stage in the JSON of `run` or `plan`.
pub fn states(document: &Value) -> Vec<(&str, &str)> {
    let stages = document["stages"].as_array().expect("a list of stages");
    stages.iter().map(|stage| (stage["id"].as_str().unwrap(), stage["state"].as_str().unwrap())).collect()
}

/// The ids of the stages in this state.
pub fn in_state<'a>(document: &'a Value, state: &str) -> Vec<&'a str> {
    states(document).into_iter().filter(|(_, own)| *own == state).map(|(id, _)| id).collect()
}

/// Every file below a folder and its content, by its path inside the folder.
pub fn contents(folder: &Path) -> std::collections::BTreeMap<PathBuf, Vec<u8>> {
    let mut files = std::collections::BTreeMap::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(next) = folders.pop() {
        for item in fs::read_dir(&next).unwrap_or_else(|error| panic!("{}: {error}", next.display())) {
            let path = item.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                files.insert(path.strip_prefix(folder).unwrap().to_owned(), fs::read(&path).unwrap());
            }
        }
    }
    files
}
