//! The studies in their full size, on stand-ins for their models: from an empty store to verdicts, report and exports, a second run that
//! does nothing, and no expectation judged of weights that it is not about. What is written out has the names and columns that the
//! studies' documents ask for. Prompts are fewer and texts shorter than shipped; layers, heads and all else are as they are.

use std::{collections::BTreeSet, fs, path::Path};

use serde_json::Value;

use crate::{
    sandbox::{Run, Sandbox, contents, in_state},
    standins::StandIn,
};

/// A shipped study in a sandbox, with its prompts; `edits` make it smaller.
fn shipped(study: &str, edits: &[(&str, &str)]) -> Sandbox {
    let manifests = Path::new(env!("CARGO_MANIFEST_DIR")).join("manifests");
    let sandbox = Sandbox::with(&fs::read_to_string(manifests.join(format!("{study}.toml"))).unwrap());
    edits.iter().for_each(|(from, to)| sandbox.edit(from, to));
    for (name, content) in contents(&manifests.join("prompts")) {
        sandbox.write(&format!("prompts/{}", name.display()), content);
    }
    sandbox
}

/// Only the first of the sixty prompts.
fn few_prompts(sandbox: &Sandbox, count: usize) {
    let text = fs::read_to_string(sandbox.path("prompts/cognitive-60.toml")).unwrap();
    let few: Vec<_> = text.split("[[prompts]]").take(count + 1).collect();
    sandbox.write("prompts/cognitive-60.toml", few.join("[[prompts]]"));
}

/// What a study says of a stand-in, and the files that it exports.
struct Told {
    run: Value,
    files: BTreeSet<String>,
    sandbox: Sandbox,
}

/// Runs a study twice and exports it. Nothing may fail, and the second run may do nothing.
fn tell(sandbox: Sandbox, sets: &[&str]) -> Told {
    tell_in(sandbox, sets, |command| command)
}

fn tell_in(
    sandbox: Sandbox,
    sets: &[&str],
    with: impl Fn(&mut std::process::Command) -> &mut std::process::Command,
) -> Told {
    let sets: Vec<&str> = sets.iter().flat_map(|set| ["--set", *set]).collect();
    let assay = |arguments: &[&str]| {
        let mut command = sandbox.command(&[arguments, &sets].concat());
        let run = Run::of(with(&mut command).output().expect("the binary starts"));
        assert_eq!(run.code, Some(0), "{arguments:?}\n{}", run.stderr);
        run
    };
    let run = assay(&["run", "study.toml", "--json"]).json();
    let again = assay(&["run", "study.toml", "--json"]).json();
    let all = again["stages"].as_array().unwrap().len();
    assert_eq!(in_state(&again, "cached").len(), all, "the second run does nothing");
    assay(&["export", "study.toml", "out"]);
    let files = contents(&sandbox.path("out")).into_keys().map(|path| path.display().to_string()).collect();
    Told { run, files, sandbox }
}

impl Told {
    /// How many expectations passed, and how many are about other models; none may have failed.
    fn expectations(&self) -> (usize, usize) {
        let all = self.run["expectations"].as_array().unwrap();
        let count = |held: &str| all.iter().filter(|one| one["held"] == held).count();
        let (passed, others) = (count("pass"), count("not-applicable"));
        assert_eq!(passed + others, all.len(), "{all:#?}");
        (passed, others)
    }

    fn assert_exported(&self, names: &[&str]) {
        for name in names {
            assert!(self.files.contains(*name), "{name} is not among {:#?}", self.files);
        }
    }

    fn text(&self, name: &str) -> String {
        fs::read_to_string(self.sandbox.path("out").join(name)).unwrap()
    }

    /// The first columns of an exported table.
    fn assert_columns(&self, name: &str, columns: &[&str]) {
        let text = self.text(name);
        let header: Vec<_> = text.lines().next().unwrap().split(',').collect();
        for column in columns {
            assert!(header.contains(column), "{name} has no column {column}: {header:?}");
        }
    }

