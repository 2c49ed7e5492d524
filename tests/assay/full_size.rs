//! The studies in their full size, on stand-ins for their models: from an empty store to verdicts, report and exports, a second
//! run that does nothing, and no expectation held against weights that it is not about. What is written out has the names and
//! columns that the studies' documents ask for.
//!
//! Prompts are fewer and texts shorter than shipped; layers, heads and all else are as they are.

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

/// A study of the sixty prompts on the first few of them, with twelve new tokens.
fn few_prompts(study: &str, edits: &[(&str, &str)], count: usize) -> Sandbox {
    let sandbox = shipped(study, edits);
    let (manifest, prompts) = ("study.toml", "prompts/cognitive-60.toml");
    let text = |name: &str| fs::read_to_string(sandbox.path(name)).unwrap();
    sandbox.write(manifest, text(manifest).replace("new-tokens = 100", "new-tokens = 12"));
    let few: Vec<_> = text(prompts).split("[[prompts]]").take(count + 1).map(str::to_owned).collect();
    sandbox.write(prompts, few.join("[[prompts]]"));
    sandbox
}

/// What a study says of a stand-in, and the files that it exports.
struct Told {
    run: Value,
    files: BTreeSet<String>,
    sandbox: Sandbox,
}

impl Told {
    /// Runs a study twice and exports it. Nothing may fail, and the second run may do nothing.
    fn of(sandbox: Sandbox, sets: &[&str]) -> Self {
        let sets: Vec<&str> = sets.iter().flat_map(|set| ["--set", *set]).collect();
        let assay = |arguments: &[&str]| {
            let mut command = sandbox.command(&[arguments, &sets].concat());
            command.env("HF_HUB_CACHE", sandbox.path("hub")).env("HF_HUB_OFFLINE", "1");
            let run = Run::of(command.output().expect("the binary starts"));
            assert_eq!(run.code, Some(0), "{arguments:?}\n{}", run.stderr);
            run
        };
        let run = assay(&["run", "study.toml", "--json"]).json();
        let again = assay(&["run", "study.toml", "--json"]).json();
        assert_eq!(in_state(&again, "cached").len(), again["stages"].as_array().unwrap().len(), "{again:#}");
        assay(&["export", "study.toml", "out"]);
        let files = contents(&sandbox.path("out")).into_keys().map(|path| path.display().to_string()).collect();
        Self { run, files, sandbox }
    }

    /// How many expectations passed, and how many are about other models; none may have failed.
    fn expectations(&self) -> (usize, usize) {
        let all = self.run["expectations"].as_array().unwrap();
        let count = |held: &str| all.iter().filter(|one| one["held"] == held).count();
        let (passed, others) = (count("pass"), count("not-applicable"));
        assert_eq!(passed + others, all.len(), "{all:#?}");
        (passed, others)
    }

    /// The one exported file whose name begins and ends so.
    fn file(&self, begin: &str, end: &str) -> String {
        let found: Vec<_> = self.files.iter().filter(|name| name.starts_with(begin) && name.ends_with(end)).collect();
        assert!(found.len() == 1, "{begin}…{end}: {found:?} of {:#?}", self.files);
        self.text(found[0])
    }

    fn assert_exported(&self, folder: &str, names: &str) {
        for name in names.split(' ') {
            let name = format!("{folder}/{name}");
            assert!(self.files.contains(&name), "{name} is not among {:#?}", self.files);
        }
    }

    /// An exported table has these columns, and as many rows.
    fn assert_table(&self, name: &str, columns: &str, rows: usize) {
        let text = self.text(name);
        let header: Vec<_> = text.lines().next().unwrap_or_default().split(',').collect();
        for column in columns.split(' ') {
            assert!(header.contains(&column), "{name} has no column {column}: {header:?}");
        }
        assert_eq!(text.lines().count(), 1 + rows, "{name}");
    }

    fn text(&self, name: &str) -> String {
        let bytes = fs::read(self.sandbox.path("out").join(name)).unwrap_or_else(|error| panic!("{name}: {error}"));
        String::from_utf8_lossy(&bytes).into_owned()
    }

    fn json(&self, name: &str) -> Value {
        serde_json::from_str(&self.text(name)).unwrap()
    }
}

fn assert_fields(object: &Value, fields: &str) {
    for field in fields.split(' ') {
        assert!(object.get(field).is_some(), "there is no {field} in {object:#}");
    }
}

/// What the logs of all parts of "Conservation of separability" have; `metrics` are fields of their first row.
fn assert_audit_log(log: &Value, experiment: &str, metrics: &str) {
    assert_fields(log, "metadata metrics checkpoints summary");
    assert_fields(&log["metadata"], "experiment seed start_time git_commit");
    assert_eq!(log["metadata"]["experiment"], experiment);
    assert_fields(&log["metrics"][0], metrics);
    assert!(log["summary"]["total_steps"].is_number(), "{}", log["summary"]);
    assert!(log["summary"]["duration_seconds"].is_number(), "{}", log["summary"]);
    for criterion in log["summary"]["criteria"].as_array().unwrap() {
        assert!(["SUCCESS", "FAIL", "NOT TESTABLE"].contains(&criterion["result"].as_str().unwrap()), "{criterion}");
    }
}

