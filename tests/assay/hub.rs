//! A model of the hub, from a server on this machine: fetched, read offline, and fetched by two processes at once or
//! after one was killed.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use serde_json::json;

use crate::{
    sandbox::{Run, Sandbox, in_state},
    server::{Asked, Reply, Server, ok, status},
};

const COMMIT: &str = "89abcdef0123456789abcdef0123456789abcdef";

/// What `sha256sum` prints for the fixture's weights and `git hash-object` for its configuration.
const WEIGHTS: &str = "6aacd5f1f8caa3b49a28957588db1cc91759d4550880288a458cbe3a9a8adf7d";
const CONFIG: &str = "17f833a8d2389cd329adf148929f673fd26b3f57";

const STUDY: &str = r#"
[study]
name = "hub"

[stages.model]
kind     = "load-model"
source   = "org/tiny"
revision = "step3"

[stages.prompts]
kind   = "prompts"
tokens = [[1, 2, 3]]

[stages.read]
kind    = "forward"
inputs  = { model = "model", prompts = "prompts" }
capture = [{ site = "z", reduce = "norm" }]
"#;

fn fixture(name: &str) -> Vec<u8> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("stages/fixtures/llama");
    fs::read(folder.join(name)).unwrap()
}

/// What the hub answers about a repository that has the fixture's files.
fn hub(asked: &Asked) -> Reply {
    let (config, weights) = (fixture("config.json"), fixture("model.safetensors"));
    let from =
        asked.headers.get("range").and_then(|range| range.strip_prefix("bytes=")?.strip_suffix('-')?.parse().ok());
    match (asked.path.rsplit('/').next(), from) {
        (Some("step3?blobs=true"), _) => {
            let files = [
                json!({ "rfilename": "config.json", "size": config.len(), "blobId": CONFIG }),
                json!({ "rfilename": "model.safetensors", "lfs": { "sha256": WEIGHTS, "size": weights.len() } }),
            ];
            ok(json!({ "sha": COMMIT, "siblings": files }).to_string())
        }
        (Some("config.json"), _) => ok(config),
        (Some("model.safetensors"), None) => ok(weights),
        (Some("model.safetensors"), Some(from)) => {
            let from: usize = from;
            let range = format!("bytes {from}-{}/{}", weights.len() - 1, weights.len());
            Reply {
                status: 206,
                headers: vec![("Content-Range".into(), range)],
                body: weights[from..].to_vec(),
                cut: None,
            }
        }
        _ => status(404, &[]),
    }
}

/// The command in the sandbox, with a cache of its own and this address as the hub's.
fn command(sandbox: &Sandbox, hub: &str, arguments: &[&str]) -> Command {
    let mut command = sandbox.command(arguments);
    for name in ["HF_TOKEN", "HUGGING_FACE_HUB_TOKEN", "HF_TOKEN_PATH", "HF_HUB_CACHE", "HF_HUB_OFFLINE"] {
        command.env_remove(name);
    }
    command.env("HF_HOME", sandbox.path("hf")).env("HF_ENDPOINT", hub).env("NO_PROXY", "127.0.0.1");
    command
}

fn assay(sandbox: &Sandbox, hub: &str, arguments: &[&str]) -> Run {
    Run::of(command(sandbox, hub, arguments).output().unwrap())
}

fn blobs(sandbox: &Sandbox) -> PathBuf {
    sandbox.path("hf/hub/models--org--tiny/blobs")
}

fn downloads(server: &Server) -> Vec<Option<String>> {
    let weights = server.asked().into_iter().filter(|asked| asked.path.ends_with("model.safetensors"));
    weights.map(|asked| asked.headers.get("range").cloned()).collect()
}