    fn json(&self, name: &str) -> Value {
        serde_json::from_str(&self.text(name)).unwrap()
    }
}

/// What the logs of all parts of "Conservation of separability" have.
fn assert_audit_log(log: &Value, experiment: &str, metrics: &[&str]) {
    assert_eq!(log["metadata"]["experiment"], experiment);
    for field in ["seed", "start_time"] {
        assert!(!log["metadata"][field].is_null(), "{}", log["metadata"]);
    }
    assert!(log["metadata"].as_object().unwrap().contains_key("git_commit"));
    let first = &log["metrics"][0];
    for field in metrics {
        assert!(first.get(field).is_some(), "{field}: {first}");
    }
    assert!(log["checkpoints"].is_object());
    assert!(
        log["summary"]["total_steps"].is_number() && log["summary"]["duration_seconds"].is_number(),
        "{}",
        log["summary"]
    );
    let criteria = log["summary"]["criteria"].as_array().unwrap();
    assert!(criteria.iter().all(|one| ["SUCCESS", "FAIL", "NOT TESTABLE"].contains(&one["result"].as_str().unwrap())));
}

#[test]
fn synergistic_core() {
    let study = shipped(
        "synergistic-core",
        &[
            ("new-tokens = 100", "new-tokens = 12"),
            ("new-tokens = 100", "new-tokens = 12"),
            ("step   = 1\n", "step   = 16\n"),
        ],
    );
    few_prompts(&study, 3);
    StandIn::pythia().write(&study.path("pythia"), 1);
    let told = tell(study, &["model=./pythia"]);
    assert_eq!(told.expectations(), (1, 27));
    told.assert_exported(&[
        "results/activations/pythia1b_activations.npz",
        "results/phiid_scores/pythia1b_pairwise_phiid.npz",
        "results/phiid_scores/pythia1b_random_phiid.npz",
        "results/figures/layer_profile.png",
        "results/figures/pair_heatmaps.png",
        "results/figures/head_scores.png",
        "results/figures/ablation.png",
        "results/figures/trained_and_random.png",
        "results/figures/graphs.png",
    ]);
    let ranking = [
        "head_idx",
        "layer",
        "head_in_layer",
        "avg_synergy",
        "avg_redundancy",
        "syn_rank",
        "red_rank",
        "syn_red_score",
    ];
    told.assert_columns("results/phiid_scores/pythia1b_head_rankings.csv", &ranking);
    told.assert_columns("results/phiid_scores/pythia1b_random_head_rankings.csv", &ranking);
    let curve = ["num_heads_removed", "mean_kl_div", "std_kl_div", "order_type"];
    told.assert_columns("results/ablation/pythia1b_ablation.csv", &curve);
    assert_eq!(told.text("results/phiid_scores/pythia1b_head_rankings.csv").lines().count(), 1 + 16 * 8);
}

/// Checkpoints are revisions of a repository of the hub, so the stand-ins lie in a cache of the hub's layout, and nothing of the study is
/// set.
#[test]
fn synergistic_core_emergence() {
    let study = shipped("synergistic-core-emergence", &[("new-tokens = 100", "new-tokens = 12")]);
    few_prompts(&study, 2);
    let repository = study.path("hub/models--EleutherAI--pythia-1b");
    for step in [0, 128, 512, 1000, 2000, 4000, 8000, 16000, 32000, 64000, 128000, 143000] {
        let commit = format!("{step:040x}");
        StandIn::pythia().write(&repository.join("snapshots").join(&commit), step);
        study.write(&format!("hub/models--EleutherAI--pythia-1b/refs/step{step}"), commit);
    }
    let hub = study.path("hub");
    let told = tell_in(study, &[], |command| command.env("HF_HUB_CACHE", &hub).env("HF_HUB_OFFLINE", "1"));
    told.assert_exported(&["results/figures/emergence.png"]);
    told.assert_columns(
        "results/emergence/pythia1b_contrasts.csv",
        &["checkpoint", "contrast", "efficiency", "partition"],
    );
    assert_eq!(told.text("results/emergence/pythia1b_layers.csv").lines().count(), 1 + 12 * 16);
}

