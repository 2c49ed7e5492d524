//! Mistakes as the binary tells them: each with its line, a caret, the nearest spelling and what to do; and manifests that
//! were made to do harm. Further mistakes of the grammar are tested in `src/manifest`.

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
    said_of(&format!("{HEAD}\n{rest}"), &[])
}

/// What the binary says to a manifest, with these arguments more.
fn said_of(manifest: &str, arguments: &[&str]) -> String {
    let sandbox = Sandbox::with(manifest);
    sandbox.fixture("stages/fixtures/phiid/job_activations.npy", "norms.npy");
    sandbox.fixture("stages/fixtures/gpt_neox/config.json", "config.json");
    refused(&sandbox, &[&["plan", "study.toml"], arguments].concat())
}

/// What the binary says when it refuses; nothing goes to stdout.
fn refused(sandbox: &Sandbox, arguments: &[&str]) -> String {
    let run = sandbox.assay(arguments);
    assert_eq!(run.code, Some(2), "{}\n{}", run.stdout, run.stderr);
    assert_eq!(run.stdout, "");
    let folder = sandbox.path("");
    let folder = folder.to_str().unwrap();
    run.stderr.replace(folder, "<folder>/").replace(folder.trim_end_matches('/'), "<folder>")
}

fn snapshot(name: &str, manifest: &str, said: String) {
    insta::with_settings!({ description => manifest, omit_expression => true, prepend_module_to_snapshot => false }, {
        insta::assert_snapshot!(name, said);
    });
}

macro_rules! mistakes {
    ($($name:ident: $manifest:expr;)*) => {$(
        #[test]
        fn $name() {
            snapshot(stringify!($name), $manifest, said($manifest));
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
    syntax: r#"
[stages.pairs
kind = "phiid
tau  = [1,,2]
"#;
    duplicate_key: r#"
[stages.pairs]
kind   = "phiid"
inputs = { activations = "norms" }
kind   = "rank"
"#;
    duplicate_stage: r#"
[stages.norms]
kind = "prompts"
"#;
    unknown_table: r#"
[stage.pairs]
kind = "phiid"
"#;
    unknown_reserved_key: r#"
[stages.pairs]
kind   = "phiid"
input  = { activations = "norms" }
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

/// Mistakes of the whole file: no stage can stand before them.
macro_rules! mistakes_of_the_whole {
    ($($name:ident $arguments:expr; $manifest:expr;)*) => {$(
        #[test]
        fn $name() {
            snapshot(stringify!($name), $manifest, said_of($manifest, &$arguments));
        }
    )*};
}

mistakes_of_the_whole! {
    empty_file []; "";
    no_stages []; "[study]\nname = \"empty\"\n";
    no_study []; "[stages.a]\nkind = \"prmpts\"\n";
    name_of_a_study []; "[study]\nname = \"../up\"\nsede = 1\n[stages.a]\nkind = \"prompts\"\ntokens = [[1]]\n";
    axes_that_are_none []; r#"
[study]
name = "axes"

[axes]
sigma  = []
tau    = [1, 1, ""]
layers = [[1, 2]]
params = [1]
size   = 3
day    = [2026-01-01]

[stages.a]
kind   = "prompts"
over   = ["tau"]
tokenz = [[1]]

[stages.b]
kind   = "prompts"
over   = ["sigma"]
tokens = [[1]]
"#;
    far_too_many_cells []; r#"
[study]
name = "cells"

[axes]
a = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]
b = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]
c = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]
d = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]
e = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]
f = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]

[stages.prompts]
kind   = "prompts"
over   = ["a", "b", "c", "d", "e", "f"]
tokens = [[1]]
"#;
    settings ["--set", "modle=x", "--set", "lag", "--set", "lag=[nan]", "--set", "lag=\u{1b}[31m"]; r#"
[study]
name = "settings"

[params]
model = "gpt2"
lag   = 1

[stages.prompts]
kind   = "prompts"
tokens = [[1, "${params.lag}"]]
"#;
    setting_of_the_wrong_type ["--set", "lag=two"]; r#"
[study]
name = "settings"

[params]
lag = 1

[stages.prompts]
kind   = "prompts"
tokens = [[1, "${params.lag}"]]
"#;
}

#[test]
fn what_is_no_manifest_at_all() {
    let sandbox = Sandbox::with(HEAD);
    sandbox.write("folder/study.toml", HEAD);
    sandbox.write("latin.toml", b"[study]\nname = \"caf\xe9\"\n");
    sandbox.write("utf16.toml", "\u{feff}[study]".encode_utf16().flat_map(u16::to_le_bytes).collect::<Vec<_>>());
    sandbox.write("large.toml", vec![b'#'; 9 << 20]);
    let cases = ["folder", "stduy.toml", "nowhere/study.toml", "latin.toml", "utf16.toml", "large.toml"];
    let said: String = cases.iter().map(|name| format!("--- {name}\n{}", refused(&sandbox, &["plan", name]))).collect();
    snapshot("what_is_no_manifest_at_all", "", said);
    let found = sandbox.assay(&["plan", "latin.toml", "--json"]).json();
    assert_eq!((&found["problems"][0]["line"], &found["problems"][0]["column"]), (&2.into(), &12.into()));
}

