//! Mistakes in what stands for a value of `[params]` or of an axis.

use super::{said, snapshot};

mistakes! {
    unknown_param_reference: r#"
[params]
lag = 1

[stages.pairs]
kind   = "phiid"
inputs = { activations = "norms" }
tau    = "${params.lga}"
"#;

    unknown_axis_reference: r#"
[stages.pairs]
kind   = "phiid"
over   = ["tau"]
inputs = { activations = "norms" }
tau    = "${tua}"
"#;

    template_without_its_end: r#"
[stages.pairs]
kind   = "phiid"
over   = ["tau"]
inputs = { activations = "norms" }
tau    = "${tau"
"#;

    template_field_of_a_number: r#"
[stages.pairs]
kind   = "phiid"
over   = ["tau"]
inputs = { activations = "norms" }
tau    = "${tau.value}"
"#;

    list_inside_a_string: r#"
[params]
axes = ["prompt", "node", "step"]

[stages.other]
kind = "load-tensor"
file = "norms-${params.axes}.npy"
axes = "${params.axes}"
"#;
}