#[test]
fn synergistic_core() {
    let study = few_prompts("synergistic-core", &[("step   = 1\n", "step   = 16\n")], 3);
    StandIn::pythia().write(&study.path("pythia"), 1);
    let told = Told::of(study, &["model=./pythia"]);
    assert_eq!(told.expectations(), (1, 27));
    told.assert_exported("results/activations", "pythia1b_activations.npz pythia1b_tokens.json");
    told.assert_exported("results/phiid_scores", "pythia1b_pairwise_phiid.npz pythia1b_random_phiid.npz");
    let columns = "head_idx layer head_in_layer avg_synergy avg_redundancy syn_rank red_rank syn_red_score";
    told.assert_table("results/phiid_scores/pythia1b_head_rankings.csv", columns, 16 * 8);
    told.assert_table("results/phiid_scores/pythia1b_random_head_rankings.csv", columns, 16 * 8);
    let columns = "num_heads_removed mean_kl_div std_kl_div order_type";
    told.assert_table("results/ablation/pythia1b_ablation.csv", columns, 2 * (128 / 16 + 1));
    told.assert_exported("results/figures", "layer_profile.png pair_heatmaps.png head_scores.png ablation.png");
    told.assert_exported("results/figures", "trained_and_random.png graphs.png strongest_pairs.png");
}

/// Checkpoints are revisions of a repository, so the stand-ins lie in a cache of the hub's layout, and nothing is set.
#[test]
fn synergistic_core_emergence() {
    let study = few_prompts("synergistic-core-emergence", &[], 2);
    let repository = study.path("hub/models--EleutherAI--pythia-1b");
    for step in [0, 128, 512, 1000, 2000, 4000, 8000, 16000, 32000, 64000, 128000, 143000] {
        let commit = format!("{step:040x}");
        StandIn::pythia().write(&repository.join("snapshots").join(&commit), step);
        study.write(&format!("hub/models--EleutherAI--pythia-1b/refs/step{step}"), commit);
    }
    let told = Told::of(study, &[]);
    told.assert_exported("results/figures", "emergence.png");
    told.assert_table("results/emergence/pythia1b_contrasts.csv", "checkpoint contrast efficiency partition", 12);
    told.assert_table("results/emergence/pythia1b_layers.csv", "checkpoint layer mean_syn_red_score", 12 * 16);
}

#[test]
fn indra() {
    let study = shipped("indra", &[("length    = 128", "length    = 20"), ("max-length = 128", "max-length = 20")]);
    let llama = StandIn::llama();
    llama.write(&study.path("llama"), 1);
    llama.write(&study.path("base"), 2);
    let told = Told::of(study, &["model=./llama", "base-model=./base"]);
    assert_eq!(told.expectations(), (4, 22));
    told.file("figures/E11T_indra_recovery_", ".png");
    let results: Value = serde_json::from_str(&told.file("results/E11T_indra_recovery_", ".json")).unwrap();
    assert_fields(
        &results,
        "experiment timestamp model architecture hypothesis methodology e11t_reference layer_ranges",
    );
    assert_fields(&results["methodology"], "standard seeds max_length dtype prompt_md5 prompt_md5_verified");
    assert_fields(&results["methodology"], "use_chat_template attention_masked num_prompts prompt_set");
    assert_eq!((&results["model"], results["noise_levels"].as_array().unwrap().len()), (&"./llama".into(), 6));
    let results = &results["results"];
    assert_fields(
        &results["baseline"],
        "specialization_index si_std mean_head_correlation mean_head_variance seed_results",
    );
    assert_fields(&results["verdict"], "code best_region best_noise best_recovery baseline_si target_si");
    for (treatment, region) in results["treatments"].as_array().unwrap().iter().zip(["early", "middle", "late", "all"])
    {
        assert_eq!(treatment["region"], region);
        assert_fields(treatment, "layer_range noise_tests best_noise best_si best_recovery");
        for test in treatment["noise_tests"].as_array().unwrap() {
            assert_fields(test, "noise_std specialization_index si_std mean_head_correlation mean_head_variance");
            assert_fields(test, "si_delta corr_delta recovery_ratio seed_values");
            assert_fields(&test["seed_values"], "42 123 456");
        }
    }
    let line: Value = serde_json::from_str(told.text("results/E11T_indra_artifact_log.jsonl").trim()).unwrap();
    assert_fields(&line, "experiment timestamp model architecture verdict best_region best_noise best_recovery");
    assert_fields(&line, "baseline_si target_si prompt_count files");
    assert_fields(&line["files"], "results figure");
}