/// Files that would keep a careless reader busy, or overflow its stack. Were one of them quadratic, this would not end.
#[test]
fn hostile_files_end_as_quickly_and_as_clearly() {
    const MANY: usize = 1 << 20;
    let table = |inside: &str| format!("{HEAD}\n[stages.other]\nkind = \"prompts\"\ntokens = {inside}\n");
    let chain = |length: usize, last: &str| {
        let link = |i: usize| format!("[stages.s{i}]\nkind=\"rank\"\ninputs={{sts=\"s{}\"}}\n", i + 1);
        let links: String = (0..length).rev().map(link).collect();
        format!("{HEAD}{links}[stages.s{length}]\nkind=\"rank\"\ninputs={{{last}}}\n")
    };
    let cases = [
        ("brackets", table(&"[".repeat(MANY)), "this is nested too deeply"),
        ("braces", table(&"{a=".repeat(MANY)), "this is nested too deeply"),
        ("dots", table(&format!("{{ {}a = 1 }}", "a.".repeat(MANY))), "this is nested too deeply"),
        ("headers", format!("{HEAD}\n[stages{}]", ".a".repeat(MANY)), "this is nested too deeply"),
        ("junk", "\u{1}\"'[{=".repeat(MANY), "this is not TOML"),
        ("lines", "a\n".repeat(MANY), "this is not TOML"),
        (
            "keys",
            format!("{HEAD}\n[params]\n") + &(0..MANY / 8).map(|i| format!("a{i}=nan\n")).collect::<String>(),
            "is not finite",
        ),
        ("one line", format!("{HEAD}x = \"{}\"", "é".repeat(MANY)), "`x` is an unknown key"),
        ("values", HEAD.replace("[1, 2]", &format!("[{}1.5]", "1,".repeat(MANY))), "has the label `1` twice"),
        (
            "stages",
            HEAD.to_owned() + &(0..MANY / 128).map(|i| format!("[stages.s{i}]\nkind=\"phid\"\n")).collect::<String>(),
            "`phid` is an unknown kind",
        ),
        ("a chain", chain(MANY / 16, ""), "has no input `rtr`"),
        ("a cycle", chain(MANY / 16, "sts = \"s0\""), "these stages wait for each other: `s65535` → `s65534` →"),
        ("dollars", table(&format!("\"{}\"", "${".repeat(MANY))), "has no closing brace"),
    ];
    for (name, manifest, what) in cases {
        let said = said_of(&manifest, &[]);
        assert!(said.contains(what), "{name}: {}", &said[..said.len().min(2000)]);
        assert!(said.len() < 40_000, "{name} is answered with {} bytes", said.len());
    }
}

#[test]
fn nothing_in_a_manifest_reaches_the_terminal_to_be_obeyed() {
    const ESCAPE: &str = "\u{1b}]0;title\u{7}\u{1b}[31m\u{9b}2J\u{202e}";
    let toml = ESCAPE.escape_unicode().to_string().replace("\\u{", "\\U").replace('}', "");
    let toml: String = toml.split("\\U").skip(1).map(|hex| format!("\\U{hex:0>8}")).collect();
    let manifest = format!(
        r#"
[study]
name     = "escapes"
question = "{toml}?"

[axes]
label = ["{toml}"]

[params]
"x" = "{toml}"

[stages.table]
kind  = "load-table"
title = "{toml}"
file  = "{ESCAPE_FILE}.csv"

[stages.verdict]
kind   = "verdict"
title  = "{toml}"
over   = ["label"]
inputs = {{ table = "table" }}
values = [{{ name = "n", is = "1" }}]
rules  = [{{ then = "{toml}" }}]

[[expect]]
that   = "table.number"
equals = "{toml}"
source = "{toml}"
"#,
        ESCAPE_FILE = toml
    );
    let sandbox = Sandbox::with(&manifest);
    sandbox.write(&format!("{ESCAPE}.csv"), format!("number,text{ESCAPE}\n1,{ESCAPE}\n"));
    let harmless = |arguments: &[&str], code: i32| {
        let run = sandbox.assay(arguments);
        assert_eq!(run.code, Some(code), "{arguments:?}: {}\n{}", run.stdout, run.stderr);
        let printed = run.stdout + &run.stderr;
        let obeyed = |c: &char| (c.is_control() && *c != '\n') || *c == '\u{202e}';
        assert_eq!(printed.chars().find(obeyed), None, "{arguments:?}: {printed:?}");
        printed
    };
    assert!(harmless(&["plan", "study.toml"], 0).contains("\\u{1b}[31m"));
    assert!(harmless(&["run", "study.toml"], 3).contains("\\u{1b}[31m"));
    assert!(harmless(&["show", "study.toml", "table"], 0).contains("\\u{1b}[31m"));
    harmless(&["show", "study.toml", "verdict"], 0);
    harmless(&["export", "study.toml", "out"], 0);
    harmless(&["verify"], 0);
    for (from, to) in [
        ("[study]", "[\"{}\"]\n[study]"),
        ("kind  = \"load-table\"", "kind  = \"{}\""),
        ("kind  = \"load-table\"", "kind  = \"load-table\"\n\"{}\" = 1"),
        (".csv\"", "{}.csv\""),
        ("[stages.verdict]", "[stages.\"{}\"]"),
        ("table = \"table\"", "\"{}\" = \"table.{}\""),
        ("over   = [\"label\"]", "over   = [\"{}\"]"),
        ("is = \"1\"", "is = \"{}\""),
        ("is = \"1\"", "is = \"${{}}\""),
    ] {
        assert!(manifest.contains(from), "{from}");
        sandbox.write("study.toml", manifest.replacen(from, &to.replace("{}", &toml), 1));
        harmless(&["plan", "study.toml"], 2);
    }
    sandbox.write("study.toml", manifest.replace("\"table.number\"", &format!("\"table.{toml}\"")));
    assert!(harmless(&["run", "study.toml"], 3).contains("there is no column"));
    sandbox.write("study.toml", manifest.replace("question", &format!("question{ESCAPE}")));
    harmless(&["plan", "study.toml"], 2);
}