#[test]
fn a_model_of_the_hub_is_fetched_once_and_then_works_offline() {
    let sandbox = Sandbox::with(STUDY);
    let server = Server::new(|asked, _| hub(asked));
    let plan = assay(&sandbox, &server.address, &["plan", "study.toml", "--json"]);
    assert_eq!((plan.code, in_state(&plan.json(), "unknown")), (Some(0), vec!["model", "read"]), "{}", plan.stderr);
    let offline = assay(&sandbox, &server.address, &["run", "study.toml", "--offline"]);
    assert_eq!(offline.code, Some(1), "{}", offline.stderr);
    assert!(offline.stderr.contains("assay fetch"), "{}", offline.stderr);
    assert_eq!(server.asked().len(), 0, "`plan` and `--offline` ask nobody");

    let run = assay(&sandbox, &server.address, &["run", "study.toml"]);
    assert_eq!(run.code, Some(0), "{}", run.stderr);
    assert!(run.stderr.contains("org/tiny: model.safetensors"), "{}", run.stderr);
    assert_eq!(downloads(&server), [None]);
    let entries = crate::sandbox::contents(&sandbox.path("store/entries"));
    let entries: Vec<_> = entries.values().map(|entry| String::from_utf8_lossy(entry)).collect();
    assert!(entries.iter().any(|entry| entry.contains(COMMIT)), "the commit is part of the provenance");

    let nobody = "http://127.0.0.1:1";
    for arguments in [&["fetch", "study.toml"][..], &["run", "study.toml", "--json"]] {
        let again = assay(&sandbox, nobody, arguments);
        assert_eq!(again.code, Some(0), "{}", again.stderr);
    }
    // the hub may have a tokenizer that another program did not bring, so that texts are no mistake before they are read
    sandbox.edit("tokens = [[1, 2, 3]]", "texts = [\"a\"]");
    let plan = assay(&sandbox, nobody, &["plan", "study.toml"]);
    assert_eq!(plan.code, Some(0), "{}", plan.stderr);
    sandbox.edit("texts = [\"a\"]", "tokens = [[1, 2, 3]]");
    // what was computed does not depend on what the place is called: the same files in a folder have the same key
    sandbox.edit("source   = \"org/tiny\"\nrevision = \"step3\"", "source = \"./copy\"");
    fs::create_dir(sandbox.path("copy")).unwrap();
    for name in ["config.json", "model.safetensors"] {
        sandbox.write(&format!("copy/{name}"), fixture(name));
    }
    let cached = assay(&sandbox, nobody, &["plan", "study.toml", "--json"]).json();
    assert_eq!(in_state(&cached, "cached"), ["model", "prompts", "read"]);
}

#[test]
fn two_processes_fetch_one_model_once() {
    let sandbox = Sandbox::with(STUDY);
    let server = Server::new(|asked, _| {
        thread::sleep(Duration::from_millis(200));
        hub(asked)
    });
    let start = || command(&sandbox, &server.address, &["fetch", "study.toml"]).stderr(Stdio::piped()).spawn().unwrap();
    let both = [start(), start()];
    for process in both.map(Child::wait_with_output) {
        let run = Run::of(process.unwrap());
        assert_eq!(run.code, Some(0), "{}", run.stderr);
    }
    assert_eq!(downloads(&server), [None]);
    assert_eq!(fs::read(blobs(&sandbox).join(WEIGHTS)).unwrap(), fixture("model.safetensors"));
}

#[test]
fn a_killed_fetch_goes_on_where_it_was() {
    let sandbox = Sandbox::with(STUDY);
    let stalls = Arc::new(AtomicBool::new(true));
    let server = Server::new({
        let stalls = Arc::clone(&stalls);
        move |asked, _| {
            // the connection is lost in the middle, and the hub is silent from then on
            let stalled = stalls.load(Ordering::SeqCst) && asked.path.ends_with("model.safetensors");
            if stalled && asked.headers.contains_key("range") {
                thread::sleep(Duration::from_secs(600));
            }
            Reply { cut: stalled.then_some(100_000), ..hub(asked) }
        }
    });
    let mut fetch = command(&sandbox, &server.address, &["fetch", "study.toml"]).stderr(Stdio::null()).spawn().unwrap();
    let started = Instant::now();
    let partial = blobs(&sandbox).join(format!("{WEIGHTS}.incomplete"));
    while fs::metadata(&partial).map_or(0, |file| file.len()) < 100_000 {
        assert!(started.elapsed() < Duration::from_secs(60), "nothing was downloaded");
        thread::sleep(Duration::from_millis(20));
    }
    fetch.kill().unwrap();
    fetch.wait().unwrap();
    stalls.store(false, Ordering::SeqCst);
    let again = assay(&sandbox, &server.address, &["fetch", "study.toml"]);
    assert_eq!(again.code, Some(0), "{}", again.stderr);
    assert_eq!(downloads(&server).last(), Some(&Some("bytes=100000-".to_owned())));
    assert_eq!(fs::read(blobs(&sandbox).join(WEIGHTS)).unwrap(), fixture("model.safetensors"));
    assert!(!partial.exists());
}

#[test]
fn what_cannot_be_fetched_says_why() {
    let sandbox = Sandbox::with(STUDY);
    let gated = Server::new(|_, _| status(401, &[("X-Error-Code", "GatedRepo")]));
    let fetch = assay(&sandbox, &gated.address, &["fetch", "study.toml"]);
    assert_eq!(fetch.code, Some(1));
    assert!(fetch.stderr.contains("org/tiny at step3: the repository is gated"), "{}", fetch.stderr);
    assert!(fetch.stderr.contains("HF_TOKEN"), "{}", fetch.stderr);
    let offline =
        command(&sandbox, &gated.address, &["fetch", "study.toml"]).env("HF_HUB_OFFLINE", "1").output().unwrap();
    let offline = Run::of(offline);
    assert_eq!(offline.code, Some(1));
    assert!(offline.stderr.contains("HF_HUB_OFFLINE is set"), "{}", offline.stderr);
}