#[test]
fn indra() {
    let study =
        shipped("indra", &[("max-length    = 128", "max-length    = 20"), ("max-length = 128", "max-length = 20")]);
    let llama = StandIn::llama();
    llama.write(&study.path("llama"), 1);
    llama.write(&study.path("base"), 2);
    let width = format!("hidden-size={}", llama.width());
    let told = tell(study, &["model=./llama", "base-model=./base", &width]);
    assert_eq!(told.expectations(), (4, 22));
    let named =
        |start: &str| told.files.iter().find(|name| name.starts_with(start)).unwrap_or_else(|| panic!("{start}"));
    assert!(named("figures/E11T_indra_recovery_").ends_with(".png"));
    let results = told.json(named("results/E11T_indra_recovery_"));
    assert_eq!(results["model"], "./llama");
    for field in [
        "standard",
        "seeds",
        "max_length",
        "dtype",
        "prompt_md5",
        "prompt_md5_verified",
        "use_chat_template",
        "attention_masked",
        "num_prompts",
        "prompt_set",
    ] {
        assert!(results["methodology"].get(field).is_some(), "{field}");
    }
    for field in
        ["experiment", "timestamp", "architecture", "hypothesis", "e11t_reference", "layer_ranges", "noise_levels"]
    {
        assert!(results.get(field).is_some(), "{field}");
    }
    for field in ["specialization_index", "si_std", "mean_head_correlation", "mean_head_variance", "seed_results"] {
        assert!(results["results"]["baseline"].get(field).is_some(), "{field}");
    }
    let treatments = results["results"]["treatments"].as_array().unwrap();
    let regions: Vec<_> = treatments.iter().map(|treatment| treatment["region"].as_str().unwrap()).collect();
    assert_eq!(regions, ["early", "middle", "late", "all"]);
    let test = &treatments[3]["noise_tests"][5];
    for field in [
        "noise_std",
        "specialization_index",
        "si_std",
        "mean_head_correlation",
        "mean_head_variance",
        "si_delta",
        "corr_delta",
        "recovery_ratio",
    ] {
        assert!(test[field].is_number(), "{field}: {test}");
    }
    assert!(test["seed_values"]["456"].is_number(), "{test}");
    for field in ["code", "best_region", "best_noise", "best_recovery", "baseline_si", "target_si"] {
        assert!(results["results"]["verdict"].get(field).is_some(), "{field}");
    }
    let log = told.text("results/E11T_indra_artifact_log.jsonl");
    let line: Value = serde_json::from_str(log.trim()).unwrap();
    for field in [
        "experiment",
        "timestamp",
        "model",
        "architecture",
        "verdict",
        "best_region",
        "best_noise",
        "best_recovery",
        "baseline_si",
        "target_si",
        "prompt_count",
        "files",
    ] {
        assert!(line.get(field).is_some(), "{field}: {line}");
    }
}

#[test]
fn homeostasis() {
    let study = shipped("homeostasis", &[]);
    StandIn::mistral().write(&study.path("mistral"), 1);
    let told = tell(study, &["model=./mistral", "pairs=4"]);
    assert_eq!(told.expectations(), (1, 2));
    told.assert_columns(
        "results/homeostasis_results.csv",
        &[
            "pair_idx",
            "base_id",
            "rec_id",
            "rv_trajectory",
            "mlp_expansion",
            "attention_entropy",
            "residual_norms",
            "layernorm_scales",
        ],
    );
    assert_eq!(told.text("results/homeostasis_results.csv").lines().count(), 1 + 4);
    assert_eq!(told.text("results/mechanism_analysis.csv").lines().count(), 1 + 4 * 4);
}

