//! What a study can ask of models: number types, experts as nodes; and what there is to compute on.

use serde_json::json;

use crate::sandbox::Sandbox;

const STUDY: &str = r#"
[study]
name     = "experts"
question = "What do experts add?"
seed     = 1

[stages.model]
kind   = "load-model"
source = "model"
dtype  = "bf16"

[stages.prompts]
kind   = "prompts"
tokens = [[3, 14, 15, 92, 65], [35, 89]]

[stages.nodes]
kind    = "forward"
inputs  = { model = "model", prompts = "prompts" }
capture = [{ site = "expert_out", reduce = "norm" }, { site = "logits", reduce = "last" }]

[stages.silenced]
kind    = "forward"
inputs  = { model = "model", prompts = "prompts" }
edits   = [{ op = "zero", site = "expert_out", layers = [1], heads = [2] }]
capture = [{ site = "expert_out", reduce = "norm" }]
"#;

fn sandbox(manifest: &str) -> Sandbox {
    let sandbox = Sandbox::with(manifest);
    std::fs::create_dir(sandbox.path("model")).unwrap();
    for file in ["config.json", "model.safetensors"] {
        sandbox.fixture(&format!("stages/fixtures/deepseek_v2/{file}"), &format!("model/{file}"));
    }
    sandbox
}

#[test]
fn experts_are_read_and_silenced_in_a_study() {
    let sandbox = sandbox(STUDY);
    sandbox.run(&[]);
    let shown = |what: &str| sandbox.assay(&["show", "study.toml", what]);
    let nodes = shown("nodes.expert_out");
    assert_eq!(nodes.code, Some(0), "{}", nodes.stderr);
    assert!(nodes.stdout.contains("expert"), "{}", nodes.stdout);
    assert_ne!(nodes.stdout, shown("silenced.expert_out").stdout);
}

#[test]
fn a_layer_without_experts_is_a_mistake_at_plan_time() {
    let planned = sandbox(&STUDY.replace("layers = [1], heads = [2]", "layers = [0]")).assay(&["plan", "study.toml"]);
    assert_eq!(planned.code, Some(2), "{}", planned.stdout);
    assert!(planned.stderr.contains("layer 0 has no `expert_out`: it is in the layers 1, 2"), "{}", planned.stderr);
}

/// Steering by twice a direction of norm 1 adds 2 to every token's product with it.
#[test]
fn a_direction_found_in_a_study_steers() {
    const STEERED: &str = r#"
[study]
name     = "steered"
question = "What sets these texts apart?"
seed     = 1

[stages.model]
kind   = "load-model"
source = "model"

[stages.these]
kind   = "prompts"
tokens = [[3, 14, 15, 92, 65], [35, 89]]

[stages.those]
kind   = "prompts"
tokens = [[79, 32], [38, 46, 26]]

[stages.here]
kind    = "forward"
inputs  = { model = "model", prompts = "these" }
capture = [{ site = "resid_post", layers = [1] }]

[stages.there]
kind    = "forward"
inputs  = { model = "model", prompts = "those" }
capture = [{ site = "resid_post", layers = [1] }]

[stages.direction]
kind      = "direction"
inputs    = { toward = "here", away = "there" }
normalize = true

[stages.plain]
kind    = "forward"
inputs  = { model = "model", prompts = "those", direction = "direction" }
capture = [{ site = "resid_post", layers = [1], reduce = "dot", direction = "direction" }]

[stages.steered]
kind    = "forward"
inputs  = { model = "model", prompts = "those", direction = "direction" }
edits   = [{ op = "steer", site = "resid_post", layers = [1], direction = "direction", factor = 2.0 }]
capture = [{ site = "resid_post", layers = [1], reduce = "dot", direction = "direction" }]

[stages.gap]
kind   = "verdict"
inputs = { plain = "plain", steered = "steered" }
values = [{ name = "gap", is = "steered[1][0][2] - plain[1][0][2]" }]
rules  = [{ then = "MEASURED" }]

[[expect]]
that   = "gap.verdict.values.gap"
equals = 2.0
within = 1e-4
source = "definition"
"#;
    let steered = sandbox(STEERED);
    steered.run(&[]);
    let short = sandbox(&STEERED.replace("direction = \"direction\", factor", "direction = [1.0, 0.5], factor"));
    let planned = short.assay(&["plan", "study.toml"]);
    assert_eq!(planned.code, Some(2), "{}", planned.stdout);
    assert!(planned.stderr.contains("2 numbers are given for vectors of 64"), "{}", planned.stderr);
}

#[test]
fn weights_that_are_cut_off_and_texts_without_a_tokenizer_are_mistakes_at_plan_time() {
    let planned = |sandbox: &Sandbox| {
        let planned = sandbox.assay(&["plan", "study.toml"]);
        assert_eq!(planned.code, Some(2), "{}", planned.stdout);
        planned.stderr
    };
    let cut = sandbox(STUDY);
    let weights = std::fs::read(cut.path("model/model.safetensors")).unwrap();
    cut.write("model/model.safetensors", &weights[..weights.len() - 10]);
    let said = planned(&cut);
    assert!(said.contains("source = \"model\"") && said.contains("lie outside the"), "{said}");
    assert_eq!(cut.assay(&["fetch", "study.toml"]).code, Some(2));

    let texts = STUDY.replace("tokens = [[3, 14, 15, 92, 65], [35, 89]]", "texts = [\"of\", \"words\"]");
    let unread = sandbox(&texts.replace("[stages.nodes]", &format!("{DECODE}\n[stages.nodes]")));
    let said = planned(&unread);
    assert!(
        said.contains("`prompts.prompts` is text, and the model has no tokenizer, so that it reads no text"),
        "{said}"
    );
    assert!(said.contains("put its tokenizer.json beside the weights"), "{said}");
    assert_eq!(said.matches("the model has no tokenizer").count(), 3, "both captures, and the words: {said}");
}

const DECODE: &str = r#"
[stages.task]
kind     = "random-tokens"
length   = 4
count    = 3

[stages.words]
kind   = "decode"
inputs = { model = "model", tokens = "task" }
"#;

/// Silently, such an edit would change nothing.
#[test]
fn an_edit_at_a_position_that_no_text_has_fails() {
    let study = STUDY.replace("layers = [1], heads = [2] }", "layers = [1], heads = [2], positions = [9] }");
    let run = sandbox(&study).assay(&["run", "study.toml"]);
    assert_eq!(run.code, Some(1), "{}", run.stdout);
    assert!(run.stderr.contains("edits[0].positions = [9] needs a text of 10 tokens"), "{}", run.stderr);
}

#[test]
fn devices_are_listed() {
    let sandbox = Sandbox::with("");
    let page = sandbox.assay(&["devices"]);
    assert_eq!(page.code, Some(0));
    assert!(page.stdout.starts_with("cpu ") && page.stdout.contains("thread"), "{}", page.stdout);
    let document = sandbox.assay(&["devices", "--json"]).json();
    assert_eq!(document["devices"][0]["name"], "cpu");
    assert!(document["devices"][0]["threads"].as_u64().is_some_and(|threads| threads > 0));
    let has_gpu = document["devices"].as_array().unwrap().len() > 1;
    assert_eq!(document["auto"], if has_gpu { json!("cuda:0") } else { json!("cpu") });
    assert_eq!(document["no_cuda"].is_string(), !has_gpu);
}
