//! A run with nothing to do on 1,000 stages: the whole process, against reading the same entries and doing nothing else.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::{Duration, Instant},
};

const STAGES: usize = 1000;
const ROUNDS: usize = 15;

fn main() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    fs::write(folder.path().join("study.toml"), manifest()).expect("the manifest is written");
    let first = timed(|| run(folder.path()));
    let entries = entries(&folder.path().join("store/entries"));
    assert_eq!(entries.len(), STAGES);
    let nothing = best(|| run(folder.path()));
    let empty =
        best(|| assert!(Command::new(ASSAY).arg("--version").stdout(Stdio::null()).status().unwrap().success()));
    let floor = best(|| entries.iter().for_each(|entry| drop(fs::read(entry).unwrap())));
    println!("{STAGES} stages, whole processes, best of {ROUNDS}");
    println!("first run                       {:8.1} ms", ms(first));
    println!("run with nothing to do          {:8.1} ms", ms(nothing));
    println!("floor: start, read the entries  {:8.1} ms", ms(empty + floor));
    println!("ratio to the floor              {:8.1}", nothing.as_secs_f64() / (empty + floor).as_secs_f64());
}

const ASSAY: &str = env!("CARGO_BIN_EXE_assay");

fn manifest() -> String {
    let stage = |i| format!("[stages.prompts-{i}]\nkind = \"prompts\"\ntexts = [\"text {i}\"]\n\n");
    "[study]\nname = \"thousand\"\n\n".to_owned() + &(0..STAGES).map(stage).collect::<String>()
}

fn run(folder: &Path) {
    let mut command = Command::new(ASSAY);
    command.args(["run", "study.toml", "--store", "store"]).current_dir(folder);
    let status = command.env("ASSAY_CACHE_HOME", folder.join("cache")).stderr(Stdio::null()).status().unwrap();
    assert!(status.success());
}

fn entries(folder: &Path) -> Vec<PathBuf> {
    let shards = fs::read_dir(folder).unwrap().flatten();
    shards.flat_map(|shard| fs::read_dir(shard.path()).unwrap().flatten().map(|entry| entry.path())).collect()
}

fn timed(work: impl FnOnce()) -> Duration {
    let begun = Instant::now();
    work();
    begun.elapsed()
}

fn best(work: impl Fn()) -> Duration {
    (0..ROUNDS).map(|_| timed(&work)).min().expect("at least one round")
}

fn ms(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}
