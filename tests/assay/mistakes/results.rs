//! Mistakes in what is expected of results, and in what becomes of them.

use super::{said, snapshot};

mistakes! {
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

    expectation_on_no_port: r#"
[stages.pairs]
kind   = "phiid"
inputs = { activations = "norms" }

[[expect]]
that   = "pairs.stz"
where  = { node = 0 }
equals = 1.0

[[expect]]
that   = "pairs.sts"
where  = { nod = 0 }
equals = 1.0
"#;

    expectation_on_a_label_that_is_none: r#"
[stages.pairs]
kind   = "phiid"
over   = ["tau"]
inputs = { activations = "norms" }
tau    = "${tau}"

[[expect]]
that   = "pairs.sts"
cell   = { tau = 3 }
equals = 1.0
"#;

    expectation_on_an_axis_that_the_stage_lacks: r#"
[stages.pairs]
kind   = "phiid"
inputs = { activations = "norms" }

[[expect]]
that   = "pairs.sts"
cell   = { tau = 1 }
equals = 1.0
"#;

    expectation_that_is_no_whole: r#"
[[expect]]
that    = "norms."
equal   = 1.0
within  = -1
weights = "blake3:12"
"#;

    export_of_nothing: r#"
[export]
"a.csv" = "rankings"
"b.csv" = "norms.tensr"
"c.csv" = 3
""      = "norms"
"#;

    exports_to_one_file: r#"
[stages.pairs]
kind   = "phiid"
inputs = { activations = "norms" }

[export]
"out/a.safetensors"       = "norms"
"out/./a.safetensors"     = "pairs.sts"
"out/a.safetensors/b.safetensors" = "pairs.rtr"
"/a.safetensors"          = "norms"
"pairs/rtr.safetensors"   = "pairs.sts"
"norms/tensor.safetensors" = "norms"
"#;

    export_of_several_cells: r#"
[stages.pairs]
kind   = "phiid"
over   = ["tau"]
inputs = { activations = "norms" }
tau    = "${tau}"

[export]
"a.safetensors" = "pairs.sts"
"{run-stamp}/b_{tua}.npz" = "pairs.sts"
"c_{tau}.npz" = "pairs.sts"
"#;

    exports_in_a_form_that_there_is_not: r#"
[export]
"a.csv"  = "norms"
"b"      = "norms"
"c_{tau}.npz" = "norms"
"d_{tau.npz"  = "norms"
"#;
}
