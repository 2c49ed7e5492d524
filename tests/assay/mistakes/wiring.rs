//! Mistakes in what goes where: stages, ports, and the axes that they share.

use super::{said, snapshot};

mistakes! {
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

    wrong_port_axes: r#"
[stages.pairs]
kind   = "phiid"
inputs = { activations = "norms" }

[stages.again]
kind   = "phiid"
inputs = { activations = "pairs.sts" }
"#;

    a_wire_to_itself: r#"
[stages.pairs]
kind   = "phiid"
inputs = { activations = "pairs" }
"#;

    empty_list_of_inputs: r#"
[stages.summary]
kind   = "summarize"
inputs = { table = [] }
of     = ["x"]
"#;

    unknown_axis_in_over: r#"
[stages.pairs]
kind   = "phiid"
over   = ["tua"]
inputs = { activations = "norms" }
"#;

    axis_not_in_over: r#"
[stages.pairs]
kind   = "phiid"
inputs = { activations = "norms" }
tau    = "${tau}"
"#;
}
