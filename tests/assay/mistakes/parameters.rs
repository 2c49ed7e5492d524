//! Mistakes in what a stage is told: its kind, and the parameters that the kind takes.

use super::{said, snapshot};

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

    missing_kind: r#"
[stages.pairs]
inputs = { activations = "norms" }
"#;

    missing_parameter: r#"
[stages.other]
kind = "load-tensor"
axes = ["prompt", "node", "step"]
"#;

    number_that_is_not_finite: r#"
[stages.pairs]
kind   = "phiid"
inputs = { activations = "norms" }
tau    = nan
"#;

    number_out_of_range: r#"
[stages.pairs]
kind   = "phiid"
inputs = { activations = "norms" }
tau    = 0
"#;

    integer_too_large: r#"
[stages.pairs]
kind   = "phiid"
inputs = { activations = "norms" }
tau    = 99999999999999999999
"#;

    bad_range: r#"
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
capture = [{ site = "q", layers = "1-3" }]

[stages.empty]
kind    = "generate"
inputs  = { model = "model", prompts = "prompts" }
capture = [{ site = "q", layers = "3..1" }]

[stages.beyond]
kind    = "generate"
inputs  = { model = "model", prompts = "prompts" }
capture = [{ site = "q", layers = "0..99" }]
"#;

    bad_names: r#"
[params]
"a b" = 1

[stages."pairs.one"]
kind   = "phiid"
inputs = { activations = "norms" }
"#;

    folder_for_a_file: r#"
[stages.other]
kind = "load-tensor"
file = "."
axes = ["prompt", "node", "step"]
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

    several_in_every_part: r#"
[stages.pairs]
kind   = "phiid"
over   = ["tua"]
inputs = { activations = "norm" }
tau    = "${tau}"
degenerate = "strickt"
taw    = 2

[stages.ranking]
kind   = "rank"
titel  = "Ranking"
inputs = { sts = "pairs.sts", rtr = 3 }
ties   = "indx"

[[expect]]
that   = "rankin.avg_synergy"
cell   = { sigma = 1 }
equals = 1.0

[export]
"../up.csv" = "ranking"
"#;

    several_layers_at_once: r#"
[stages.pairs]
kind   = "phiid"
inputs = { activations = "norms" }

[stages.ranking]
kind   = "rank"
inputs = { sts = "pairs.stz", rtr = "pairs.rtr" }
ties   = "indx"

[stages.summary]
kind   = "summarize"
inputs = { table = "pairs.sts", tabel = "pairs.rtr", other = "pairs.rtx" }
by     = ["node"]
of     = ["valeu"]

[stages.without-weights]
kind   = "load-model"
source = "."
inputs = { table = "pairs.sts" }

[stages.model]
kind   = "load-model"
source = "init"
config = "config.json"
seed   = 1

[stages.capture]
kind    = "generate"
inputs  = { model = "pairs.sts", prompts = "pairs.sts" }
capture = [{ site = "q", layers = "0..99" }]

[stages.other-capture]
kind    = "generate"
inputs  = { model = "model", prompts = "pairs.sts" }
capture = [{ site = "q", layers = "0..99" }]
"#;

    unknown_reserved_key: r#"
[stages.pairs]
kind   = "phiid"
input  = { activations = "norms" }
"#;
}