#[test]
fn separability_a() {
    let small = [
        ("vocab          = 4096", "vocab          = 32"),
        ("length         = 128", "length         = 16"),
        ("train          = 10000", "train          = 32"),
        ("test           = 2000", "test           = 16"),
    ];
    let told = tell(shipped("separability-a-full", &small), &["steps=10", "batch=8"]);
    for condition in ["control", "constraint", "naive_clamp", "mean_preserving_clamp"] {
        for seed in [42, 123, 2024] {
            let log = told.json(&format!("data/audit_log_exp_a_{condition}_seed_{seed}.json"));
            let metrics =
                ["step", "timestamp", "psi_accuracy", "A_activation_L0", "A_learned", "A_param", "sigma_sq_L0"];
            assert_audit_log(&log, &format!("exp_a_{condition}"), &metrics);
        }
    }
    told.assert_exported(&["figures/figure_1_exp_a.png"]);
}

#[test]
fn separability_b() {
    let study = shipped("separability-b", &[("count  = 100", "count  = 6")]);
    StandIn::gpt2().write(&study.path("gpt2"), 1);
    let told = tell(study, &["model=./gpt2"]);
    assert_eq!(told.expectations(), (0, 10));
    for variant in ["zero-last", "zero-everywhere", "mean-abc"] {
        let log = told.json(&format!("data/audit_log_exp_b_{variant}_seed_42.json"));
        assert_audit_log(&log, &format!("exp_b_{variant}"), &["psi_logit_diff", "psi_accuracy"]);
    }
    told.assert_exported(&["figures/figure_2_exp_b_heatmap.png"]);
}

#[test]
fn separability_c() {
    let small = [("p              = 113", "p              = 7"), ("train-fraction = 0.3", "train-fraction = 0.6")];
    let told = tell(shipped("separability-c-full", &small), &["steps=300"]);
    for condition in ["high_wd", "no_wd"] {
        let log = told.json(&format!("data/audit_log_exp_c_{condition}_seed_42.json"));
        let metrics = ["step", "timestamp", "psi_accuracy", "A_activation_L0", "A_param", "sigma_sq_L0"];
        assert_audit_log(&log, &format!("exp_c_{condition}"), &metrics);
    }
    told.assert_exported(&["figures/figure_3_phase_diagram.png", "figures/figure_4_exp_c_time_series.png"]);
}

#[test]
fn separability_d_gpt2() {
    let study = shipped("separability-d-gpt2", &[("count  = 100", "count  = 6")]);
    StandIn::gpt2().write(&study.path("gpt2"), 1);
    let told = tell(study, &["model=./gpt2"]);
    told.assert_exported(&["figures/figure_5_exp_d_gpt2_boxplots.png"]);
    assert_eq!(told.text("data/exp_d_gpt2_suppression.csv").lines().count(), 1 + 24);
}

#[test]
fn task_relative() {
    let study = shipped("task-relative", &[]);
    StandIn::gpt2().write(&study.path("gpt2"), 1);
    let told = tell(study, &["model=./gpt2"]);
    told.assert_exported(&["figures/task_relative_divergence.png", "figures/task_relative_matrices_flatten-trunc.png"]);
    assert_eq!(told.text("results/task_relative_similarity.csv").lines().count(), 1 + 4 * 7);
    assert_eq!(told.text("results/task_relative_next_tokens.csv").lines().count(), 1 + 5 * 5);
    assert_eq!(told.text("results/task_relative_fire_next_tokens.csv").lines().count(), 1 + 4);
}

#[test]
fn induction_heads() {
    let study = shipped(
        "induction-heads",
        &[("test           = 10", "test           = 2"), ("seeds  = [1, 2, 3]", "seeds  = [1]")],
    );
    StandIn::gpt2().write(&study.path("gpt2"), 1);
    let told = tell(study, &["model=./gpt2"]);
    assert_eq!(told.expectations(), (0, 5));
}
