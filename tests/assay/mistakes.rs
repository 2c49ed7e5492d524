//! Mistakes that show when a manifest is held against the catalogue: each with its line, a caret and what to do. The
//! mistakes of the grammar itself are tested in `src/manifest`.

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
    let sandbox = Sandbox::with(&format!("{HEAD}\n{rest}"));
    sandbox.fixture("stages/fixtures/phiid/job_activations.npy", "norms.npy");
    sandbox.fixture("stages/fixtures/gpt_neox/config.json", "config.json");
    let run = sandbox.assay(&["plan", "study.toml"]);
    assert_eq!(run.code, Some(2), "{}\n{}", run.stdout, run.stderr);
    assert_eq!(run.stdout, "");
    run.stderr.replace(sandbox.path("").to_str().unwrap(), "<folder>/")
}

macro_rules! mistakes {
    ($($name:ident: $manifest:expr;)*) => {$(
        #[test]
        fn $name() {
            insta::with_settings!({ description => $manifest, omit_expression => true, prepend_module_to_snapshot => false }, {
                insta::assert_snapshot!(stringify!($name), said($manifest));
            });
        }
    )*};
}

mistakes! {
    unknown_kind: r#"
[stages.pairs]
kind   = "phid"
inputs = { activations = "norms" }
"#;
    unknown_parameter: r#"
[stages.pairs]
kind   = "phiid"
inputs = { activations = "norms" }
taw    = 2
"#;
    wrong_type: r#"
[stages.pairs]
kind   = "phiid"
inputs = { activations = "norms" }
tau    = "two"
"#;
    unknown_choice: r#"
[stages.pairs]
kind       = "phiid"
inputs     = { activations = "norms" }
redundancy = "mni"
"#;
    unknown_stage: r#"
[stages.pairs]
kind   = "phiid"
inputs = { activations = "norm" }
"#;
    unknown_input: r#"
[stages.pairs]
kind   = "phiid"
inputs = { activation = "norms" }
"#;
    missing_input: r#"
[stages.pairs]
kind = "phiid"
"#;
    unknown_output: r#"
[stages.pairs]
kind   = "phiid"
inputs = { activations = "norms" }

[stages.ranking]
kind   = "rank"
inputs = { sts = "pairs.sts", rtr = "pairs.rtx" }
"#;
    wrong_port_type: r#"
[stages.ranking]
kind   = "rank"
inputs = { sts = "norms", rtr = "norms" }
"#;
    cycle: r#"
[stages.first]
kind   = "phiid"
inputs = { activations = "third" }

[stages.second]
kind   = "rank"
inputs = { sts = "first.sts", rtr = "first.rtr" }

[stages.third]
kind   = "summarize"
inputs = { table = "second" }
of     = ["avg_synergy"]
"#;
    gather_on_a_port_that_takes_one: r#"
[stages.pairs]
kind   = "phiid"
over   = ["tau"]
inputs = { activations = "norms" }
tau    = "${tau}"

[stages.ranking]
kind   = "rank"
inputs = { sts = "pairs.sts", rtr = "pairs.rtr" }
"#;
    list_on_a_port_that_takes_one: r#"
[stages.pairs]
kind   = "phiid"
inputs = { activations = ["norms", "norms"] }
"#;
    missing_file: r#"
[stages.other]
kind = "load-tensor"
file = "nroms.npy"
axes = ["prompt", "node", "step"]
"#;
    axes_that_do_not_fit_the_file: r#"
[stages.other]
kind = "load-tensor"
file = "norms.npy"
axes = ["prompt", "step"]
"#;
    expectation_on_no_stage: r#"
[[expect]]
that   = "ranking.avg_synergy"
equals = 1.0
"#;
    expectation_on_no_column: r#"
[stages.pairs]
kind   = "phiid"
inputs = { activations = "norms" }

[stages.ranking]
kind   = "rank"
inputs = { sts = "pairs.sts", rtr = "pairs.rtr" }

[[expect]]
that   = "ranking.avg_sinergy"
where  = { head_idx = 0 }
equals = 1.0
"#;
    expectation_on_several_cells: r#"
[stages.pairs]
kind   = "phiid"
over   = ["tau"]
inputs = { activations = "norms" }
tau    = "${tau}"

[[expect]]
that   = "pairs.sts"
where  = { node = 0 }
equals = 1.0
"#;
    site_that_a_family_lacks: r#"
[stages.model]
kind   = "load-model"
source = "init"
config = "config.json"
seed   = 1

[stages.prompts]
kind   = "prompts"
tokens = [[1, 2, 3]]

[stages.capture]
kind    = "generate"
inputs  = { model = "model", prompts = "prompts" }
capture = [{ site = "resid_mid" }]
"#;
    several_at_once: r#"
[stages.pairs]
kind   = "phiid"
over   = ["tua"]
inputs = { activations = "norms" }
tau    = "${params.lag}"

[stages.ranking]
kind   = "rnak"
inputs = { sts = "pairs.sts" }

[export]
"ranking.csv" = "rankings"
"#;
}