#[test]
fn homeostasis() {
    let study = shipped("homeostasis", &[]);
    StandIn::mistral().write(&study.path("mistral"), 1);
    let told = Told::of(study, &["model=./mistral", "pairs=4"]);
    assert_eq!(told.expectations(), (1, 2));
    let trajectories = "rv_trajectory mlp_expansion attention_entropy residual_norms layernorm_scales";
    told.assert_table("results/homeostasis_results.csv", "pair_idx base_id rec_id status error", 4);
    told.assert_table("results/homeostasis_results.csv", trajectories, 4);
    told.assert_table("results/mechanism_analysis.csv", "component layer spearman spearman_p_adjusted", 4 * 4);
}

#[test]
fn separability_a() {
    let small = [
        ("vocab          = 4096", "vocab          = 32"),
        ("length         = 128", "length         = 16"),
        ("train          = 10000", "train          = 32"),
        ("test           = 2000", "test           = 16"),
    ];
    let told = Told::of(shipped("separability-a-full", &small), &["steps=10", "batch=8"]);
    let metrics = "step timestamp psi_accuracy A_activation_L0 A_learned A_param sigma_sq_L0";
    for condition in ["control", "constraint", "naive_clamp", "mean_preserving_clamp"] {
        for seed in [42, 123, 2024] {
            let log = told.json(&format!("data/audit_log_exp_a_{condition}_seed_{seed}.json"));
            assert_audit_log(&log, &format!("exp_a_{condition}"), metrics);
        }
    }
    told.assert_exported("figures", "figure_1_exp_a.png");
}

#[test]
fn separability_b() {
    let study = shipped("separability-b", &[("count  = 100", "count  = 6")]);
    StandIn::gpt2().write(&study.path("gpt2"), 1);
    let told = Told::of(study, &["model=./gpt2"]);
    assert_eq!(told.expectations(), (0, 10));
    for variant in ["zero-last", "zero-everywhere", "mean-abc"] {
        let log = told.json(&format!("data/audit_log_exp_b_{variant}_seed_42.json"));
        assert_audit_log(&log, &format!("exp_b_{variant}"), "step timestamp psi_logit_diff psi_accuracy");
    }
    told.assert_exported("figures", "figure_2_exp_b_heatmap.png");
}

#[test]
fn separability_c() {
    let small = [("p              = 113", "p              = 7"), ("train-fraction = 0.3", "train-fraction = 0.6")];
    let told = Told::of(shipped("separability-c-full", &small), &["steps=300"]);
    let metrics = "step timestamp psi_accuracy A_activation_L0 A_param sigma_sq_L0";
    for condition in ["high_wd", "no_wd"] {
        let log = told.json(&format!("data/audit_log_exp_c_{condition}_seed_42.json"));
        assert_audit_log(&log, &format!("exp_c_{condition}"), metrics);
    }
    told.assert_exported("figures", "figure_3_phase_diagram.png figure_4_exp_c_time_series.png");
}

#[test]
fn separability_d_gpt2() {
    let study = shipped("separability-d-gpt2", &[("count  = 100", "count  = 6")]);
    StandIn::gpt2().write(&study.path("gpt2"), 1);
    let told = Told::of(study, &["model=./gpt2"]);
    told.assert_exported("figures", "figure_5_exp_d_gpt2_boxplots.png");
    told.assert_table("data/exp_d_gpt2_suppression.csv", "layer head ratio suppresses", 24);
}

#[test]
fn task_relative() {
    let study = shipped("task-relative", &[]);
    StandIn::gpt2().write(&study.path("gpt2"), 1);
    let told = Told::of(study, &["model=./gpt2"]);
    told.assert_exported("figures", "task_relative_divergence.png task_relative_matrices_flatten-trunc.png");
    told.assert_table("results/task_relative_similarity.csv", "alignment layer mean_cosine", 4 * 7);
    told.assert_table("results/task_relative_next_tokens.csv", "id rank text probability", 5 * 5);
    told.assert_table("results/task_relative_fire_next_tokens.csv", "id rank text probability", 4);
}

#[test]
fn induction_heads() {
    let few = [("test           = 10", "test           = 2"), ("seeds  = [1, 2, 3]", "seeds  = [1]")];
    let study = shipped("induction-heads", &few);
    StandIn::gpt2().write(&study.path("gpt2"), 1);
    assert_eq!(Told::of(study, &["model=./gpt2"]).expectations(), (0, 5));
}

#[test]
fn known_numbers() {
    let study = shipped("known-numbers", &[]);
    StandIn::gpt2().write(&study.path("gpt2"), 1);
    StandIn::pythia().write(&study.path("pythia"), 1);
    assert_eq!(Told::of(study, &["gpt2=./gpt2", "pythia=./pythia"]).expectations(), (0, 2));
}
